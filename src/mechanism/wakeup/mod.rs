//! Wakeups: how late a task runs after the moment at which it should.
//!
//! The time of an operation here is a lateness, not a duration of work: a sample holds the sum of what all its wakeups
//! were late, so the figure is the mean lateness of a wakeup, and the time asleep is no part of it. Means hide what
//! matters of a latency; the distribution over all samples is among the findings.

use super::neighbour::{self, LOAD, Neighbours, Where};
use super::{
    Batch, Bound, Crew, Demand, Domain, Expectation, Failure, Finding, Group, Operation, Parameter, Parameters,
};
use crate::crew::Values;
use crate::sys::timer::{monotonic, set_slack};
use crate::units::{Nanos, Ops, Quantity};

mod request;
mod timer_epoll;
mod timer_nanosleep;
mod timer_timerfd;
mod timer_uring;

/// The group.
pub const GROUP: Group = Group {
    name: "wakeup",
    question: "How late does a sleeping task run after its time has come?",
    measures: Quantity::Nanoseconds,
    queues: true,
};

const PAUSE: Parameter = Parameter {
    name: "pause_us",
    meaning: "how long the task wants to sleep, in microseconds",
    domain: Domain::Number { default: 100, min: 10, max: 1_000_000 },
};

const SLACK: Parameter = Parameter {
    name: "slack",
    meaning: "how late the kernel may end a sleep so as to end several at once: what tasks start with (50 µs), or 1 ns",
    domain: Domain::Word { words: &[DEFAULT, "1ns"] },
};
const DEFAULT: &str = "default";

/// A way to sleep.
trait Sleep {
    /// Sleeps for about `pause`, and returns when it should have ended: from the last reading of the clock before the
    /// call.
    fn sleep(&mut self, pause: Nanos) -> Result<Nanos, Failure>;
}

/// For the ways that take the moment itself.
struct Until<F>(F);

impl<F: FnMut(Nanos) -> Result<(), Failure>> Sleep for Until<F> {
    #[inline]
    fn sleep(&mut self, pause: Nanos) -> Result<Nanos, Failure> {
        let moment = Nanos(monotonic().0 + pause.0);
        (self.0)(moment)?;
        Ok(moment)
    }
}

/// Sleeps again and again, beside neighbours where they are asked for.
struct Sleeper<S> {
    way: S,
    pause: Nanos,
    neighbours: Neighbours,
    lateness: Values,
}

/// Sets up a sleeping driver, on whose thread this runs.
fn sleeper(parameters: &Parameters, crew: &mut Crew, way: impl Sleep + 'static) -> Result<Box<dyn Operation>, Failure> {
    let neighbours = Neighbours::spawn(parameters, crew, 1, Where::Everywhere)?;
    // After the neighbours, who would inherit it. 0 is the slack that the thread started with.
    set_slack(Nanos(u64::from(parameters.word(SLACK.name) != DEFAULT)))?;
    let pause = Nanos(parameters.number(PAUSE.name) * 1000);
    Ok(Box::new(Sleeper { way, pause, neighbours, lateness: Values::new() }))
}

impl<S: Sleep> Operation for Sleeper<S> {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        let Self { way, pause, neighbours, lateness } = self;
        neighbours.beside(|| {
            let mut sum = 0;
            for _ in 0..ops {
                let moment = way.sleep(*pause)?;
                let late = monotonic().0.checked_sub(moment.0);
                let late = late.ok_or_else(|| Failure::Corrupted("a sleep ended before its time".into()))?;
                lateness.record(late);
                sum += late;
            }
            Ok(Batch { ops: Ops(ops), elapsed: Nanos(sum.max(1)) })
        })
    }

    fn findings(&mut self) -> Result<Vec<Finding>, Failure> {
        Ok(vec![Finding::latencies("lateness", std::mem::take(&mut self.lateness))])
    }
}

fn demand(parameters: &Parameters) -> Demand {
    Demand { descriptors: 4, threads: 1 + neighbour::most(parameters), processes: 0 }
}

/// One sleep, which is one voluntary switch and one wakeup, unless the time is up before the task is off its CPU. A
/// neighbour sleeps and is woken once a batch.
fn one_sleep(parameters: &Parameters) -> Expectation {
    let seen = Expectation::nothing().voluntary(Bound::AtMost(1.0)).wakeups(Bound::AtMost(1.0));
    if neighbour::wanted(parameters) { seen.others(Bound::AtMost(0.1)) } else { seen }
}
