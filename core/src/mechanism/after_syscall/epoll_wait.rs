//! epoll_wait(2) that finds something: what an event loop loses each time before it serves its event.
//!
//! Timed: the blocks after the call. The set holds an eventfd that is readable and stays so, level-triggered: each call
//! takes it off the list of ready descriptors, polls it and puts it back. Distortions: none beyond the group's.

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

use super::stream::{self, STREAM, WORKING_SET};
use super::{one_at_a_time, resources, trials};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};
use crate::sys::SysError;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "after_syscall/epoll_wait",
    isolates: "user code after a wait that finds an event at once",
    unit: Unit::Trial,
    tasks: Tasks::OneThread,
    parameters: &[WORKING_SET, STREAM],
    baseline: "after_syscall/nothing",
    requirements: &[],
    source: "epoll_wait(2), epoll(7); Soares and Stumm, FlexSC, OSDI 2010, figure 1",
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

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        stream::supports(parameters)
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let set = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|errno| SysError::new("epoll_create1", errno))?;
        let flags = EfdFlags::EFD_CLOEXEC;
        let ready = EventFd::from_value_and_flags(1, flags).map_err(|errno| SysError::new("eventfd2", errno))?;
        set.add(&ready, EpollEvent::new(EpollFlags::EPOLLIN, 0)).map_err(|errno| SysError::new("epoll_ctl", errno))?;
        trials::set_up(parameters, move || {
            let mut events = [EpollEvent::empty(); 1];
            let found =
                set.wait(&mut events, EpollTimeout::ZERO).map_err(|errno| SysError::new("epoll_wait", errno))?;
            // The set watches it as long as it is open.
            std::hint::black_box(&ready);
            if found == 1 { Ok(()) } else { Err(Failure::Corrupted("an eventfd at 1 was not ready".into())) }
        })
    }
}
