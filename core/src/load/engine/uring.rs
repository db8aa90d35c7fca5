//! io_uring(7): one thread hands sends and receives to the kernel, many in one call, and takes what is done.
//!
//! Each open connection has a receive in flight. A request costs a send entry, a receive entry and its part of an
//! io_uring_enter(2).

use std::os::fd::AsFd;
use std::sync::Arc;

use nix::errno::Errno;

use super::super::client_connection::{ClientConnection, Received, RequestFailure};
use super::super::dispatcher::{DispatchStep, RequestDispatcher};
use super::super::load_plan::LoadPlan;
use super::super::load_run::{LoadError, LoadRun};
use super::super::outcome::ClientUsage;
use super::{LoadEngine, LoadWorker, WorkerShare, open_all, opened, shares};
use crate::sys::SysError;
use crate::sys::timer::monotonic;
use crate::sys::uring::{PushedRequest, SocketCompletion, SocketRing};
use crate::terms::Unsupported;
use crate::units::Nanos;

/// The engine `uring`.
#[derive(Debug)]
pub(super) struct UringClient;

impl LoadEngine for UringClient {
    fn name(&self) -> &'static str {
        "uring"
    }

    fn describe(&self) -> &'static str {
        "an event loop per thread on io_uring, with sends and receives as entries"
    }

    fn supports(&self) -> Result<(), Unsupported> {
        let needed = "io_uring with IORING_FEAT_EXT_ARG (Linux 5.11)";
        let remedy = "a newer kernel, `sysctl kernel.io_uring_disabled=0`, or another engine";
        match SocketRing::<()>::new(8) {
            Ok(ring) if ring.knows_timeouts() => Ok(()),
            Ok(_) => Err(Unsupported::new(needed, "waits without timeouts", remedy)),
            Err(error) => Err(Unsupported::new(needed, error.to_string(), remedy)),
        }
    }

    fn workers(&self, plan: &Arc<LoadPlan>) -> Vec<Box<dyn LoadWorker>> {
        let worker = |share: WorkerShare| -> Box<dyn LoadWorker> {
            Box::new(UringLoop {
                connections: RingConnection::several(ClientConnection::several(plan, share.first, share.connections)),
                share,
                ring: None,
            })
        };
        shares(plan, plan.threads).into_iter().map(worker).collect()
    }
}

/// How a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Life {
    Closed,
    Connecting,
    Open,
    /// Calls of the socket that was closed are in flight; whether a request waits until they are done.
    Closing {
        restart: bool,
    },
}

/// Calls of a connection. At most one of each is in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum SocketCall {
    Connect,
    Send,
    Receive,
}

/// Whose completion it is.
#[derive(Debug, Clone, Copy)]
struct CallOf {
    connection: usize,
    call: SocketCall,
}

/// A connection, and the memory of its calls, which the ring has while they are in flight.
struct RingConnection {
    client: ClientConnection,
    life: Life,
    /// By call, those in flight.
    calls: [Option<PushedRequest>; 3],
    request: Vec<u8>,
    answer: Vec<u8>,
    /// A request waits until what is sent of the one before has ended: its answer came earlier.
    send_again: bool,
}

impl RingConnection {
    fn several(clients: Vec<ClientConnection>) -> Vec<Self> {
        let with = |client| Self {
            client,
            life: Life::Closed,
            calls: [None; 3],
            request: Vec::new(),
            answer: vec![0; ANSWER],
            send_again: false,
        };
        clients.into_iter().map(with).collect()
    }

    fn is_in_use(&self) -> bool {
        self.calls.iter().any(Option::is_some)
    }
}

struct UringLoop {
    share: WorkerShare,
    connections: Vec<RingConnection>,
    // Behind the connections, whose sockets may be closed before the calls on them have ended; the ring owns what
    // those point at.
    ring: Option<SocketRing<CallOf>>,
}

/// The most submissions that go to the kernel at once.
const MOST_ENTRIES: usize = 8192;

/// Bytes of a receive; what is longer takes several.
const ANSWER: usize = 4 << 10;

/// What went wrong with a request, or with the ring.
enum Trouble {
    Request(RequestFailure),
    Ring(SysError),
}

impl From<RequestFailure> for Trouble {
    fn from(failure: RequestFailure) -> Self {
        Self::Request(failure)
    }
}

impl From<SysError> for Trouble {
    fn from(error: SysError) -> Self {
        Self::Ring(error)
    }
}

/// A worker at work.
struct AtWork<'w> {
    ring: &'w mut SocketRing<CallOf>,
    connections: &'w mut [RingConnection],
    dispatcher: RequestDispatcher,
    received: u64,
    /// Sends in flight that need not wait for room.
    small_sends: usize,
}

/// A send of so many bytes at most finds room in the socket's buffer, which has 16 KiB to begin with (tcp(7), tcp_wmem)
/// and holds nothing any more, since what was sent before has been answered: it is done when the kernel has it.
const SMALL_SEND: usize = 4 << 10;

