//! The audit: proof that a mechanism did per operation what its descriptor says.
//!
//! Every audited benchmark is set up again in two processes of its own. In one, the kernel's accounting tells voluntary
//! switches and, where tracefs can be read, a tracepoint tells wakeups. In the other, this process watches every system
//! call by ptrace(2), which needs no privilege but disturbs the schedule; so calls are judged there and nothing else.
//!
//! Each process runs two batches, the second several times the first, and the rates come from the difference: what a
//! batch costs once (the main thread's request, the first blocking of each task) cancels out.

mod child;
mod names;
mod tracer;

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use child::answer_audit_request;

use super::benchmark::BenchmarkSpec;
use super::{Benchmark, unsupported};
use crate::crew::{Failure, TIMEOUT};
use crate::mechanism::{Bound, Expectation, Tasks};
use crate::record::{AuditCheck, AuditRecord};
use crate::sys::nowhere::nowhere;
use crate::terms::{Shortfall, Unsupported};

/// What helps where system calls cannot be watched.
const PTRACE: &str = "allow ptrace of child processes: `sysctl kernel.yama.ptrace_scope=1`, or a container profile \
                      with ptrace";

/// How often an audit that differs is made, at the most.
pub const MOST_ATTEMPTS: u32 = 3;

/// The variable that tells a fresh process of this program that it is an audit's.
const REQUEST: &str = "SWITCHCOST_AUDIT_REQUEST";

/// What an audit's process is asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct AuditRequest {
    spec: BenchmarkSpec,
    watch: AuditPass,
    /// Operations of the first batch and of the second.
    batches: [u64; 2],
    /// How long set-up, a batch, or the end may take.
    timeout: Duration,
    /// The process that audits: the child ends when that process has ended.
    parent: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AuditPass {
    Switches,
    Calls,
}

/// Why an audited process has no answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum AuditFailure {
    /// This machine does not let it be watched, or run.
    Unwatched(String),
    /// This machine cannot run it as it was asked for.
    Unsupported(Unsupported),
    /// The mechanism failed.
    Failed(String),
}

impl AuditFailure {
    /// What the record says of `what`, which could not be audited for this reason; `remedy` helps against being
    /// unwatched.
    fn report(self, what: &str, remedy: &str, record: &mut AuditRecord) {
        let (why, remedy) = match self {
            Self::Failed(reason) => return record.checks.push(failed(&reason)),
            Self::Unwatched(why) => (why, remedy.into()),
            Self::Unsupported(not) => (not.why(), not.0.remedy),
        };
        record.unchecked.push(Shortfall::new(what, why, remedy));
    }
}

impl From<Failure> for AuditFailure {
    fn from(failure: Failure) -> Self {
        unsupported::refused(&failure).map_or_else(|| Self::Failed(failure.to_string()), Self::Unsupported)
    }
}

impl AuditFailure {
    fn unwatched(reason: impl std::fmt::Display) -> Self {
        Self::Unwatched(reason.to_string())
    }
}

/// What an audited process says on its standard output when it ends; switches when it was asked for them.
type AuditAnswer = Result<Option<SwitchCounts>, AuditFailure>;

/// Reads it. A process that ends without having said anything was ended by what it was running.
fn read_answer(output: &[u8], ended: impl std::fmt::Display) -> AuditAnswer {
    let silent = |_| AuditFailure::Failed(format!("the audited process ended without an answer: {ended}"));
    serde_json::from_slice::<AuditAnswer>(output).map_err(silent)?
}

/// What the process that was not traced saw, per operation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct SwitchCounts {
    voluntary: f64,
    involuntary: f64,
    wakeups: Result<f64, Shortfall>,
}

/// What the tracer saw.
#[derive(Debug, Clone, PartialEq, Default)]
struct CallRates {
    /// Per operation, by name.
    per_op: BTreeMap<String, f64>,
    /// In all, within the second batch.
    batch: BTreeMap<String, u64>,
    /// The operations of the second batch.
    ops: u64,
    /// In all, during set-up.
    set_up: BTreeMap<String, u64>,
}

