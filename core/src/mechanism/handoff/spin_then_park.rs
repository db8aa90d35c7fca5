//! A task spins for its turn for a while, and only then sleeps: what locks and channels do to dodge the kernel.
//!
//! Timed: per handoff one exchange, and a futex wake if the other task sleeps; then spinning, and a futex wait if the
//! budget is spent. Swept over the budget, on two CPUs, it shows where a handoff leaves the cost of a wakeup for the
//! cost of a cache line, and how long a wakeup takes: the least budget that never sleeps.
//! Distortions: the clock is read at each turn of the loop, some 20 ns through the vDSO, which is the resolution of the
//! budget. On one CPU the spinner keeps the other from running, and the budget is added to each handoff.

use std::time::{Duration, Instant};

use super::turn_flags::TurnFlags;
use super::{Command, HandoffHalf, handoffs_per_lap, resources, spawn_partner};
use crate::mechanism::{
    Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Tasks, Unit,
    register,
};
use crate::sys::futex::{FutexScope, wait, wake};

const SPIN: Parameter = Parameter {
    name: "spin",
    meaning: "how long a task spins before it sleeps, in nanoseconds; 0 sleeps at once",
    domain: Domain::Number { default: 5_000, min: 0, max: 1_000_000_000 },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/spin_then_park",
    isolates: "a wait that spins before it sleeps: how much of a handoff between CPUs a spinning budget saves",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[SPIN],
    baseline: "handoff/futex",
    requirements: &[],
    source: "futex(2); Karlin, Li, Manasse and Owicki, \"Empirical studies of competitive spinning\", SOSP 1991",
    lap: handoffs_per_lap,
    resources,
    expects: |_, _| {
        Expectation::nothing()
            .call("futex:wake", Bound::AtMost(1.0))
            .call("futex:wait", Bound::AtMost(1.1))
            .voluntary(Bound::AtMost(1.1))
            .wakeups(Bound::AtMost(1.1))
    },
};

struct SpinThenPark;

register!(SpinThenPark);

impl Mechanism for SpinThenPark {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let budget = Duration::from_nanos(parameters.number(SPIN.name));
        let (driver, partner) = TurnFlags::pair();
        spawn_partner(crew, Half { flags: driver, budget }, Half { flags: partner, budget })
    }
}

struct Half {
    flags: TurnFlags,
    budget: Duration,
}

impl Half {
    fn spin(&self) -> Option<Command> {
        let start = Instant::now();
        loop {
            if let Some(command) = self.flags.try_take() {
                return Some(command);
            }
            if start.elapsed() >= self.budget {
                return None;
            }
            std::hint::spin_loop();
        }
    }
}

impl HandoffHalf for Half {
    fn hand_over(&mut self) -> Result<(), Failure> {
        if self.flags.pass_to_sleeper() {
            wake(self.flags.other(), 1, FutexScope::Private)?;
        }
        Ok(())
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        if let Some(command) = self.spin() {
            return Ok(command);
        }
        let parked = self.flags.park();
        loop {
            if let Some(asleep) = parked {
                wait(self.flags.own(), asleep, FutexScope::Private, None)?;
            }
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
