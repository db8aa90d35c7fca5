//! One thread that serves any number of connections, by a set of descriptors that tells which are ready: the loop,
//! whatever the set is.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use slab::Slab;

use super::activity::ServerWorker;
use super::blocking::{AcceptError, read_piece, sendfile};
use super::connection::{Connection, FILE_CHUNK, NextStep};
use super::file_pool::FilePool;
use super::stop::{GRACE, PAUSE};
use super::timers::{Alarms, Checkups, ClientKey};
use super::{FileWay, ServedInstance, ServerError};
use crate::sys::socket::{self, receive, send};
use crate::sys::timer::monotonic;
use crate::sys::wait_set::{Interest, ReadyEvent, Rearm, WaitSet};
use crate::units::Nanos;

const LISTENER: usize = 0;
const STOP: usize = 1;
const FILES: usize = 2;
/// What is added to a client's place to make its token.
const CLIENTS: usize = 3;

/// What is received at once.
const RECEIVED_AT_ONCE: usize = 64 * 1024;

/// Connections that are accepted, and steps that a client makes, before others have their turn.
const TURN: usize = 32;

/// A connection of the loop.
struct Client {
    socket: OwnedFd,
    connection: Connection,
    number: u64,
    /// What the set waits for; `None` while it is not in the set.
    watched: Option<Interest>,
    /// Whether there may be something to receive.
    receives: bool,
    /// Whether there may be room to send.
    sends: bool,
    /// The client has ended its side: nothing will report it again.
    ended: bool,
    waits_for: ClientWait,
}

/// What a client of the loop waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ClientWait {
    /// Its socket.
    Socket,
    /// An alarm, or a piece of the file.
    Server,
}

/// What a turn of a client comes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    Waits,
    Continues,
    Ends,
}

/// The loop.
pub(super) struct WaitSetLoop<'a, S> {
    instance: &'a ServedInstance,
    listener: Arc<OwnedFd>,
    worker: ServerWorker,
    set: S,
    clients: Slab<Client>,
    accepted: u64,
    alarms: Alarms,
    checkups: Checkups,
    files: Option<FilePool>,
    buffer: Box<[u8]>,
    /// Clients whose turn was over before they had to wait.
    again: Vec<ClientKey>,
    /// When accepting goes on, if it pauses.
    resumes: Option<Nanos>,
    /// Whether connections may wait to be accepted that the set does not report again.
    accepts: bool,
    /// When what is left is given up, once the server is to stop.
    deadline: Option<Nanos>,
}

impl<'a, S: WaitSet> WaitSetLoop<'a, S> {
    /// ServerWorker number `number` of the instance, with its own socket and `set`.
    pub(super) fn new(instance: &'a ServedInstance, number: usize, set: S) -> Result<Self, ServerError> {
        let pool = instance.handling.file_way() == Some(FileWay::Pool);
        let files = pool.then(|| FilePool::new(&instance.handling, instance.config.pool)).transpose()?;
        Ok(Self {
            instance,
            listener: Arc::clone(&instance.sockets[number]),
            worker: instance.worker(number),
            set,
            clients: Slab::new(),
            accepted: 0,
            alarms: Alarms::default(),
            checkups: Checkups::new(instance.config.timeout),
            files,
            buffer: vec![0; RECEIVED_AT_ONCE.max(FILE_CHUNK)].into_boxed_slice(),
            again: Vec::new(),
            resumes: None,
            accepts: false,
            deadline: None,
        })
    }

    /// Serves until the server is to stop and the requests in hand are answered.
    ///
    /// # Errors
    /// When the set cannot be waited for.
    pub(super) fn run(mut self) -> Result<(), ServerError> {
        self.set.add(self.listener.as_fd(), LISTENER, Interest::Receive)?;
        self.set.add(self.instance.stop.event(), STOP, Interest::Receive)?;
        if let Some(files) = &self.files {
            self.set.add(files.event(), FILES, Interest::Receive)?;
        }
        let mut ready: Vec<ReadyEvent> = Vec::new();
        while !(self.deadline.is_some() && self.clients.is_empty()) {
            ready.clear();
            self.set.wait(self.timeout(), &mut ready)?;
            if !ready.is_empty() {
                self.worker.woke(ready.len());
            }
            for event in &ready {
                match event.token {
                    LISTENER => self.accepts = true,
                    STOP => {}
                    FILES => self.take_files(),
                    token => self.report(token - CLIENTS, *event),
                }
            }
            for client in std::mem::take(&mut self.again) {
                self.turn(client);
            }
            self.accept();
            self.look_at_the_clock();
            if self.deadline.is_none() && self.instance.stop.is_requested() {
                self.wind_up();
            }
        }
        Ok(())
    }

