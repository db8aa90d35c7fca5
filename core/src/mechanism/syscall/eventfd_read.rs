//! A read(2) of an eventfd that is never empty: a call on a descriptor, without waiting.
//!
//! Timed: looking the descriptor up, the read of the counter, copying eight bytes out. The counter is a semaphore, from
//! which each read takes one of 2^64 - 2. Distortions: none known.

use std::os::fd::AsFd;

use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{one_at_a_time, repeat, resources};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};
use crate::sys::SysError;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "syscall/eventfd_read",
    isolates: "a read of a counter that has something: a descriptor looked up and eight bytes copied",
    unit: Unit::Call,
    tasks: Tasks::OneThread,
    parameters: &[],
    baseline: "syscall/getppid",
    requirements: &[],
    source: "eventfd(2), EFD_SEMAPHORE",
    lap: one_at_a_time,
    resources,
    expects: |_, _| Expectation::nothing().call("read", Bound::Exactly(1.0)),
};

struct EventfdRead;

register!(EventfdRead);

impl Mechanism for EventfdRead {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_SEMAPHORE;
        let counter = EventFd::from_flags(flags).map_err(|errno| SysError::new("eventfd2", errno))?;
        counter.write(u64::MAX - 1).map_err(|errno| SysError::new("write eventfd", errno))?;
        Ok(repeat(move || {
            let mut value = [0; 8];
            nix::unistd::read(counter.as_fd(), &mut value).map_err(|errno| SysError::new("read eventfd", errno))?;
            if u64::from_ne_bytes(value) == 1 {
                Ok(())
            } else {
                Err(Failure::Corrupted(format!("a semaphore gave {value:?}")))
            }
        }))
    }
}
