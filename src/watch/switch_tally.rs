//! What single switches add up to: how often each thread gave its CPU up, and whether another thread of the tree was
//! given it at once.

use std::collections::HashMap;

use crate::sys::switch_records::{SwitchDirection, SwitchRecord};
use crate::units::{CpuId, Nanos};

/// Within this time after a thread of the tree left a CPU, the next one to run there was switched to directly.
///
/// Both records of a direct switch are written in one call of `__schedule` (kernel/sched/core.c): the one before the
/// registers change and the other after, a microsecond or less apart. Where the CPU went idle or to another program in
/// between, there are two such calls, an entry into and an exit from an idle state or a run of that program between
/// them.
const DIRECT_WITHIN: Nanos = Nanos(2_500);

/// What was recorded of one thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ThreadSwitches {
    /// Times it gave its CPU up to wait.
    pub(super) waiting: u64,
    /// Times it was taken off its CPU.
    pub(super) preempted: u64,
    /// Of `waiting`, those after which a thread of the tree ran there at once.
    pub(super) direct: u64,
    /// Times it was given a CPU after it was known where it had run before.
    pub(super) arrivals: u64,
    /// Of `arrivals`, those on another CPU than before.
    pub(super) migrated: u64,
}

impl ThreadSwitches {
    fn add(&mut self, other: Self) {
        self.waiting += other.waiting;
        self.preempted += other.preempted;
        self.direct += other.direct;
        self.arrivals += other.arrivals;
        self.migrated += other.migrated;
    }
}

/// A time in which a thread waited, off its CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WaitInterval {
    /// When it gave its CPU up.
    pub(super) from: Nanos,
    /// When it was given one again.
    pub(super) to: Nanos,
}

/// Adds records up.
#[derive(Debug, Default)]
pub(super) struct SwitchTally {
    threads: HashMap<i32, ThreadSwitches>,
    places: HashMap<i32, ThreadPosition>,
    /// Who left a CPU last, and when.
    last_out: HashMap<CpuId, (i32, Nanos, SwitchDirection)>,
    /// The spans of which single waits are kept, in the order of time.
    windows: Vec<(Nanos, Nanos)>,
    /// Records that are not counted yet, since those of another CPU may come before them.
    pending: Vec<SwitchRecord>,
    waits: HashMap<i32, Vec<WaitInterval>>,
    /// Records that the kernel dropped.
    pub(super) lost: u64,
}

/// Where a thread was when it was last recorded.
#[derive(Debug, Clone, Copy)]
struct ThreadPosition {
    cpu: CpuId,
    /// When it left, and whether to wait; `None` while it runs.
    left: Option<(Nanos, bool)>,
}

impl SwitchTally {
    /// Keeps each wait that overlaps the time from `from` to `to`.
    pub(super) fn keep_waits(&mut self, from: Nanos, to: Nanos) {
        self.windows.push((from, to));
    }

    /// Takes a record, to be counted by [`settle`](Self::settle).
    pub(super) fn push(&mut self, record: SwitchRecord) {
        self.pending.push(record);
    }

    /// Counts the records from before `complete`, up to which those of every CPU are there.
    pub(super) fn settle(&mut self, complete: Nanos) {
        let mut pending = std::mem::take(&mut self.pending);
        pending.sort_by_key(|record| record.at);
        let settled = pending.partition_point(|record| record.at < complete);
        pending.drain(..settled).for_each(|record| self.add(record));
        self.pending = pending;
    }

    /// Counts a record; they come in the order of time.
    fn add(&mut self, record: SwitchRecord) {
        let SwitchRecord { at, cpu, thread, direction, .. } = record;
        let known = self.places.get(&thread).copied();
        match direction {
            SwitchDirection::In => {
                // Twice in without an out between: the thread has two events, one inherited and one of its own.
                if known.is_some_and(|known| known.left.is_none() && known.cpu == cpu) {
                    return;
                }
                self.arrive(record, known);
                self.places.insert(thread, ThreadPosition { cpu, left: None });
            }
            SwitchDirection::OutWaiting | SwitchDirection::OutPreempted => {
                if known.is_some_and(|known| known.left.is_some() && known.cpu == cpu) {
                    return;
                }
                let waiting = direction == SwitchDirection::OutWaiting;
                let counts = self.threads.entry(thread).or_default();
                *(if waiting { &mut counts.waiting } else { &mut counts.preempted }) += 1;
                self.last_out.insert(cpu, (thread, at, direction));
                self.places.insert(thread, ThreadPosition { cpu, left: Some((at, waiting)) });
            }
        }
    }

