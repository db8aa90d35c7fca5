//! Which events of a set can be counted at the same time.
//!
//! An event that counts alone may lose its counter to another of its set. The kernel says so by a running time below
//! the enabled one, if the PMU's driver notices. Some do not: with one counter for cycles (riscv64 under QEMU's
//! software emulation, Linux 6.12) the second of `cycles:u` and `cycles:k` opens, is said to run all the time, and
//! reads 0. So a set is tried as it will be counted, and events that silence one another are counted in different sets.

use super::CounterReading;

/// An event that counts at least this often alone over the trial's work, and reads 0 together with others, has lost its
/// counter: events this frequent do not fail to happen by chance.
const FREQUENT: u64 = 1000;

/// The outcome of a set's trial for one of its events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TrialOutcome {
    /// It counted, or nothing speaks against it.
    Counts,
    /// It is said to have run and reads 0 over work in which it had to advance.
    Silent,
}

/// Sets whose events count together, and the events that are silent even alone.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Arrangement<E> {
    pub(super) sets: Vec<Vec<E>>,
    pub(super) silent: Vec<E>,
}

/// Judges an event by what it counted `alone` and what a set of `members` events made of it. `must_advance`: no working
/// PMU reads 0 after the trial's work.
pub(super) fn judge(must_advance: bool, alone: u64, together: &CounterReading, members: usize) -> TrialOutcome {
    let had_a_counter = together.running_ns > 0;
    // A rare event of a set of its own is one that did not happen this time.
    let expected = must_advance || (members > 1 && alone >= FREQUENT);
    if had_a_counter && together.count == 0 && expected { TrialOutcome::Silent } else { TrialOutcome::Counts }
}

/// Splits `set` until every part counts as a whole. `try_together` counts the trial's work with all of the events it is
/// given, and says for each of them, in their order, what came of it.
pub(super) fn arrange<E>(set: Vec<E>, mut try_together: impl FnMut(&mut [E]) -> Vec<TrialOutcome>) -> Arrangement<E> {
    let mut arrangement = Arrangement { sets: Vec::new(), silent: Vec::new() };
    // The next one last. Every trial that fails leaves smaller sets.
    let mut untried = vec![set];
    while let Some(mut set) = untried.pop() {
        if set.is_empty() {
            continue;
        }
        let verdicts = try_together(&mut set);
        let (mut counting, mut silent) = (Vec::new(), Vec::new());
        for (event, verdict) in set.into_iter().zip(verdicts) {
            match verdict {
                TrialOutcome::Counts => counting.push(event),
                TrialOutcome::Silent => silent.push(event),
            }
        }
        match (counting.len(), silent.len()) {
            (_, 0) => arrangement.sets.push(counting),
            (0, 1) => arrangement.silent.append(&mut silent),
            (0, _) => untried.extend(silent.into_iter().rev().map(|event| vec![event])),
            // Those that counted are tried again: without the others a counter may be another one.
            _ => untried.extend([silent, counting]),
        }
    }
    arrangement
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PMU with one counter for each kind of event, which the first one enabled gets; the others read 0.
    fn one_counter_each(set: &mut [&'static str]) -> Vec<TrialOutcome> {
        let kind = |event: &str| event.split(':').next().map(str::to_owned);
        let first = |place: usize, event: &&str| set[..place].iter().all(|other| kind(other) != kind(event));
        let verdict = |(place, event)| if first(place, event) { TrialOutcome::Counts } else { TrialOutcome::Silent };
        set.iter().enumerate().map(verdict).collect()
    }

    fn reading(count: u64, running_ns: u64) -> CounterReading {
        CounterReading { event: "e".into(), count, enabled_ns: 9, running_ns, scale: None, always_advances: false }
    }

    #[test]
    fn events_that_silence_one_another_are_counted_in_different_sets() {
        let set = vec!["cycles:u", "cycles:k", "instructions:u", "instructions:k"];
        let arrangement = arrange(set, one_counter_each);
        let sets = vec![vec!["cycles:u", "instructions:u"], vec!["cycles:k", "instructions:k"]];
        assert_eq!(arrangement, Arrangement { sets, silent: vec![] });
        let three = arrange(vec!["cycles:u", "cycles:k", "cycles"], one_counter_each);
        assert_eq!(three.sets, [["cycles:u"], ["cycles:k"], ["cycles"]]);
    }

    #[test]
    fn a_set_that_fits_stays_as_it_is_and_is_tried_once() {
        let mut trials = 0;
        let arrangement = arrange(vec!["cycles", "branches"], |set| {
            trials += 1;
            one_counter_each(set)
        });
        assert_eq!((arrangement.sets, trials), (vec![vec!["cycles", "branches"]], 1));
        assert_eq!(arrange(Vec::<&str>::new(), one_counter_each).sets, Vec::<Vec<&str>>::new());
    }

    #[test]
    fn an_event_that_is_silent_alone_is_in_no_set() {
        let mute = |set: &mut [&'static str]| -> Vec<TrialOutcome> {
            set.iter().map(|event| if *event == "mute" { TrialOutcome::Silent } else { TrialOutcome::Counts }).collect()
        };
        let arrangement = arrange(vec!["cycles", "mute", "branches"], mute);
        assert_eq!(arrangement, Arrangement { sets: vec![vec!["cycles", "branches"]], silent: vec!["mute"] });
    }

    #[test]
    fn a_set_that_is_silent_as_a_whole_is_counted_event_by_event() {
        let alone_only = |set: &mut [&'static str]| match set.len() {
            1 => vec![TrialOutcome::Counts],
            events => vec![TrialOutcome::Silent; events],
        };
        assert_eq!(arrange(vec!["a", "b", "c"], alone_only).sets, [["a"], ["b"], ["c"]]);
    }

    #[test]
    fn running_all_the_time_and_reading_0_is_silence() {
        for (must_advance, alone, together, members, verdict) in [
            (true, 5000, reading(0, 9), 4, TrialOutcome::Silent),
            (true, 5000, reading(0, 9), 1, TrialOutcome::Silent),
            (true, 5000, reading(1, 9), 4, TrialOutcome::Counts),
            // Without a counter it is multiplexed, which the tally judges over all samples.
            (true, 5000, reading(0, 0), 4, TrialOutcome::Counts),
            (false, 5000, reading(0, 9), 4, TrialOutcome::Silent),
            (false, 5000, reading(0, 9), 1, TrialOutcome::Counts),
            (false, 3, reading(0, 9), 4, TrialOutcome::Counts),
        ] {
            let found = judge(must_advance, alone, &together, members);
            assert_eq!(found, verdict, "must advance: {must_advance}, alone {alone}, {together:?} of {members}");
        }
    }
}