impl LoadWorker for UringLoop {
    fn connect(&mut self) -> Result<(), LoadError> {
        let Some(plan) = self.connections.first().map(|connection| connection.client.plan()) else { return Ok(()) };
        let entries = (2 * self.connections.len()).clamp(8, MOST_ENTRIES).next_power_of_two();
        let ring = self.ring.insert(SocketRing::new(u32::try_from(entries).unwrap_or(8))?);
        let clients = self.connections.iter_mut().map(|connection| &mut connection.client);
        open_all(&plan, clients, ClientConnection::open_blocking)?;
        for (number, connection) in self.connections.iter_mut().enumerate() {
            if connection.client.is_open() {
                receive(ring, number, connection)?;
                connection.life = Life::Open;
            }
        }
        Ok(ring.wait(Some(Nanos(0)))?)
    }

    fn run(&mut self, run: &Arc<LoadRun>, usage: &mut ClientUsage) -> Result<(), LoadError> {
        let before = opened(self.connections.iter().map(|connection| &connection.client));
        let Self { share, connections, ring: Some(ring) } = self else { return Ok(()) };
        let spin = run.plan().spin.0;
        let dispatcher = RequestDispatcher::new(run, share.worker, connections.len(), share.most_busy, monotonic());
        let mut work = AtWork { ring, connections, dispatcher, received: 0, small_sends: 0 };
        loop {
            let now = monotonic();
            let DispatchStep::Wait { until, due } = work.pump(now)? else { break };
            let now = monotonic();
            let left = until.0.saturating_sub(now.0);
            let looking = due && left <= spin;
            let timeout = if looking { 0 } else { left - if due { spin.min(left) } else { 0 } };
            // That these sends are done ends no wait: without an answer there is nothing to do.
            work.ring.wait_for(1 + work.small_sends, Some(Nanos(timeout)))?;
            let mut count = 0;
            while let Some(done) = work.ring.completion() {
                // That a send is done is no event to a request that waits for its answer.
                count += u64::from(done.owner.call != SocketCall::Send);
                work.handle(done)?;
            }
            if count == 0 && looking {
                usage.spun.0 += monotonic().0.saturating_sub(now.0);
            }
            usage.wakes += u64::from(count > 0);
            usage.events += count;
            for (connection, failure) in work.dispatcher.overdue(monotonic()) {
                work.fail(connection, &failure)?;
            }
        }
        usage.received += work.received;
        work.dispatcher.finish(monotonic());
        usage.connects += opened(self.connections.iter().map(|connection| &connection.client)) - before;
        Ok(())
    }
}

/// Hands the kernel the connection's memory to receive into.
#[inline]
fn receive(ring: &mut SocketRing<CallOf>, number: usize, connection: &mut RingConnection) -> Result<(), SysError> {
    let Some(socket) = connection.client.socket() else { return Ok(()) };
    let owner = CallOf { connection: number, call: SocketCall::Receive };
    let pushed = ring.receive_into(socket, std::mem::take(&mut connection.answer), owner)?;
    connection.calls[SocketCall::Receive as usize] = Some(pushed);
    Ok(())
}

/// The bytes that a call moved.
fn bytes(result: Result<u32, Errno>, call: &str) -> Result<usize, RequestFailure> {
    let told = |errno: Errno| RequestFailure::of_call(call, &std::io::Error::from(errno));
    result.map(|bytes| bytes as usize).map_err(told)
}