    /// How long to wait at most.
    fn timeout(&self) -> Option<Nanos> {
        if !self.again.is_empty() || (self.accepts && self.resumes.is_none()) {
            return Some(Nanos(0));
        }
        let moments = [self.alarms.next(), self.checkups.next(), self.resumes, self.deadline];
        let next = moments.into_iter().flatten().min()?;
        Some(Nanos(next.0.saturating_sub(monotonic().0)))
    }

    /// Accepts as many as a turn holds.
    fn accept(&mut self) {
        if !self.accepts || self.resumes.is_some() {
            return;
        }
        for _ in 0..TURN {
            match socket::accept(self.listener.as_fd(), true) {
                Ok(socket) => self.enter(socket),
                Err(Errno::EAGAIN) => {
                    self.accepts = false;
                    if S::REARM == Rearm::Always {
                        // It cannot fail for a descriptor that is in the set.
                        let _ = self.set.change(self.listener.as_fd(), LISTENER, Interest::Receive);
                    }
                    return;
                }
                Err(error) => match AcceptError::of(error) {
                    AcceptError::Passing => {}
                    // The set would report the listener again and again.
                    AcceptError::Exhausted => return self.pause(),
                    AcceptError::Stopped => return self.accepts = false,
                },
            }
        }
    }

    fn pause(&mut self) {
        self.worker.paused();
        self.set.remove(self.listener.as_fd(), LISTENER);
        self.resumes = Some(Nanos(monotonic().0 + PAUSE.as_nanos() as u64));
    }

    /// A connection that was accepted.
    fn enter(&mut self, socket: OwnedFd) {
        self.accepted += 1;
        let place = self.clients.vacant_key();
        let interest = if S::REARM == Rearm::Never { Interest::Both } else { Interest::Receive };
        // A connection that cannot be watched is closed: the set has no memory for it.
        if self.set.add(socket.as_fd(), place + CLIENTS, interest).is_err() {
            return;
        }
        let connection = Connection::new(&self.instance.handling, self.worker.clone());
        self.checkups.add(monotonic(), (place, self.accepted), connection.progress());
        self.clients.insert(Client {
            socket,
            connection,
            number: self.accepted,
            watched: Some(interest),
            receives: false,
            sends: true,
            ended: false,
            waits_for: ClientWait::Socket,
        });
    }

    /// The set has reported a client's socket.
    fn report(&mut self, place: usize, event: ReadyEvent) {
        // A client that an earlier event of the same wait has ended.
        let Some(client) = self.clients.get_mut(place) else { return };
        client.receives |= event.receives || event.broken;
        client.sends |= event.sends || event.broken;
        client.ended |= event.ended || event.broken;
        if S::REARM == Rearm::Always {
            client.watched = None;
        }
        let key = (place, client.number);
        if client.waits_for == ClientWait::Socket {
            return self.turn(key);
        }
        // It waits for something else, and the set would report it all the time.
        if S::REARM == Rearm::OnChange && client.watched.take().is_some() {
            self.set.remove(client.socket.as_fd(), place + CLIENTS);
        }
        if event.broken {
            self.end(place);
        }
    }

    /// Lets a client, if it is still there, go on until it has to wait or its turn is over.
    fn turn(&mut self, key: ClientKey) {
        let (place, number) = key;
        if self.clients.get(place).is_none_or(|client| client.number != number) {
            return;
        }
        for _ in 0..TURN {
            match self.step(key) {
                Turn::Continues => {}
                Turn::Waits => return,
                Turn::Ends => return self.end(place),
            }
        }
        self.again.push(key);
    }

