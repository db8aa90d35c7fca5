//! Pairs: which sides are measured together, interleaved or one after the other.

use super::super::run_plan::shuffled;
use super::*;

/// Both sides of each of `mechanisms`.
fn pairs(mechanisms: &[&str], rounds: u32) -> RunPlan {
    let mut plan = plan(mechanisms, rounds);
    let others: Vec<PlanEntry> = plan.entries.iter().cloned().map(|entry| PlanEntry { side: 1, ..entry }).collect();
    plan.entries.extend(others);
    plan
}

fn interleaved(mechanisms: &[&str], rounds: u32) -> RunPlan {
    RunPlan { interleaved: true, ..pairs(mechanisms, rounds) }
}

/// A neighbour in all rounds but the first, beside which both sides take a quarter longer.
fn beside_a_neighbour(job: &Job<'_>, outcome: Outcome) -> Outcome {
    let Outcome::Measured(mut measured) = outcome else { return outcome };
    let (times, probe) = if job.round == 0 { (4, 10_000) } else { (5, 13_000) };
    for sample in &mut measured.samples {
        sample.amount = Amount(sample.amount.0 * times / 4);
    }
    probe_all(&mut measured, probe);
    Outcome::Measured(measured)
}

/// The side of each measurement, in the order in which they are made.
fn sides(plan: &RunPlan) -> Vec<usize> {
    let of = |round| shuffled(&plan.entries, plan.seed, round).into_iter().map(|index| plan.entries[index].side);
    (0..plan.rounds).flat_map(of).collect()
}

fn turned(line: &BenchmarkLine) -> bool {
    line.conditions.as_ref().unwrap().interleaved
}

fn took(kept: &SingleLine) -> u64 {
    kept.lines.iter().map(|line| line.conditions.as_ref().unwrap().took_ms).sum()
}

#[test]
fn interleaved_a_pair_is_known_by_neighbours_however_slow_both_were() {
    let nanos = |job: &Job<'_>| 1000 + 50 * job.entry.side as u64;
    let rounds = |plan: RunPlan| {
        let plan = RunPlan { until: Some(0.01), budget: Some(Duration::from_secs(200)), ..plan };
        let mut fake = Fake { nanos, outcome: beside_a_neighbour, ..Fake::default() };
        let (conclusion, _) = begin(&plan, &mut fake);
        (fake.ran.len() / 2, conclusion.wide_intervals.len())
    };
    assert_eq!(rounds(interleaved(&FOUR[..1], 3)), (3, 0));
    // One after the other only the first round counts, and one round tells nothing of how rounds differ. The budget
    // ends before that round is less than a twentieth of the samples, when the highest CPU speed would be the slow one.
    assert_eq!(rounds(pairs(&FOUR[..1], 3)), (10, 1));
}

#[test]
fn pairs_stay_together_and_each_side_is_known_by_itself() {
    let plan = pairs(&FOUR, 4);
    assert_eq!(plan.sides(), 2);
    let mut fake = Fake::default();
    begin(&plan, &mut fake);
    assert_eq!(fake.ran.len(), 32);
    assert!(fake.ran.chunks(2).all(|pair| pair[0].0 == pair[1].0 && pair[0].1 == pair[1].1));
}

#[test]
fn a_pair_is_measured_until_its_ratio_is_known_not_its_sides() {
    let pair = || RunPlan { until: Some(0.01), ..pairs(&FOUR[..1], 3) };
    // The machine is slower in every third round, for both sides alike.
    let shared = |job: &Job<'_>| (1000 + 100 * u64::from(job.round % 3)) * (20 + job.entry.side as u64);
    let mut fake = Fake { nanos: shared, ..Fake::default() };
    let (conclusion, _) = begin(&pair(), &mut fake);
    assert_eq!((fake.ran.len(), conclusion.wide_intervals), (6, vec![]));
    // In some rounds one side is slower than the other.
    let own = |job: &Job<'_>| 1000 + 16 * u64::from(job.round % 3) * job.entry.side as u64;
    let mut fake = Fake { nanos: own, ..Fake::default() };
    let (conclusion, _) = begin(&pair(), &mut fake);
    assert!((10..80).contains(&fake.ran.len()) && conclusion.wide_intervals.is_empty(), "{}", fake.ran.len());
    let mut plan = pair();
    plan.budget = Some(Duration::from_secs(80));
    let (conclusion, _) = begin(&plan, &mut Fake { nanos: own, ..Fake::default() });
    assert_eq!(conclusion.wide_intervals.len(), 1, "a pair is one thing to know");
}

