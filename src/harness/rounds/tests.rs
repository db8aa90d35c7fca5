//! Planning, going on, budgets and target widths, with a runner that measures nothing and tells how long it took.

mod budgets;
mod pairs;
mod profiles;

use std::collections::BTreeSet;
use std::time::Duration;

use super::*;
use crate::harness::interference::interference;
use crate::harness::{Benchmark, BenchmarkSpec, Timing};
use crate::mechanism::find;
use crate::record::{
    AuditCheck, AuditRecord, BenchmarkLine, CountedSamples, Measured, Noise, Outcome, RecordError, RunConditions,
    Sample,
};
use crate::terms::{Idle, Moment, Placement, ResourceUsage, Setting, SpeedProbe, host::CpuTicks};
use crate::units::{Amount, CpuId, Nanos, Ops, Quantity};

fn spec(mechanism: &str) -> BenchmarkSpec {
    let descriptor = find(mechanism).unwrap().descriptor();
    BenchmarkSpec {
        mechanism: mechanism.into(),
        setting: Setting::new(Placement::SameCpu, vec![CpuId(0)], descriptor.defaults()),
    }
}

fn plan(mechanisms: &[&str], rounds: u32) -> RunPlan {
    let entries = mechanisms
        .iter()
        .enumerate()
        .map(|(pair, mechanism)| {
            let spec = spec(mechanism);
            PlanEntry { id: spec.benchmark().unwrap().id(), spec, side: 0, pair }
        })
        .collect();
    let timeout = Duration::from_secs(1);
    RunPlan { timeout, seed: 7, counters: false, entries, ..RunPlan::new(vec![], rounds, Timing::default()) }
}

const FOUR: [&str; 4] = ["handoff/futex", "handoff/pipe", "brigade/thread", "creation/thread"];

