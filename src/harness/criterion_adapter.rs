//! The adapter to Criterion, which drives one round: it decides how many operations a sample has and how many samples
//! there are, judges changes against baselines, and draws its pages. This file gives it our samples and keeps them for
//! the record.

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::rc::Rc;
use std::time::{SystemTime, UNIX_EPOCH};

use criterion::measurement::{Measurement, ValueFormatter, WallTime};
use criterion::{BenchmarkFilter, BenchmarkGroup, Criterion, PlottingBackend, SamplingMode};

use super::bare_sample::measured;
use super::criterion_id::bench_function;
use super::formatter::Bytes;
use super::interference::NoiseProbe;
use super::interleave_token::InterleaveToken;
use super::limit_check::instances;
use super::{Auditor, BareSample, Benchmark, MeasureOptions, Mode, PlannedBenchmark, Session, Timing, unsupported};
use crate::crew::Failure;
use crate::mechanism::group;
use crate::record::{AuditRecord, BenchmarkLine, Outcome};
use crate::units::Quantity;

/// Criterion refuses fewer.
const FEWEST_SAMPLES: usize = 10;

/// Receives each benchmark as it is finished.
pub trait BenchmarkObserver {
    /// One benchmark begins, which can run here.
    fn begins(&mut self, _benchmark: &PlannedBenchmark) {}

    /// One benchmark is done, cannot run here, or failed.
    fn finished(&mut self, line: BenchmarkLine);
}

/// Where Criterion is with a benchmark. It calls the same closure for all of it and does not say what for; which calls
/// were samples is known by the values that it asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It has asked for no value: it finds out how many operations fit into a sample, and caches warm up.
    WarmUp,
    /// It has asked for the first value. The last call was the first sample, which nothing had announced, so that what
    /// was counted until now is still that of warming up.
    FirstSample,
    /// What warming up left is discarded, and every call is a sample.
    Measuring,
}

/// Collects the samples of a benchmark that are kept for the record. The measurement that Criterion is given shares it
/// with [`run`], which takes the samples.
struct SampleCollector {
    samples: RefCell<Vec<BareSample>>,
    token: RefCell<InterleaveToken>,
    phase: Cell<Phase>,
}

impl SampleCollector {
    fn new(token: InterleaveToken) -> Rc<Self> {
        Rc::new(Self { samples: RefCell::default(), token: RefCell::new(token), phase: Cell::new(Phase::WarmUp) })
    }

    /// Begins with a benchmark: nothing is kept yet.
    fn begin(&self) {
        self.samples.borrow_mut().clear();
        self.phase.set(Phase::WarmUp);
    }

    /// Keeps the portions of a measured sample for the record, and passes the token to the other side of a comparison.
    ///
    /// Criterion asks for the value of each measured sample exactly once, by [`Measurement::to_f64`], and for none
    /// while it warms up. There is no other sign of it: the closure that takes the samples is called for both. So to
    /// ask for the value is to commit the sample. A test here holds Criterion to that, and its version is pinned.
    fn commit(&self, value: &BareValue) {
        self.samples.borrow_mut().extend_from_slice(&value.samples);
        self.token.borrow_mut().sampled();
        if self.phase.get() == Phase::WarmUp {
            self.phase.set(Phase::FirstSample);
        }
    }

    /// Whether warming up is over and what it left is yet to be discarded: true once, at the second sample.
    fn warm_up_ended(&self) -> bool {
        let ended = self.phase.get() == Phase::FirstSample;
        if ended {
            self.phase.set(Phase::Measuring);
        }
        ended
    }
}

/// The measurement that Criterion is given: it takes the times that [`Session`] measured.
struct BareMeasurement {
    collector: Rc<SampleCollector>,
    measures: Quantity,
    wall: WallTime,
}

/// One value of it: what Criterion's iterations came to, in what the group measures, and the portions it comes from.
#[derive(Debug, Clone)]
struct BareValue {
    amount: f64,
    samples: Vec<BareSample>,
}

impl Measurement for BareMeasurement {
    type Intermediate = ();
    type Value = BareValue;

    fn start(&self) {}

    fn end(&self, (): ()) -> BareValue {
        self.zero()
    }

    fn add(&self, a: &BareValue, b: &BareValue) -> BareValue {
        BareValue { amount: a.amount + b.amount, samples: [a.samples.as_slice(), &b.samples].concat() }
    }

    fn zero(&self) -> BareValue {
        BareValue { amount: 0.0, samples: Vec::new() }
    }

    /// Called once for each measured sample, which commits it: [`SampleCollector::commit`].
    fn to_f64(&self, value: &BareValue) -> f64 {
        self.collector.commit(value);
        value.amount
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        match self.measures {
            Quantity::Bytes => &Bytes,
            _ => self.wall.formatter(),
        }
    }
}

