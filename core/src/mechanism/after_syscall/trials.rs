//! The trials: settle, call, time; and the same without the call.

use std::time::{Duration, Instant};

use super::counted::{self, Registers};
use super::recovery::{Recovery, median_in_steps};
use super::stream::{BLOCK, BRANCHES, Branches, CODE, Code, Data, STREAM, SplitMix, Stream, WORKING_SET};
use crate::mechanism::{Batch, Failure, Metric, MetricKey, Operation, Parameters};
use crate::sys::ticks::{self, TickRate};
use crate::terms::{Curve, CurveAxis};
use crate::units::{Amount, Ops, Quantity};

/// What is done before the timed blocks.
pub(super) trait Call {
    /// Makes the call.
    fn make(&mut self) -> Result<(), Failure>;

    /// Makes room for the next one, outside of what is timed.
    fn undo(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

impl<F: FnMut() -> Result<(), Failure>> Call for F {
    #[inline]
    fn make(&mut self) -> Result<(), Failure> {
        self()
    }
}

/// The fewest blocks of a trial, so that a small working set has an end at which it is back.
const FEWEST: usize = 32;
/// The most: a pass and a quarter through 2 MiB, the largest second-level cache of a core in common use.
const MOST: usize = 640;
/// Copies of the stream, at most.
const COPIES: usize = 16;
/// What all copies may take together; of a larger working set there is one.
const MEMORY: usize = 64 << 20;
/// Trials of either kind that are kept at most; of more, every second, fourth and so on, so that they are spread over
/// the whole measurement: the last ones alone would be the tenth of a second that something else happened to run in.
const KEPT: usize = 4096;
/// Pairs of trials whose cycles are counted, one turn in each copy: as many as a median needs.
const COUNTED: u64 = COUNTED_IN_TURN * COPIES as u64;
const COUNTED_IN_TURN: u64 = 16;
/// Fewer, but no fewer than this, of working sets that take longer than this.
const COUNTED_AT_LEAST: u64 = 2 * COUNTED_IN_TURN;
const COUNTED_FOR: Duration = Duration::from_secs(1);

/// What tells how long a block takes.
pub(super) trait BlockClock: Copy {
    /// What it shows now, in an order with the instructions around it.
    fn read(self) -> u64;
}

/// The CPU's own clock.
#[derive(Clone, Copy)]
struct TickClock;

impl BlockClock for TickClock {
    #[inline(always)]
    fn read(self) -> u64 {
        ticks::read()
    }
}

/// Sets up trials of `call`.
pub(super) fn set_up(parameters: &Parameters, call: impl Call + 'static) -> Result<Box<dyn Operation>, Failure> {
    let working_set = parameters.size(WORKING_SET.name);
    Ok(match parameters.word(STREAM.name) {
        CODE => Box::new(Trials::new(working_set, copies(working_set, || Code::new(working_set))?, call)),
        BRANCHES => Box::new(Trials::new(working_set, vec![Branches::new(working_set)], call)),
        _ => Box::new(Trials::new(working_set, copies(working_set, || Ok(Data::new(working_set)))?, call)),
    })
}

/// The same stream in several places: which lines share a set of a physically indexed cache is up to the pages that the
/// kernel happened to give, and a working set that just fits fits more or less well. Batches take turns.
fn copies<S>(working_set: usize, one: impl Fn() -> Result<S, Failure>) -> Result<Vec<S>, Failure> {
    (0..(MEMORY / working_set).clamp(1, COPIES)).map(|_| one()).collect()
}

struct Trials<S, C> {
    copies: Vec<S>,
    /// The copy of this batch.
    stream: usize,
    call: C,
    /// Blocks of the pass that settles the working set, or the part of it that the trial times.
    settling: usize,
    /// Whether that is all of it: then each trial walks the same blocks, which are not all equally fast. Of a larger
    /// working set each trial takes the part behind the last one's, so that no single part stands for all.
    whole: bool,
    /// Draws which of the two trials comes first. By turns they would fall on different parts of a large working set.
    order: SplitMix,
    after: TrialRows,
    undisturbed: TrialRows,
    rate: TickRate,
    /// What reading the counter costs, in ticks.
    cost: f64,
}

/// What the clock showed of each block of the trials that are kept, which are evenly spaced.
struct TrialRows {
    blocks: usize,
    shown: Vec<u32>,
    taken: usize,
    /// One trial of so many is kept.
    spacing: usize,
}

impl TrialRows {
    fn new(blocks: usize) -> Self {
        // Not zeroes, which the kernel would hand out untouched.
        Self { blocks, shown: vec![u32::MAX; blocks * KEPT], taken: 0, spacing: 1 }
    }

    /// Where the next trial goes. The one before it stays if it is one of those that are kept.
    #[inline]
    fn next(&mut self) -> &mut [u32] {
        if self.taken == KEPT * self.spacing {
            self.thin_out();
        }
        let start = self.taken / self.spacing * self.blocks;
        self.taken += 1;
        &mut self.shown[start..start + self.blocks]
    }

    #[cold]
    fn thin_out(&mut self) {
        for row in 0..KEPT / 2 {
            let second = (2 * row + 1) * self.blocks;
            self.shown.copy_within(second..second + self.blocks, row * self.blocks);
        }
        self.spacing *= 2;
    }

    fn kept(&self) -> &[u32] {
        &self.shown[..self.taken / self.spacing * self.blocks]
    }

    fn forget(&mut self) {
        (self.taken, self.spacing) = (0, 1);
    }
}

impl<S: Stream, C: Call> Trials<S, C> {
    fn new(working_set: usize, copies: Vec<S>, call: C) -> Self {
        let pass = (working_set / BLOCK).max(1);
        let blocks = (pass + pass / 4).clamp(FEWEST, MOST);
        let mut rate = TickRate::observe();
        let cost = median_in_steps(&mut rate.costs, rate.step).unwrap_or_default();
        let (after, undisturbed) = (TrialRows::new(blocks), TrialRows::new(blocks));
        let settling = pass.clamp(FEWEST / 2, blocks);
        let (whole, order) = (settling >= pass, SplitMix::new());
        Self { copies, stream: 0, call, settling, whole, order, after, undisturbed, rate, cost }
    }

    /// `pairs` of trials in the next copy of the stream. Returns what the clock showed of all blocks after the call.
    fn trials(&mut self, pairs: u64, clock: impl BlockClock) -> Result<u64, Failure> {
        let mut shown = 0;
        self.stream = (self.stream + 1) % self.copies.len();
        for _ in 0..pairs {
            if self.order.next().is_multiple_of(2) {
                shown += self.call(clock)?;
                self.leave_the_call_out(clock);
            } else {
                self.leave_the_call_out(clock);
                shown += self.call(clock)?;
            }
        }
        Ok(shown)
    }

    fn call(&mut self, clock: impl BlockClock) -> Result<u64, Failure> {
        let stream = &mut self.copies[self.stream];
        let row = self.after.next();
        settle(stream, self.whole, &mut row[..self.settling], clock);
        self.call.make()?;
        walk(stream, row, clock);
        self.call.undo()?;
        Ok(row.iter().copied().map(u64::from).sum())
    }

    fn leave_the_call_out(&mut self, clock: impl BlockClock) {
        let stream = &mut self.copies[self.stream];
        let row = self.undisturbed.next();
        settle(stream, self.whole, &mut row[..self.settling], clock);
        walk(stream, row, clock);
    }

    /// What the kept trials show, which are then forgotten; `None` without any.
    fn recovery(&mut self, step: u64, cost: f64) -> Option<Recovery> {
        let recovery = Recovery::of(self.after.kept(), self.undisturbed.kept(), self.after.blocks, step, cost);
        self.forget();
        recovery
    }

    fn forget(&mut self) {
        self.after.forget();
        self.undisturbed.forget();
    }

    fn nanos(&self, ticks: f64) -> f64 {
        ticks / self.rate.per_nano
    }

    fn times(&self, of: MetricKey, ticks: &[f64]) -> Metric {
        let axis = CurveAxis { of: "time per block".into(), quantity: Quantity::Nanoseconds };
        curve(of, axis, ticks.iter().map(|&ticks| self.nanos(ticks)))
    }
}

/// The time, speed or whatever of each block in turn.
pub(super) fn curve(of: MetricKey, y: CurveAxis, values: impl Iterator<Item = f64>) -> Metric {
    let x = CurveAxis { of: "block after the call".into(), quantity: Quantity::Number };
    let points = values.enumerate().map(|(block, value)| ((block + 1) as f64, value)).collect();
    Metric::Curve(Curve { of, x, y, points })
}

/// Walks what will be timed, from the first block if that is the `whole` working set, and goes back to where it began:
/// the timed blocks must be those that were settled, or their misses would be those of blocks long not in use.
fn settle(stream: &mut impl Stream, whole: bool, row: &mut [u32], clock: impl BlockClock) {
    let start = if whole { 0 } else { stream.position() };
    stream.seek(start);
    walk(stream, row, clock);
    stream.seek(start);
}

/// Executes a block for each place in `row`, and leaves there what the clock shows of it. The settling pass goes
/// through here as well, so that this code and the row are at hand when the call is made.
#[inline(never)]
pub(super) fn walk(stream: &mut impl Stream, row: &mut [u32], clock: impl BlockClock) {
    let mut before = clock.read();
    for shown in row {
        stream.block();
        let now = clock.read();
        *shown = u32::try_from(now.wrapping_sub(before)).unwrap_or(u32::MAX);
        before = now;
    }
}

impl<S: Stream, C: Call> Operation for Trials<S, C> {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        let ticks = self.trials(ops, TickClock)?;
        let readings = self.cost * self.after.blocks as f64 * ops as f64;
        let nanos = self.nanos((ticks as f64 - readings).max(0.0));
        Ok(Batch { ops: Ops(ops), amount: Amount((nanos as u64).max(1)) })
    }

    fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        let TickRate { step, .. } = self.rate;
        let Some(recovery) = self.recovery(step, self.cost) else { return Ok(Vec::new()) };
        let time = |of: MetricKey, ticks: f64| Metric::scalar(of, Quantity::Nanoseconds, self.nanos(ticks));
        let number = |of: MetricKey, value: f64| Metric::scalar(of, Quantity::Number, value);
        let mut metrics = vec![
            time(MetricKey::LostAfterCall, recovery.lost()),
            number(MetricKey::LostTicks, recovery.lost()),
            time(MetricKey::LostAgainstEnd, recovery.lost_against_the_end()),
            number(MetricKey::SlowestBlock, recovery.slowest()),
            time(MetricKey::BlockAtEnd, recovery.end()),
        ];
        metrics.extend(recovery.until_most_is_lost(step).map(|ticks| time(MetricKey::UntilMostIsLost, ticks)));
        metrics.extend([
            time(MetricKey::ReadingCost, self.cost),
            time(MetricKey::CounterStep, step as f64),
            curve(
                MetricKey::SpeedAfterCall,
                CurveAxis { of: "speed".into(), quantity: Quantity::Share },
                recovery.speeds(),
            ),
            self.times(MetricKey::BlocksAfterCall, &recovery.after),
            self.times(MetricKey::BlocksWithoutCall, &recovery.undisturbed),
        ]);
        Ok(metrics)
    }