    fn arrive(&mut self, record: SwitchRecord, known: Option<ThreadPosition>) {
        let SwitchRecord { at, cpu, thread, .. } = record;
        if let Some((before, left, direction)) = self.last_out.remove(&cpu) {
            let direct = at.0.saturating_sub(left.0) <= DIRECT_WITHIN.0 && before != thread;
            if direct && direction == SwitchDirection::OutWaiting {
                self.threads.entry(before).or_default().direct += 1;
            }
        }
        let Some(known) = known else { return };
        let counts = self.threads.entry(thread).or_default();
        counts.arrivals += 1;
        counts.migrated += u64::from(known.cpu != cpu);
        if let Some((left, true)) = known.left
            && left <= at
            && self.windows.iter().rev().any(|&(from, to)| left <= to && at >= from)
        {
            self.waits.entry(thread).or_default().push(WaitInterval { from: left, to: at });
        }
    }

    /// Ends the waits that last, at `now`; call it once, after the last record.
    pub(super) fn finish(&mut self, now: Nanos) {
        self.settle(Nanos(u64::MAX));
        for (&thread, place) in &self.places {
            if let Some((left, true)) = place.left
                && self.windows.iter().any(|&(from, to)| left <= to && now >= from)
            {
                self.waits.entry(thread).or_default().push(WaitInterval { from: left, to: now.max(left) });
            }
        }
        self.waits.values_mut().for_each(|waits| waits.sort_unstable_by_key(|wait| wait.from));
    }

    /// The wait that `thread` was in at `at`, of those that were kept.
    pub(super) fn wait_at(&self, thread: i32, at: Nanos) -> Option<WaitInterval> {
        let waits = self.waits.get(&thread)?;
        let after = waits.partition_point(|wait| wait.from <= at);
        waits[..after].last().copied().filter(|wait| at <= wait.to)
    }

    /// Whether `thread` was in a wait, of those that were kept, at a time from `from` to `to`.
    pub(super) fn waited_within(&self, thread: i32, from: Nanos, to: Nanos) -> bool {
        let Some(waits) = self.waits.get(&thread) else { return false };
        let after = waits.partition_point(|wait| wait.from <= to);
        waits[..after].last().is_some_and(|wait| wait.to >= from)
    }

    /// What was recorded of each thread.
    pub(super) fn threads(&self) -> &HashMap<i32, ThreadSwitches> {
        &self.threads
    }

    /// All threads together.
    pub(super) fn total(&self) -> ThreadSwitches {
        let mut total = ThreadSwitches::default();
        self.threads.values().for_each(|&counts| total.add(counts));
        total
    }

