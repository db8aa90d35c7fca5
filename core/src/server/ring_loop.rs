//! One thread that serves any number of connections by a ring of io_uring: requests in place of readiness.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::{Shutdown, shutdown};
use slab::Slab;

use super::activity::ServerWorker;
use super::blocking::{AcceptError, read_piece};
use super::connection::{Connection, FILE_CHUNK, NextStep};
use super::stop::{GRACE, PAUSE};
use super::timers::{Alarms, Checkups, ClientKey};
use super::{FileWay, ServedInstance, ServerConfig, ServerError, Shots};
use crate::sys::SysError;
use crate::sys::timer::monotonic;
use crate::sys::uring::{PushedRequest, SocketCompletion, SocketRing};
use crate::terms::Unsupported;
use crate::units::Nanos;

/// Submissions that go to the kernel at once.
pub(super) const ENTRIES: u32 = 1024;

/// Bytes of a buffer that a piece is received into.
const BUFFER: usize = 4096;

/// What may have come of a client before its answer is sent; more waits in the kernel.
const MOST_WAITING: usize = 64 * 1024;

/// To what a completion belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RingOwner {
    Accept,
    Stop,
    Receive(ClientKey),
    Send(ClientKey),
    File(ClientKey),
}

/// A connection of the ring.
struct RingClient {
    socket: OwnedFd,
    connection: Connection,
    number: u64,
    /// The receive that is armed.
    receive: Option<PushedRequest>,
    /// Something else is under way: sending, reading the file, or a delay.
    busy: bool,
    /// Requests that have not ended; the client stays until they have.
    in_flight: usize,
    /// It has been shut down, and waits for its requests to end.
    ending: bool,
    /// Memory to receive into, where the ring has no buffers.
    memory: Vec<u8>,
}

/// The loop.
pub(super) struct RingLoop<'a> {
    // Dropped before the clients: its requests may be under way on their sockets.
    ring: SocketRing<RingOwner>,
    instance: &'a ServedInstance,
    listener: Arc<OwnedFd>,
    worker: ServerWorker,
    clients: Slab<RingClient>,
    accepted: u64,
    alarms: Alarms,
    checkups: Checkups,
    /// Clients whose receive has found no buffer.
    starved: Vec<ClientKey>,
    received: Vec<u8>,
    piece: Vec<u8>,
    accepting: Option<PushedRequest>,
    resumes: Option<Nanos>,
    deadline: Option<Nanos>,
}

/// Whether the kernel has what `config` asks for.
///
/// # Errors
/// [`ServerError::Unsupported`], with what would help.
pub(super) fn probe(config: &ServerConfig) -> Result<(), ServerError> {
    let lacking = |observed: String, remedy: &str| {
        ServerError::Unsupported(Unsupported::new(
            "io_uring with multishot accept and receive (Linux 6.0)",
            observed,
            remedy,
        ))
    };
    let permit = "a kernel with io_uring, permitted by `sysctl kernel.io_uring_disabled=0` and seccomp";
    let ring = SocketRing::<()>::new(8).map_err(|error| lacking(error.to_string(), permit))?;
    let multi = config.accept == Shots::Multi || config.receive == Shots::Multi;
    if multi && !ring.knows_multishot()? {
        return Err(lacking("an older kernel".into(), "--accept single --receive single"));
    }
    if config.buffers == 0 && config.receive == Shots::Multi {
        return Err(ServerError::Unsupported(Unsupported::new(
            "provided buffers for a multishot receive",
            "no buffers to receive into",
            "--buffers 256, or --receive single",
        )));
    }
    Ok(())
}

impl<'a> RingLoop<'a> {
    /// ServerWorker number `number` of the instance, with its own socket; on the thread that runs it.
    pub(super) fn new(instance: &'a ServedInstance, number: usize) -> Result<Self, ServerError> {
        let mut ring = SocketRing::new(ENTRIES)?;
        if instance.config.buffers > 0 {
            ring.provide_buffers(instance.config.buffers, BUFFER)?;
        }
        Ok(Self {
            ring,
            instance,
            listener: Arc::clone(&instance.sockets[number]),
            worker: instance.worker(number),
            clients: Slab::new(),
            accepted: 0,
            alarms: Alarms::default(),
            checkups: Checkups::new(instance.config.timeout),
            starved: Vec::new(),
            received: Vec::with_capacity(BUFFER),
            piece: vec![0; FILE_CHUNK],
            accepting: None,
            resumes: None,
            deadline: None,
        })
    }

