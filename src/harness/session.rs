//! Measuring one benchmark: bare samples, and counted ones between them, from two instances in one process.

use std::sync::mpsc;
use std::time::Instant;

use nix::unistd::Pid;

use super::Benchmark;
use super::bare_sample::BareSample;
use super::benchmark::has_counted_instance;
use super::metering::EnergyMetering;
use crate::crew::{Driver, Failure, IdleGuard};
use crate::pmu::{Counters, EventSet, Tally};
use crate::record::{CountedSamples, Sample};
use crate::terms::{Metric, Shortfall, SpeedProbe, Unsupported};

/// One counted sample follows each this many bare ones: enough to see what counting costs, while most of the time goes
/// into the figures that are shown.
const BARE_PER_COUNTED: u64 = 3;

/// How long a portion of a sample is, about. What slows a CPU from outside comes and goes within milliseconds, and only
/// the ends of a portion are probed; much shorter ones would consist of their beginnings.
const PORTION_NANOS: f64 = 4e6;

/// How long an instance runs unmeasured after another process had the CPUs: a core reads back what its private caches
/// hold (a few megabytes at the most) in less.
const CACHE_WARM_UP_NANOS: f64 = 2e6;

/// A benchmark that is set up twice: without counters, for the times, and with them, for the counts.
#[derive(Debug)]
pub struct Session {
    benchmark: Benchmark,
    bare: Driver,
    counting: Option<CountedInstance>,
    metering: Option<EnergyMetering>,
    calls: u64,
    /// What an operation took by the clock on the wall in the last bare sample.
    nanos_per_op: Option<f64>,
    probe_fn: SpeedProbeFn,
    // Last: the machine keeps its idle mode until both instances are gone.
    _idle: IdleGuard,
}

/// How to find out how fast a driver's CPU is: [`Driver::probe_speed`], but in tests.
pub(super) type SpeedProbeFn = fn(&mut Driver) -> Result<Option<SpeedProbe>, Failure>;

#[derive(Debug)]
struct CountedInstance {
    driver: Driver,
    counters: Counters,
    /// Which of the sets in rotation the next counted sample uses, modulo their number.
    next_set: usize,
    tally: Tally,
    samples: Vec<Sample>,
    trouble: Vec<Shortfall>,
}

impl Session {
    /// Sets both instances up and runs a lap on each. Without `events` to count there is only the bare one.
    ///
    /// # Errors
    /// `Unsupported` when it cannot run here, or the failure of a set-up or a lap.
    pub fn open(benchmark: &Benchmark, events: Option<&EventSet>) -> Result<Self, Failure> {
        let idle = IdleGuard::hold(benchmark.setting.idle, &benchmark.setting.cpus)?;
        let lap = benchmark.whole_laps(1);
        let mut bare = benchmark.start(|| Ok(()))?;
        bare.run(lap)?;
        let metering = events.map(|_| EnergyMetering::start());
        let counted = events.filter(|_| has_counted_instance(benchmark.mechanism));
        let counting = counted.map(|events| CountedInstance::start(benchmark, events.clone(), lap)).transpose()?;
        Ok(Self {
            benchmark: benchmark.clone(),
            bare,
            counting,
            metering,
            calls: 0,
            nanos_per_op: None,
            probe_fn: Driver::probe_speed,
            _idle: idle,
        })
    }

    /// The benchmark whose instances this session holds.
    pub fn benchmark(&self) -> &Benchmark {
        &self.benchmark
    }

    /// The forked tasks of the bare instance.
    pub(super) fn processes(&self) -> Vec<Pid> {
        self.bare.processes()
    }

    /// Takes a bare sample of at least `ops` operations; after every third of them a counted one as well.
    ///
    /// # Errors
    /// A mechanism that failed, hung, or did not do what it was asked.
    pub fn sample(&mut self, ops: u64) -> Result<BareSample, Failure> {
        let ops = self.benchmark.whole_laps(ops);
        let mut probe = self.probe_speed()?;
        let taken = self.bare_sample(ops, &mut probe)?;
        self.counted_sample(ops)?;
        Ok(taken)
    }