#[test]
fn sides_that_can_be_alive_at_once_are_interleaved() {
    let mut plan = interleaved(&["handoff/futex", "wakeup/timer_epoll", "handoff/pipe"], 2);
    // The other side of the pipe's pair keeps CPUs from sleeping.
    plan.entries.last_mut().unwrap().spec.setting.idle = Idle::Poll;
    let (conclusion, kept) = begin(&plan, &mut Fake::default());
    assert_eq!(conclusion, RunOutcome::default());
    assert_eq!((kept.lines.len(), kept.outlooks.len()), (12, 10), "two at once in both rounds");
    assert!(kept.lines.iter().all(|line| turned(line) == line.id.contains("futex")));
    assert!(kept.outlooks.iter().all(|progress| progress.all == 12), "{:?}", kept.outlooks);
    let (_, kept) = begin(&pairs(&FOUR, 2), &mut Fake::default());
    assert!(!kept.lines.iter().any(turned), "nobody asked for it");
}

#[test]
fn a_side_that_is_alone_in_its_round_is_not_interleaved() {
    let plan = interleaved(&FOUR, 3);
    let (_, whole) = begin(&plan, &mut Fake::default());
    for kill in 0..24 {
        // What a kill between the two lines of a pair leaves.
        let (before, _) = whole.lines.split_at(kill);
        let mut state = RunState::default();
        before.iter().zip(sides(&plan)).for_each(|(line, side)| state.add(side, line));
        let (_, after) = run(&plan, &mut state, &mut Fake::default());
        assert_eq!(after.lines.len(), 24 - kill);
        let alone = after.lines.iter().filter(|line| !turned(line)).count();
        assert_eq!(alone, kill % 2, "after {kill} lines");
    }
}

#[test]
fn a_pair_that_fails_while_interleaved_is_measured_one_after_the_other() {
    for failing in [0, 1] {
        let outcome: fn(&Job<'_>, Outcome) -> Outcome = match failing {
            0 => |job, outcome| if job.entry.side == 0 { Outcome::Failed("a crash".into()) } else { outcome },
            _ => |job, outcome| match job.entry.side {
                1 => Outcome::Unsupported(crate::terms::Unsupported::new("a", "b", "c")),
                _ => outcome,
            },
        };
        let mut fake = Fake { outcome, ..Fake::default() };
        let (_, kept) = begin(&interleaved(&FOUR[..1], 5), &mut fake);
        assert_eq!(kept.discarded, 1, "it is tried once");
        assert!(!kept.lines.iter().any(turned));
        let lines = [2 + 5, 5 + 1][failing];
        assert_eq!((kept.lines.len(), fake.ran.len()), (lines, lines + 2));
        assert_eq!(took(&kept), 10_000 * (lines as u64 + 2), "what was tried is in the record");
    }
}

#[test]
fn an_interleaved_pair_is_within_the_budget_as_a_whole() {
    let budget = Some(Duration::from_secs(75));
    let (conclusion, kept) = begin(&RunPlan { budget, ..interleaved(&FOUR[..1], 9) }, &mut Fake::default());
    assert_eq!((kept.lines.len(), took(&kept)), (6, 60_000), "ten seconds each");
    assert_eq!(conclusion.unmeasured.iter().map(|left| left.rounds).collect::<Vec<_>>(), [3, 3]);
    let last = kept.outlooks.last().unwrap();
    assert_eq!((last.done, last.all, last.left), (4, 18, Duration::from_secs(35)));
}