    fn counted_metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        let mut registers = Registers::open()?;
        // The code for this clock is new to the CPU.
        self.trials(COUNTED_IN_TURN, registers.cycles())?;
        self.forget();
        let (began, mut pairs) = (Instant::now(), 0);
        while pairs < COUNTED && (pairs < COUNTED_AT_LEAST || began.elapsed() < COUNTED_FOR) {
            self.trials(COUNTED_IN_TURN, registers.cycles())?;
            pairs += COUNTED_IN_TURN;
        }
        let mut row = vec![0; self.after.blocks];
        let overhead = registers.overhead(&mut row)?;
        let recovery = self.recovery(1, overhead.cycles);
        let instructions = registers.instructions_of(&mut self.copies[self.stream], &mut row, &overhead)?;
        registers.check()?;
        let told = |recovery: Recovery| counted::metrics(&recovery, instructions, &overhead, pairs);
        Ok(recovery.map_or_else(Vec::new, told))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes longer for its first blocks after it was disturbed.
    struct Fake {
        slow: std::rc::Rc<std::cell::Cell<u32>>,
    }

    impl Stream for Fake {
        fn position(&self) -> usize {
            0
        }

        fn seek(&mut self, _: usize) {}

        fn block(&mut self) {
            let slow = self.slow.get();
            self.slow.set(slow.saturating_sub(1));
            let rounds = if slow > 0 { 2000 } else { 100 };
            (0..rounds).for_each(|round| {
                std::hint::black_box(round);
            });
        }
    }

