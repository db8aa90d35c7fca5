//! A mutex and a condition variable for each task: the textbook's way of waiting for one's turn.
//!
//! Timed: per handoff one lock, one notify, one wait with its unlock and lock again, and the switch.
//! Distortions: with `notify = locked`, the way the documentation shows it, the woken task may find the mutex still
//! held and sleep a second time; whether it does is the scheduler's choice.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::{Command, HandoffHalf, handoffs_per_lap, resources, spawn_partner};
use crate::mechanism::{
    Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Tasks, Unit,
    register,
};

const NOTIFY: Parameter = Parameter {
    name: "notify",
    meaning: "whether the waiter is notified while the mutex is held, as std's documentation shows it, or after",
    domain: Domain::Word { words: &["locked", "unlocked"] },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/condvar",
    isolates: "a mutex and a condition variable: what the textbook's handshake adds to the futex below it",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[NOTIFY],
    baseline: "handoff/futex",
    requirements: &[],
    source: "doc.rust-lang.org/std/sync/struct.Condvar.html; pthread_cond_wait(3)",
    lap: handoffs_per_lap,
    resources,
    expects: |_, _| {
        // A waiter that is woken into a held mutex waits again, and unlocking a mutex that has waiters wakes one.
        Expectation::nothing()
            .call("futex:wake", Bound::Between(0.9, 3.1))
            .call("futex:wait", Bound::AtMost(3.1))
            .voluntary(Bound::AtMost(2.1))
            .wakeups(Bound::AtMost(2.1))
    },
};

struct CondvarTurns;

register!(CondvarTurns);

impl Mechanism for CondvarTurns {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let table = Arc::<Table>::default();
        let notify_locked = parameters.word(NOTIFY.name) == "locked";
        let driver = Half { table: Arc::clone(&table), own: 0, notify_locked };
        spawn_partner(crew, driver, Half { table, own: 1, notify_locked })
    }
}

#[derive(Default)]
struct Table {
    turn: Mutex<WhoseTurn>,
    came: [Condvar; 2],
}

#[derive(Default, Clone, Copy, PartialEq, Eq)]
enum WhoseTurn {
    #[default]
    Nobodys,
    Of(usize),
    Stop,
}

struct Half {
    table: Arc<Table>,
    own: usize,
    notify_locked: bool,
}

impl Half {
    fn give(&self, to: WhoseTurn) {
        let mut turn = self.table.turn.lock().unwrap_or_else(PoisonError::into_inner);
        *turn = to;
        let other = &self.table.came[1 - self.own];
        if self.notify_locked {
            other.notify_one();
            drop(turn);
        } else {
            drop(turn);
            other.notify_one();
        }
    }
}

impl HandoffHalf for Half {
    fn hand_over(&mut self) -> Result<(), Failure> {
        self.give(WhoseTurn::Of(1 - self.own));
        Ok(())
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        let mut turn = self.table.turn.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match *turn {
                WhoseTurn::Of(task) if task == self.own => return Ok(Command::Go),
                WhoseTurn::Stop => return Ok(Command::Stop),
                _ => turn = self.table.came[self.own].wait(turn).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.give(WhoseTurn::Stop);
    }
}