    /// As [`Session::sample`], in portions of some milliseconds with a probe of the CPU's speed between them; in one
    /// where the length of a batch is part of what is measured.
    ///
    /// # Errors
    /// As [`Session::sample`].
    pub fn sample_in_portions(&mut self, ops: u64) -> Result<Vec<BareSample>, Failure> {
        let ops = self.benchmark.whole_laps(ops);
        let mut probe = self.probe_speed()?;
        let mut taken = Vec::new();
        for ops in self.split(ops) {
            taken.push(self.bare_sample(ops, &mut probe)?);
        }
        self.counted_sample(ops)?;
        Ok(taken)
    }

    /// Runs for some two milliseconds that count for nothing: another process had the CPUs, their caches and
    /// predictors. What the mechanism finds out besides time includes them.
    ///
    /// # Errors
    /// A mechanism that failed, or hung.
    pub(super) fn warm_caches(&mut self) -> Result<(), Failure> {
        let ops = CACHE_WARM_UP_NANOS / self.nanos_per_op.unwrap_or(CACHE_WARM_UP_NANOS).max(1.0);
        self.bare.run(self.benchmark.whole_laps((ops as u64).max(1))).map(drop)
    }

    /// Whole laps that make up `ops`, as equal as can be.
    fn split(&self, ops: u64) -> Vec<u64> {
        let lap = self.benchmark.whole_laps(1);
        let laps = ops / lap;
        let nanos =
            if self.benchmark.is_divisible() { self.nanos_per_op.unwrap_or_default() * ops as f64 } else { 0.0 };
        let portions = ((nanos / PORTION_NANOS) as u64).clamp(1, laps.max(1));
        (0..portions).map(|portion| lap * ((portion + 1) * laps / portions - portion * laps / portions)).collect()
    }

    /// How fast the CPU is; what is no time does not depend on that.
    fn probe_speed(&mut self) -> Result<Option<SpeedProbe>, Failure> {
        if self.benchmark.measures().is_time() { (self.probe_fn)(&mut self.bare) } else { Ok(None) }
    }

    /// `probe` is that before it, and then that after it.
    fn bare_sample(&mut self, ops: u64, probe: &mut Option<SpeedProbe>) -> Result<BareSample, Failure> {
        let energy = self.metering.as_mut().map(EnergyMetering::read);
        let before = self.bare.usage()?;
        let began = Instant::now();
        let batch = self.bare.run(ops)?;
        let lasted = began.elapsed();
        self.nanos_per_op = Some(lasted.as_nanos() as f64 / ops.max(1) as f64);
        let usage = self.bare.usage()?.since(before);
        if let Some((metering, before)) = self.metering.as_mut().zip(energy) {
            let after = metering.read();
            metering.add(&before, &after, batch.ops, lasted);
        }
        let before = std::mem::replace(probe, self.probe_speed()?);
        Ok(BareSample::new(batch, usage, before, *probe))
    }

    fn counted_sample(&mut self, ops: u64) -> Result<(), Failure> {
        self.calls += 1;
        match &mut self.counting {
            Some(counting) if self.calls.is_multiple_of(BARE_PER_COUNTED) => counting.sample(ops),
            _ => Ok(()),
        }
    }

    /// Discards what was counted and found out so far, at the end of warming up.
    ///
    /// # Errors
    /// A mechanism that failed, or hung.
    pub fn discard_warm_up(&mut self) -> Result<(), Failure> {
        if let Some(counting) = &mut self.counting {
            counting.tally = Tally::default();
            counting.samples.clear();
        }
        if let Some(metering) = &mut self.metering {
            metering.discard_warm_up();
        }
        self.bare.metrics().map(drop)
    }