/// Criterion with our measurement of the group called `name`.
fn criterion(collector: &Rc<SampleCollector>, timing: &Timing, name: &str) -> Criterion<BareMeasurement> {
    let measures = group(name).map_or(Quantity::default(), |group| group.measures);
    let measurement = BareMeasurement { collector: Rc::clone(collector), measures, wall: WallTime };
    // Memory varies little from lap to lap, and a lap of it creates and ends all the tasks that it reads at.
    let samples = if measures.is_time() { timing.samples } else { timing.samples.min(FEWEST_SAMPLES) };
    Criterion::default()
        .with_measurement(measurement)
        .warm_up_time(timing.warm_up)
        .measurement_time(timing.measure)
        .sample_size(samples)
        .nresamples(10_000)
        // Criterion's other backend is gnuplot, whose absence it would announce at every start.
        .plotting_backend(PlottingBackend::Plotters)
}

/// Measures what is planned, in order, in a Criterion group for each of ours, and reports each to `observer`.
/// Criterion's files go below `folder`. This process's arguments overrule `timing`.
pub fn measure(
    planned: &[PlannedBenchmark],
    timing: &Timing,
    folder: &Path,
    options: &MeasureOptions,
    observer: &mut dyn BenchmarkObserver,
) {
    let mut last = None;
    for of_group in planned.chunk_by(|a, b| a.group() == b.group()) {
        let collector = SampleCollector::new(InterleaveToken::alone());
        let name = of_group[0].group();
        // It says at its start which plotting backend it lacks, before another can be chosen.
        let silence = options.silence();
        let criterion = criterion(&collector, timing, name);
        drop(silence);
        let criterion = criterion.output_directory(folder).configure_from_args();
        // What is planned was chosen by the filter already, and Criterion's ids may be shortened ones.
        let mut criterion = match std::env::args_os().any(|argument| argument == "--ignored") {
            true => criterion,
            false => criterion.with_benchmark_filter(BenchmarkFilter::AcceptAll),
        };
        if !options.criterion_output {
            criterion = criterion.without_plots();
        }
        measure_by(&mut criterion, &collector, name, of_group, options, observer);
        last = Some(criterion);
    }
    // Criterion's list of all pages, which it makes from what lies in its folder.
    if let Some(criterion) = last {
        criterion.final_summary();
    }
}

/// Measures one benchmark in this process, while it holds the token; the arguments of the process do not matter.
/// Criterion's files go below `folder`, its pages are left out.
pub(super) fn measure_one(
    planned: &PlannedBenchmark,
    timing: &Timing,
    folder: &Path,
    options: &MeasureOptions,
    token: InterleaveToken,
    observer: &mut dyn BenchmarkObserver,
) {
    let collector = SampleCollector::new(token);
    let name = planned.group();
    let mut criterion = criterion(&collector, timing, name).without_plots().output_directory(folder);
    measure_by(&mut criterion, &collector, name, std::slice::from_ref(planned), options, observer);
}

fn measure_by(
    criterion: &mut Criterion<BareMeasurement>,
    collector: &SampleCollector,
    name: &str,
    planned: &[PlannedBenchmark],
    options: &MeasureOptions,
    observer: &mut dyn BenchmarkObserver,
) {
    let mut group = criterion.benchmark_group(name);
    // Every sample has the same number of operations; otherwise Criterion chooses per benchmark between two estimators.
    group.sampling_mode(SamplingMode::Flat);
    for planned in planned {
        let context = LineContext::new(planned, options);
        match planned {
            PlannedBenchmark::Ready(benchmark) if options.mode == Mode::DryRun => dry_run(&mut group, benchmark),
            PlannedBenchmark::Ready(benchmark) => {
                observer.begins(planned);
                let outcome = attempt(&mut group, benchmark, options, collector);
                if let Some(outcome) = outcome {
                    observer.finished(context.line(outcome));
                }
            }
            PlannedBenchmark::Unsupported { .. } if options.mode == Mode::DryRun => {}
            PlannedBenchmark::Unsupported { reason, .. } => {
                observer.finished(context.line(Outcome::Unsupported(reason.clone())));
            }
        }
    }
    let _silence = options.silence();
    group.finish();
}

/// The part of a line that is known before anything is measured.
struct LineContext<'a> {
    planned: &'a PlannedBenchmark,
    options: &'a MeasureOptions,
    started_ms: u64,
}

impl<'a> LineContext<'a> {
    fn new(planned: &'a PlannedBenchmark, options: &'a MeasureOptions) -> Self {
        Self { planned, options, started_ms: now_ms() }
    }

