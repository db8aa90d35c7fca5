//! Handoffs: two tasks take turns, and only one of them runs at a time.
//!
//! The driver hands over, the partner answers: a lap is one round trip, two handoffs. Each mechanism is a pair of
//! `Side`s, one for each task, that can hand the turn to the other and wait to get it back.

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

/// What the partner finds when its turn comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wakeup {
    /// To answer.
    Go,
    /// To sleep until the next batch, where waiting for a turn is no sleep.
    Pause,
    /// To end: the driver's side is gone.
    Stop,
}

/// One task's side of a handoff.
trait Side {
    /// What the partner does on its own thread before it is ready.
    fn arrive(&mut self) -> Result<(), Failure> {
        Ok(())
    }

    /// Makes the other task run.
    fn hand_over(&mut self) -> Result<(), Failure>;

    /// Waits until the other task has handed over, or has ended.
    fn await_turn(&mut self) -> Result<Wakeup, Failure>;
}

/// Spawns the partner, and returns the driver's part. Dropping `driver` must end the partner's turn with
/// [`Wakeup::Stop`].
fn take_turns(
    crew: &mut Crew,
    mut driver: impl Side + 'static,
    mut partner: impl Side + Send + 'static,
) -> Result<Box<dyn Operation>, Failure> {
    crew.spawn(1, move |ready| {
        partner.arrive()?;
        ready.signal();
        answer(&mut partner)?;
        Ok(())
    })?;
    Ok(Box::new(move |ops: u64| Batch::timed(|| make_round_trips(&mut driver, ops))))
}

/// Answers until there is nothing to answer, and says why.
fn answer(partner: &mut impl Side) -> Result<Wakeup, Failure> {
    loop {
        match partner.await_turn()? {
            Wakeup::Go => partner.hand_over()?,
            no_turn => return Ok(no_turn),
        }
    }
}

fn make_round_trips(driver: &mut impl Side, ops: u64) -> Result<u64, Failure> {
    let round_trips = ops / ROUND_TRIP;
    for _ in 0..round_trips {
        driver.hand_over()?;
        if driver.await_turn()? != Wakeup::Go {
            return Err(Failure::Corrupted("the partner ended".into()));
        }
    }
    Ok(round_trips * ROUND_TRIP)
}

/// As [`take_turns`], for tasks that wait for their turn by looking again after a `pause` and never block: the partner
/// sleeps between batches, where it would take a CPU from whatever is measured meanwhile.
fn take_turns_awake(crew: &mut Crew, pause: impl Fn() + Copy + Send + 'static) -> Result<Box<dyn Operation>, Failure> {
    let (driver, partner) = TurnFlags::pair();
    let gate = Arc::new(BatchGate::default());
    let mut partner = SpinningHalf { flags: partner, pause };
    let partners = Arc::clone(&gate);
    crew.spawn(1, move |ready| {
        ready.signal();
        while partners.await_next()? {
            let turn = answer(&mut partner)?;
            partners.leave()?;
            if turn == Wakeup::Stop {
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
        driver.flags.rest();
        owner.await_gone()?;
        batch
    }))
}

struct SpinningHalf<P> {
    flags: TurnFlags,
    pause: P,
}

impl<P: Fn()> Side for SpinningHalf<P> {
    #[inline]
    fn hand_over(&mut self) -> Result<(), Failure> {
        self.flags.pass();
        Ok(())
    }

    #[inline]
    fn await_turn(&mut self) -> Result<Wakeup, Failure> {
        loop {
            match self.flags.take() {
                Some(turn) => return Ok(turn),
                None => (self.pause)(),
            }
        }
    }
}

impl<P> Drop for SpinningHalf<P> {
    fn drop(&mut self) {
        self.flags.drop_for_good();
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

#[cfg(test)]
mod tests {
    use super::*;

    /// A side that counts, and whose partner always answers.
    #[derive(Default)]
    struct Counting {
        given: u64,
        taken: u64,
    }

    impl Side for Counting {
        fn hand_over(&mut self) -> Result<(), Failure> {
            self.given += 1;
            Ok(())
        }

        fn await_turn(&mut self) -> Result<Wakeup, Failure> {
            self.taken += 1;
            Ok(Wakeup::Go)
        }
    }

    /// Nothing outside sees the handoffs of tasks that make no system call.
    #[test]
    fn as_many_round_trips_are_made_as_told() {
        for round_trips in [1, 2, 7] {
            let mut side = Counting::default();
            let told = make_round_trips(&mut side, round_trips * ROUND_TRIP).unwrap();
            assert_eq!((side.given, side.taken, told), (round_trips, round_trips, round_trips * ROUND_TRIP));
        }
    }
}
