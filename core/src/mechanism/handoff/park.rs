//! `std::thread::park` and `unpark` over a turn in shared memory: how async executors and locks put a thread to sleep.
//!
//! Timed: per handoff one store, one unpark, one park, and the switch. On Linux both are a futex with a state word, so
//! the distance to `handoff/futex` is the price of that word.
//! Distortions: a park that finds its token does not enter the kernel; on two CPUs some do.

use std::sync::{Arc, OnceLock};
use std::thread::{self, Thread};

use super::turn_flags::TurnFlags;
use super::{Command, HandoffHalf, handoffs_per_lap, resources, spawn_partner, switched_once};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/park",
    isolates: "std's park and unpark: the futex behind a token",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/futex",
    requirements: &[],
    source: "doc.rust-lang.org/std/thread/fn.park.html; futex(2)",
    lap: handoffs_per_lap,
    resources,
    expects: |_, placement| {
        // Who is not parked yet is woken by its token alone, without the kernel.
        let calls =
            Expectation::nothing().call("futex:wake", Bound::AtMost(1.0)).call("futex:wait", Bound::AtMost(1.1));
        switched_once(calls, placement)
    },
};

struct Park;

register!(Park);

impl Mechanism for Park {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let (driver, partner) = TurnFlags::pair();
        let names = Arc::new(ThreadHandles::default());
        // This is the driver's thread; the partner enters its name on its first turn, which comes by this name.
        let _ = names[0].set(thread::current());
        spawn_partner(
            crew,
            Half { flags: driver, names: Arc::clone(&names), own: 0 },
            Half { flags: partner, names, own: 1 },
        )
    }
}

type ThreadHandles = [OnceLock<Thread>; 2];

struct Half {
    flags: TurnFlags,
    names: Arc<ThreadHandles>,
    own: usize,
}

impl Half {
    fn wake_other(&self) {
        // A partner that has not entered its name has not looked at its turn either, and will before it parks.
        if let Some(other) = self.names[1 - self.own].get() {
            other.unpark();
        }
    }
}

impl HandoffHalf for Half {
    fn hand_over(&mut self) -> Result<(), Failure> {
        self.flags.pass();
        self.wake_other();
        Ok(())
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        self.names[self.own].get_or_init(thread::current);
        loop {
            match self.flags.try_take() {
                Some(command) => return Ok(command),
                None => thread::park(),
            }
        }
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.flags.stop_other();
        self.wake_other();
    }
}
