//! A word per task in memory that two processes share, and futex(2) without its private flag.
//!
//! Timed: as `handoff/futex`; besides the switch of the address space, the kernel finds a shared word by the page
//! behind it, where a private one is found by its address alone. Not timed: forking the partner.
//! Distortions: as `handoff/process_pipe`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Command, HandoffHalf, answer, handoffs_per_lap, make_round_trips, switched_once};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit,
    register,
};
use crate::sys::SysError;
use crate::sys::futex::{FutexScope, wait, wake};
use crate::sys::shared::Shared;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/process_futex",
    isolates: "a futex in shared memory between processes: what changing the address space adds to a futex",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/futex",
    requirements: &[],
    source: "futex(2), \"Private futexes\"; mmap(2), MAP_SHARED; fork(2)",
    lap: handoffs_per_lap,
    resources: |_| Resources { descriptors: 0, threads: 1, processes: 1 },
    expects: |_, placement| {
        let calls =
            Expectation::nothing().call("futex:wake", Bound::Exactly(1.0)).call("futex:wait", Bound::Between(1.0, 1.1));
        switched_once(calls, placement)
    },
};

struct ProcessFutex;

register!(ProcessFutex);

impl Mechanism for ProcessFutex {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let table = Arc::new(SharedWords::new()?);
        let mut partner = Half { table: Arc::clone(&table), own: 1 };
        crew.fork(1, &[], |ready| {
            ready.signal();
            answer(&mut partner).is_ok()
        })?;
        // One that could not take its CPU mask would let the driver wait for ever.
        crew.await_ready()?;
        let mut driver = ParentHalf(Half { table, own: 0 });
        // The first round trip shows that the child waits.
        make_round_trips(&mut driver, super::ROUND_TRIP)?;
        Ok(Box::new(move |ops: u64| Batch::timed(|| make_round_trips(&mut driver, ops))))
    }
}

/// Two words, 128 bytes apart: a cache line each, as the turn flags' are.
type SharedWords = Shared<[AtomicU32; 64]>;
const APART: usize = 32;

const NOT_YET: u32 = 0;
const TURN: u32 = 1;
const STOP: u32 = 2;

struct Half {
    table: Arc<SharedWords>,
    own: usize,
}

impl Half {
    fn give(&self, turn: u32) -> Result<(), SysError> {
        let other = &self.table[(1 - self.own) * APART];
        other.store(turn, Ordering::Release);
        wake(other, 1, FutexScope::Shared).map(|_| ())
    }

    fn wait_for_turn(&self) -> Result<Command, SysError> {
        let own = &self.table[self.own * APART];
        loop {
            wait(own, NOT_YET, FutexScope::Shared, None)?;
            match own.load(Ordering::Acquire) {
                NOT_YET => {}
                TURN => {
                    own.store(NOT_YET, Ordering::Relaxed);
                    return Ok(Command::Go);
                }
                _ => return Ok(Command::Stop),
            }
        }
    }
}

impl HandoffHalf for Half {
    fn hand_over(&mut self) -> Result<(), Failure> {
        Ok(self.give(TURN)?)
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        Ok(self.wait_for_turn()?)
    }
}

/// The parent's half, whose end is the child's.
struct ParentHalf(Half);

impl HandoffHalf for ParentHalf {
    fn hand_over(&mut self) -> Result<(), Failure> {
        self.0.hand_over()
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        self.0.await_turn()
    }
}

impl Drop for ParentHalf {
    fn drop(&mut self) {
        // A child that cannot hear it is killed when its time is up.
        let _ = self.0.give(STOP);
    }
}