    /// Takes the instances down and returns what was counted, and what the bare one found out.
    ///
    /// # Errors
    /// A task that failed, or did not end.
    pub fn close(mut self) -> Result<(CountedSamples, Vec<Metric>), Failure> {
        let mut metrics = self.bare.metrics()?;
        self.bare.stop()?;
        let mut counted = match self.counting {
            Some(counting) => counting.close(&mut metrics)?,
            None => uncounted(&self.benchmark),
        };
        if let Some(metering) = self.metering {
            let (energy, not_metered) = metering.finish();
            counted.counters.extend(energy);
            counted.not_counted.extend(not_metered);
        }
        Ok((counted, metrics))
    }
}

/// Without counters: because none were asked for, or because they would miss the mechanism's tasks or be part of what
/// is measured.
fn uncounted(benchmark: &Benchmark) -> CountedSamples {
    let mut counted = CountedSamples::default();
    if !benchmark.measures().is_time() {
        counted.not_counted.push(Shortfall {
            what: "all".into(),
            why: "counters are memory of the tasks that they count, and this group measures that".into(),
            remedy: "the group creation counts what making tasks takes".into(),
        });
    } else if !benchmark.mechanism.inherits_counters() {
        counted.not_counted.push(Shortfall {
            what: "all".into(),
            why: "the library keeps its threads for the whole process: counters of one instance miss them".into(),
            remedy: "the kernel's own accounting, in the usage, covers them".into(),
        });
    }
    counted
}

impl CountedInstance {
    fn start(benchmark: &Benchmark, plan: EventSet, lap: u64) -> Result<Self, Failure> {
        let (sender, opened) = mpsc::channel();
        let open = move || {
            // The receiver waits until the driver is started, so it cannot be gone.
            let _ = sender.send(Counters::open(&plan));
            Ok(())
        };
        let mut driver = benchmark.start(open)?;
        driver.run(lap)?;
        let counters = opened.recv().map_err(|_| Failure::library("pmu", "the counters were lost"))?;
        Ok(Self { driver, counters, next_set: 0, tally: Tally::default(), samples: Vec::new(), trouble: Vec::new() })
    }

    /// Adds what the instance can tell by counters of its own to `metrics`.
    fn close(mut self, metrics: &mut Vec<Metric>) -> Result<CountedSamples, Failure> {
        let mut not_counted = self.counters.not_counted_in(&self.tally);
        // They hold registers that the instance's own need, and cost every switch of its tasks.
        drop(self.counters);
        match self.driver.counted_metrics() {
            Ok(counted) => metrics.extend(counted),
            Err(Failure::Unsupported(Unsupported(shortfall))) => not_counted.push(shortfall),
            // What was measured is whole without it.
            Err(failure) => not_counted.push(Shortfall {
                what: "what the mechanism counts itself".into(),
                why: failure.to_string(),
                remedy: "run it again".into(),
            }),
        }
        self.driver.stop()?;
        not_counted.extend(self.trouble);
        Ok(CountedSamples { samples: self.samples, counters: self.tally.summaries(), not_counted })
    }

    /// A counted sample with the next set of events.
    fn sample(&mut self, ops: u64) -> Result<(), Failure> {
        let rotation = self.counters.rotation();
        if rotation.is_empty() {
            return Ok(());
        }
        let set = rotation[self.next_set % rotation.len()];
        self.next_set += 1;
        if let Err(error) = self.count(set, ops)? {
            let trouble = Shortfall {
                what: format!("set {set}"),
                why: error.to_string(),
                remedy: "run it again; the other sets are not affected".into(),
            };
            if !self.trouble.contains(&trouble) {
                self.trouble.push(trouble);
            }
        }
        Ok(())
    }

    /// The outer error is the mechanism's, the inner one the counters'.
    fn count(&mut self, set: usize, ops: u64) -> Result<Result<(), crate::pmu::PmuError>, Failure> {
        let before = match self.counters.select(set).and_then(|()| self.counters.read()) {
            Ok(before) => before,
            Err(error) => return Ok(Err(error)),
        };
        let batch = self.driver.run(ops)?;
        let counted = self.counters.read().map(|after| {
            self.tally.add(&after.since(&before), batch.ops);
            self.samples.push(Sample::new(batch.ops, batch.amount));
        });
        Ok(counted.and_then(|()| self.counters.pause()))
    }
}

