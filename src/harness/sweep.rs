//! One benchmark of a sweep: what an operation costs and what a task holds of memory, at one number of tasks.
//!
//! A lap of a hundred thousand threads takes a second and creating them ten, so that Criterion's hundreds of calls are
//! out of the question. There is one instance, without counters; a time budget decides how many samples it gives, three
//! at least; and what is too large to be set up twice more is not audited, which the record says.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::bare_sample::measured;
use super::criterion_adapter::line;
use super::interference::NoiseProbe;
use super::limit_check::{INSTANCES_OF_A_SWEEP, count_of};
use super::{Auditor, BareSample, Benchmark, MeasureOptions, PlannedBenchmark, Session, now_ms, unsupported};
use crate::crew::Failure;
use crate::record::{AuditRecord, BenchmarkLine, Outcome};
use crate::sys::memory_usage::{MemoryReader, MemoryUsage, SlabScope};
use crate::terms::{Domain, Metric, MetricKey, Shortfall, Value};
use crate::units::Quantity;

/// How the benchmarks of a sweep are measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct SweepSampling {
    /// All samples together, about; three are taken however long they last.
    pub measure: Duration,
    /// The most samples.
    pub samples: u32,
    /// The most tasks that are audited.
    pub audited: u64,
}

/// The fewest samples that a median is taken of.
const FEWEST: usize = 3;

/// Each call that the audit watches takes some 20 µs, and it watches four laps.
const AUDITED: u64 = 2000;

impl Default for SweepSampling {
    fn default() -> Self {
        Self { measure: Duration::from_secs(1), samples: 20, audited: AUDITED }
    }
}

/// Measures a planned benchmark, and returns how that ended.
pub(super) fn measure_in_sweep(
    planned: &PlannedBenchmark,
    sampling: &SweepSampling,
    options: &MeasureOptions,
) -> BenchmarkLine {
    let started_ms = now_ms();
    let outcome = match planned {
        PlannedBenchmark::Unsupported { reason, .. } => Outcome::Unsupported(reason.clone()),
        PlannedBenchmark::Ready(benchmark) => {
            let outcome_of = |failure| unsupported::outcome(failure, benchmark, INSTANCES_OF_A_SWEEP);
            attempt(benchmark, sampling, options).unwrap_or_else(outcome_of)
        }
    };
    line(planned, options.round, &options.host_id, started_ms, outcome)
}

fn attempt(benchmark: &Benchmark, sampling: &SweepSampling, options: &MeasureOptions) -> Result<Outcome, Failure> {
    let noise_probe = NoiseProbe::begin();
    let tasks =
        count_of(benchmark.descriptor()).map_or(1, |parameter| benchmark.setting.parameters.number(parameter.name));
    warm_up(benchmark)?;
    let memory = MemoryBaseline::before();
    // Opening runs a lap: every task has run, and has touched what it touches.
    let mut session = Session::open(benchmark, None)?;
    let mut held = memory.map_or_else(Vec::new, |memory| memory.metrics(&session, tasks));
    let taken = samples(&mut session, sampling)?;
    let (counted, metrics) = session.close()?;
    held.extend(metrics);
    let noise = noise_probe.end();
    let audit = options.auditor.as_ref().map(|auditor| audit(auditor, benchmark, tasks, sampling)).unwrap_or_default();
    Ok(Outcome::Measured(Box::new(measured(&taken, counted, held, audit, noise))))
}

/// Runs a lap of the least number of tasks: what the first instance of a process reads of the program and allocates for
/// good would otherwise be shared out over the tasks.
fn warm_up(benchmark: &Benchmark) -> Result<(), Failure> {
    let Some(parameter) = count_of(benchmark.descriptor()) else { return Ok(()) };
    let Domain::Number { min, .. } = parameter.domain else { return Ok(()) };
    let parameters = benchmark.setting.parameters.clone().with(parameter, Value::Number(min));
    let least = benchmark.with_parameters(parameters);
    let mut driver = least.start(|| Ok(()))?;
    driver.run(least.whole_laps(1))?;
    driver.stop()
}

/// As many samples of whole laps as the budget holds, after one that tells how long a lap takes.
fn samples(session: &mut Session, sampling: &SweepSampling) -> Result<Vec<BareSample>, Failure> {
    let first = session.sample(1)?;
    let each = sampling.measure / sampling.samples.max(1);
    let laps = each.as_nanos() / u128::from(first.sample.amount.0.max(1));
    let ops = first.sample.ops.0.saturating_mul(u64::try_from(laps).unwrap_or(u64::MAX).max(1));
    session.discard_warm_up()?;
    let began = Instant::now();
    let mut taken = Vec::new();
    while taken.len() < FEWEST || (taken.len() < sampling.samples as usize && began.elapsed() < sampling.measure) {
        taken.push(session.sample(ops)?);
    }
    Ok(taken)
}

fn audit(auditor: &Auditor, benchmark: &Benchmark, tasks: u64, sampling: &SweepSampling) -> AuditRecord {
    if tasks <= sampling.audited {
        return auditor.audit(benchmark);
    }
    let unchecked = Shortfall {
        what: "system calls, switches and wakeups".into(),
        why: format!("a sweep audits up to {} tasks, and these are {tasks}", sampling.audited),
        remedy: format!("switchcost audit {} --set tasks={tasks}", benchmark.descriptor().id),
    };
    AuditRecord { unchecked: vec![unchecked], ..AuditRecord::default() }
}

/// What this process held before there was a task.
struct MemoryBaseline {
    reader: MemoryReader,
    before: MemoryUsage,
}

impl MemoryBaseline {
    /// Nothing where the kernel does not tell; the times are then all there is.
    fn before() -> Option<Self> {
        let reader = MemoryReader::new().ok()?;
        Some(Self { before: reader.read(&[]).ok()?, reader })
    }

    /// What each of `tasks` holds, by kind, everything together first. Slab can come out negative where it is read for
    /// the whole machine and others gave some back.
    fn metrics(&self, session: &Session, tasks: u64) -> Vec<Metric> {
        let Ok(after) = self.reader.read(&session.processes()) else { return Vec::new() };
        let bytes = |key: MetricKey, of: fn(&MemoryUsage) -> u64| {
            let gained = of(&after) as f64 - of(&self.before) as f64;
            Metric::scalar(key, Quantity::Bytes, gained / tasks.max(1) as f64)
        };
        let slab = match self.reader.scope() {
            SlabScope::Machine => MetricKey::MachineSlabPerTask,
            SlabScope::Group | SlabScope::GroupKernel => MetricKey::SlabPerTask,
        };
        vec![
            bytes(MetricKey::MemoryPerTask, MemoryUsage::total),
            bytes(MetricKey::UserResidentPerTask, |usage| usage.resident),
            bytes(MetricKey::PageTablesPerTask, |usage| usage.page_tables),
            bytes(MetricKey::KernelStackPerTask, |usage| usage.kernel_stacks),
            bytes(slab, |usage| usage.slab),
        ]
    }
}
