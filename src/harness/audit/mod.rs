//! The audit: proof that a mechanism did per operation what its descriptor says.
//!
//! Every audited benchmark is set up again in two processes of its own. In one, the kernel's accounting tells voluntary
//! switches and, where tracefs can be read, a tracepoint tells wakeups. In the other, this process watches every system
//! call by ptrace(2), which needs no privilege but disturbs the schedule; so calls are judged there and nothing else.
//!
//! Each process runs two batches, the second several times the first, and the rates come from the difference: whatever
//! a batch costs once (the main thread's request, the first blocking of each task) cancels out.

mod child;
mod names;
mod tracer;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde::{Deserialize, Serialize};

pub use child::answer_audit_request;

use super::Benchmark;
use super::benchmark::Chosen;
use crate::mechanism::{Bound, Expectation};
use crate::record::{AuditRecord, Check, Unchecked};

/// The variable that tells a fresh process of this program that it is an audit's.
const REQUEST: &str = "SWITCHCOST_AUDIT_REQUEST";

/// What an audit's process is asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Request {
    chosen: Chosen,
    watch: Watch,
    /// Operations of the first batch and of the second.
    batches: [u64; 2],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Watch {
    Switches,
    Calls,
}

/// What the process that was not traced saw, per operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Switches {
    voluntary: f64,
    involuntary: f64,
    wakeups: Result<f64, Unchecked>,
}

/// What the tracer saw.
#[derive(Debug, Clone, PartialEq, Default)]
struct Calls {
    /// Per operation, by name.
    per_op: BTreeMap<String, f64>,
    /// In all, during set-up.
    set_up: BTreeMap<String, u64>,
}

/// Audits benchmarks by running `program`, which must call [`answer_audit_request`] first thing in its `main`.
#[derive(Debug, Clone)]
pub struct Auditor {
    program: PathBuf,
}

impl Auditor {
    /// With the program that is running.
    pub fn with_this_program() -> Self {
        // The link is resolved by the kernel at exec, so it works even when the file was replaced meanwhile.
        Self::with_program("/proc/self/exe")
    }

    /// With another program.
    pub fn with_program(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into() }
    }

    /// Audits one benchmark. What could not be watched is in [`AuditRecord::unchecked`].
    pub fn audit(&self, benchmark: &Benchmark) -> AuditRecord {
        let expected = (benchmark.descriptor().expects)(&benchmark.parameters, benchmark.seating.placement());
        let mut record = AuditRecord::default();
        match self.watch_calls(benchmark) {
            Ok(calls) => judge_calls(&expected, &calls, &mut record),
            Err(reason) => record.unchecked.push(Unchecked {
                what: "system calls".into(),
                reason,
                remedy: "allow ptrace for one's own children: `sysctl kernel.yama.ptrace_scope=1`, or a container \
                         profile with ptrace"
                    .into(),
            }),
        }
        match self.watch_switches(benchmark) {
            Ok((switches, ops)) => judge_switches(&expected, switches, ops, &mut record),
            Err(reason) => record.unchecked.push(Unchecked {
                what: "voluntary switches and wakeups".into(),
                reason,
                remedy: "run `switchcost audit` on this benchmark alone".into(),
            }),
        }
        record
    }

    fn watch_calls(&self, benchmark: &Benchmark) -> Result<Calls, String> {
        // Each traced call stops its thread twice, some 20 µs: a few hundred are enough, since they do not vary.
        let first = benchmark.whole_laps(64);
        let request = request(benchmark, Watch::Calls, [first, 3 * first]);
        tracer::watch(self.command(&request), request.batches)
    }

    fn watch_switches(&self, benchmark: &Benchmark) -> Result<(Switches, u64), String> {
        let first = benchmark.whole_laps(500);
        let request = request(benchmark, Watch::Switches, [first, 4 * first]);
        let output = self.command(&request).output().map_err(|error| error.to_string())?;
        let answer: Result<Switches, String> = serde_json::from_slice(&output.stdout)
            .map_err(|_| format!("the audit's process ended with {}", output.status))?;
        Ok((answer?, 3 * first))
    }

    fn command(&self, request: &Request) -> Command {
        let mut command = Command::new(&self.program);
        let request = serde_json::to_string(request).expect("a request is plain data");
        command.env(REQUEST, request).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        // The name that ps shows.
        command.arg0("switchcost-audit");
        command
    }
}

fn request(benchmark: &Benchmark, watch: Watch, batches: [u64; 2]) -> Request {
    Request { chosen: benchmark.chosen(), watch, batches }
}

fn judge_calls(expected: &Expectation, calls: &Calls, record: &mut AuditRecord) {
    let mut check = |what: String, observed: f64, bound: Bound| {
        record.checks.push(Check { what, observed, expected: bound.to_string(), holds: bound.holds(observed, 1e-9) });
    };
    for (name, bound) in &expected.calls {
        check(name.clone(), calls.per_op.get(name).copied().unwrap_or(0.0), *bound);
    }
    let named = |name: &String| expected.calls.iter().any(|(expected, _)| expected == name);
    let others = calls.per_op.iter().filter(|(name, _)| !named(name)).map(|(_, rate)| rate).sum();
    check("other calls".into(), others, expected.others);
    for (name, bound) in &expected.set_up {
        check(format!("set-up {name}"), calls.set_up.get(name).copied().unwrap_or(0) as f64, *bound);
    }
    record.calls = calls.per_op.iter().filter(|(_, rate)| **rate != 0.0).map(|(n, r)| (n.clone(), *r)).collect();
}

/// The scheduler may preempt a task now and then, which moves a switch from one kind to the other: one in fifty, and
/// the edges of the batches.
fn slack(ops: u64) -> f64 {
    0.02 + 4.0 / ops as f64
}

fn judge_switches(expected: &Expectation, seen: Switches, ops: u64, record: &mut AuditRecord) {
    let mut check = |what: &str, observed: f64, bound: Bound| {
        let holds = bound.holds(observed, slack(ops));
        record.checks.push(Check { what: what.into(), observed, expected: bound.to_string(), holds });
    };
    check("voluntary switches", seen.voluntary, expected.voluntary);
    check("switches", seen.voluntary + seen.involuntary, expected.switches);
    match seen.wakeups {
        Ok(wakeups) => check("wakeups", wakeups, expected.wakeups),
        Err(unchecked) => record.unchecked.push(unchecked),
    }
}
