//! One thread and an epoll set, edge-triggered, through mio: the bare event loop that async runtimes stand on.
//!
//! Timed: per hop one epoll_wait that finds the next channel readable, one read, one write. Not timed: opening and
//! registering the channels.
//! Distortions: as in `brigade/epoll`, whose loop this is; the difference between the two is the library.

use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use super::event_loop::{Readiness, calls, registrations, set_up};
use super::load::{BYTES_IN_FLIGHT, Load, PAYLOAD, TOUCH, WORK, hops_of_all_tokens};
use super::{RingEnds, TASKS, TRANSPORT, resources_of_one_thread};
use crate::mechanism::{
    Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, Unsupported, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/mio",
    isolates: "an edge-triggered epoll loop in one thread: a system call finds the next task, and no switch is needed",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT, BYTES_IN_FLIGHT, PAYLOAD, WORK, TOUCH],
    baseline: "brigade/one_thread",
    requirements: &[],
    source: "epoll(7); docs.rs/mio, Poll, \"Draining readiness\"",
    lap: hops_of_all_tokens,
    resources: resources_of_one_thread,
    expects: |parameters, _| calls("epoll_wait", parameters).set_up("epoll_ctl:edge", registrations(parameters)),
};

struct Mio;

register!(Mio);

impl Mechanism for Mio {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        Load::of(parameters).map(drop)
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        set_up(parameters, Watch::new)
    }
}

struct Watch {
    poll: Poll,
    events: Events,
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::library("mio", error)
}

impl Watch {
    fn new(places: &[RingEnds<OwnedFd>]) -> Result<Self, Failure> {
        let poll = Poll::new().map_err(failed)?;
        for (task, place) in places.iter().enumerate() {
            let mut source = SourceFd(&place.reader.as_raw_fd());
            poll.registry().register(&mut source, Token(task), Interest::READABLE).map_err(failed)?;
        }
        Ok(Self { poll, events: Events::with_capacity(64) })
    }
}

impl Readiness for Watch {
    #[inline]
    fn wait(&mut self, ready: &mut Vec<usize>) -> Result<(), Failure> {
        match self.poll.poll(&mut self.events, None) {
            Ok(()) => ready.extend(self.events.iter().map(|event| event.token().0)),
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed(error)),
        }
        Ok(())
    }
}
