//! One thread and an epoll set, edge-triggered, through mio: the bare event loop that async runtimes stand on.
//!
//! Timed: per hop one epoll_wait that finds the next channel readable, one read, one write. Not timed: opening and
//! registering the channels.
//! Distortions: the wait never blocks, since the byte was written before it; one event is found per wait, so the
//! batching that makes event loops cheap under load does not show.
//!
//! An edge-triggered reader must take all there is before it waits again. A read that returns less than it asked for
//! has (epoll(7), "Questions and answers", 9), so the buffer is larger than the byte and no second read is made.

use std::os::fd::{AsRawFd, OwnedFd};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};
use nix::errno::Errno;

use super::{Place, TASKS, TRANSPORT, bucket, channels, demand_of_one_thread, hops_per_lap, places, verify};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};
use crate::sys::SysError;
use crate::sys::channel::write_byte;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/mio",
    isolates: "an edge-triggered epoll loop in one thread: finding out who is next by a system call instead of a switch",
    unit: Unit::Hop,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, TRANSPORT],
    baseline: "brigade/one_thread",
    requirements: &[],
    source: "epoll(7); docs.rs/mio, Poll, \"Draining readiness\"",
    lap: hops_per_lap,
    demand: demand_of_one_thread,
    expects: |parameters, _| {
        Expectation::nothing()
            .call("epoll_wait", Bound::Exactly(1.0))
            .call("read", Bound::Exactly(1.0))
            .call("write", Bound::Exactly(1.0))
            .set_up("epoll_ctl:edge", Bound::Exactly(parameters.number(TASKS.name) as f64))
    },
};

struct Mio;

register!(Mio);

impl Mechanism for Mio {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let failed = |error| Failure::library("mio", error);
        let (readers, writers) = channels(parameters, true)?.into_iter().map(|c| (c.reader, c.writer)).unzip();
        let ring: Vec<Place<OwnedFd>> = places(readers, writers);
        let poll = Poll::new().map_err(failed)?;
        for (task, place) in ring.iter().enumerate() {
            let mut source = SourceFd(&place.reader.as_raw_fd());
            poll.registry().register(&mut source, Token(task), Interest::READABLE).map_err(failed)?;
        }
        let mut event_loop = EventLoop { ring, poll, events: Events::with_capacity(64) };
        Ok(Box::new(move |ops: u64| Batch::timed(|| event_loop.hops(ops))))
    }
}

struct EventLoop {
    ring: Vec<Place<OwnedFd>>,
    poll: Poll,
    events: Events,
}

impl EventLoop {
    fn hops(&mut self, ops: u64) -> Result<u64, Failure> {
        let mut hops = 0;
        let mut lap = 0;
        while hops < ops {
            write_byte(&self.ring[0].writer, bucket(lap))?;
            let arrived = loop {
                if let Some(byte) = self.turn(&mut hops)? {
                    break byte;
                }
            };
            verify(lap, arrived)?;
            lap += 1;
        }
        Ok(hops)
    }

    /// One wait and what it found; the byte when it is the driver's.
    fn turn(&mut self, hops: &mut u64) -> Result<Option<u8>, Failure> {
        match self.poll.poll(&mut self.events, None) {
            Err(error) if error.raw_os_error() == Some(Errno::EINTR as i32) => return Ok(None),
            other => other.map_err(|error| Failure::library("mio", error))?,
        }
        let mut home = None;
        for event in &self.events {
            let Token(task) = event.token();
            let place = &self.ring[task];
            let Some(byte) = drain(&place.reader)? else {
                continue;
            };
            *hops += 1;
            if task == 0 {
                home = Some(byte);
            } else {
                write_byte(&place.writer, byte)?;
            }
        }
        Ok(home)
    }
}

/// Takes all that a nonblocking channel holds, which is a byte or nothing.
fn drain(reader: &OwnedFd) -> Result<Option<u8>, Failure> {
    let mut buffer = [0; 16];
    loop {
        match nix::unistd::read(reader, &mut buffer) {
            Ok(1) => return Ok(Some(buffer[0])),
            Ok(bytes) => {
                return Err(Failure::Corrupted(format!("{bytes} bytes where one was sent")));
            }
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(None),
            Err(errno) => return Err(SysError::new("read", errno).into()),
        }
    }
}
