//! The lines of a record, as types. Times are whole nanoseconds, counts whole numbers, rates `f64`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Sample;
use crate::terms::{
    CounterSummary, Host, Metric, MetricKey, Moment, ResourceUsage, Setting, Shortfall, Unit, Unsupported,
};
use crate::units::{CpuId, Nanos, Quantity, cpu_list, decimals};

/// The version of the schema. It rises with every change that a reader of the last one would misread.
pub const SCHEMA: u32 = 2;

/// One line of a record: the host of a round, or one benchmark of it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// Where and by what a round was measured.
    Host(Box<HostLine>),
    /// One benchmark of a round.
    Benchmark(Box<BenchmarkLine>),
}

/// Where and by what a round was measured; the first line a process writes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostLine {
    /// [`Host::id`], which the benchmarks' lines repeat.
    pub id: String,
    /// The machine, whole.
    pub host: Host,
    /// How busy the machine was when the process began.
    pub moment: Moment,
    /// The build of switchcost that measured.
    pub build: Build,
    /// The command line.
    pub argv: Vec<String>,
    /// Milliseconds since 1970 (UTC).
    pub started_ms: u64,
}

/// The build of switchcost that measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Build {
    /// The package's version.
    pub version: String,
    /// The git revision it was built from; absent when built outside a checkout.
    pub revision: Option<String>,
    /// Whether tracked files differed from that revision.
    pub changed: Option<bool>,
    /// `rustc --version`.
    pub rustc: String,
    /// The target triple.
    pub target: String,
    /// Cargo's profile, and the optimisation level of what is measured: `release, opt-level 3`.
    pub profile: String,
    /// What allocates memory: `malloc of glibc`. Absent in records of builds that did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allocator: Option<String>,
}

/// No `#[global_allocator]` replaces the C library's allocator, which the standard library takes on Linux
/// (library/std/src/sys/alloc/unix.rs); a test of the source holds this program to that.
const ALLOCATOR: &str = if cfg!(target_env = "gnu") {
    "malloc of glibc"
} else if cfg!(target_env = "musl") {
    "malloc of musl"
} else {
    "malloc of the C library"
};

impl Build {
    /// The build that is running.
    pub fn current() -> Self {
        let known = |text: &str| (!text.is_empty()).then(|| text.to_string());
        let revision = known(env!("SWITCHCOST_REVISION"));
        Self {
            version: env!("CARGO_PKG_VERSION").into(),
            changed: revision.as_ref().map(|_| !env!("SWITCHCOST_CHANGED").is_empty()),
            revision,
            rustc: env!("SWITCHCOST_RUSTC").into(),
            target: env!("SWITCHCOST_TARGET").into(),
            profile: format!("{}, opt-level {}", env!("SWITCHCOST_PROFILE"), crate::terms::OPT_LEVEL),
            allocator: Some(ALLOCATOR.into()),
        }
    }
}

/// One benchmark of a round.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BenchmarkLine {
    /// The id: `brigade/thread/same-cpu`, and what differs from the defaults.
    pub id: String,
    /// The mechanism's id.
    pub mechanism: String,
    /// What one operation is.
    pub unit: Unit,
    /// What was measured of each operation; absent is time.
    #[serde(default, skip_serializing_if = "Quantity::is_time")]
    pub measures: Quantity,
    /// The mechanism it is compared with.
    pub baseline: String,
    /// What was chosen.
    pub setting: Setting,
    /// The number of the round in the run, from 0.
    pub round: u32,
    /// The id of the host's line.
    pub host_id: String,
    /// Milliseconds since 1970 (UTC).
    pub started_ms: u64,
    /// The outcome of the benchmark.
    pub outcome: Outcome,
    /// How the round went; only rounds of `switchcost run` have it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conditions: Option<RunConditions>,
}

impl BenchmarkLine {
    /// How the id of a benchmark on two chosen CPUs names them: `cpus=0+1`, first the one that begins.
    pub fn named_cpus((first, second): (CpuId, CpuId)) -> String {
        format!("{CPUS}{first}+{second}")
    }

    /// Its id with one more thing that was chosen behind it: `NAME=VALUE`.
    pub fn id_with(id: &str, chosen: &str) -> String {
        let separator = if id.matches('/').count() > 2 { ',' } else { '/' };
        format!("{id}{separator}{chosen}")
    }

