//! Wakeups: how late a task runs after the moment at which it should.
//!
//! The time of an operation here is a lateness, not a duration of work: a sample holds the sum of what all its wakeups
//! were late, so the figure is the mean lateness of a wakeup, and the time asleep is no part of it. Means hide what
//! matters of a latency; the distribution over all samples is among the metrics.
//!
//! The moments of a batch of timers lie on a grid that is fixed when it begins, one each `pause_us`, and do not move
//! when a sleep ends late: a task that stands still over several of them is late for each. A moment that has passed
//! already costs a call that returns at once, and counts from its time. (`timer_epoll` with `call = epoll_wait` tells
//! why it does not.)

use super::background_load::{self, BackgroundLoad, LOAD, LoadedCpus};
use super::{
    Batch, Bound, Crew, Domain, Expectation, Failure, Group, Metric, MetricKey, Operation, Parameter, Parameters,
    Resources,
};
use crate::sys::timer::{monotonic, set_slack};
use crate::terms::ValueHistogram;
use crate::units::{Amount, Nanos, Ops, Quantity};

mod request;
mod timer_epoll;
mod timer_nanosleep;
mod timer_timerfd;
mod timer_uring;

/// The group `wakeup`, with the question that its mechanisms answer.
pub const GROUP: Group = Group {
    name: "wakeup",
    question: "How late does a sleeping task run after its wakeup time?",
    measures: Quantity::Nanoseconds,
    queues: true,
};

/// By default twice what a sleep with the default slack is usually late on a virtual machine: where that is longer than
/// the pause, every other moment has passed before the task can sleep.
const PAUSE: Parameter = Parameter {
    name: "pause_us",
    meaning: "from one wakeup time of the task to the next, in microseconds",
    domain: Domain::Number { default: 200, min: 10, max: 1_000_000 },
};

const SLACK: Parameter = Parameter {
    name: "slack",
    meaning: "timer slack, by which the kernel may delay a wakeup to do several at once: the default (50 µs), or 1 ns",
    domain: Domain::Word { words: &[DEFAULT, "1ns"] },
};
const DEFAULT: &str = "default";

/// A way to sleep.
trait Sleep {
    /// Sleeps until `due`, and returns when it should have ended: then, but for ways that cannot be told a moment.
    fn sleep(&mut self, due: Nanos) -> Result<Nanos, Failure>;
}

/// For the ways that take the moment itself.
struct Until<F>(F);

impl<F: FnMut(Nanos) -> Result<(), Failure>> Sleep for Until<F> {
    #[inline]
    fn sleep(&mut self, due: Nanos) -> Result<Nanos, Failure> {
        (self.0)(due)?;
        Ok(due)
    }
}

/// Sleeps again and again, beside a background load where the parameters ask for one.
struct Sleeper<S> {
    way: S,
    pause: Nanos,
    background: BackgroundLoad,
    lateness: ValueHistogram,
}

/// Sets up a sleeping driver, on whose thread this runs.
fn sleeper(parameters: &Parameters, crew: &mut Crew, way: impl Sleep + 'static) -> Result<Box<dyn Operation>, Failure> {
    let background = BackgroundLoad::spawn(parameters, crew, 1, LoadedCpus::Everywhere)?;
    // After the background load, which would inherit it. 0 is the slack that the thread started with.
    set_slack(Nanos(u64::from(parameters.word(SLACK.name) != DEFAULT)))?;
    let pause = Nanos(parameters.number(PAUSE.name) * 1000);
    Ok(Box::new(Sleeper { way, pause, background, lateness: ValueHistogram::new() }))
}

impl<S: Sleep> Operation for Sleeper<S> {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        let Self { way, pause, background, lateness } = self;
        background.beside(|| {
            let (mut due, mut sum) = (monotonic(), 0);
            for _ in 0..ops {
                // From the moment, not from its end: a late one does not put off those that follow.
                due = Nanos(due.0 + pause.0);
                let moment = way.sleep(due)?;
                let late = monotonic().0.checked_sub(moment.0);
                let late = late.ok_or_else(|| Failure::Corrupted("a sleep ended before its time".into()))?;
                lateness.record(late);
                sum += late;
            }
            Ok(Batch { ops: Ops(ops), amount: Amount(sum.max(1)) })
        })
    }

    fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        Ok(vec![Metric::latencies(MetricKey::Lateness, std::mem::take(&mut self.lateness))])
    }
}

fn resources(_parameters: &Parameters) -> Resources {
    Resources { descriptors: 4, threads: 1, processes: 0 }
}

/// One sleep, which is one voluntary switch and one wakeup, unless the moment passes before the task is off its CPU. A
/// task of the background load sleeps and is woken once a batch.
fn one_sleep(parameters: &Parameters) -> Expectation {
    let seen = Expectation::nothing().voluntary(Bound::AtMost(1.0)).wakeups(Bound::AtMost(1.0));
    if background_load::wanted(parameters) { seen.others(Bound::AtMost(0.1)) } else { seen }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::timer::sleep_until;

    const MS: u64 = 1_000_000;

    #[test]
    fn every_moment_that_passed_during_a_stall_is_late() {
        let mut sleeps = 0;
        let way = Until(move |moment: Nanos| {
            sleeps += 1;
            let stall = if sleeps == 50 { 40 * MS } else { 0 };
            Ok(sleep_until(Nanos(moment.0 + stall))?)
        });
        let mut sleeper =
            Sleeper { way, pause: Nanos(MS), background: BackgroundLoad::default(), lateness: ValueHistogram::new() };
        let batch = sleeper.run(100).unwrap();
        assert_eq!(sleeper.lateness.count(), 100);
        // 40 ms, 39 … 11 ms: 30 of the 100. One after the other, as the way alone sees them, one sleep was late.
        assert!(sleeper.lateness.quantile(0.71) > 10 * MS, "{:?}", sleeper.lateness);
        assert!(batch.amount.0 >= (1..=40).sum::<u64>() * MS, "{batch:?}");
    }
}
