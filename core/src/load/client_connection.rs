//! A client's connection: its socket, and the request on it.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

use super::exchange::{Answered, Exchange};
use super::ledger::LoadFailure;
use super::load_plan::LoadPlan;
use crate::sys::SysError;

/// Why a request failed, with what the kernel or the parser said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct RequestFailure {
    pub(super) kind: LoadFailure,
    pub(super) told: String,
}

impl RequestFailure {
    pub(super) fn of_call(call: &str, error: &std::io::Error) -> Self {
        let kind = match error.kind() {
            ErrorKind::ConnectionRefused => LoadFailure::Refused,
            ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted => LoadFailure::Reset,
            ErrorKind::TimedOut | ErrorKind::WouldBlock => LoadFailure::TimedOut,
            _ => LoadFailure::Socket,
        };
        Self { kind, told: SysError::from_io(call, error).to_string() }
    }

    pub(super) fn new(kind: LoadFailure, told: impl Into<String>) -> Self {
        Self { kind, told: told.into() }
    }

    pub(super) fn timed_out(plan: &LoadPlan) -> Self {
        Self::new(LoadFailure::TimedOut, format!("no answer within {:?}", plan.timeout))
    }

    pub(super) fn status(status: u16) -> Self {
        Self::new(LoadFailure::Status, format!("the server answered with status {status}"))
    }

    pub(super) fn unanswered() -> Self {
        Self::new(LoadFailure::Unanswered, "no answer when the run ended")
    }
}

/// How far opening a connection came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Opening {
    Connected,
    /// The handshake goes on; the socket becomes writable at its end.
    InProgress,
}

/// What a read brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// The answer is whole.
    Answer(Answered),
    /// Some of it. Whether the buffer was full, so that more may be there.
    Part { full: bool },
    /// Nothing for now.
    Nothing,
}

/// A connection that carries one request at a time.
#[derive(Debug)]
pub(super) struct ClientConnection {
    plan: Arc<LoadPlan>,
    /// Its number among all connections of the run.
    number: usize,
    exchange: Exchange,
    socket: Option<Socket>,
    written: usize,
    opened: u32,
    /// Failures since the last answer.
    failures: u32,
}

/// Beyond so many connections from one address the ephemeral ports run out (`net.ipv4.ip_local_port_range` has 28,232
/// by default).
const CONNECTIONS_PER_ADDRESS: usize = 20_000;

/// How many addresses a connection takes in turn, where each request has a connection of its own.
const ADDRESSES: usize = 64;

impl ClientConnection {
    pub(super) fn new(plan: &Arc<LoadPlan>, number: usize) -> Self {
        let exchange = plan.protocol.exchange();
        Self { plan: Arc::clone(plan), number, exchange, socket: None, written: 0, opened: 0, failures: 0 }
    }

    /// The connections number `first` to `first + count - 1`.
    pub(super) fn several(plan: &Arc<LoadPlan>, first: usize, count: usize) -> Vec<Self> {
        (first..first + count).map(|number| Self::new(plan, number)).collect()
    }