    /// Its id with the CPUs that it was measured on, `handoff/pipe/unpinned/on_cpus=0+2-3`, for a record that has the
    /// same on others. Commas part what was chosen, and `cpus=` names a pair of them.
    pub fn id_with_cpus(&self) -> String {
        let cpus = cpu_list(&self.setting.cpus).replace(',', "+");
        Self::id_with(&self.id, &format!("on_cpus={cpus}"))
    }

    /// Whether its samples alternated with those of the other side of a comparison.
    pub fn was_interleaved(&self) -> bool {
        self.conditions.as_ref().is_some_and(|conditions| conditions.interleaved)
    }

    /// The two CPUs that were chosen for it, first the one that begins; none where its placement chose them.
    pub fn pair(&self) -> Option<(CpuId, CpuId)> {
        let differing = self.id.splitn(4, '/').nth(3)?;
        let cpus = differing.split(',').find_map(|item| item.strip_prefix(CPUS))?;
        let (first, second) = cpus.split_once('+')?;
        Some((CpuId(first.parse().ok()?), CpuId(second.parse().ok()?)))
    }
}

const CPUS: &str = "cpus=";

/// How one benchmark of one round went.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunConditions {
    /// How long its process took, set-up, audit and discarded attempts included, in milliseconds. Of two that took
    /// turns each has half of the time that both took.
    pub took_ms: u64,
    /// How many attempts were discarded for interference before this one (`--strict`).
    pub discarded: u32,
    /// What else the machine did meanwhile, in words; empty for a quiet round.
    pub interference: Vec<String>,
    /// Whether its samples alternate with those of the other side of a comparison, whose process was alive meanwhile.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interleaved: bool,
}

/// The outcome of a benchmark.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// It ran.
    Measured(Box<Measured>),
    /// It cannot run here. A result, not an error.
    Unsupported(Unsupported),
    /// It should have run and did not.
    Failed(String),
}

impl Outcome {
    /// Why nothing was measured; `None` where the benchmark was measured.
    pub fn reason(&self) -> Option<String> {
        match self {
            Self::Measured(_) => None,
            Self::Unsupported(unsupported) => Some(unsupported.to_string()),
            Self::Failed(reason) => Some(reason.clone()),
        }
    }
}

/// The figures of a benchmark that ran.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measured {
    /// The bare samples, in the order in which they were taken. All times come from these.
    pub samples: Vec<Sample>,
    /// What the kernel accounted to the mechanism's tasks over the bare samples.
    pub usage: ResourceUsage,
    /// The counted samples.
    pub counted: CountedSamples,
    /// The mechanism's metrics over the bare samples, beyond their times.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Metric>,
    /// Whether the mechanism did what its descriptor says.
    pub audit: AuditRecord,
    /// What disturbed the measurement.
    pub noise: Noise,
}

impl Measured {
    /// Whether the generator of requests was the bottleneck. Its delay is then part of all latencies of the round.
    pub fn was_late(&self) -> bool {
        self.metrics.iter().any(|metric| *metric.of() == MetricKey::GeneratorBottleneck)
    }

    /// Whether the figures of these rounds of a benchmark say nothing of the mechanism, because in half of the rounds
    /// or more the generator was the bottleneck. Where it was so in fewer, the median over the rounds is one of the
    /// others, and metrics are those of the others alone.
    pub fn are_void(rounds: &[&Self]) -> bool {
        let late = rounds.iter().filter(|round| round.was_late()).count();
        late > 0 && 2 * late >= rounds.len()
    }

    /// What an operation came to in each sample, and the speed probe beside it: its longest stretch.
    pub fn probed_values(&self) -> impl Iterator<Item = (f64, Option<f64>)> {
        self.samples.iter().map(|sample| (sample.per_op(), sample.probe.map(|probe| probe.max.0 as f64)))
    }

    /// The shortest stretch of each speed probe, in nanoseconds: what can be compared with other benchmarks of a host.
    pub fn shortest_probes(&self) -> impl Iterator<Item = f64> {
        self.samples.iter().filter_map(|sample| sample.probe).map(|probe| probe.min.0 as f64)
    }
}

/// What was counted, in samples of their own.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CountedSamples {
    /// The counted samples, interleaved with the bare ones.
    pub samples: Vec<Sample>,
    /// The counts of each event.
    pub counters: Vec<CounterSummary>,
    /// What could not be counted, and why.
    pub not_counted: Vec<Shortfall>,
}

