//! One thread and an epoll set, in each of the three ways in which epoll tells of a channel.
//!
//! Timed: per hop one epoll_wait that finds the next channel readable, one read, one write; `oneshot` adds the
//! epoll_ctl that arms the channel again. Not timed: opening and registering the channels.
//! Distortions: the wait never blocks, since the byte was written before it; with one token one event is found per
//! wait, so the batching that makes event loops cheap under load does not show. Several `bytes_in_flight` show it at
//! its best: they start together, and the task that empties a channel keeps them together, one wait and one read for
//! all.

use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::sys::epoll::{Epoll as EpollSet, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use super::event_loop::{Readiness, calls, registrations, set_up};
use super::load::{BYTES_IN_FLIGHT, Load, PAYLOAD, TOUCH, WORK, hops_of_all_tokens, one_token};
use super::{RingEnds, TASKS, TRANSPORT, resources_of_one_thread};
use crate::mechanism::{
    Bound, Crew, Descriptor, Domain, Failure, Mechanism, Operation, Parameter, Parameters, Tasks, Unit, Unsupported,
    register,
};
use crate::sys::SysError;

const TRIGGER: Parameter = Parameter {
    name: "trigger",
    meaning: "when epoll reports a channel: while it is readable, when it becomes readable, or once until it is armed \
              again",
    domain: Domain::Word { words: &["level", "edge", "oneshot"] },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/epoll",
    isolates: "an epoll loop in one thread, without a library: what level, edge and one-shot triggering each cost",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT, TRIGGER, BYTES_IN_FLIGHT, PAYLOAD, WORK, TOUCH],
    baseline: "brigade/one_thread",
    requirements: &[],
    source: "epoll(7), epoll_ctl(2) EPOLLET and EPOLLONESHOT",
    lap: hops_of_all_tokens,
    resources: resources_of_one_thread,
    expects: |parameters, _| {
        let expected = calls("epoll_wait", parameters);
        match parameters.word(TRIGGER.name) {
            // Armed at every hop, which is proof enough of how it was registered.
            "oneshot" if one_token(parameters) => expected.call("epoll_ctl:oneshot", Bound::Exactly(1.0)),
            "oneshot" => expected.call("epoll_ctl:oneshot", Bound::AtMost(1.0)),
            trigger => expected.set_up(&format!("epoll_ctl:{trigger}"), registrations(parameters)),
        }
    },
};

struct Epoll;

register!(Epoll);

impl Mechanism for Epoll {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        Load::of(parameters).map(drop)
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        set_up(parameters, |places| Watch::new(places, interest(parameters)))
    }
}

fn interest(parameters: &Parameters) -> EpollFlags {
    EpollFlags::EPOLLIN
        | match parameters.word(TRIGGER.name) {
            "edge" => EpollFlags::EPOLLET,
            "oneshot" => EpollFlags::EPOLLONESHOT,
            _ => EpollFlags::empty(),
        }
}

struct Watch {
    set: EpollSet,
    interest: EpollFlags,
    events: [EpollEvent; 64],
}

impl Watch {
    fn new(places: &[RingEnds<OwnedFd>], interest: EpollFlags) -> Result<Self, Failure> {
        let set =
            EpollSet::new(EpollCreateFlags::EPOLL_CLOEXEC).map_err(|errno| SysError::new("epoll_create1", errno))?;
        for (task, place) in places.iter().enumerate() {
            set.add(&place.reader, EpollEvent::new(interest, task as u64))
                .map_err(|errno| SysError::new("epoll_ctl EPOLL_CTL_ADD", errno))?;
        }
        Ok(Self { set, interest, events: [EpollEvent::empty(); 64] })
    }
}

impl Readiness for Watch {
    #[inline]
    fn wait(&mut self, ready: &mut Vec<usize>) -> Result<(), Failure> {
        match self.set.wait(&mut self.events, EpollTimeout::NONE) {
            Ok(found) => ready.extend(self.events[..found].iter().map(|event| event.data() as usize)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(SysError::new("epoll_wait", errno).into()),
        }
        Ok(())
    }

    #[inline]
    fn rearm(&mut self, task: usize, reader: &OwnedFd) -> Result<(), Failure> {
        if self.interest.contains(EpollFlags::EPOLLONESHOT) {
            self.set
                .modify(reader, &mut EpollEvent::new(self.interest, task as u64))
                .map_err(|errno| SysError::new("epoll_ctl EPOLL_CTL_MOD", errno))?;
        }
        Ok(())
    }
}