    /// Serves until the server is to stop and the requests in hand are answered.
    ///
    /// # Errors
    /// When the ring cannot be waited for.
    pub(super) fn run(mut self) -> Result<(), ServerError> {
        self.ring.await_readable(self.instance.stop.event(), RingOwner::Stop)?;
        self.accept()?;
        while !(self.deadline.is_some() && self.clients.is_empty()) {
            self.ring.wait(self.timeout())?;
            let mut events = 0;
            while let Some(completion) = self.ring.completion() {
                events += 1;
                self.complete(completion)?;
            }
            if events > 0 {
                self.worker.woke(events);
            }
            // All buffers that the completions had are given back by now.
            for key in std::mem::take(&mut self.starved) {
                self.worker.rearmed();
                self.go_on(key)?;
            }
            self.look_at_the_clock()?;
            if self.deadline.is_none() && self.instance.stop.is_requested() {
                self.wind_up()?;
            }
        }
        Ok(())
    }

    fn timeout(&self) -> Option<Nanos> {
        let moments = [self.alarms.next(), self.checkups.next(), self.resumes, self.deadline];
        let next = moments.into_iter().flatten().min()?;
        Some(Nanos(next.0.saturating_sub(monotonic().0)))
    }

    fn accept(&mut self) -> Result<(), SysError> {
        let multi = self.instance.config.accept == Shots::Multi;
        self.accepting = Some(self.ring.accept(self.listener.as_fd(), multi, RingOwner::Accept)?);
        Ok(())
    }

    fn complete(&mut self, completion: SocketCompletion<RingOwner>) -> Result<(), SysError> {
        match completion.owner {
            RingOwner::Stop => Ok(()),
            RingOwner::Accept => self.accepted(completion),
            RingOwner::Receive(key) => self.received(key, completion),
            RingOwner::Send(key) => self.sent(key, completion),
            RingOwner::File(key) => self.file_read(key, completion),
        }
    }

    fn accepted(&mut self, completion: SocketCompletion<RingOwner>) -> Result<(), SysError> {
        if !completion.more {
            self.accepting = None;
        }
        let meaning = completion.result.err().map(AcceptError::of);
        if let Some(socket) = completion.accepted.filter(|_| self.deadline.is_none()) {
            self.accepted += 1;
            let memory = if self.instance.config.buffers == 0 { vec![0; BUFFER] } else { Vec::new() };
            let connection = Connection::new(&self.instance.handling, self.worker.clone());
            let (number, progress) = (self.accepted, connection.progress());
            let client = RingClient {
                socket,
                connection,
                number,
                receive: None,
                busy: false,
                in_flight: 0,
                ending: false,
                memory,
            };
            let key = (self.clients.insert(client), number);
            self.checkups.add(monotonic(), key, progress);
            self.go_on(key)?;
        }
        match meaning {
            Some(AcceptError::Exhausted) => {
                self.worker.paused();
                self.resumes = Some(Nanos(monotonic().0 + PAUSE.as_nanos() as u64));
            }
            // The end of the server, or that of its request.
            Some(AcceptError::Stopped) => {}
            _ if self.accepting.is_none() && self.deadline.is_none() => self.accept()?,
            _ => {}
        }
        Ok(())
    }

    /// The client, and whether it goes on: a request of it has ended, if no `more` comes of it.
    fn client(&mut self, key: ClientKey, more: bool) -> Option<&mut RingClient> {
        let client = self.clients.get_mut(key.0).filter(|client| client.number == key.1)?;
        client.in_flight -= usize::from(!more);
        if client.ending && client.in_flight == 0 {
            self.clients.remove(key.0);
            return None;
        }
        self.clients.get_mut(key.0)
    }

    fn received(&mut self, key: ClientKey, completion: SocketCompletion<RingOwner>) -> Result<(), SysError> {
        let SocketCompletion { result, more, buffer, memory, .. } = completion;
        let length = result.map_or(0, |length| length as usize);
        self.received.clear();
        if let Some(buffer) = buffer {
            self.ring.take_buffer(buffer, length, &mut self.received);
        } else if let Some(memory) = &memory {
            self.received.extend_from_slice(&memory[..length]);
        }
        let received = std::mem::take(&mut self.received);
        if let Some(client) = self.client(key, more) {
            if !more {
                client.receive = None;
            }
            client.memory = memory.unwrap_or_default();
            match result {
                Ok(0) => client.connection.end_of_input(),
                Ok(_) => client.connection.deliver(&received),
                // ECANCELED: too much had come.
                Err(_) => {}
            }
        }
        self.received = received;
        match result {
            Err(Errno::ENOBUFS) => self.starved.push(key),
            Ok(_) | Err(Errno::ECANCELED | Errno::EINTR | Errno::EAGAIN) => self.go_on(key)?,
            Err(_) => self.end(key)?,
        }
        Ok(())
    }

    fn sent(&mut self, key: ClientKey, completion: SocketCompletion<RingOwner>) -> Result<(), SysError> {
        let Some(client) = self.client(key, completion.more) else { return Ok(()) };
        client.busy = false;
        client.connection.put_back(completion.memory.unwrap_or_default());
        match completion.result {
            Ok(bytes) => client.connection.sent(bytes as usize),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            Err(_) => return self.end(key),
        }
        self.go_on(key)
    }

