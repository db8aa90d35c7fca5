//! A POSIX semaphore for each task: sem_post(3) and sem_wait(3).
//!
//! Timed: per handoff one post, one wait, and the switch. In glibc a semaphore is a futex behind a count, so that the
//! distance to `handoff/futex` is the price of the count.
//! Distortions: a wait that finds the count above 0 does not enter the kernel; on two CPUs some do.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Command, HandoffHalf, handoffs_per_lap, resources, spawn_partner, switched_once};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};
use crate::sys::semaphore::Semaphore;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/semaphore",
    isolates: "a POSIX semaphore: the futex behind a count",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/futex",
    requirements: &[],
    source: "sem_overview(7); glibc nptl/sem_waitcommon.c",
    lap: handoffs_per_lap,
    resources,
    expects: |_, placement| {
        // Only a waiter is woken, and a task waits only where it finds the count at 0.
        let calls =
            Expectation::nothing().call("futex:wake", Bound::AtMost(1.0)).call("futex:wait", Bound::AtMost(1.1));
        switched_once(calls, placement)
    },
};

struct PosixSemaphore;

register!(PosixSemaphore);

impl Mechanism for PosixSemaphore {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let table = Arc::new(Table { came: [Semaphore::new()?, Semaphore::new()?], over: AtomicBool::new(false) });
        spawn_partner(crew, Half { table: Arc::clone(&table), own: 0 }, Half { table, own: 1 })
    }
}

struct Table {
    came: [Semaphore; 2],
    over: AtomicBool,
}

struct Half {
    table: Arc<Table>,
    own: usize,
}

impl HandoffHalf for Half {
    fn hand_over(&mut self) -> Result<(), Failure> {
        Ok(self.table.came[1 - self.own].post()?)
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        self.table.came[self.own].wait()?;
        // The post before the wait orders it: sem_post(3) synchronizes memory.
        Ok(if self.table.over.load(Ordering::Relaxed) { Command::Stop } else { Command::Go })
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        self.table.over.store(true, Ordering::Relaxed);
        // The count cannot overflow, and a drop cannot report a failure.
        let _ = self.table.came[1 - self.own].post();
    }
}