/// Audits benchmarks by running `program`, which must call [`answer_audit_request`] first thing in its `main`.
#[derive(Debug, Clone)]
pub struct Auditor {
    program: PathBuf,
    timeout: Duration,
    attempts: u32,
}

impl Auditor {
    /// With the program that is running.
    pub fn with_this_program() -> Self {
        // The link is resolved by the kernel at exec, so it works even when the file was replaced meanwhile.
        Self::with_program("/proc/self/exe")
    }

    /// An auditor whose child processes run `program`, for tests and for benchmarks of another build.
    pub fn with_program(program: impl Into<PathBuf>) -> Self {
        Self { program: program.into(), timeout: TIMEOUT, attempts: MOST_ATTEMPTS }
    }

    /// Takes a mechanism for hung after `timeout`, for those who know that none of them needs longer.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Makes an audit that differs `attempts` times, and never more than three times.
    #[must_use]
    pub fn attempts(self, attempts: u32) -> Self {
        Self { attempts: attempts.clamp(1, MOST_ATTEMPTS), ..self }
    }

    /// Audits one benchmark. What could not be watched is in [`AuditRecord::unchecked`].
    ///
    /// Another program that takes the CPU in the middle of a batch changes a count; a mechanism that is wrong is wrong
    /// every time. So an audit that differs is repeated, and the record says how often. An audit that did not run to
    /// its end is not repeated.
    pub fn audit(&self, benchmark: &Benchmark) -> AuditRecord {
        let mut attempts = 1;
        loop {
            let record = AuditRecord { attempts, ..self.attempt(benchmark) };
            let last = attempts == self.attempts || !record.ran_to_its_end();
            if last || record.differences().next().is_none() {
                return record;
            }
            attempts += 1;
        }
    }

    fn attempt(&self, benchmark: &Benchmark) -> AuditRecord {
        let expected = expected(benchmark);
        let mut record = AuditRecord::default();
        match self.watch_calls(benchmark) {
            Ok((calls, ops)) => {
                judge_calls(&expected, &calls, edges(benchmark, ops), &mut record);
                judge_totals(&expected, &calls, benchmark.descriptor().tasks, &mut record);
            }
            Err(trouble) => trouble.report("system calls", PTRACE, &mut record),
        }
        // What failed once would only fail again, and a hang takes its time.
        if !record.ran_to_its_end() {
            return record;
        }
        match self.watch_switches(benchmark) {
            Ok((switches, ops)) => judge_switches(&expected, switches, ops, &mut record),
            Err(trouble) => trouble.report("voluntary switches and wakeups", "run it again", &mut record),
        }
        record
    }

    fn watch_calls(&self, benchmark: &Benchmark) -> Result<(CallRates, u64), AuditFailure> {
        // Each traced call stops its thread twice, some 20 µs: a few hundred are enough, since they do not vary. A lap
        // of what is measured in bytes creates and ends tasks, and waits for the kernel to free what they left, twice
        // for up to 40 ms.
        let first = benchmark.whole_laps(if benchmark.measures().is_time() { 64 } else { 16 });
        let request = self.request(benchmark, AuditPass::Calls, [first, 3 * first]);
        let whose = expected(benchmark).calls_of;
        Ok((tracer::watch(self.command(&request)?, request.batches, whose)?, 2 * first))
    }

    fn watch_switches(&self, benchmark: &Benchmark) -> Result<(SwitchCounts, u64), AuditFailure> {
        // Where nothing is judged only the record wants them, and a lap of those may take its time, as in
        // `watch_calls`. Three hundred in the first batch and 900 more in the second: the slack of `judge_switches` is
        // then 2.4 %.
        let expected = expected(benchmark);
        let judged = [expected.voluntary, expected.switches, expected.wakeups].iter().any(|b| *b != Bound::Depends);
        let first = benchmark.whole_laps(if judged { 300 } else { 16 });
        let request = self.request(benchmark, AuditPass::Switches, [first, 4 * first]);
        let output = self.command(&request)?.output().map_err(AuditFailure::unwatched)?;
        let seen = read_answer(&output.stdout, output.status)?;
        Ok((seen.ok_or_else(|| AuditFailure::unwatched("the audited process reported no switches"))?, 3 * first))
    }

