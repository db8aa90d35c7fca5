//! A waiter is moved from one futex to another in the kernel, and woken there: how a condition variable hands its
//! waiters to the mutex instead of waking them all.
//!
//! Timed: per handoff one store, one `FUTEX_CMP_REQUEUE` that wakes no task, one `FUTEX_WAKE`, one `FUTEX_WAIT`, and
//! the switch. The distance to `handoff/futex` is the move.
//! Distortions: where both run side by side the waiter may not be there yet, and then there is no waiter to move.

use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use super::turn_flags::{NOT_YET, TurnFlags};
use super::{Command, HandoffHalf, handoffs_per_lap, resources, spawn_partner, switched_once};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};
use crate::sys::futex::{FutexScope, requeue, wait, wake};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/futex_requeue",
    isolates: "a waiter moved from one futex to another before it is woken: the price of FUTEX_CMP_REQUEUE",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/futex",
    requirements: &[],
    source: "futex(2), FUTEX_CMP_REQUEUE; Linux tools/perf/bench/futex-requeue.c",
    lap: handoffs_per_lap,
    resources,
    expects: |_, placement| {
        let calls = Expectation::nothing()
            .call("futex:requeue", Bound::Exactly(1.0))
            .call("futex:wake", Bound::Exactly(1.0))
            .call("futex:wait", Bound::Between(1.0, 1.1));
        switched_once(calls, placement)
    },
};

struct FutexRequeue;

register!(FutexRequeue);

impl Mechanism for FutexRequeue {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let (driver, partner) = TurnFlags::pair();
        let second = Arc::<[Second; 2]>::default();
        spawn_partner(
            crew,
            Half { flags: driver, second: Arc::clone(&second), other: 1 },
            Half { flags: partner, second, other: 0 },
        )
    }
}

/// The word that each task is moved to. Its value is never read.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Second(AtomicU32);

struct Half {
    flags: TurnFlags,
    second: Arc<[Second; 2]>,
    other: usize,
}

impl Half {
    fn move_and_wake(&self, value: u32) -> Result<(), Failure> {
        let second = &self.second[self.other].0;
        requeue(self.flags.other(), value, second, FutexScope::Private)?;
        wake(second, 1, FutexScope::Private)?;
        Ok(())
    }
}

impl HandoffHalf for Half {
    fn hand_over(&mut self) -> Result<(), Failure> {
        self.flags.pass();
        self.move_and_wake(super::turn_flags::TURN)
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        loop {
            wait(self.flags.own(), NOT_YET, FutexScope::Private, None)?;
            if let Some(command) = self.flags.try_take() {
                return Ok(command);
            }
        }
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.flags.stop_other();
        // A wake without a waiter is harmless, and a drop cannot report a failure.
        let _ = wake(self.flags.other(), 1, FutexScope::Private);
    }
}
