//! Budgets: what is left out, what is ended in the middle, and which is the shortest.

use super::*;
use crate::mechanism::registry;

#[test]
fn a_budget_leaves_out_rounds_first() {
    let mut plan = plan(&FOUR, 10);
    plan.budget = Some(Duration::from_secs(170));
    let (conclusion, kept) = begin(&plan, &mut Fake::default());
    assert_eq!(kept.lines.len(), 17, "ten seconds each");
    assert_eq!(conclusion.unmeasured.len(), 4);
    assert!(conclusion.unmeasured.iter().all(|unmeasured| unmeasured.of == 10));
    assert!(conclusion.unmeasured.iter().all(|unmeasured| (4..=5).contains(&unmeasured.rounds)), "{conclusion:?}");
}

#[test]
fn a_budget_leaves_out_benchmarks_before_three_rounds_and_keeps_every_question() {
    let mut plan = plan(&["brigade/mio", "brigade/thread", "handoff/futex", "handoff/pipe"], 5);
    plan.budget = Some(Duration::from_secs(80));
    let (conclusion, kept) = begin(&plan, &mut Fake::default());
    assert!(kept.lines.len() <= 8);
    let rounds = |id: &str| conclusion.unmeasured.iter().find(|left| left.id.starts_with(id)).map(|left| left.rounds);
    // The first of each group goes on; the others have the round that the prediction granted them.
    let each = plan.entries.iter().map(|entry| rounds(&entry.id).unwrap()).collect::<Vec<_>>();
    assert_eq!(each, [3, 1, 3, 1], "{conclusion:?}");
}

#[test]
fn a_budget_that_was_used_up_before_a_kill_stays_used_up() {
    let mut plan = plan(&FOUR, 5);
    plan.budget = Some(Duration::from_secs(120));
    let (_, before) = begin(&plan, &mut Fake { stop_after: 8, ..Fake::default() });
    let mut state = RunState::default();
    before.lines.iter().for_each(|line| state.add(0, line));
    let (_, after) = run(&plan, &mut state, &mut Fake::default());
    assert_eq!(before.lines.len() + after.lines.len(), 12);
}

#[test]
fn trying_again_ends_with_the_budget() {
    let mut plan = plan(&FOUR[..1], 1);
    (plan.strict, plan.budget) = (true, Some(Duration::from_secs(25)));
    let (_, kept) = begin(&plan, &mut Fake { foreign: true, ..Fake::default() });
    assert_eq!((kept.lines.len(), kept.discarded), (1, 1), "ten seconds each");
}

#[test]
fn what_takes_longer_than_the_budget_is_ended_with_it() {
    let mut plan = plan(&FOUR, 1);
    plan.budget = Some(Duration::from_secs(30));
    let mut fake = Fake { takes: Duration::from_secs(31), ..Fake::default() };
    let (conclusion, kept) = begin(&plan, &mut fake);
    assert_eq!((kept.lines.len(), kept.out_of_time.len()), (0, 1), "no second one begins");
    assert_eq!(conclusion.unmeasured.len(), 4, "{conclusion:?}");
    assert!(!conclusion.stopped);
    let mut slower = Fake { takes: Duration::from_secs(16), ..Fake::default() };
    let (_, kept) = begin(&plan, &mut slower);
    assert_eq!((kept.lines.len(), kept.out_of_time.len()), (1, 1), "the second has what the first left");
}

#[test]
fn a_measurement_stands_when_there_was_no_time_to_repeat_it() {
    let mut plan = plan(&FOUR[..1], 1);
    (plan.strict, plan.budget) = (true, Some(Duration::from_secs(25)));
    let (conclusion, kept) = begin(&plan, &mut Fake { foreign: true, slows_down: true, ..Fake::default() });
    assert_eq!((kept.lines.len(), kept.discarded, kept.out_of_time.len()), (1, 1, 1));
    assert_eq!(kept.lines[0].conditions.as_ref().unwrap().took_ms, 10_000);
    assert_eq!(conclusion.unmeasured, []);
}

#[test]
fn the_shortest_budget_has_room_for_one_and_no_shorter_one_has() {
    for (mechanisms, rounds) in [(&FOUR[..], 5), (&FOUR[..2], 1)] {
        let asked = plan(mechanisms, rounds);
        let (one, all) = shortest_budgets(&asked).unwrap();
        let measured = |budget| {
            let mut fake = Fake { takes: Duration::from_millis(1), ..Fake::default() };
            begin(&RunPlan { budget: Some(budget), ..asked.clone() }, &mut fake).1.lines.len()
        };
        assert_eq!(measured(one - Duration::from_millis(1)), 0);
        assert!(measured(one) > 0);
        assert_eq!(measured(all), mechanisms.len() * rounds as usize);
    }
    assert_eq!(shortest_budgets(&plan(&[], 5)), None);
}

/// Predictions are cautious. What they leave out is measured after all, once it shows that there is time.
#[test]
fn a_budget_that_is_not_needed_after_all_leaves_out_nothing() {
    let ids: Vec<&str> = registry().iter().map(|mechanism| mechanism.descriptor().id).collect();
    let ids: Vec<&str> = ids.into_iter().filter(|id| ["brigade", "handoff"].contains(&group_of(id))).take(40).collect();
    let mut plan = plan(&ids, 3);
    let (_, all) = shortest_budgets(&plan).unwrap();
    // As predicted, three in ten have time for their rounds; each takes a quarter of that.
    plan.budget = Some(all * 3 / 10);
    let takes = all / (4 * 3 * u32::try_from(ids.len()).unwrap());
    let (conclusion, kept) = begin(&plan, &mut Fake { takes, ..Fake::default() });
    assert_eq!((conclusion.unmeasured, kept.lines.len()), (vec![], 3 * ids.len()));
}

fn group_of(id: &str) -> &str {
    id.split('/').next().unwrap()
}
