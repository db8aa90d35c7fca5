//! epoll_wait(2) that finds nothing and does not wait: how an event loop looks whether there is work.
//!
//! Timed: looking the set up and finding its list of ready descriptors empty. Distortions: the set holds one
//! descriptor, which is not ready; what is registered costs nothing while it is not ready.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::{one_at_a_time, repeat, resources};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};
use crate::sys::SysError;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "syscall/epoll_wait",
    isolates: "a look at an epoll set in which nothing is ready",
    unit: Unit::Call,
    tasks: Tasks::OneThread,
    parameters: &[],
    baseline: "syscall/getppid",
    requirements: &[],
    source: "epoll_wait(2)",
    lap: one_at_a_time,
    resources,
    expects: |_, _| Expectation::nothing().call("epoll_wait", Bound::Exactly(1.0)),
};

struct EpollWait;

register!(EpollWait);

impl Mechanism for EpollWait {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, _: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let set = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|errno| SysError::new("epoll_create1", errno))?;
        let quiet = EventFd::from_flags(EfdFlags::EFD_CLOEXEC).map_err(|errno| SysError::new("eventfd2", errno))?;
        set.add(&quiet, EpollEvent::new(EpollFlags::EPOLLIN, 0)).map_err(|errno| SysError::new("epoll_ctl", errno))?;
        Ok(repeat(move || {
            let mut events = [EpollEvent::empty(); 1];
            let ready =
                set.wait(&mut events, EpollTimeout::ZERO).map_err(|errno| SysError::new("epoll_wait", errno))?;
            // The set watches it as long as it is open.
            std::hint::black_box(&quiet);
            if ready == 0 { Ok(()) } else { Err(Failure::Corrupted("an eventfd at 0 was ready".into())) }
        }))
    }
}