    /// Forgets where threads and CPUs were: recording was off, and what happened meanwhile is unknown.
    pub(super) fn interrupt(&mut self) {
        self.settle(Nanos(u64::MAX));
        self.last_out.clear();
        self.places.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SwitchDirection::{In, OutPreempted, OutWaiting};

    fn tally(records: &[(u64, usize, i32, SwitchDirection)]) -> SwitchTally {
        let mut tally = SwitchTally::default();
        tally.keep_waits(Nanos(0), Nanos(1_000_000));
        for &(at, cpu, thread, direction) in records {
            tally.push(SwitchRecord { at: Nanos(at), cpu: CpuId(cpu), process: 1, thread, direction });
        }
        tally.finish(Nanos(2_000_000));
        tally
    }

    #[test]
    fn a_switch_to_a_thread_of_the_tree_at_once_is_direct() {
        let tally = tally(&[
            (0, 0, 1, In),
            (10_000, 0, 1, OutWaiting),
            (11_000, 0, 2, In),
            (20_000, 0, 2, OutWaiting),
            // The CPU was idle, or with another program.
            (60_000, 0, 1, In),
            (70_000, 0, 1, OutPreempted),
            (71_000, 0, 2, In),
        ]);
        let one = ThreadSwitches { waiting: 1, preempted: 1, direct: 1, arrivals: 1, migrated: 0 };
        let two = ThreadSwitches { waiting: 1, preempted: 0, direct: 0, arrivals: 1, migrated: 0 };
        assert_eq!((tally.threads()[&1], tally.threads()[&2]), (one, two));
        assert_eq!((tally.total().waiting, tally.total().direct), (2, 1));
    }

    #[test]
    fn a_thread_that_follows_itself_was_not_switched_to_directly() {
        let tally = tally(&[(0, 0, 1, In), (10_000, 0, 1, OutWaiting), (11_000, 0, 1, In)]);
        assert_eq!(tally.total().direct, 0);
    }

    #[test]
    fn a_cpu_that_is_left_does_not_answer_for_another() {
        let tally = tally(&[(10_000, 0, 1, OutWaiting), (10_500, 1, 2, In), (90_000, 1, 1, In)]);
        assert_eq!((tally.total().direct, tally.threads()[&1].migrated), (0, 1));
    }

    #[test]
    fn records_of_several_cpus_are_put_in_order() {
        let mut tally = SwitchTally::default();
        let record =
            |at, cpu, direction| SwitchRecord { at: Nanos(at), cpu: CpuId(cpu), process: 1, thread: 1, direction };
        // One CPU is read after the other, and the second has gone on meanwhile.
        [record(100, 0, OutWaiting), record(400, 0, In), record(200, 1, In)]
            .into_iter()
            .for_each(|record| tally.push(record));
        [record(300, 1, OutWaiting), record(900, 0, OutPreempted)].into_iter().for_each(|record| tally.push(record));
        tally.settle(Nanos(500));
        let settled = ThreadSwitches { waiting: 2, preempted: 0, direct: 0, arrivals: 2, migrated: 2 };
        assert_eq!(tally.total(), settled);
        tally.settle(Nanos(1_000));
        assert_eq!(tally.total().preempted, 1);
    }

    #[test]
    fn a_record_that_comes_twice_counts_once() {
        let twice = [(0, 0, 1, In), (10, 0, 1, In), (500, 0, 1, OutWaiting), (520, 0, 1, OutWaiting)];
        assert_eq!(tally(&twice).total(), ThreadSwitches { waiting: 1, ..ThreadSwitches::default() });
    }

    #[test]
    fn waits_are_found_by_a_time_within_them() {
        let tally = tally(&[(100, 0, 1, OutWaiting), (900, 0, 1, In), (1_000, 0, 1, OutPreempted), (1_500, 0, 1, In)]);
        assert_eq!(tally.wait_at(1, Nanos(500)), Some(WaitInterval { from: Nanos(100), to: Nanos(900) }));
        assert_eq!(tally.wait_at(1, Nanos(950)), None);
        assert_eq!(tally.wait_at(1, Nanos(1_200)), None, "it was ready to run");
        assert_eq!(tally.wait_at(2, Nanos(500)), None);
        let within = |from, to| tally.waited_within(1, Nanos(from), Nanos(to));
        assert!(within(50, 150) && within(200, 300) && !within(0, 90) && !within(950, 1_400));
    }

    #[test]
    fn a_wait_that_lasts_ends_with_watching() {
        let tally = tally(&[(100, 0, 1, OutWaiting)]);
        assert_eq!(tally.wait_at(1, Nanos(500)), Some(WaitInterval { from: Nanos(100), to: Nanos(2_000_000) }));
    }

    #[test]
    fn what_happened_while_recording_was_off_is_in_no_wait() {
        let mut tally = SwitchTally::default();
        tally.keep_waits(Nanos(0), Nanos(1_000));
        let record = |at, direction| SwitchRecord { at: Nanos(at), cpu: CpuId(0), process: 1, thread: 1, direction };
        tally.push(record(100, OutWaiting));
        tally.interrupt();
        tally.push(record(900, In));
        tally.finish(Nanos(2_000));
        assert_eq!(tally.wait_at(1, Nanos(500)), None);
    }
}