impl AtWork<'_> {
    /// Starts what is due, and returns what to do then.
    #[inline]
    fn pump(&mut self, mut now: Nanos) -> Result<DispatchStep, SysError> {
        loop {
            match self.dispatcher.step(now) {
                DispatchStep::Send { connection, number } => {
                    self.connections[connection].client.begin(number);
                    if let Err(trouble) = self.start(connection) {
                        self.trouble(connection, trouble)?;
                    }
                    now = monotonic();
                }
                step => return Ok(step),
            }
        }
    }

    #[inline]
    fn start(&mut self, number: usize) -> Result<(), Trouble> {
        let connection = &mut self.connections[number];
        match connection.life {
            Life::Open => Ok(self.send(number, 0)?),
            Life::Closing { .. } => {
                connection.life = Life::Closing { restart: true };
                Ok(())
            }
            Life::Closed | Life::Connecting => {
                let address = connection.client.plan().address;
                let socket = connection.client.prepare()?;
                let owner = CallOf { connection: number, call: SocketCall::Connect };
                let pushed = self.ring.connect(socket.as_fd(), address, owner)?;
                connection.life = Life::Connecting;
                connection.calls[SocketCall::Connect as usize] = Some(pushed);
                Ok(())
            }
        }
    }

    /// Sends the request from its byte `from` on.
    #[inline]
    fn send(&mut self, number: usize, from: usize) -> Result<(), SysError> {
        let connection = &mut self.connections[number];
        let Some(socket) = connection.client.socket() else { return Ok(()) };
        if connection.calls[SocketCall::Send as usize].is_some() {
            connection.send_again = true;
            return Ok(());
        }
        if from == 0 {
            let request = connection.client.unwritten();
            // The same request over and over: it is there already.
            if connection.request != request {
                connection.request.clear();
                connection.request.extend_from_slice(request);
            }
        }
        self.small_sends += usize::from(connection.request.len() <= SMALL_SEND);
        let owner = CallOf { connection: number, call: SocketCall::Send };
        let pushed = self.ring.send(socket, std::mem::take(&mut connection.request), from, owner)?;
        connection.calls[SocketCall::Send as usize] = Some(pushed);
        Ok(())
    }

    #[inline]
    fn handle(&mut self, done: SocketCompletion<CallOf>) -> Result<(), SysError> {
        let CallOf { connection: number, call } = done.owner;
        let connection = &mut self.connections[number];
        connection.calls[call as usize] = None;
        match (call, done.memory) {
            (SocketCall::Send, Some(memory)) => {
                // Those of the run before were not counted in this.
                self.small_sends = self.small_sends.saturating_sub(usize::from(memory.len() <= SMALL_SEND));
                connection.request = memory;
            }
            (SocketCall::Receive, Some(memory)) => connection.answer = memory,
            _ => {}
        }
        if let Life::Closing { restart } = connection.life {
            if connection.is_in_use() {
                return Ok(());
            }
            connection.life = Life::Closed;
            if !restart || !self.dispatcher.is_busy(number) {
                return Ok(());
            }
            return match self.start(number) {
                Ok(()) => Ok(()),
                Err(trouble) => self.trouble(number, trouble),
            };
        }
        let handled = match call {
            SocketCall::Connect => self.connected(number, done.result),
            SocketCall::Send => self.sent(number, done.result),
            SocketCall::Receive => self.arrived(number, done.result),
        };
        match handled {
            Ok(()) => Ok(()),
            Err(trouble) => self.trouble(number, trouble),
        }
    }

    fn connected(&mut self, number: usize, result: Result<u32, Errno>) -> Result<(), Trouble> {
        bytes(result, "connect")?;
        self.connections[number].life = Life::Open;
        receive(self.ring, number, &mut self.connections[number])?;
        Ok(self.send(number, 0)?)
    }

    #[inline]
    fn sent(&mut self, number: usize, result: Result<u32, Errno>) -> Result<(), Trouble> {
        let count = bytes(result, "send")?;
        let connection = &mut self.connections[number];
        if std::mem::take(&mut connection.send_again) {
            return Ok(self.send(number, 0)?);
        }
        connection.client.note_written(count);
        let left = connection.client.unwritten().len();
        let from = connection.request.len() - left;
        if left == 0 { Ok(()) } else { Ok(self.send(number, from)?) }
    }

    #[inline]
    fn arrived(&mut self, number: usize, result: Result<u32, Errno>) -> Result<(), Trouble> {
        let count = bytes(result, "recv")?;
        self.received += count as u64;
        if !self.dispatcher.is_busy(number) {
            // The server closed its side, or sent what was not asked for.
            return Ok(self.shut(number)?);
        }
        let RingConnection { client, answer, .. } = &mut self.connections[number];
        match client.take(&answer[..count], answer.len())? {
            Received::Answer(answered) => {
                client.note_answered(answered);
                if !client.is_open() || count == 0 {
                    self.shut(number)?;
                } else {
                    receive(self.ring, number, &mut self.connections[number])?;
                }
                self.dispatcher.answered(number, answered, monotonic());
                self.pump(monotonic())?;
                Ok(())
            }
            Received::Part { .. } | Received::Nothing => Ok(receive(self.ring, number, &mut self.connections[number])?),
        }
    }

    /// Closes the socket, and gives up what is in flight on it. Each call still completes, with `ECANCELED` or as it
    /// would have.
    fn shut(&mut self, number: usize) -> Result<(), SysError> {
        let connection = &mut self.connections[number];
        connection.client.close();
        connection.send_again = false;
        for call in connection.calls.into_iter().flatten() {
            self.ring.cancel(call)?;
        }
        connection.life = if connection.is_in_use() { Life::Closing { restart: false } } else { Life::Closed };
        Ok(())
    }

    /// A request failed, and its connection with it; trouble of the ring ends the worker.
    fn trouble(&mut self, number: usize, trouble: Trouble) -> Result<(), SysError> {
        match trouble {
            Trouble::Ring(error) => Err(error),
            Trouble::Request(failure) if self.dispatcher.is_busy(number) => self.fail(number, &failure),
            Trouble::Request(_) => self.shut(number),
        }
    }

    fn fail(&mut self, number: usize, failure: &RequestFailure) -> Result<(), SysError> {
        self.shut(number)?;
        let rest = self.connections[number].client.note_failed();
        self.dispatcher.failed(number, failure, rest, monotonic());
        Ok(())
    }
}
