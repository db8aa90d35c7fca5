//! A write(2) to an eventfd that no task waits for: a call on a descriptor, without waking.
//!
//! Timed: looking the descriptor up, copying eight bytes in, adding to the counter, a look at the empty queue of
//! waiters. Distortions: none known; the counter would be full after 2^64 writes.

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{one_at_a_time, repeat, resources};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};
use crate::sys::SysError;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "syscall/eventfd_write",
    isolates: "a write to a counter without a reader: a descriptor looked up and eight bytes copied",
    unit: Unit::Call,
    tasks: Tasks::OneThread,
    parameters: &[],
    baseline: "syscall/getppid",
    requirements: &[],
    source: "eventfd(2)",
    lap: one_at_a_time,
    resources,
    expects: |_, _| Expectation::nothing().call("write", Bound::Exactly(1.0)),
};

struct EventfdWrite;

register!(EventfdWrite);

impl Mechanism for EventfdWrite {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let counter = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(|errno| SysError::new("eventfd2", errno))?;
        Ok(repeat(move || {
            counter.write(1).map_err(|errno| SysError::new("write eventfd", errno))?;
            Ok(())
        }))
    }
}
