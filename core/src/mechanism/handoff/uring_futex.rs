//! A futex woken and waited for through io_uring: `IORING_OP_FUTEX_WAKE` and `IORING_OP_FUTEX_WAIT`.
//!
//! Timed: per handoff one store, one io_uring_enter that wakes the other and waits for one's own word, and the switch.
//! What a program gains is one call instead of two; what it pays is the ring's own work around them.
//! Distortions: a wait that finds its answer there completes at once, with `EAGAIN`; on two CPUs some do. Waiters are
//! woken through the ring's task work, one step more than a futex's own waiter.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use nix::errno::Errno;

use super::uring_msg_ring::{ENTRIES, knows};
use super::{Command, HandoffHalf, handoffs_per_lap, resources, spawn_partner};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Placement, Tasks, Unit,
    Unsupported, register,
};
use crate::sys::SysError;
use crate::sys::bare_ring::{Arrival, BareRing, RingOp};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/uring_futex",
    isolates: "a futex through io_uring: waking and waiting in one system call",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/futex",
    requirements: &["io_uring with IORING_OP_FUTEX_WAIT (Linux 6.7)"],
    source: "io_uring_enter(2), IORING_OP_FUTEX_WAIT and IORING_OP_FUTEX_WAKE",
    lap: handoffs_per_lap,
    resources,
    expects: |_, placement| {
        let calls = Expectation::nothing().call("io_uring_enter", Bound::Between(1.0, 1.1));
        let seen = calls.voluntary(Bound::AtMost(1.1)).wakeups(Bound::AtMost(1.1));
        match placement {
            Placement::SameCpu => seen.switches(Bound::Between(1.0, 1.1)),
            _ => seen,
        }
    },
};

struct UringFutex;

register!(UringFutex);

impl Mechanism for UringFutex {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        knows(RingOp::Futex, "IORING_OP_FUTEX_WAIT (Linux 6.7)")
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let words: [Arc<AtomicU32>; 2] = [own_line(), own_line()];
        let half = |own: usize| -> Result<Half, SysError> {
            let mut ring = BareRing::new(ENTRIES)?;
            let (own, other) = (ring.hold_word(Arc::clone(&words[own])), ring.hold_word(Arc::clone(&words[1 - own])));
            Ok(Half { ring, own, other })
        };
        // The driver's thread is the second of this process at least: a private wait that is armed while there is one
        // thread alone is not found by a wake from a second one.
        spawn_partner(crew, half(0)?, half(1)?)
    }
}

/// The allocator gives each a place of its own; whether they share a cache line is of no weight beside a system call.
fn own_line() -> Arc<AtomicU32> {
    Arc::new(AtomicU32::new(NOT_YET))
}

const NOT_YET: u32 = 0;
const TURN: u32 = 1;
const STOP: u32 = 2;

const WAIT: u64 = 1;
const WAKE: u64 = 2;

struct Half {
    ring: BareRing,
    own: usize,
    other: usize,
}

impl Half {
    fn give(&mut self, turn: u32) -> Result<(), SysError> {
        self.ring.word(self.other).store(turn, Ordering::Release);
        self.ring.push_futex_wake(self.other, WAKE)
    }

    fn try_take(&self) -> Option<Command> {
        let own = self.ring.word(self.own);
        match own.load(Ordering::Acquire) {
            NOT_YET => None,
            TURN => {
                own.store(NOT_YET, Ordering::Relaxed);
                Some(Command::Go)
            }
            _ => Some(Command::Stop),
        }
    }
}

impl HandoffHalf for Half {
    fn hand_over(&mut self) -> Result<(), Failure> {
        // The wake leaves with the wait for the answer.
        Ok(self.give(TURN)?)
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        loop {
            self.ring.push_futex_wait(self.own, NOT_YET, WAIT)?;
            self.ring.submit_and_wait(1)?;
            while let Some(Arrival { result, .. }) = self.ring.arrival() {
                let errno = Errno::from_raw(-result);
                if result < 0 && errno != Errno::EAGAIN {
                    return Err(SysError::new("IORING_OP_FUTEX_WAIT", errno).into());
                }
            }
            if let Some(command) = self.try_take() {
                return Ok(command);
            }
        }
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        // A drop cannot report a failure.
        let _ = self.give(STOP).and_then(|()| self.ring.submit_and_wait(0));
    }
}