    fn request(&self, benchmark: &Benchmark, watch: AuditPass, batches: [u64; 2]) -> AuditRequest {
        AuditRequest { spec: benchmark.spec(), watch, batches, timeout: self.timeout, parent: std::process::id() }
    }

    fn command(&self, request: &AuditRequest) -> Result<Command, AuditFailure> {
        let mut command = Command::new(&self.program);
        let request = serde_json::to_string(request).expect("a request is plain data");
        let nowhere = || nowhere().map(Stdio::from).map_err(AuditFailure::unwatched);
        command.env(REQUEST, request).stdin(nowhere()?).stdout(Stdio::piped()).stderr(nowhere()?);
        // The name that ps shows.
        command.arg0("switchcost-audit");
        Ok(command)
    }
}

/// What a benchmark is expected to do, with its parameters and in its placement.
fn expected(benchmark: &Benchmark) -> Expectation {
    (benchmark.descriptor().expects)(&benchmark.setting.parameters, benchmark.setting.placement)
}

/// A mechanism that cannot even run does not do what it says.
fn failed(reason: &str) -> AuditCheck {
    let expected = format!("{}; {reason}", Bound::Exactly(1.0));
    AuditCheck { what: AuditRecord::RAN.into(), observed: 0.0, expected, holds: false }
}

/// The rounding of a quotient.
const EXACT: f64 = 1e-9;

/// How far a rate of calls may be off. The driver marks its batches, so one thread's calls are exact; other tasks enter
/// their next wait after the driver has its answer, and one that a slow machine has not let do so by the end of the
/// batch is counted in the next.
fn edges(benchmark: &Benchmark, ops: u64) -> f64 {
    match benchmark.descriptor().tasks {
        Tasks::OneThread => EXACT,
        Tasks::Several | Tasks::Simultaneous | Tasks::TakingTurns => {
            2.0 * expected(benchmark).under_way as f64 / ops as f64
        }
    }
}

/// A call that is none where the clock source can be read in user mode, and one where it cannot (vdso(7)): which of the
/// two is the host's business, not the mechanism's. Judged only where a mechanism names it.
const VDSO: &str = "clock_gettime";

/// Whether calls of `name` at this rate are the allocator's upkeep: it grows and trims the heap of a thread when a
/// longer batch needs more of it (malloc(3), mallopt(3)), a few times a batch. A mechanism that allocates for each
/// operation calls far more often, and is judged.
fn is_upkeep(name: &str, rate: f64) -> bool {
    const ALLOCATOR: [&str; 5] = ["brk", "mmap", "munmap", "mprotect", "madvise"];
    ALLOCATOR.contains(&name) && rate.abs() <= 0.05
}

/// What varies from batch to batch varies twice in the difference of two: a batch with few wakes before one with many
/// gives more than one wake per operation, and one in which a disk was waited for twice before one without gives less.
const VARYING: f64 = 0.1;

fn judge_calls(expected: &Expectation, calls: &CallRates, edges: f64, record: &mut AuditRecord) {
    let mut check = |what: String, observed: f64, bound: Bound| {
        let varies = match bound {
            Bound::Exactly(_) => false,
            Bound::Between(..) => true,
            Bound::AtMost(_) | Bound::Depends => edges > EXACT,
        };
        let slack = if varies { VARYING } else { edges };
        record.checks.push(AuditCheck {
            what,
            observed,
            expected: bound.to_string(),
            holds: bound.holds(observed, slack),
        });
    };
    for (name, bound) in &expected.calls {
        check(name.clone(), calls.per_op.get(name).copied().unwrap_or(0.0), *bound);
    }
    let named = |name: &String| expected.calls.iter().any(|(expected, _)| expected == name);
    let others = calls.per_op.iter().filter(|(name, rate)| !named(name) && *name != VDSO && !is_upkeep(name, **rate));
    let others = others.map(|(_, rate)| rate).sum();
    check(Expectation::OTHER_CALLS.into(), others, expected.others);
    for (name, bound) in &expected.set_up {
        check(format!("{}{name}", AuditRecord::SET_UP), calls.set_up.get(name).copied().unwrap_or(0) as f64, *bound);
    }
    record.calls = calls.per_op.iter().filter(|(_, rate)| **rate != 0.0).map(|(n, r)| (n.clone(), *r)).collect();
}