/// Answers with 100 ns in every sample, unless `nanos` says otherwise, and takes ten seconds each time.
struct Fake {
    stop_after: usize,
    ran: Vec<(String, u32, bool)>,
    nanos: fn(&Job<'_>) -> u64,
    outcome: fn(&Job<'_>, Outcome) -> Outcome,
    foreign: bool,
    /// How long it takes; what is longer than the time that it has is ended.
    takes: Duration,
    /// Whether each takes twice as long as the one before.
    slows_down: bool,
}

impl Default for Fake {
    fn default() -> Self {
        let (nanos, outcome) = (|_: &Job<'_>| 100, |_: &Job<'_>, outcome| outcome);
        let takes = Duration::from_secs(10);
        Self { stop_after: usize::MAX, ran: vec![], nanos, outcome, foreign: false, takes, slows_down: false }
    }
}

fn steady_probe(nanos: u64) -> Option<SpeedProbe> {
    Some(SpeedProbe { min: Nanos(nanos), max: Nanos(nanos) })
}

/// Puts the same speed probe beside every sample.
fn probe_all(measured: &mut Measured, nanos: u64) {
    measured.samples.iter_mut().for_each(|sample| sample.probe = steady_probe(nanos));
}

fn noise(foreign: bool) -> Noise {
    let at =
        |busy| Moment { ticks: Some(CpuTicks { steal: 0, total: 2 * busy, busy: Some(busy) }), ..Moment::default() };
    let own = if foreign { 1 } else { 2 };
    Noise {
        start: at(1000),
        end: at(1200),
        own_cpu: Some(Nanos(own * 1_000_000_000)),
        lasted: Some(Nanos(2_000_000_000)),
    }
}

impl Fake {
    fn line(&mut self, job: &Job<'_>, beside: usize) -> BenchmarkLine {
        self.ran.push((job.entry.id.clone(), job.round, job.audit));
        let check = AuditCheck { what: "read".into(), observed: 1.0, expected: "exactly 1".into(), holds: true };
        let audit = AuditRecord { checks: vec![check; usize::from(job.audit)], ..AuditRecord::default() };
        let samples = vec![Sample::new(Ops(1), Nanos((self.nanos)(job))); 3];
        let measured = Measured {
            samples,
            usage: ResourceUsage::default(),
            counted: CountedSamples::default(),
            metrics: Vec::new(),
            audit,
            noise: noise(self.foreign),
        };
        let benchmark: Benchmark = job.entry.spec.benchmark().unwrap();
        BenchmarkLine {
            id: job.entry.id.clone(),
            mechanism: job.entry.spec.mechanism.clone(),
            unit: benchmark.descriptor().unit,
            measures: Quantity::Nanoseconds,
            baseline: benchmark.descriptor().baseline.into(),
            setting: benchmark.setting.clone(),
            round: job.round,
            host_id: "m".into(),
            started_ms: 0,
            outcome: (self.outcome)(job, Outcome::Measured(Box::new(measured))),
            conditions: Some(RunConditions {
                took_ms: self.takes.as_millis() as u64,
                interleaved: beside > 1,
                ..RunConditions::default()
            }),
        }
    }
}

impl Runner for Fake {
    fn run(&mut self, jobs: &[Job<'_>], within: Option<Duration>) -> JobOutcome {
        if let Some(within) = within.filter(|within| self.takes * jobs.len() as u32 > *within) {
            return JobOutcome::OutOfTime(within);
        }
        let lines = jobs.iter().map(|job| self.line(job, jobs.len())).collect();
        self.takes *= if self.slows_down { 2 } else { 1 };
        JobOutcome::Done(lines)
    }

    fn stop_requested(&mut self) -> bool {
        self.ran.len() >= self.stop_after
    }
}

#[derive(Default)]
struct SingleLine {
    lines: Vec<BenchmarkLine>,
    outlooks: Vec<RunProgress>,
    discarded: usize,
    out_of_time: Vec<String>,
}

impl RunObserver for SingleLine {
    fn begins(&mut self, _: &[Job<'_>], progress: &RunProgress) {
        self.outlooks.push(*progress);
    }

    fn done(&mut self, _: &Job<'_>, line: &BenchmarkLine) -> Result<(), RecordError> {
        self.lines.push(line.clone());
        Ok(())
    }

    fn discarded(&mut self, _: &Job<'_>, _: &[String]) {
        self.discarded += 1;
    }

    fn out_of_time(&mut self, job: &Job<'_>) {
        self.out_of_time.push(job.entry.id.clone());
    }
}

fn run(plan: &RunPlan, state: &mut RunState, fake: &mut Fake) -> (RunOutcome, SingleLine) {
    let mut kept = SingleLine::default();
    let conclusion = run_rounds(plan, state, fake, &mut kept).unwrap();
    (conclusion, kept)
}

fn begin(plan: &RunPlan, fake: &mut Fake) -> (RunOutcome, SingleLine) {
    run(plan, &mut RunState::default(), fake)
}

#[test]
fn every_benchmark_is_measured_once_in_every_round_in_an_order_of_its_own() {
    let plan = plan(&FOUR, 5);
    let (conclusion, kept) = begin(&plan, &mut Fake::default());
    assert_eq!(conclusion, RunOutcome::default());
    let ids = |round: usize| kept.lines[4 * round..4 * (round + 1)].iter().map(|line| &line.id).collect::<Vec<_>>();
    for round in 0..5 {
        assert_eq!(ids(round).into_iter().collect::<BTreeSet<_>>().len(), 4);
        assert!(kept.lines[4 * round..][..4].iter().all(|line| line.round as usize == round));
    }
    assert!((1..5).any(|round| ids(round) != ids(0)), "five rounds of four in the same order");
}

#[test]
fn each_benchmark_is_audited_until_it_was() {
    let mut fake = Fake {
        outcome: |job, outcome| match job.round {
            0 => Outcome::Failed("a crash".into()),
            _ => outcome,
        },
        ..Fake::default()
    };
    begin(&plan(&FOUR[..1], 3), &mut fake);
    assert_eq!(fake.ran.iter().map(|(.., audit)| *audit).collect::<Vec<_>>(), [true, true, false]);
}

#[test]
fn a_run_that_was_stopped_anywhere_goes_on_without_loss_or_repetition() {
    let plan = plan(&FOUR, 5);
    let whole = begin(&plan, &mut Fake::default()).1.lines;
    for stop_after in 0..20 {
        let (first, before) = begin(&plan, &mut Fake { stop_after, ..Fake::default() });
        assert!(first.stopped && first.unmeasured.is_empty());
        let mut state = RunState::default();
        before.lines.iter().for_each(|line| state.add(0, line));
        let (second, after) = run(&plan, &mut state, &mut Fake::default());
        assert!(!second.stopped);
        let order = |lines: &[BenchmarkLine]| lines.iter().map(|l| (l.id.clone(), l.round)).collect::<Vec<_>>();
        assert_eq!([order(&before.lines), order(&after.lines)].concat(), order(&whole));
    }
}

#[test]
fn what_cannot_run_or_keeps_failing_costs_little() {
    let mut fake = Fake {
        outcome: |job, outcome| match job.entry.spec.mechanism.as_str() {
            "handoff/pipe" => Outcome::Failed("hung".into()),
            "handoff/futex" => Outcome::Unsupported(crate::terms::Unsupported::new("a", "b", "c")),
            _ => outcome,
        },
        ..Fake::default()
    };
    let (_, kept) = begin(&plan(&FOUR, 5), &mut fake);
    let count = |mechanism: &str| kept.lines.iter().filter(|line| line.mechanism == mechanism).count();
    assert_eq!(FOUR.map(count), [1, 2, 5, 5]);
}

#[test]
fn rounds_are_added_until_intervals_are_narrow() {
    let mut plan = plan(&FOUR[..2], 3);
    plan.until = Some(0.01);
    // The pipe scatters by 1.6 %, the futex not at all.
    let mut fake = Fake {
        nanos: |job| if job.entry.id.contains("pipe") { 1000 + 16 * u64::from(job.round % 3) } else { 1000 },
        ..Fake::default()
    };
    let (conclusion, kept) = begin(&plan, &mut fake);
    let count = |mechanism: &str| kept.lines.iter().filter(|line| line.mechanism == mechanism).count();
    assert_eq!(count("handoff/futex"), 3);
    assert!((5..40).contains(&count("handoff/pipe")), "{}", count("handoff/pipe"));
    assert_eq!(conclusion.wide_intervals, []);
}

#[test]
fn what_a_budget_did_not_let_become_narrow_is_named() {
    let mut plan = plan(&FOUR[..2], 3);
    (plan.until, plan.budget) = (Some(0.001), Some(Duration::from_secs(100)));
    let mut fake = Fake {
        nanos: |job| if job.entry.id.contains("pipe") { 1000 + 100 * u64::from(job.round % 3) } else { 1000 },
        ..Fake::default()
    };
    let (conclusion, kept) = begin(&plan, &mut fake);
    assert_eq!(kept.lines.len(), 10);
    assert_eq!(conclusion.wide_intervals.len(), 1);
    let not = &conclusion.wide_intervals[0];
    assert!(not.id.contains("pipe") && not.rounds == 7 && not.half_width.is_some_and(|width| width > 0.001));
}

#[test]
fn foreign_load_is_marked_and_with_strict_tried_again() {
    let mut plan = plan(&FOUR[..1], 1);
    let foreign = || Fake { foreign: true, ..Fake::default() };
    let (_, kept) = begin(&plan, &mut foreign());
    let conditions = kept.lines[0].conditions.clone().unwrap();
    assert_eq!(conditions.interference, ["other processes used 50 % of a CPU"]);
    assert_eq!((conditions.discarded, kept.discarded), (0, 0));
    plan.strict = true;
    let (_, kept) = begin(&plan, &mut foreign());
    let conditions = kept.lines[0].conditions.clone().unwrap();
    assert_eq!((kept.lines.len(), kept.discarded), (1, 3));
    assert_eq!((conditions.discarded, conditions.took_ms), (3, 40_000));
    let (_, kept) = begin(&plan, &mut Fake::default());
    assert!(kept.lines[0].conditions.as_ref().unwrap().interference.is_empty());
}

#[test]
fn a_round_whose_cpu_was_slow_all_along_is_marked() {
    let plan = plan(&FOUR[..1], 3);
    let outcome = |job: &Job<'_>, outcome: Outcome| match outcome {
        Outcome::Measured(mut measured) => {
            probe_all(&mut measured, if job.round == 1 { 13_000 } else { 10_000 });
            Outcome::Measured(measured)
        }
        other => other,
    };
    let (_, kept) = begin(&plan, &mut Fake { outcome, ..Fake::default() });
    let marks = kept.lines.iter().map(|line| line.conditions.clone().unwrap().interference.len());
    assert_eq!(marks.collect::<Vec<_>>(), [0, 1, 0]);
}

#[test]
fn the_first_round_is_judged_by_what_it_has_itself() {
    let outcome = |_: &Job<'_>, outcome: Outcome| match outcome {
        Outcome::Measured(mut measured) => {
            measured.samples = vec![measured.samples[0]; 20];
            probe_all(&mut measured, 13_000);
            measured.samples[..2].iter_mut().for_each(|sample| sample.probe = steady_probe(10_000));
            Outcome::Measured(measured)
        }
        other => other,
    };
    let (_, kept) = begin(&plan(&FOUR[..1], 1), &mut Fake { outcome, ..Fake::default() });
    let load = kept.lines[0].conditions.clone().unwrap().interference;
    assert_eq!(load, ["its CPU ran slower than at its best beside 90 % of the samples"]);
}

#[test]
fn what_is_too_short_to_judge_is_not_judged() {
    let short = Noise { lasted: Some(Nanos(100_000_000)), ..noise(true) };
    assert_eq!(interference(&[&short]), Vec::<String>::new());
    let unknown = Noise { own_cpu: None, ..noise(true) };
    assert_eq!(interference(&[&unknown]), Vec::<String>::new());
}

#[test]
fn the_time_left_falls_to_that_of_the_last_job() {
    let (_, kept) = begin(&plan(&FOUR, 3), &mut Fake::default());
    let last = kept.outlooks.last().unwrap();
    assert_eq!(*last, RunProgress { done: 11, all: 12, left: Duration::from_secs(10) });
    assert!(kept.outlooks.iter().all(|progress| progress.all == 12));
}

#[test]
fn a_plan_is_read_back_and_held_by_one_process() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&FOUR, 5);
    let held = plan.begin(folder.path()).unwrap();
    assert!(matches!(RunPlan::resume(folder.path()), Err(RunPlanError::Busy { .. })));
    assert!(matches!(lock_run(folder.path()), Err(RunPlanError::Busy { .. })), "nor may anybody add to its record");
    drop(held);
    assert_eq!(RunPlan::resume(folder.path()).unwrap().0, plan);
    assert!(matches!(plan.begin(folder.path()), Err(RunPlanError::Exists { .. })));
    assert!(matches!(RunPlan::resume(&folder.path().join("none")), Err(RunPlanError::NoRun { .. })));
    std::fs::write(folder.path().join(PLAN_FILE), "{\"schema\": 1").unwrap();
    assert!(matches!(RunPlan::resume(folder.path()), Err(RunPlanError::Broken { .. })));
}