#[cfg(test)]
mod fixed_time;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crew::{Batch, Crew, Operation};
    use crate::mechanism::{Descriptor, Expectation, Mechanism, Resources, Tasks};
    use crate::sys::affinity::allowed_cpus;
    use crate::terms::{Parameters, Placement, Setting, Unit};

    static DESCRIPTOR: Descriptor = Descriptor {
        id: "fake/counter",
        isolates: "nothing",
        unit: Unit::Hop,
        tasks: Tasks::OneThread,
        parameters: &[],
        baseline: "fake/counter",
        requirements: &[],
        source: "none",
        lap: |_| 4,
        resources: |_| Resources::default(),
        expects: |_, _| Expectation::nothing(),
    };

    /// Does what it is asked, less the operations it forgets in its second batch.
    struct Fake {
        forgets: u64,
    }

    impl Mechanism for Fake {
        fn descriptor(&self) -> &'static Descriptor {
            &DESCRIPTOR
        }

        fn set_up(&self, _: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
            let (forgets, mut batches) = (self.forgets, 0);
            Ok(Box::new(move |ops: u64| {
                batches += 1;
                Batch::timed(|| Ok(if batches == 2 { ops - forgets } else { ops }))
            }))
        }
    }

    fn benchmark(mechanism: &'static dyn Mechanism) -> Benchmark {
        let setting = Setting::new(Placement::Unpinned, allowed_cpus().unwrap(), DESCRIPTOR.defaults());
        Benchmark { mechanism, setting }
    }

    #[test]
    fn samples_are_whole_laps_and_nothing_is_counted_without_a_plan() {
        let mut session = Session::open(&benchmark(&Fake { forgets: 0 }), None).unwrap();
        assert_eq!(session.sample(5).unwrap().sample.ops.0, 8);
        assert_eq!(session.sample(8).unwrap().sample.ops.0, 8);
        assert_eq!(session.close().unwrap(), (CountedSamples::default(), Vec::new()));
    }

    #[test]
    fn portions_are_whole_laps_of_some_milliseconds_that_add_up() {
        let mut session = Session::open(&benchmark(&Fake { forgets: 0 }), None).unwrap();
        assert_eq!(session.split(44), [44], "nothing is known yet");
        session.nanos_per_op = Some(1e6);
        assert_eq!(session.split(44), [4; 11], "laps are not divided");
        session.nanos_per_op = Some(5e5);
        assert_eq!(session.split(44), [8, 8, 8, 8, 12]);
        let taken = session.sample_in_portions(42).unwrap();
        assert_eq!(taken.iter().map(|taken| taken.sample.ops.0).collect::<Vec<_>>(), [8, 8, 8, 8, 12]);
        assert_ne!(session.nanos_per_op, Some(5e5), "the last portion tells how long the next ones are");
    }

    #[test]
    fn one_sample_in_three_is_counted_or_every_event_says_why_not() {
        let mut session = Session::open(&benchmark(&Fake { forgets: 0 }), Some(&EventSet::default())).unwrap();
        session.sample(4).unwrap();
        session.sample(4).unwrap();
        session.sample(4).unwrap();
        session.discard_warm_up().unwrap();
        for _ in 0..6 {
            session.sample(4).unwrap();
        }
        let (counted, _) = session.close().unwrap();
        match counted.samples.len() {
            0 => assert!(!counted.not_counted.is_empty()),
            samples => assert_eq!(samples, 2, "what was counted while warming up is forgotten"),
        }
    }

    #[test]
    fn a_forgotten_operation_ends_the_measurement() {
        let mut session = Session::open(&benchmark(&Fake { forgets: 1 }), None).unwrap();
        let failure = session.sample(8).unwrap_err();
        assert_eq!(failure, Failure::Miscounted { asked: 8, done: 7 });
    }
}
