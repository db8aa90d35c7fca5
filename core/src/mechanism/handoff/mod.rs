//! Handoffs: two tasks take turns, and only one of them runs at a time.
//!
//! The driver hands over, the partner answers: a lap is one round trip, two handoffs. Each mechanism is a pair of
//! `HandoffHalf`s, one for each task, that can hand the turn to the other and wait to get it back.

use std::sync::Arc;

use self::turn_flags::TurnFlags;
use super::batch_gate::{self, BatchGate, GateOwner};
use super::{Batch, Bound, Crew, Expectation, Failure, Group, Operation, Parameters, Placement, Resources};
use crate::units::Quantity;

mod async_mutex;
mod condvar;
mod crossbeam_channel;
mod eventfd;
mod futex;
mod futex_contended;
mod futex_requeue;
mod mutex_convoy;
mod park;
mod pipe;
mod process_futex;
mod process_pipe;
mod sched_yield;
mod seccomp_notify;
mod semaphore;
mod signal;
mod socket_seqpacket;
mod socketpair;
mod spin;
mod spin_then_park;
mod tcp_loopback;
mod tokio_notify;
mod turn_flags;
mod udp_loopback;
mod uring_futex;
mod uring_msg_ring;

/// The group `handoff`, with the question that its mechanisms answer.
pub const GROUP: Group = Group {
    name: "handoff",
    question: "What does it cost to make another task run, one way?",
    measures: Quantity::Nanoseconds,
    queues: false,
};

/// Handoffs in a round trip.
const ROUND_TRIP: u64 = 2;

/// What a task is to do when its wait for the turn ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Command {
    /// To go on: the turn has come.
    Go,
    /// To sleep until the next batch, where it does not sleep while it waits for the turn.
    Pause,
    /// To end: the other half is gone.
    Stop,
}

/// One task's half of a handoff.
trait HandoffHalf {
    /// What the partner does on its own thread before it signals that it is ready.
    fn prepare(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Makes the other task run.
    fn hand_over(&mut self) -> Result<(), Failure>;

    /// Waits until the other task has handed over, or has ended.
    fn await_turn(&mut self) -> Result<Command, Failure>;
}

/// Spawns the partner, and returns the operation, which is the driver's part. When `driver` is dropped, the partner's
/// wait must end with [`Command::Stop`].
fn spawn_partner(
    crew: &mut Crew,
    mut driver: impl HandoffHalf + 'static,
    mut partner: impl HandoffHalf + Send + 'static,
) -> Result<Box<dyn Operation>, Failure> {
    crew.spawn(1, move |ready| {
        partner.prepare()?;
        ready.signal();
        answer(&mut partner)?;
        Ok(())
    })?;
    Ok(Box::new(move |ops: u64| Batch::timed(|| make_round_trips(&mut driver, ops))))
}

/// Answers until there is nothing to answer: until the partner is to pause or to stop, which is returned.
fn answer(partner: &mut impl HandoffHalf) -> Result<Command, Failure> {
    loop {
        match partner.await_turn()? {
            Command::Go => partner.hand_over()?,
            other => return Ok(other),
        }
    }
}

fn make_round_trips(driver: &mut impl HandoffHalf, ops: u64) -> Result<u64, Failure> {
    let round_trips = ops / ROUND_TRIP;
    for _ in 0..round_trips {
        driver.hand_over()?;
        if driver.await_turn()? != Command::Go {
            return Err(Failure::Corrupted("the partner ended".into()));
        }
    }
    Ok(round_trips * ROUND_TRIP)
}

/// As [`spawn_partner`], for tasks that wait for their turn by looking again after a `pause` and never block: the
/// partner sleeps between batches, where it would take a CPU from whatever is measured meanwhile.
fn spawn_polling_partner(
    crew: &mut Crew,
    pause: impl Fn() + Copy + Send + 'static,
) -> Result<Box<dyn Operation>, Failure> {
    let (driver, partner) = TurnFlags::pair();
    let gate = Arc::new(BatchGate::default());
    let mut partner = SpinningHalf { flags: partner, pause };
    let partners = Arc::clone(&gate);
    crew.spawn(1, move |ready| {
        ready.signal();
        while partners.await_next()? {
            let command = answer(&mut partner)?;
            partners.leave()?;
            if command == Command::Stop {
                break;
            }
        }
        Ok(())
    })?;
    let mut driver = SpinningHalf { flags: driver, pause };
    let owner = GateOwner(gate);
    Ok(Box::new(move |ops: u64| {
        owner.begin()?;
        let batch = Batch::timed(|| make_round_trips(&mut driver, ops));
        owner.close();
        driver.flags.pause_other();
        owner.await_gone()?;
        batch
    }))
}

struct SpinningHalf<P> {
    flags: TurnFlags,
    pause: P,
}

impl<P: Fn()> HandoffHalf for SpinningHalf<P> {
    #[inline]
    fn hand_over(&mut self) -> Result<(), Failure> {
        self.flags.pass();
        Ok(())
    }

    #[inline]
    fn await_turn(&mut self) -> Result<Command, Failure> {
        loop {
            match self.flags.try_take() {
                Some(command) => return Ok(command),
                None => (self.pause)(),
            }
        }
    }
}

impl<P> Drop for SpinningHalf<P> {
    fn drop(&mut self) {
        self.flags.stop_other();
    }
}

fn handoffs_per_lap(_: &Parameters) -> u64 {
    ROUND_TRIP
}

/// Of tasks that wait without blocking, and sleep between batches.
fn slept_between_batches() -> Expectation {
    Expectation::nothing().per_batch(Expectation::OTHER_CALLS, batch_gate::CALLS)
}

/// Two threads and a handful of descriptors.
fn resources(_: &Parameters) -> Resources {
    Resources { descriptors: 8, threads: 2, processes: 0 }
}

/// Where the tasks share a CPU every handoff is one wakeup and one switch. The task that is woken may preempt its
/// waker, and on EEVDF (Linux 6.6) mostly does: then it answers before the waker waits, which finds the answer there,
/// and of two switches one is involuntary and one wakeup is spared. Where they run side by side a wait may find its
/// answer too.
fn switched_once(calls: Expectation, placement: Placement) -> Expectation {
    let seen = calls.voluntary(Bound::AtMost(1.0)).wakeups(Bound::AtMost(1.0));
    match placement {
        Placement::SameCpu => seen.switches(Bound::Exactly(1.0)),
        _ => seen,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A half that counts, and whose partner always answers.
    #[derive(Default)]
    struct Counting {
        given: u64,
        taken: u64,
    }

    impl HandoffHalf for Counting {
        fn hand_over(&mut self) -> Result<(), Failure> {
            self.given += 1;
            Ok(())
        }

        fn await_turn(&mut self) -> Result<Command, Failure> {
            self.taken += 1;
            Ok(Command::Go)
        }
    }

    /// Nothing outside sees the handoffs of tasks that make no system call.
    #[test]
    fn as_many_round_trips_are_made_as_asked_for() {
        for round_trips in [1, 2, 7] {
            let mut half = Counting::default();
            let done = make_round_trips(&mut half, round_trips * ROUND_TRIP).unwrap();
            assert_eq!((half.given, half.taken, done), (round_trips, round_trips, round_trips * ROUND_TRIP));
        }
    }
}
