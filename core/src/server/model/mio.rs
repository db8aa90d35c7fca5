//! One thread on mio, the library below tokio: edges of epoll behind a portable surface.

use std::io::ErrorKind;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Events, Poll, Token};

use super::EVENT_LOOP_FILES;
use crate::server::datagram_loop::serve_by;
use crate::server::{FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape};
use crate::sys::SysError;
use crate::sys::wait_set::{Interest, ReadyEvent, Rearm, WaitSet};
use crate::units::Nanos;

/// Events that one wait returns at most.
const AT_ONCE: usize = 512;

/// The model. mio's timeouts are whole milliseconds, rounded up.
#[derive(Debug)]
pub(in crate::server) struct MioServer;

struct MioSet {
    poll: Poll,
    events: Events,
}

impl ServerModel for MioServer {
    fn name(&self) -> &'static str {
        "mio"
    }

    fn about(&self) -> &'static str {
        "one thread, an event loop on mio"
    }

    fn protocols(&self) -> &'static [Protocol] {
        Protocol::ALL
    }

    fn file_ways(&self) -> &'static [FileWay] {
        EVENT_LOOP_FILES
    }

    fn shape(&self, _: &ServerConfig) -> Shape {
        Shape::EVENT_LOOP
    }

    fn serve(&self, instance: ServedInstance) -> Result<(), ServerError> {
        let poll = Poll::new().map_err(|error| ServerError::library("mio", error))?;
        let set = MioSet { poll, events: Events::with_capacity(AT_ONCE) };
        serve_by(&instance, 0, set)
    }
}

fn mio_interest(interest: Interest) -> mio::Interest {
    match interest {
        Interest::Receive => mio::Interest::READABLE,
        Interest::Send => mio::Interest::WRITABLE,
        Interest::Both => mio::Interest::READABLE.add(mio::Interest::WRITABLE),
    }
}

impl WaitSet for MioSet {
    const REARM: Rearm = Rearm::Never;

    fn add(&mut self, descriptor: BorrowedFd<'_>, token: usize, interest: Interest) -> Result<(), SysError> {
        let number = descriptor.as_raw_fd();
        let added = self.poll.registry().register(&mut SourceFd(&number), Token(token), mio_interest(interest));
        added.map_err(|error| SysError::from_io("epoll_ctl EPOLL_CTL_ADD", &error))
    }

    fn change(&mut self, descriptor: BorrowedFd<'_>, token: usize, interest: Interest) -> Result<(), SysError> {
        let number = descriptor.as_raw_fd();
        let changed = self.poll.registry().reregister(&mut SourceFd(&number), Token(token), mio_interest(interest));
        changed.map_err(|error| SysError::from_io("epoll_ctl EPOLL_CTL_MOD", &error))
    }

    fn remove(&mut self, descriptor: BorrowedFd<'_>, _: usize) {
        // An error would mean that it is no member, which is what is asked for.
        let _ = self.poll.registry().deregister(&mut SourceFd(&descriptor.as_raw_fd()));
    }

    fn wait(&mut self, timeout: Option<Nanos>, ready: &mut Vec<ReadyEvent>) -> Result<(), SysError> {
        match self.poll.poll(&mut self.events, timeout.map(|time| Duration::from_nanos(time.0))) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(SysError::from_io("epoll_wait", &error)),
        }
        ready.extend(self.events.iter().map(|event| ReadyEvent {
            token: event.token().0,
            receives: event.is_readable(),
            sends: event.is_writable(),
            ended: event.is_read_closed(),
            broken: event.is_error() || (event.is_read_closed() && event.is_write_closed()),
        }));
        Ok(())
    }
}