    #[test]
    fn what_a_call_disturbs_is_found_in_the_blocks_behind_it() {
        let slow = std::rc::Rc::<std::cell::Cell<u32>>::default();
        let disturbed = std::rc::Rc::clone(&slow);
        let call = move || {
            disturbed.set(3);
            Ok(())
        };
        let mut trials = Trials::new(BLOCK, vec![Fake { slow }], call);
        let batch = trials.run(100).unwrap();
        assert!(batch.ops == Ops(100) && batch.amount.0 > 0, "{batch:?}");
        let recovery = Recovery::of(trials.after.kept(), trials.undisturbed.kept(), FEWEST, 1, 0.0).unwrap();
        for block in 0..FEWEST {
            let ratio = recovery.after[block] / recovery.undisturbed[block];
            assert!(if block < 3 { ratio > 4.0 } else { ratio < 4.0 }, "block {block} is {ratio} times as slow");
        }
        let metrics = trials.metrics().unwrap();
        let curves = metrics.iter().filter(|metric| matches!(metric, Metric::Curve(_))).count();
        assert!(curves == 3 && metrics.len() > curves);
        assert!(trials.metrics().unwrap().is_empty(), "they are those since they were last taken");
    }

    /// Tells which blocks it executed.
    struct Told {
        blocks: usize,
        at: usize,
        walked: std::rc::Rc<std::cell::RefCell<Vec<usize>>>,
    }