    pub(super) fn socket(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    pub(super) fn is_open(&self) -> bool {
        self.socket.is_some()
    }

    /// How often it was opened.
    pub(super) fn opened(&self) -> u64 {
        self.opened.into()
    }

    pub(super) fn plan(&self) -> Arc<LoadPlan> {
        Arc::clone(&self.plan)
    }

    pub(super) fn close(&mut self) {
        self.socket = None;
    }

    /// The local address to bind to, where those of one address would run out: the server must be on this machine,
    /// which answers to all of 127.0.0.0/8 (RFC 1122, 3.2.1.3).
    fn source(&self) -> Option<SocketAddr> {
        let IpAddr::V4(server) = self.plan.address.ip() else { return None };
        let each_time = self.plan.protocol.connects_each_time();
        let open = self.plan.connections + self.plan.idle_connections;
        if !server.is_loopback() || !(each_time || open > CONNECTIONS_PER_ADDRESS) {
            return None;
        }
        let turn = if each_time { self.opened as usize % ADDRESSES } else { 0 };
        // From 127.1.0.1 on, in steps that no two connections share.
        let step = (self.number * ADDRESSES + turn) % 0x00ff_0000;
        let address = u32::from(Ipv4Addr::new(127, 1, 0, 1)) + u32::try_from(step).unwrap_or(0) % 0x00fe_0000;
        Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::from(address)), 0))
    }

    /// A socket that is set up and not connected.
    pub(super) fn prepare(&mut self) -> Result<&Socket, RequestFailure> {
        self.opened += 1;
        let stream = self.plan.protocol.is_stream();
        let (kind, protocol) = if stream { (Type::STREAM, Protocol::TCP) } else { (Type::DGRAM, Protocol::UDP) };
        let domain = Domain::for_address(self.plan.address);
        let failed = |call: &'static str| move |error| RequestFailure::of_call(call, &error);
        let socket = Socket::new(domain, kind, Some(protocol)).map_err(failed("socket"))?;
        if stream {
            socket.set_tcp_nodelay(true).map_err(failed("setsockopt TCP_NODELAY"))?;
        }
        if let Some(source) = self.source() {
            socket.bind(&SockAddr::from(source)).map_err(failed("bind"))?;
        }
        Ok(self.socket.insert(socket))
    }

    /// Opens it without blocking.
    pub(super) fn open(&mut self) -> Result<Opening, RequestFailure> {
        let address = SockAddr::from(self.plan.address);
        let socket = self.prepare()?;
        let failed = |call: &'static str| move |error| RequestFailure::of_call(call, &error);
        socket.set_nonblocking(true).map_err(failed("fcntl F_SETFL"))?;
        match socket.connect(&address) {
            Ok(()) => Ok(Opening::Connected),
            Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => Ok(Opening::InProgress),
            Err(error) => {
                self.close();
                Err(RequestFailure::of_call("connect", &error))
            }
        }
    }

    /// Opens it and returns when it is connected; it blocks from then on.
    pub(super) fn open_blocking(&mut self) -> Result<(), RequestFailure> {
        let (address, timeout) = (SockAddr::from(self.plan.address), self.plan.timeout);
        let socket = self.prepare()?;
        let connected = socket.connect_timeout(&address, timeout);
        if let Err(error) = connected {
            self.close();
            return Err(RequestFailure::of_call("connect", &error));
        }
        Ok(())
    }

    /// The same; it does not block from then on.
    pub(super) fn open_at_once(&mut self) -> Result<(), RequestFailure> {
        self.open_blocking()?;
        let set = self.socket.as_ref().map_or(Ok(()), |socket| socket.set_nonblocking(true));
        set.map_err(|error| RequestFailure::of_call("fcntl F_SETFL", &error))
    }

    /// Sets for how long a blocking read waits at most; a blocking write waits for the whole timeout.
    pub(super) fn set_timeouts(&self, read: Duration) -> Result<(), RequestFailure> {
        let Some(socket) = &self.socket else { return Ok(()) };
        let set = socket.set_read_timeout(Some(read)).and_then(|()| socket.set_write_timeout(Some(self.plan.timeout)));
        set.map_err(|error| RequestFailure::of_call("setsockopt SO_RCVTIMEO", &error))
    }

    /// What came of a handshake that was in progress.
    pub(super) fn connected(&self) -> Result<(), RequestFailure> {
        let error = self.socket.as_ref().map_or(Ok(None), Socket::take_error);
        match error {
            Ok(None) => Ok(()),
            Ok(Some(error)) | Err(error) => Err(RequestFailure::of_call("connect", &error)),
        }
    }

    /// Begins a request: nothing of it is written yet.
    #[inline]
    pub(super) fn begin(&mut self, number: u64) {
        self.exchange.begin(number);
        self.written = 0;
    }

    /// Writes on; whether the whole request is out now.
    #[inline]
    pub(super) fn write(&mut self) -> Result<bool, RequestFailure> {
        let Some(mut socket) = self.socket.as_ref() else { return Ok(false) };
        loop {
            let rest = &self.exchange.request()[self.written..];
            if rest.is_empty() {
                return Ok(true);
            }
            match socket.write(rest) {
                Ok(count) => self.written += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(RequestFailure::of_call("send", &error)),
            }
        }
    }

    /// What of the request is still to be written.
    #[inline]
    pub(super) fn unwritten(&self) -> &[u8] {
        &self.exchange.request()[self.written..]
    }

    /// Notes that so many bytes were written by another way.
    #[inline]
    pub(super) fn note_written(&mut self, count: usize) {
        self.written += count;
    }

    /// Reads once.
    #[inline]
    pub(super) fn read(&mut self, buffer: &mut [u8], received: &mut u64) -> Result<Received, RequestFailure> {
        let Some(mut socket) = self.socket.as_ref() else { return Ok(Received::Nothing) };
        loop {
            let full = buffer.len();
            match socket.read(buffer) {
                Ok(count) => {
                    *received += count as u64;
                    return self.take(&buffer[..count], full);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(Received::Nothing),
                Err(error) => return Err(RequestFailure::of_call("recv", &error)),
            }
        }
    }

    /// Takes what a read of a buffer of `room` bytes brought; nothing is the end of a stream.
    #[inline]
    pub(super) fn take(&mut self, bytes: &[u8], room: usize) -> Result<Received, RequestFailure> {
        if bytes.is_empty() && self.plan.protocol.is_stream() {
            let answered = self.exchange.end_of_stream();
            let told = "the server closed the connection before its answer was whole";
            return answered.map(Received::Answer).ok_or_else(|| RequestFailure::new(LoadFailure::Closed, told));
        }
        match self.exchange.receive(bytes) {
            Ok(Some(answered)) => Ok(Received::Answer(answered)),
            Ok(None) => Ok(Received::Part { full: bytes.len() == room }),
            Err(malformed) => Err(RequestFailure::new(LoadFailure::Malformed, malformed.to_string())),
        }
    }

    /// Its request was answered; one that may carry no other is closed.
    #[inline]
    pub(super) fn note_answered(&mut self, answered: Answered) {
        self.failures = 0;
        if !answered.reusable || self.plan.protocol.connects_each_time() {
            self.close();
        }
    }

    /// Its request failed, and with it the connection. Returns for how long it must rest, in nanoseconds: a server that
    /// closes each connection at once would otherwise be asked as fast as the machine can.
    pub(super) fn note_failed(&mut self) -> u64 {
        self.close();
        self.failures += 1;
        if self.failures > 1 { REST } else { 0 }
    }
}

const REST: u64 = 10_000_000;

#[cfg(test)]
mod tests {
    use super::super::tests::plan;
    use super::*;

    #[test]
    fn a_connection_rests_from_its_second_failure_in_a_row_on() {
        let mut connection = ClientConnection::new(&plan().checked().unwrap(), 0);
        assert_eq!([0; 4].map(|_| connection.note_failed()), [0, REST, REST, REST]);
        connection.note_answered(Answered::FINE);
        assert_eq!([0; 2].map(|_| connection.note_failed()), [0, REST]);
    }
}
