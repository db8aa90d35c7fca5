//! One thread that answers datagrams on one socket, by a set of descriptors that tells when some are there: the loop,
//! whatever the set is. A client has no descriptor here, so that idle ones cost nothing in any set.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::SockaddrStorage;
use slab::Slab;

use super::activity::ServerWorker;
use super::blocking::LONGEST_DATAGRAM;
use super::connection::{Connection, NextStep};
use super::event_loop::WaitSetLoop;
use super::stop::GRACE;
use super::timers::Alarms;
use super::{ServedInstance, ServerError};
use crate::sys::socket::{receive_from, send_to};
use crate::sys::timer::monotonic;
use crate::sys::wait_set::{Interest, Rearm, WaitSet};
use crate::units::Nanos;

const SOCKET: usize = 0;
const STOP: usize = 1;

/// Datagrams that are received before those have their turn whose delay is over.
const TURN: usize = 32;

/// Serves with the socket of number `number` and `set`: connections, or datagrams.
///
/// # Errors
/// When the set cannot be waited for.
pub(super) fn serve_by<S: WaitSet>(instance: &ServedInstance, number: usize, set: S) -> Result<(), ServerError> {
    if instance.config.protocol.is_datagrams() {
        return DatagramLoop::new(instance, number, set).run();
    }
    WaitSetLoop::new(instance, number, set)?.run()
}

/// A datagram that waits for its delay.
struct DelayedDatagram {
    connection: Connection,
    from: SockaddrStorage,
}

struct DatagramLoop<'a, S> {
    instance: &'a ServedInstance,
    socket: Arc<OwnedFd>,
    worker: ServerWorker,
    set: S,
    delayed: Slab<DelayedDatagram>,
    alarms: Alarms,
    /// Of datagrams that are answered.
    spare: Vec<Connection>,
    buffer: Box<[u8]>,
    /// Whether datagrams may wait that the set does not report again.
    receives: bool,
    deadline: Option<Nanos>,
}

impl<'a, S: WaitSet> DatagramLoop<'a, S> {
    fn new(instance: &'a ServedInstance, number: usize, set: S) -> Self {
        Self {
            instance,
            socket: Arc::clone(&instance.sockets[number]),
            worker: instance.worker(number),
            set,
            delayed: Slab::new(),
            alarms: Alarms::default(),
            spare: Vec::new(),
            buffer: vec![0; LONGEST_DATAGRAM].into_boxed_slice(),
            receives: false,
            deadline: None,
        }
    }

    fn run(mut self) -> Result<(), ServerError> {
        self.set.add(self.socket.as_fd(), SOCKET, Interest::Receive)?;
        self.set.add(self.instance.stop.event(), STOP, Interest::Receive)?;
        let mut ready = Vec::new();
        while self.deadline.is_none_or(|moment| !self.delayed.is_empty() && monotonic() < moment) {
            ready.clear();
            self.set.wait(self.timeout(), &mut ready)?;
            self.receives |= ready.iter().any(|event| event.token == SOCKET);
            if self.receives && self.deadline.is_none() {
                let received = self.receive();
                if received > 0 {
                    self.worker.woke(received);
                }
            }
            self.answer_delayed();
            if self.deadline.is_none() && self.instance.stop.is_requested() {
                self.deadline = Some(Nanos(monotonic().0 + GRACE.as_nanos() as u64));
                self.set.remove(self.socket.as_fd(), SOCKET);
                self.set.remove(self.instance.stop.event(), STOP);
            }
        }
        Ok(())
    }

    fn timeout(&self) -> Option<Nanos> {
        if self.receives && self.deadline.is_none() {
            return Some(Nanos(0));
        }
        let next = [self.alarms.next(), self.deadline].into_iter().flatten().min()?;
        Some(Nanos(next.0.saturating_sub(monotonic().0)))
    }

    /// Receives as many as a turn holds; how many came.
    fn receive(&mut self) -> usize {
        for received in 0..TURN {
            match receive_from(self.socket.as_fd(), &mut self.buffer) {
                Ok(Some((bytes, from))) => self.take(bytes, from),
                Ok(None) | Err(Errno::EINTR) => {}
                // EAGAIN, and what the kernel has no memory for: the set reports the next.
                Err(_) => {
                    self.receives = false;
                    if S::REARM == Rearm::Always {
                        // It cannot fail for a descriptor that is in the set.
                        let _ = self.set.change(self.socket.as_fd(), SOCKET, Interest::Receive);
                    }
                    return received;
                }
            }
        }
        TURN
    }

    fn take(&mut self, bytes: usize, from: SockaddrStorage) {
        let unused = || Connection::uncounted(&self.instance.handling, self.worker.clone());
        let mut connection = self.spare.pop().unwrap_or_else(unused);
        connection.deliver(&self.buffer[..bytes]);
        self.go_on(DelayedDatagram { connection, from });
    }

    /// Answers a datagram, or lets it wait for its delay.
    fn go_on(&mut self, mut datagram: DelayedDatagram) {
        loop {
            match datagram.connection.step() {
                NextStep::Send => {
                    // A datagram that cannot be sent is lost, as any may be.
                    let _ = send_to(self.socket.as_fd(), datagram.connection.output(), &datagram.from);
                    datagram.connection.sent(datagram.connection.output().len());
                }
                NextStep::Delay(delay) => {
                    let place = self.delayed.insert(datagram);
                    // Nothing but its alarm takes a datagram out of its place.
                    return self.alarms.set(Nanos(monotonic().0 + delay.0), (place, 0));
                }
                NextStep::Receive | NextStep::Close | NextStep::File { .. } => {
                    return self.spare.push(datagram.connection);
                }
            }
        }
    }

    fn answer_delayed(&mut self) {
        if self.delayed.is_empty() {
            return;
        }
        let now = monotonic();
        while let Some((place, _)) = self.alarms.take(now) {
            let mut datagram = self.delayed.remove(place);
            datagram.connection.delayed();
            self.go_on(datagram);
        }
    }
}