    impl Stream for Told {
        fn position(&self) -> usize {
            self.at
        }

        fn seek(&mut self, position: usize) {
            self.at = position;
        }

        fn block(&mut self) {
            self.walked.borrow_mut().push(self.at);
            self.at = (self.at + 1) % self.blocks;
        }
    }

    /// The blocks that two trials of each kind walk in a working set of so many.
    fn walked(blocks: usize) -> Vec<usize> {
        let walked = std::rc::Rc::<std::cell::RefCell<Vec<usize>>>::default();
        let stream = Told { blocks, at: 0, walked: std::rc::Rc::clone(&walked) };
        Trials::new(blocks * BLOCK, vec![stream], || Ok(())).run(2).unwrap();
        walked.take()
    }

    #[test]
    fn the_timed_blocks_of_a_large_working_set_are_those_just_settled_and_every_trial_takes_the_next_part() {
        let blocks = 3 * MOST;
        for (number, trial) in walked(blocks).chunks(2 * MOST).enumerate() {
            let (settled, timed) = trial.split_at(MOST);
            assert_eq!(settled, timed);
            assert_eq!((settled[0], settled[MOST - 1]), (number * MOST % blocks, (number * MOST + MOST - 1) % blocks));
        }
    }

    #[test]
    fn a_working_set_that_fits_a_trial_is_settled_whole_and_walked_from_its_first_block() {
        let (blocks, timed) = (256, 320);
        let walked = walked(blocks);
        assert_eq!(walked.len(), 4 * (blocks + timed));
        for trial in walked.chunks(blocks + timed) {
            assert!(trial[..blocks].iter().copied().eq(0..blocks));
            assert!(trial[blocks..].iter().copied().eq((0..timed).map(|block| block % blocks)));
        }
    }

    #[test]
    fn a_trial_is_a_pass_and_a_quarter_within_bounds() {
        let length = |working_set| {
            let trials = Trials::new(working_set, vec![Data::new(BLOCK)], || Ok(()));
            (trials.settling, trials.after.blocks)
        };
        assert_eq!(length(BLOCK), (16, 32));
        assert_eq!(length(256 * BLOCK), (256, 320));
        assert_eq!(length(1 << 30), (640, 640));
    }

    #[test]
    fn the_trials_that_are_kept_are_spread_over_all_of_them() {
        let mut rows = TrialRows::new(2);
        assert!(rows.kept().is_empty());
        (0..5 * KEPT / 2).for_each(|trial| rows.next().fill(trial as u32));
        let firsts: Vec<u32> = rows.kept().iter().copied().step_by(2).collect();
        assert_eq!(firsts.len(), 5 * KEPT / 8);
        assert!(firsts.iter().zip(1..).all(|(&trial, row)| trial == 4 * row - 1), "{firsts:?}");
        rows.forget();
        (0..2).for_each(|trial| rows.next().fill(trial));
        assert_eq!(rows.kept(), [0, 0, 1, 1]);
    }
}
