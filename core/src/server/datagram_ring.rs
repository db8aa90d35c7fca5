//! One thread that answers datagrams on one socket by a ring of io_uring.

use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use slab::Slab;

use super::activity::ServerWorker;
use super::blocking::LONGEST_DATAGRAM;
use super::connection::{Connection, NextStep};
use super::ring_loop::{ENTRIES, RingLoop};
use super::stop::GRACE;
use super::timers::Alarms;
use super::{ServedInstance, ServerError, Shots};
use crate::sys::SysError;
use crate::sys::timer::monotonic;
use crate::sys::uring::{DATAGRAM_HEAD, PushedRequest, SocketCompletion, SocketRing};
use crate::units::Nanos;

/// Serves with the socket of number `number`: connections, or datagrams. To be called on the thread that serves.
///
/// # Errors
/// When the ring cannot be waited for.
pub(super) fn serve_on_ring(instance: &ServedInstance, number: usize) -> Result<(), ServerError> {
    if instance.config.protocol.is_datagrams() {
        return DatagramRing::new(instance, number)?.run();
    }
    RingLoop::new(instance, number)?.run()
}

/// To what a completion belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum DatagramOwner {
    Stop,
    Receive,
    Send,
}

/// A datagram in hand.
struct DatagramInHand {
    connection: Connection,
    from: SocketAddr,
}

struct DatagramRing<'a> {
    ring: SocketRing<DatagramOwner>,
    instance: &'a ServedInstance,
    socket: Arc<OwnedFd>,
    worker: ServerWorker,
    delayed: Slab<DatagramInHand>,
    alarms: Alarms,
    /// Of datagrams that are answered, and the memory of answers that were sent.
    spare: Vec<Connection>,
    sent: Vec<Vec<u8>>,
    received: Vec<u8>,
    /// The request to receive that is armed.
    receiving: Option<PushedRequest>,
    /// Answers that are being sent.
    sending: usize,
    deadline: Option<Nanos>,
}

impl<'a> DatagramRing<'a> {
    fn new(instance: &'a ServedInstance, number: usize) -> Result<Self, ServerError> {
        let mut ring = SocketRing::new(ENTRIES)?;
        if instance.config.receive == Shots::Multi {
            ring.provide_buffers(instance.config.buffers, DATAGRAM_HEAD + LONGEST_DATAGRAM)?;
        }
        Ok(Self {
            ring,
            instance,
            socket: Arc::clone(&instance.sockets[number]),
            worker: instance.worker(number),
            delayed: Slab::new(),
            alarms: Alarms::default(),
            spare: Vec::new(),
            sent: Vec::new(),
            received: vec![0; LONGEST_DATAGRAM],
            receiving: None,
            sending: 0,
            deadline: None,
        })
    }

    fn run(mut self) -> Result<(), ServerError> {
        self.ring.await_readable(self.instance.stop.event(), DatagramOwner::Stop)?;
        self.receive()?;
        while self.deadline.is_none_or(|moment| self.sending + self.delayed.len() > 0 && monotonic() < moment) {
            self.ring.wait(self.timeout())?;
            let mut events = 0;
            while let Some(completion) = self.ring.completion() {
                events += 1;
                match completion.owner {
                    DatagramOwner::Stop => {}
                    DatagramOwner::Receive => self.received(completion)?,
                    DatagramOwner::Send => {
                        self.sending -= 1;
                        self.sent.extend(completion.memory);
                    }
                }
            }
            if events > 0 {
                self.worker.woke(events);
            }
            self.answer_delayed()?;
            if self.deadline.is_none() && self.instance.stop.is_requested() {
                self.deadline = Some(Nanos(monotonic().0 + GRACE.as_nanos() as u64));
                if let Some(receiving) = self.receiving {
                    self.ring.cancel(receiving)?;
                }
            }
            if self.receiving.is_none() && self.deadline.is_none() {
                self.receive()?;
            }
        }
        Ok(())
    }

    fn timeout(&self) -> Option<Nanos> {
        let next = [self.alarms.next(), self.deadline].into_iter().flatten().min()?;
        Some(Nanos(next.0.saturating_sub(monotonic().0)))
    }

    fn receive(&mut self) -> Result<(), SysError> {
        let socket = self.socket.as_fd();
        self.receiving = Some(match self.instance.config.receive {
            Shots::Multi => self.ring.receive_datagrams(socket, DatagramOwner::Receive)?,
            Shots::Single => {
                self.ring.receive_datagram(socket, std::mem::take(&mut self.received), DatagramOwner::Receive)?
            }
        });
        Ok(())
    }

    fn received(&mut self, completion: SocketCompletion<DatagramOwner>) -> Result<(), SysError> {
        let SocketCompletion { result, more, buffer, memory, sender, .. } = completion;
        if !more {
            self.receiving = None;
        }
        let length = match result {
            Ok(length) => length as usize,
            Err(error) => {
                if error == Errno::ENOBUFS {
                    self.worker.rearmed();
                }
                self.received = memory.unwrap_or_default();
                return Ok(());
            }
        };
        let mut received = std::mem::take(&mut self.received);
        let (from, bytes) = match (buffer, memory) {
            (Some(buffer), _) => {
                let from = self.ring.take_datagram(buffer, length, &mut received);
                (from, received.len())
            }
            (None, memory) => {
                received = memory.unwrap_or_default();
                (sender, length)
            }
        };
        let outcome = match from {
            Some(from) if self.deadline.is_none() => {
                let unused = || Connection::uncounted(&self.instance.handling, self.worker.clone());
                let mut connection = self.spare.pop().unwrap_or_else(unused);
                connection.deliver(&received[..bytes]);
                self.go_on(DatagramInHand { connection, from })
            }
            _ => Ok(()),
        };
        self.received = received;
        outcome
    }

    /// Answers a datagram, or lets it wait for its delay.
    fn go_on(&mut self, mut datagram: DatagramInHand) -> Result<(), SysError> {
        loop {
            match datagram.connection.step() {
                NextStep::Send => {
                    let (output, _) = datagram.connection.take_output();
                    let mut unused = self.sent.pop().unwrap_or_default();
                    unused.clear();
                    datagram.connection.put_back(unused);
                    datagram.connection.sent(output.len());
                    // A datagram that cannot be sent is lost, as any may be.
                    self.ring.send_datagram(self.socket.as_fd(), output, datagram.from, DatagramOwner::Send)?;
                    self.sending += 1;
                }
                NextStep::Delay(delay) => {
                    let place = self.delayed.insert(datagram);
                    // Nothing but its alarm takes a datagram out of its place.
                    self.alarms.set(Nanos(monotonic().0 + delay.0), (place, 0));
                    return Ok(());
                }
                NextStep::Receive | NextStep::Close | NextStep::File { .. } => {
                    self.spare.push(datagram.connection);
                    return Ok(());
                }
            }
        }
    }

    fn answer_delayed(&mut self) -> Result<(), SysError> {
        if self.delayed.is_empty() {
            return Ok(());
        }
        let now = monotonic();
        while let Some((place, _)) = self.alarms.take(now) {
            let mut datagram = self.delayed.remove(place);
            datagram.connection.delayed();
            self.go_on(datagram)?;
        }
        Ok(())
    }
}
