//! A word per task and futex(2) called directly: what every lock, condition variable and park in user space is made of.
//!
//! Timed: per handoff one store, one `FUTEX_WAKE`, one `FUTEX_WAIT`, and the switch. The wait is entered even when the
//! answer is there already, so that the calls are always these two; where both run at once it then returns `EAGAIN`.
//! Distortions: none known on one CPU. On two, the partner's answer may overtake the waker's way into the wait.

use super::turn_flags::{NOT_YET, TurnFlags};
use super::{Command, HandoffHalf, handoffs_per_lap, resources, spawn_partner, switched_once};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};
use crate::sys::futex::{FutexScope, wait, wake};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/futex",
    isolates: "the kernel's own wait and wake on a word of memory: the least that blocking can cost",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/futex",
    requirements: &[],
    source: "futex(2)",
    lap: handoffs_per_lap,
    resources,
    expects: |_, placement| {
        let calls =
            Expectation::nothing().call("futex:wake", Bound::Exactly(1.0)).call("futex:wait", Bound::Between(1.0, 1.1));
        switched_once(calls, placement)
    },
};

struct Futex;

register!(Futex);

impl Mechanism for Futex {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let (driver, partner) = TurnFlags::pair();
        spawn_partner(crew, Half(driver), Half(partner))
    }
}

struct Half(TurnFlags);

impl HandoffHalf for Half {
    fn hand_over(&mut self) -> Result<(), Failure> {
        self.0.pass();
        wake(self.0.other(), 1, FutexScope::Private)?;
        Ok(())
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        loop {
            wait(self.0.own(), NOT_YET, FutexScope::Private, None)?;
            if let Some(command) = self.0.try_take() {
                return Ok(command);
            }
        }
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.0.stop_other();
        // A wake without a waiter is harmless, and a drop cannot report a failure.
        let _ = wake(self.0.other(), 1, FutexScope::Private);
    }
}
