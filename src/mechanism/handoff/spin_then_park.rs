//! A task spins for its turn for a while, and only then sleeps: what locks and channels do to dodge the kernel.
//!
//! Timed: per handoff one exchange, and a futex wake if the other task sleeps; then spinning, and a futex wait if the
//! budget is spent. Swept over the budget, on two CPUs, it shows where a handoff leaves the cost of a wakeup for the
//! cost of a cache line, and how long a wakeup takes: the least budget that never sleeps.
//! Distortions: the clock is read at each turn of the loop, some 20 ns through the vDSO, which is the resolution of the
//! budget. On one CPU the spinner keeps the other from running, and the budget is added to each handoff.

use std::time::{Duration, Instant};

use super::baton::Baton;
use super::{Side, Turn, demand, handoffs_per_lap, take_turns};
use crate::mechanism::{
    Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Tasks, Unit,
    register,
};
use crate::sys::futex::{Scope, wait, wake};

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
    demand,
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
        let (driver, partner) = Baton::pair();
        take_turns(crew, Half { baton: driver, budget }, Half { baton: partner, budget })
    }
}

struct Half {
    baton: Baton,
    budget: Duration,
}

impl Half {
    fn spin(&self) -> Option<Turn> {
        let start = Instant::now();
        loop {
            if let Some(turn) = self.baton.take() {
                return Some(turn);
            }
            if start.elapsed() >= self.budget {
                return None;
            }
            std::hint::spin_loop();
        }
    }
}

impl Side for Half {
    fn hand_over(&mut self) -> Result<(), Failure> {
        if self.baton.pass_to_sleeper() {
            wake(self.baton.other(), 1, Scope::Private)?;
        }
        Ok(())
    }

    fn await_turn(&mut self) -> Result<Turn, Failure> {
        if let Some(turn) = self.spin() {
            return Ok(turn);
        }
        let parked = self.baton.park();
        loop {
            if let Some(asleep) = parked {
                wait(self.baton.own(), asleep, Scope::Private, None)?;
            }
            if let Some(turn) = self.baton.take() {
                return Ok(turn);
            }
        }
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.baton.drop_for_good();
        // Waking a word nobody waits on is harmless, and there is nobody to tell of a failure.
        let _ = wake(self.baton.other(), 1, Scope::Private);
    }
}