#[test]
fn what_one_side_uses_is_not_foreign_to_the_other() {
    // Two seconds of CPU time in two seconds, of which each side used one.
    let (_, kept) = begin(&interleaved(&FOUR[..1], 1), &mut Fake { foreign: true, ..Fake::default() });
    let loads: Vec<usize> = kept.lines.iter().map(|line| line.conditions.clone().unwrap().interference.len()).collect();
    assert_eq!(loads, [0, 0]);
    let third = Noise { own_cpu: Some(Nanos(500_000_000)), ..noise(true) };
    assert_eq!(interference(&[&third, &third]), ["other processes used 50 % of a CPU"]);
    assert_eq!(interference(&[]), Vec::<String>::new());
}

#[test]
fn a_pair_is_disturbed_as_a_whole() {
    let slow_side = |job: &Job<'_>, outcome: Outcome| match outcome {
        Outcome::Measured(mut measured) => {
            let slow = job.round == 1 && job.entry.side == 1;
            probe_all(&mut measured, if slow { 13_000 } else { 10_000 });
            Outcome::Measured(measured)
        }
        other => other,
    };
    let plan = RunPlan { strict: true, ..interleaved(&FOUR[..1], 2) };
    let mut fake = Fake { outcome: slow_side, ..Fake::default() };
    let (_, kept) = begin(&plan, &mut fake);
    assert_eq!((kept.lines.len(), kept.discarded, fake.ran.len()), (4, 3, 2 + 2 * 4));
    let foreign = Fake { foreign: true, ..Fake::default() };
    let (_, loaded) = begin(&RunPlan { interleaved: false, ..plan }, &mut { foreign });
    assert_eq!(loaded.discarded, 4 * 3, "each side by itself");
    let conditions: Vec<_> = kept.lines[2..].iter().map(|line| line.conditions.clone().unwrap()).collect();
    assert!(conditions.iter().all(|c| (c.discarded, c.took_ms) == (3, 40_000)), "{conditions:?}");
}

/// A pair that fails in turns, and measures one side after the other.
fn fails_in_turns(plan: &RunPlan, stop_after: usize) -> Fake {
    fn outcome(job: &Job<'_>, outcome: Outcome) -> Outcome {
        // The runner does not say whether it takes turns: the first attempt at each round does.
        if job.entry.id.contains("futex") && job.round == 0 { Outcome::Failed("ENOMEM".into()) } else { outcome }
    }
    assert!(plan.interleaved);
    Fake { outcome, stop_after, ..Fake::default() }
}

#[test]
fn a_resumed_run_remembers_which_pairs_were_set_apart() {
    let plan = interleaved(&FOUR[..2], 3);
    let (_, before) = begin(&plan, &mut fails_in_turns(&plan, 6));
    assert!(before.lines.iter().any(|line| line.id.contains("futex") && !turned(line)), "it was set apart");
    let mut state = RunState::default();
    let side = |line: &BenchmarkLine, lines: &[BenchmarkLine]| {
        let same = lines.iter().take_while(|other| !std::ptr::eq(*other, line));
        same.filter(|other| other.id == line.id && other.round == line.round).count()
    };
    before.lines.iter().for_each(|line| state.add(side(line, &before.lines), line));
    let (_, after) = run(&plan, &mut state, &mut Fake::default());
    let futex: Vec<bool> = after.lines.iter().filter(|line| line.id.contains("futex")).map(turned).collect();
    assert!(!futex.is_empty() && futex.iter().all(|turned| !turned), "{futex:?}");
    assert_eq!(after.discarded, 0);
    let pipe: Vec<bool> = after.lines.iter().filter(|line| line.id.contains("pipe")).map(turned).collect();
    assert!(!pipe.is_empty() && pipe.iter().all(|turned| *turned), "the other pair goes on in turns: {pipe:?}");
    // The line of one side alone is what a kill leaves between two lines.
    let mut half = RunState::default();
    half.add(0, before.lines.iter().find(|line| line.id.contains("futex") && !turned(line)).unwrap());
    let (_, after) = run(&plan, &mut half, &mut Fake::default());
    assert!(after.lines.iter().any(|line| line.id.contains("futex") && turned(line)));
}
