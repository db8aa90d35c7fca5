//! The client of a measured server: so many connections, each with a request outstanding at any time, and others that
//! stay idle.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;

use crate::mechanism::Failure;
use crate::sys::SysError;
use crate::sys::epoll::{EpollSet, LEVEL};
use crate::sys::socket::{connect, receive, send};
use crate::sys::timer::monotonic;
use crate::sys::wait_set::{Interest, ReadyEvent, WaitSet};
use crate::terms::ValueHistogram;
use crate::units::Nanos;

/// Connections from one address: a client has some 28,000 ports for each (ip(7), ip_local_port_range), and leaves one
/// in TIME_WAIT for a minute where it closes first.
const PER_ADDRESS: u64 = 16_000;

/// What the client asks, and how it knows an answer's end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ClientRequest {
    pub(super) bytes: Vec<u8>,
    /// The answer is one of HTTP; else it is the request itself.
    pub(super) http: bool,
}

/// A connection of the client.
struct ClientSocket {
    socket: OwnedFd,
    /// What has come of the answer.
    received: Vec<u8>,
    /// Its length, once its head has come, and whether the server closes behind it.
    whole: Option<(usize, bool)>,
    sent: Nanos,
}

/// What was seen since it was last taken.
#[derive(Debug, Default)]
pub(super) struct ClientTotals {
    pub(super) latency: ValueHistogram,
    /// The sum of all latencies, and of the time in which they passed.
    pub(super) waited: Nanos,
    pub(super) elapsed: Nanos,
    pub(super) answers: u64,
    pub(super) connects: u64,
}

/// The client, on the driver's thread.
pub(super) struct ClosedLoop {
    set: EpollSet<LEVEL>,
    address: SocketAddr,
    request: ClientRequest,
    connections: HashMap<usize, ClientSocket>,
    _idle: Vec<OwnedFd>,
    opened: u64,
    buffer: Box<[u8]>,
    ready: Vec<ReadyEvent>,
    pub(super) totals: ClientTotals,
}

impl ClosedLoop {
    /// Connects to `address`: `idle` connections that ask nothing, and `connections` that do.
    pub(super) fn open(
        address: SocketAddr,
        request: ClientRequest,
        (connections, idle): (usize, usize),
    ) -> Result<Self, Failure> {
        let mut client = Self {
            set: EpollSet::new()?,
            address,
            request,
            connections: HashMap::new(),
            _idle: Vec::new(),
            opened: 0,
            buffer: vec![0; 64 * 1024].into_boxed_slice(),
            ready: Vec::new(),
            totals: ClientTotals::default(),
        };
        for _ in 0..idle {
            let socket = client.connect()?;
            client._idle.push(socket);
        }
        for place in 0..connections {
            client.reconnect(place)?;
        }
        Ok(client)
    }

    fn connect(&mut self) -> Result<OwnedFd, SysError> {
        // Any address of 127.0.0.0/8 is this machine's.
        let host = (self.opened / PER_ADDRESS % 200 + 1) as u8;
        let source = SocketAddr::from(([127, 0, 0, host], 0));
        self.opened += 1;
        self.totals.connects += 1;
        connect(&self.address, self.address.is_ipv4().then_some(&source))
    }

    fn reconnect(&mut self, place: usize) -> Result<(), Failure> {
        let socket = self.connect()?;
        self.set.add(socket.as_fd(), place, Interest::Receive)?;
        let fresh = ClientSocket { socket, received: Vec::new(), whole: None, sent: Nanos(0) };
        // The one before is closed with this, and is off the set then.
        self.connections.insert(place, fresh);
        Ok(())
    }