/// Judges the calls within one batch, in all. A batch that leaves out its last round trip, or makes one more, does so
/// in every batch, so that the rate, a difference of two batches, is right all the same.
///
/// A batch begins and ends with every task asleep and the marks lie on either side of the driver's own calls, so that
/// no call is left over: what a mechanism really calls once a batch its descriptor states. One call alone may fall into
/// the batch beside, that of a task which a slow machine has not let enter its wait in time. A round trip is two
/// operations, so that half of its calls, and never more than that one, are less than a round trip.
fn judge_totals(expected: &Expectation, calls: &CallRates, tasks: Tasks, record: &mut AuditRecord) {
    let ops = calls.ops as f64;
    let mut check = |name: &str, total: u64, bound: Bound| {
        let Some((least, most)) = bound.range() else { return };
        let late = match tasks {
            Tasks::OneThread => 0.0,
            Tasks::Several | Tasks::Simultaneous | Tasks::TakingTurns => late(bound) * expected.under_way as f64,
        };
        let once = expected.per_batch.iter().find(|(once, _)| once == name).map_or(0.0, |(_, calls)| *calls);
        let (least, most) = ((least * ops - late).max(0.0), most * ops + late + once);
        let total = total as f64;
        let holds = (least - EXACT..=most + EXACT).contains(&total);
        let expected = format!("{least} to {most} in all");
        record.checks.push(AuditCheck {
            what: format!("{}{name}", AuditRecord::TOTAL),
            observed: total,
            expected,
            holds,
        });
    };
    for (name, bound) in &expected.calls {
        check(name, calls.batch.get(name).copied().unwrap_or(0), *bound);
    }
    let named = |name: &String| expected.calls.iter().any(|(expected, _)| expected == name);
    let others = calls
        .batch
        .iter()
        .filter(|(name, count)| !named(name) && *name != VDSO && !is_upkeep(name, **count as f64 / ops.max(1.0)));
    let others = others.map(|(_, count)| count).sum();
    check(Expectation::OTHER_CALLS, others, expected.others);
}

/// How many calls of one kind may fall into the batch beside, for each operation that may be under way.
fn late(bound: Bound) -> f64 {
    match bound {
        // None of a call that must not happen.
        Bound::Exactly(rate) => rate.min(1.0),
        Bound::AtMost(_) | Bound::Between(..) | Bound::Depends => 1.0,
    }
}

/// The scheduler may preempt a task now and then, which moves a switch from one kind to the other: one in fifty, and
/// the edges of the batches.
fn slack(ops: u64) -> f64 {
    0.02 + 4.0 / ops as f64
}

fn judge_switches(expected: &Expectation, seen: SwitchCounts, ops: u64, record: &mut AuditRecord) {
    let mut check = |what: &str, observed: f64, bound: Bound| {
        let holds = bound.holds(observed, slack(ops));
        record.checks.push(AuditCheck { what: what.into(), observed, expected: bound.to_string(), holds });
    };
    check("voluntary switches", seen.voluntary, expected.voluntary);
    check("switches", seen.voluntary + seen.involuntary, expected.switches);
    match seen.wakeups {
        Ok(wakeups) => check("wakeups", wakeups, expected.wakeups),
        Err(unchecked) => record.unchecked.push(unchecked),
    }
}

#[cfg(test)]
mod tests;