    fn line(self, outcome: Outcome) -> BenchmarkLine {
        line(self.planned, self.options.round, &self.options.host_id, self.started_ms, outcome)
    }
}

/// What a record says of one benchmark of a round.
pub(super) fn line(
    planned: &PlannedBenchmark,
    round: u32,
    host_id: &str,
    started_ms: u64,
    outcome: Outcome,
) -> BenchmarkLine {
    let descriptor = planned.mechanism().descriptor();
    BenchmarkLine {
        id: planned.id(),
        mechanism: descriptor.id.into(),
        unit: descriptor.unit,
        measures: group(descriptor.group()).map_or(Quantity::default(), |group| group.measures),
        baseline: descriptor.baseline.into(),
        setting: planned.setting().clone().for_the_record(),
        round,
        host_id: host_id.into(),
        started_ms,
        outcome,
        conditions: None,
    }
}

/// Milliseconds since 1970. A clock set before that counts as 1970.
pub fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}

/// Lets Criterion name the benchmark or show what it saved, without setting anything up.
fn dry_run(group: &mut BenchmarkGroup<'_, BareMeasurement>, benchmark: &Benchmark) {
    bench_function(group, &benchmark.id(), |bencher| {
        bencher.iter_custom(|_| BareValue { amount: 1.0, samples: Vec::new() });
    });
}

/// Sets up, measures, takes down and audits; `None` when there is nothing to report.
fn attempt(
    group: &mut BenchmarkGroup<'_, BareMeasurement>,
    benchmark: &Benchmark,
    options: &MeasureOptions,
    collector: &SampleCollector,
) -> Option<Outcome> {
    // Before the token is acquired, so that both sides of an interleaved pair see the same stretch of time.
    let noise_probe = NoiseProbe::begin();
    collector.begin();
    collector.token.borrow_mut().acquire();
    let outcome_of = |failure: Failure| unsupported::outcome(failure, benchmark, instances(benchmark.mechanism));
    let session = match Session::open(benchmark, options.counters.as_ref()) {
        Ok(session) => session,
        Err(failure) => return Some(outcome_of(failure)),
    };
    let (counted, metrics) = match run(group, session, options, collector).and_then(Session::close) {
        Ok(closed) => closed,
        Err(failure) => return Some(outcome_of(failure)),
    };
    if options.mode == Mode::Profile {
        return None;
    }
    let noise = noise_probe.end();
    collector.token.borrow_mut().pass();
    let samples = drop_short_samples(&collector.samples.borrow());
    let audit = options.auditor.as_ref().map(|auditor| audit(auditor, benchmark, collector)).unwrap_or_default();
    Some(Outcome::Measured(Box::new(measured(&samples, counted, metrics, audit, noise))))
}

/// Audits when the partner, if there is one, is done with its samples or its audit.
fn audit(auditor: &Auditor, benchmark: &Benchmark, collector: &SampleCollector) -> AuditRecord {
    collector.token.borrow_mut().acquire();
    auditor.audit(benchmark)
}

/// The samples without the first, short ones of Criterion's `--quick`, which doubles its iterations: all that have at
/// least half the operations of the longest.
fn drop_short_samples(samples: &[BareSample]) -> Vec<BareSample> {
    let most = samples.iter().map(|taken| taken.sample.ops.0).max().unwrap_or(0);
    samples.iter().filter(|taken| 2 * taken.sample.ops.0 >= most).copied().collect()
}

/// Hands the session to Criterion. A failure in the middle of a sample unwinds out of Criterion, past its panic hook:
/// Criterion has no other way to learn that there is no value.
fn run(
    group: &mut BenchmarkGroup<'_, BareMeasurement>,
    mut session: Session,
    options: &MeasureOptions,
    collector: &SampleCollector,
) -> Result<Session, Failure> {
    let id = session.benchmark().id();
    let _silence = options.silence();
    let measuring = catch_unwind(AssertUnwindSafe(|| {
        bench_function(group, &id, |bencher| {
            bencher.iter_custom(|iterations| {
                // While warming up the token is held and not waited for: Criterion takes the time of this.
                let warmed = if collector.token.borrow_mut().acquire() { session.warm_caches() } else { Ok(()) };
                let ready =
                    warmed.and_then(|()| if collector.warm_up_ended() { session.discard_warm_up() } else { Ok(()) });
                match ready.and_then(|()| session.sample_in_portions(iterations)) {
                    Ok(samples) => BareValue::of(samples, iterations),
                    Err(failure) => resume_unwind(Box::new(failure)),
                }
            });
        });
    }));
    match measuring.map_err(|payload| payload.downcast::<Failure>()) {
        Ok(()) => Ok(session),
        Err(Ok(failure)) => Err(*failure),
        Err(Err(panic)) => resume_unwind(panic),
    }
}

