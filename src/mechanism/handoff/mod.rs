//! Handoffs: two tasks take turns, and only one of them runs at a time.
//!
//! The driver hands over, the partner answers: a lap is one round trip, two handoffs. Each mechanism is a pair of
//! `Side`s, one for each task, that can hand the turn to the other and wait to get it back.

use super::{Batch, Bound, Crew, Demand, Expectation, Failure, Group, Operation, Parameters, Placement};

mod baton;
mod condvar;
mod crossbeam_channel;
mod eventfd;
mod futex;
mod park;
mod pipe;
mod spin;

/// The group.
pub const GROUP: Group = Group { name: "handoff", question: "What does it cost to make another task run, one way?" };

/// Handoffs in a round trip.
const ROUND_TRIP: u64 = 2;

/// What the partner finds when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// To answer.
    Mine,
    /// To end: the driver's side is gone.
    Over,
}

/// One task's side of a handoff.
trait Side {
    /// Makes the other task run.
    fn hand_over(&mut self) -> Result<(), Failure>;

    /// Waits until the other task has handed over, or has ended.
    fn await_turn(&mut self) -> Result<Turn, Failure>;
}

/// Seats the partner, and returns the driver's part. Dropping `driver` must end the partner's turn with
/// [`Turn::Over`].
fn take_turns(
    crew: &mut Crew,
    mut driver: impl Side + 'static,
    mut partner: impl Side + Send + 'static,
) -> Result<Box<dyn Operation>, Failure> {
    crew.spawn(1, move |ready| {
        ready.signal();
        while partner.await_turn()? == Turn::Mine {
            partner.hand_over()?;
        }
        Ok(())
    })?;
    Ok(Box::new(move |ops: u64| {
        Batch::timed(|| {
            let round_trips = ops / ROUND_TRIP;
            for _ in 0..round_trips {
                driver.hand_over()?;
                if driver.await_turn()? == Turn::Over {
                    return Err(Failure::Corrupted("the partner ended".into()));
                }
            }
            Ok(round_trips * ROUND_TRIP)
        })
    }))
}

fn handoffs_per_lap(_: &Parameters) -> u64 {
    ROUND_TRIP
}

/// Two threads and a handful of descriptors.
fn demand(_: &Parameters) -> Demand {
    Demand { descriptors: 8, threads: 2, processes: 0 }
}

/// Where the tasks share a CPU every handoff is one wakeup and one switch. Who is woken may preempt its waker, and on
/// EEVDF (Linux 6.6) mostly does: then it answers before the waker waits, which finds the answer there, and of two
/// switches one is involuntary and one wakeup is spared. Where they run side by side a wait may find its answer too.
fn switched_once(calls: Expectation, placement: Placement) -> Expectation {
    let seen = calls.voluntary(Bound::AtMost(1.0)).wakeups(Bound::AtMost(1.0));
    match placement {
        Placement::SameCpu => seen.switches(Bound::Exactly(1.0)),
        _ => seen,
    }
}
