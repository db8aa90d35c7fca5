//! An eventfd each way: a counter in the kernel, made for waking.
//!
//! Timed: per handoff one write that wakes, one read that blocks, and the switch. What a pipe costs more is its
//! buffer. Distortions: none known on one CPU.

use std::os::fd::AsFd;
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{Command, HandoffHalf, handoffs_per_lap, resources, spawn_partner, switched_once};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};
use crate::sys::SysError;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/eventfd",
    isolates: "a kernel counter written and read: a descriptor's wakeup without a buffer",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[],
    baseline: "handoff/futex",
    requirements: &[],
    source: "eventfd(2)",
    lap: handoffs_per_lap,
    resources,
    expects: |_, placement| {
        let calls = Expectation::nothing().call("read", Bound::Exactly(1.0)).call("write", Bound::Exactly(1.0));
        switched_once(calls, placement)
    },
};

struct Eventfd;

register!(Eventfd);

impl Mechanism for Eventfd {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let counters = Arc::new([counter()?, counter()?]);
        spawn_partner(crew, Half { counters: Arc::clone(&counters), own: 0 }, Half { counters, own: 1 })
    }
}

fn counter() -> Result<EventFd, SysError> {
    EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(|errno| SysError::new("eventfd2", errno))
}

const TURN: u64 = 1;
/// Larger than a turn, so that it shows even where the counter already holds one.
const STOP: u64 = 1 << 32;

struct Half {
    counters: Arc<[EventFd; 2]>,
    own: usize,
}

impl Half {
    fn add(&self, value: u64) -> Result<(), Failure> {
        loop {
            match self.counters[1 - self.own].write(value) {
                Ok(_) => return Ok(()),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(SysError::new("write eventfd", errno).into()),
            }
        }
    }
}

impl HandoffHalf for Half {
    fn hand_over(&mut self) -> Result<(), Failure> {
        self.add(TURN)
    }

    fn await_turn(&mut self) -> Result<Command, Failure> {
        let mut value = [0; 8];
        loop {
            match nix::unistd::read(self.counters[self.own].as_fd(), &mut value) {
                Ok(_) if u64::from_ne_bytes(value) >= STOP => return Ok(Command::Stop),
                Ok(_) => return Ok(Command::Go),
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(SysError::new("read eventfd", errno).into()),
            }
        }
    }
}

impl Drop for Half {
    fn drop(&mut self) {
        // The counter cannot overflow and the descriptor is open; a drop cannot report a failure.
        let _ = self.add(STOP);
    }
}