    /// Sends `count` requests, no more than there are connections at a time, and waits for all answers.
    pub(super) fn request(&mut self, count: u64) -> Result<(), Failure> {
        let began = monotonic();
        let mut places: Vec<usize> = self.connections.keys().copied().collect();
        places.sort_unstable();
        let (mut sent, mut done) = (0, 0);
        for place in places.into_iter().take(usize::try_from(count).unwrap_or(usize::MAX)) {
            self.send(place)?;
            sent += 1;
        }
        while done < count {
            let mut ready = std::mem::take(&mut self.ready);
            ready.clear();
            self.set.wait(None, &mut ready)?;
            for event in &ready {
                if self.receive(event.token)? {
                    done += 1;
                    if sent < count {
                        self.send(event.token)?;
                        sent += 1;
                    }
                }
            }
            self.ready = ready;
        }
        self.totals.elapsed.0 += monotonic().0 - began.0;
        Ok(())
    }

    fn connection(&mut self, place: usize) -> &mut ClientSocket {
        self.connections.get_mut(&place).expect("connections are replaced and never taken away")
    }

    fn send(&mut self, place: usize) -> Result<(), Failure> {
        let bytes = std::mem::take(&mut self.request.bytes);
        let connection = self.connection(place);
        connection.sent = monotonic();
        let mut left = &bytes[..];
        while !left.is_empty() {
            match send(connection.socket.as_fd(), left) {
                Ok(sent) => left = &left[sent..],
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(SysError::new("send a request", errno).into()),
            }
        }
        self.request.bytes = bytes;
        Ok(())
    }

    /// Takes what has come on a connection that is ready; whether an answer is whole.
    fn receive(&mut self, place: usize) -> Result<bool, Failure> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let outcome = receive(self.connection(place).socket.as_fd(), &mut buffer);
        let bytes = match outcome {
            Ok(0) => return Err(Failure::Corrupted("the server closed a connection without an answer".into())),
            Ok(bytes) => bytes,
            Err(Errno::EINTR | Errno::EAGAIN) => {
                self.buffer = buffer;
                return Ok(false);
            }
            Err(errno) => return Err(SysError::new("receive an answer", errno).into()),
        };
        let (http, asked) = (self.request.http, &self.request.bytes);
        let connection = self.connections.get_mut(&place).expect("connections are replaced and never taken away");
        connection.received.extend_from_slice(&buffer[..bytes]);
        self.buffer = buffer;
        if connection.whole.is_none() {
            connection.whole = if http { answer_of(&connection.received)? } else { Some((asked.len(), false)) };
        }
        let Some((length, closes)) = connection.whole.filter(|(length, _)| connection.received.len() >= *length) else {
            return Ok(false);
        };
        if connection.received.len() > length {
            return Err(Failure::Corrupted("more came than an answer".into()));
        }
        if !http && connection.received != *asked {
            return Err(Failure::Corrupted("an echo that differs from the request".into()));
        }
        connection.received.clear();
        connection.whole = None;
        let latency = monotonic().0 - connection.sent.0;
        self.totals.latency.record(latency);
        self.totals.waited.0 += latency;
        self.totals.answers += 1;
        if closes {
            self.reconnect(place)?;
        }
        Ok(true)
    }
}

/// The length of an answer and whether the server closes behind it, once its head is there.
fn answer_of(received: &[u8]) -> Result<Option<(usize, bool)>, Failure> {
    let mut headers = [httparse::EMPTY_HEADER; 16];
    let mut answer = httparse::Response::new(&mut headers);
    let wrong = |what: String| Failure::Corrupted(format!("an answer of the server: {what}"));
    let head = match answer.parse(received).map_err(|error| wrong(error.to_string()))? {
        httparse::Status::Partial => return Ok(None),
        httparse::Status::Complete(head) => head,
    };
    if answer.code != Some(200) {
        return Err(wrong(format!("status {:?}", answer.code)));
    }
    let header = |name: &str| answer.headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    let text = |name: &str| header(name).and_then(|header| std::str::from_utf8(header.value).ok());
    let length = text("content-length").and_then(|length| length.parse::<usize>().ok());
    let length = length.ok_or_else(|| wrong("no length".into()))?;
    Ok(Some((head + length, text("connection").is_some_and(|it| it.eq_ignore_ascii_case("close")))))
}