    fn file_read(&mut self, key: ClientKey, completion: SocketCompletion<RingOwner>) -> Result<(), SysError> {
        let Some(client) = self.client(key, completion.more) else { return Ok(()) };
        client.busy = false;
        let length = completion.result.map_or(0, |length| length as usize);
        client.connection.file_read(&completion.memory.unwrap_or_default()[..length]);
        self.go_on(key)
    }

    /// Lets a client, if it is still there, go on until a request of it is under way.
    fn go_on(&mut self, key: ClientKey) -> Result<(), SysError> {
        loop {
            let Some(client) = self.clients.get_mut(key.0).filter(|client| client.number == key.1) else {
                return Ok(());
            };
            if client.ending {
                return Ok(());
            }
            if client.busy {
                // A multishot receive goes on while an answer is sent.
                if client.connection.waiting_input() > MOST_WAITING
                    && let Some(receive) = client.receive
                {
                    self.ring.cancel(receive)?;
                }
                return Ok(());
            }
            let socket = client.socket.as_fd();
            match client.connection.step() {
                NextStep::Receive => {
                    if client.receive.is_none() {
                        let (config, owner) = (&self.instance.config, RingOwner::Receive(key));
                        let pushed = match config.buffers {
                            0 => self.ring.receive_into(socket, std::mem::take(&mut client.memory), owner)?,
                            _ => self.ring.receive(socket, config.receive == Shots::Multi, owner)?,
                        };
                        client.receive = Some(pushed);
                        client.in_flight += 1;
                    }
                    return Ok(());
                }
                NextStep::Send => {
                    let (memory, from) = client.connection.take_output();
                    self.ring.send(socket, memory, from, RingOwner::Send(key))?;
                    (client.busy, client.in_flight) = (true, client.in_flight + 1);
                }
                NextStep::Delay(delay) => {
                    client.busy = true;
                    self.alarms.set(Nanos(monotonic().0 + delay.0), key);
                }
                NextStep::File { offset, length } => match &self.instance.handling.file {
                    Some(file) if file.way == FileWay::Uring => {
                        self.ring.read(file.file.as_fd(), vec![0; length], offset, RingOwner::File(key))?;
                        (client.busy, client.in_flight) = (true, client.in_flight + 1);
                    }
                    Some(file) => client.connection.file_read(read_piece(file, offset, &mut self.piece[..length])),
                    None => return self.end(key),
                },
                NextStep::Close => return self.end(key),
            }
        }
    }

    /// Ends a client: its requests on the socket end with the connection, and the socket is closed behind them.
    fn end(&mut self, key: ClientKey) -> Result<(), SysError> {
        let Some(client) = self.clients.get_mut(key.0).filter(|client| client.number == key.1) else {
            return Ok(());
        };
        if client.in_flight == 0 {
            self.clients.remove(key.0);
        } else if !std::mem::replace(&mut client.ending, true) {
            // ENOTCONN: the client has reset it, and the requests end all the same.
            let _ = shutdown(client.socket.as_raw_fd(), Shutdown::Both);
            if let Some(receive) = client.receive {
                self.ring.cancel(receive)?;
            }
        }
        Ok(())
    }

    /// Does what is due.
    fn look_at_the_clock(&mut self) -> Result<(), SysError> {
        let now = monotonic();
        while let Some(key) = self.alarms.take(now) {
            if let Some(client) = self.clients.get_mut(key.0).filter(|client| client.number == key.1) {
                client.busy = false;
                client.connection.delayed();
                self.go_on(key)?;
            }
        }
        while let Some((key, before)) = self.checkups.take(now) {
            let Some(client) = self.clients.get(key.0).filter(|client| client.number == key.1) else { continue };
            let progress = client.connection.progress();
            // One that waits for a delay has no request in flight but its receive.
            let waits = !client.busy || client.in_flight > usize::from(client.receive.is_some());
            if progress == before && waits {
                self.end(key)?;
            } else {
                self.checkups.add(now, key, progress);
            }
        }
        if self.resumes.is_some_and(|moment| moment <= now) {
            self.resumes = None;
            self.accept()?;
        }
        if self.deadline.is_some_and(|moment| moment <= now) {
            // The ring is dropped before their sockets.
            self.clients.iter_mut().for_each(|(_, client)| client.in_flight = 0);
            self.clients.clear();
        }
        Ok(())
    }

    /// The server is to stop: connections without a request in hand end, the others behind their answer.
    fn wind_up(&mut self) -> Result<(), SysError> {
        self.deadline = Some(Nanos(monotonic().0 + GRACE.as_nanos() as u64));
        self.resumes = None;
        if let Some(accepting) = self.accepting {
            self.ring.cancel(accepting)?;
        }
        let keys: Vec<ClientKey> = self.clients.iter().map(|(place, client)| (place, client.number)).collect();
        for key in keys {
            self.clients[key.0].connection.close_when_answered();
            self.go_on(key)?;
        }
        Ok(())
    }
}