impl CountedSamples {
    /// The count of `event` per operation, when it was counted.
    pub fn per_op(&self, event: &str) -> Option<f64> {
        self.counters.iter().find(|counter| counter.event == event).map(|counter| counter.per_op)
    }
}

/// Evidence of noise between the first and the last sample.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Noise {
    /// When it began.
    pub start: Moment,
    /// When it ended.
    pub end: Moment,
    /// CPU time that the measuring process used in between, all its tasks together.
    #[serde(default)]
    pub own_cpu: Option<Nanos>,
    /// The time between the two moments.
    #[serde(default)]
    pub lasted: Option<Nanos>,
}

/// One audited quantity: what was seen, what was expected, and whether it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditCheck {
    /// A system call by name, `voluntary-switches`, `wakeups`; `set-up NAME` and `a batch's NAME`,
    /// which are totals and no rates.
    pub what: String,
    /// Per operation; in all, of set-up and of what begins with [`AuditRecord::TOTAL`].
    pub observed: f64,
    /// In words: `exactly 1`.
    pub expected: String,
    /// Whether it was.
    pub holds: bool,
}

impl AuditCheck {
    /// Whether it judges a count in all, and no rate per operation.
    pub fn is_total(&self) -> bool {
        [AuditRecord::TOTAL, AuditRecord::SET_UP].iter().any(|total| self.what.starts_with(total))
    }

    /// What was observed, with its unit.
    pub fn seen(&self) -> String {
        if self.is_total() { format!("{}", self.observed) } else { format!("{} per op", decimals(self.observed, 4)) }
    }
}

/// What the audit found.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditRecord {
    /// How many attempts it took; 0 when nothing was audited.
    #[serde(default)]
    pub attempts: u32,
    /// The checks that were made.
    pub checks: Vec<AuditCheck>,
    /// The quantities that could not be checked, and why.
    pub unchecked: Vec<Shortfall>,
    /// System calls per operation, by name, expected or not.
    pub calls: BTreeMap<String, f64>,
}

impl AuditRecord {
    /// Whether an audit was asked for at all. A run audits each benchmark once; the lines of its other rounds hold an
    /// empty record, which is neither a passed audit nor one that could not be made.
    pub fn was_made(&self) -> bool {
        !(self.checks.is_empty() && self.unchecked.is_empty())
    }

    /// What the name of a check begins with that judges a batch's calls in all.
    pub const TOTAL: &str = "a batch's ";

    /// What the name of a check begins with that judges a call of set-up.
    pub const SET_UP: &str = "set-up ";

    /// The checks that failed.
    pub fn differences(&self) -> impl Iterator<Item = &AuditCheck> {
        self.checks.iter().filter(|check| !check.holds)
    }

    /// The name of the check that a mechanism fails when it ends before its time, or does not end.
    pub const RAN: &str = "runs to its end";

    /// Whether the mechanism ran to its end, whether or not the other checks hold.
    pub fn ran_to_its_end(&self) -> bool {
        self.differences().all(|check| check.what != Self::RAN)
    }

    /// Whether an audit that agrees took more than one attempt.
    pub fn agreed_late(&self) -> bool {
        self.attempts > 1 && self.verdict() == "ok"
    }

    /// The verdict for readers: an audit that agreed only when it was repeated says at which attempt.
    pub fn told(&self) -> &'static str {
        match self.attempts {
            _ if !self.agreed_late() => self.verdict(),
            2 => "ok on attempt 2",
            3 => "ok on attempt 3",
            _ => "ok on a later attempt",
        }
    }

    /// The verdict in a word: `ok`, `DIFFERS`, or `none` when nothing could be checked.
    pub fn verdict(&self) -> &'static str {
        if self.differences().next().is_some() {
            "DIFFERS"
        } else if self.checks.is_empty() {
            "none"
        } else {
            "ok"
        }
    }

    /// All system calls per operation; `None` when they were not counted.
    pub fn calls_per_op(&self) -> Option<f64> {
        let audited = self.checks.iter().any(|check| check.what == "other calls");
        // The sum of no numbers is -0.0, which would be shown as such.
        audited.then(|| self.calls.values().sum::<f64>() + 0.0)
    }
}