impl BareValue {
    /// Whole laps are run, often more than Criterion asked for: its value is the share it asked for.
    fn of(samples: Vec<BareSample>, iterations: u64) -> Self {
        let ops: u64 = samples.iter().map(|taken| taken.sample.ops.0).sum();
        let amount: u64 = samples.iter().map(|taken| taken.sample.amount.0).sum();
        Self { amount: amount as f64 * iterations as f64 / ops.max(1) as f64, samples }
    }
}

#[cfg(test)]
mod fixed_time;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::record::Sample;
    use crate::terms::ResourceUsage;
    use crate::units::{Nanos, Ops};

    fn sample(ops: u64, nanos: u64) -> BareSample {
        BareSample { sample: Sample::new(Ops(ops), Nanos(nanos)), usage: ResourceUsage::default() }
    }

    #[test]
    fn the_first_steps_of_a_quick_run_are_left_out() {
        let all = [sample(1, 9), sample(10, 80), sample(500, 4000), sample(1000, 8000), sample(999, 8100)];
        assert_eq!(drop_short_samples(&all), all[2..]);
        assert_eq!(drop_short_samples(&[]), []);
    }

    #[test]
    fn criterion_gets_the_share_that_it_asked_for() {
        assert_eq!(BareValue::of(vec![sample(500, 1000)], 250).amount, 500.0);
        assert_eq!(BareValue::of(vec![sample(200, 400), sample(300, 600)], 500).amount, 1000.0);
    }

    #[test]
    fn a_sample_is_kept_when_criterion_takes_its_value_and_not_before() {
        let collector = SampleCollector::new(InterleaveToken::alone());
        let kept = &collector.samples;
        let measurement =
            BareMeasurement { collector: Rc::clone(&collector), measures: Quantity::default(), wall: WallTime };
        let value = measurement.add(&measurement.zero(), &BareValue::of(vec![sample(200, 400), sample(300, 600)], 500));
        assert!(kept.borrow().is_empty(), "warming up asks for no value");
        assert_eq!(measurement.to_f64(&value), 1000.0);
        assert_eq!(*kept.borrow(), [sample(200, 400), sample(300, 600)]);
    }

    #[test]
    fn warming_up_ends_once_at_the_call_after_the_first_value() {
        let collector = SampleCollector::new(InterleaveToken::alone());
        let value = BareValue::of(vec![sample(200, 400)], 200);
        for _ in 0..2 {
            collector.begin();
            assert!(collector.samples.borrow().is_empty() && !collector.warm_up_ended() && !collector.warm_up_ended());
            collector.commit(&value);
            assert!(collector.warm_up_ended() && !collector.warm_up_ended());
            collector.commit(&value);
            assert!(!collector.warm_up_ended());
            assert_eq!(collector.phase.get(), Phase::Measuring);
        }
    }

    /// What the record depends on in Criterion, which its documentation does not promise.
    #[test]
    fn criterion_takes_one_value_of_each_measured_sample_and_none_while_warming_up() {
        let collector = SampleCollector::new(InterleaveToken::alone());
        let kept = &collector.samples;
        let folder = tempfile::tempdir().unwrap();
        let mut criterion = Criterion::default()
            .with_measurement(BareMeasurement {
                collector: Rc::clone(&collector),
                measures: Quantity::default(),
                wall: WallTime,
            })
            .output_directory(folder.path())
            .without_plots()
            .warm_up_time(Duration::from_millis(5))
            .measurement_time(Duration::from_millis(20))
            .sample_size(10)
            .nresamples(1001);
        let (mut calls, mut at_warm_up) = (0, 0);
        let mut group = criterion.benchmark_group("fake");
        group.sampling_mode(SamplingMode::Flat);
        group.bench_function("steady", |bencher| {
            bencher.iter_custom(|iterations| {
                calls += 1;
                if kept.borrow().is_empty() {
                    at_warm_up = calls;
                }
                // Criterion plans by the clock, the samples say what they like.
                std::thread::sleep(Duration::from_micros(100));
                BareValue::of(vec![sample(iterations, 10 * iterations)], iterations)
            });
        });
        group.finish();
        let kept = kept.borrow();
        assert_eq!(kept.len(), 10);
        assert!(kept.iter().all(|taken| taken.sample.ops == kept[0].sample.ops), "flat: {kept:?}");
        assert_eq!(calls, at_warm_up + 9, "every call after warming up is a sample, the first of them included");
    }
}