    fn step(&mut self, key: ClientKey) -> Turn {
        let client = &mut self.clients[key.0];
        let socket = client.socket.as_fd();
        let step = client.connection.step();
        let outcome = match step {
            NextStep::Receive if !client.receives => return self.watch(key.0, Interest::Receive),
            NextStep::Receive => receive(socket, &mut self.buffer).map(|bytes| {
                // Less than asked for is all there was; a set that reports ends but once must have reported this one.
                client.receives = client.ended || (S::REARM == Rearm::Never && bytes == self.buffer.len());
                match bytes {
                    0 => client.connection.end_of_input(),
                    bytes => client.connection.deliver(&self.buffer[..bytes]),
                }
            }),
            NextStep::Send | NextStep::File { .. } if !client.sends => return self.watch(key.0, Interest::Send),
            NextStep::Send => send(socket, client.connection.output()).map(|bytes| client.connection.sent(bytes)),
            NextStep::Delay(delay) => {
                client.waits_for = ClientWait::Server;
                self.alarms.set(Nanos(monotonic().0 + delay.0), key);
                return Turn::Waits;
            }
            NextStep::File { offset, length } => match (&self.instance.handling.file, &self.files) {
                (Some(_), Some(files)) => {
                    client.waits_for = ClientWait::Server;
                    files.read(key, offset, length);
                    return Turn::Waits;
                }
                (Some(file), None) if file.way == FileWay::Sendfile => {
                    sendfile(socket, file, offset, length).map(|bytes| client.connection.file_sent(bytes))
                }
                (Some(file), None) => {
                    client.connection.file_read(read_piece(file, offset, &mut self.buffer[..length]));
                    Ok(())
                }
                (None, _) => return Turn::Ends,
            },
            NextStep::Close => return Turn::Ends,
        };
        match outcome {
            Ok(()) | Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) if step == NextStep::Receive => client.receives = false,
            Err(Errno::EAGAIN) => client.sends = false,
            Err(_) => return Turn::Ends,
        }
        Turn::Continues
    }

    /// Has the set wait for a client's socket.
    fn watch(&mut self, place: usize, wanted: Interest) -> Turn {
        let client = &mut self.clients[place];
        let (socket, token) = (client.socket.as_fd(), place + CLIENTS);
        let watched = match (S::REARM, client.watched) {
            (Rearm::Never, _) => return Turn::Waits,
            (Rearm::OnChange, Some(before)) if before == wanted => return Turn::Waits,
            (Rearm::OnChange, None) => self.set.add(socket, token, wanted),
            (Rearm::OnChange | Rearm::Always, _) => self.set.change(socket, token, wanted),
        };
        client.watched = Some(wanted);
        // The set has no memory for it.
        if watched.is_err() { Turn::Ends } else { Turn::Waits }
    }

    fn end(&mut self, place: usize) {
        let client = self.clients.remove(place);
        // A set of one-shots keeps what it has reported; closing takes a descriptor off epoll, but not off the others.
        if client.watched.is_some() || S::REARM == Rearm::Always {
            self.set.remove(client.socket.as_fd(), place + CLIENTS);
        }
    }

    fn take_files(&mut self) {
        let Some(files) = &self.files else { return };
        files.quiet();
        if S::REARM == Rearm::Always {
            // It cannot fail for a descriptor that is in the set.
            let _ = self.set.change(files.event(), FILES, Interest::Receive);
        }
        while let Some((key, bytes)) = self.files.as_ref().and_then(FilePool::take) {
            if let Some(client) = self.clients.get_mut(key.0).filter(|client| client.number == key.1) {
                client.waits_for = ClientWait::Socket;
                client.connection.file_read(&bytes);
                self.turn(key);
            }
        }
    }

    /// Does what is due.
    fn look_at_the_clock(&mut self) {
        let moments = [self.alarms.next(), self.checkups.next(), self.resumes, self.deadline];
        if moments.iter().all(Option::is_none) {
            return;
        }
        let now = monotonic();
        while let Some(key) = self.alarms.take(now) {
            if let Some(client) = self.clients.get_mut(key.0).filter(|client| client.number == key.1) {
                client.waits_for = ClientWait::Socket;
                client.connection.delayed();
                self.turn(key);
            }
        }
        while let Some((key, before)) = self.checkups.take(now) {
            let Some(client) = self.clients.get(key.0).filter(|client| client.number == key.1) else { continue };
            let progress = client.connection.progress();
            if progress == before && client.waits_for == ClientWait::Socket {
                self.end(key.0);
            } else {
                self.checkups.add(now, key, progress);
            }
        }
        if self.resumes.is_some_and(|moment| moment <= now) {
            self.resumes = None;
            self.accepts = true;
            // It was taken off the set, which has a place for it then.
            let _ = self.set.add(self.listener.as_fd(), LISTENER, Interest::Receive);
        }
        if self.deadline.is_some_and(|moment| moment <= now) {
            self.clients.clear();
        }
    }

    /// The server is to stop: connections without a request in hand end, the others behind their answer.
    fn wind_up(&mut self) {
        self.deadline = Some(Nanos(monotonic().0 + GRACE.as_nanos() as u64));
        if self.resumes.take().is_none() {
            self.set.remove(self.listener.as_fd(), LISTENER);
        }
        self.set.remove(self.instance.stop.event(), STOP);
        self.accepts = false;
        let keys: Vec<ClientKey> = self.clients.iter().map(|(place, client)| (place, client.number)).collect();
        for key in keys {
            let client = &mut self.clients[key.0];
            // What has arrived is in hand.
            if client.connection.step() == NextStep::Receive {
                while let Ok(bytes @ 1..) = receive(client.socket.as_fd(), &mut self.buffer) {
                    client.connection.deliver(&self.buffer[..bytes]);
                }
            }
            client.connection.close_when_answered();
            if client.waits_for == ClientWait::Socket {
                self.turn(key);
            }
        }
    }
}
