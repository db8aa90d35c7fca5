//! io_uring(7): one thread hands sends and receives to the kernel, many in one call, and takes what is done.
//!
//! Each open connection has a receive in flight. A request costs a send entry, a receive entry and its part of an
//! io_uring_enter(2).

use std::sync::Arc;

use super::super::client_connection::{ClientConnection, Received, RequestFailure};
use super::super::dispatcher::{DispatchStep, RequestDispatcher};
use super::super::load_plan::LoadPlan;
use super::super::load_run::{LoadError, LoadRun};
use super::super::outcome::ClientUsage;
use super::{LoadEngine, LoadWorker, WorkerShare, open_all, opened, shares};
use crate::sys::SysError;
use crate::sys::socket_ring::{ClientCompletion, ClientRing, SocketOp};
use crate::sys::timer::monotonic;
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
        match ClientRing::new(1, 1) {
            Ok(ring) if ring.knows_timeouts() => Ok(()),
            Ok(_) => Err(Unsupported::new(needed, "waits without timeouts", remedy)),
            Err(error) => Err(Unsupported::new(needed, error.to_string(), remedy)),
        }
    }

    fn workers(&self, plan: &Arc<LoadPlan>) -> Vec<Box<dyn LoadWorker>> {
        let worker = |share: WorkerShare| -> Box<dyn LoadWorker> {
            Box::new(UringLoop {
                connections: ClientConnection::several(plan, share.first, share.connections),
                lives: vec![Life::Closed; share.connections],
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

struct UringLoop {
    share: WorkerShare,
    connections: Vec<ClientConnection>,
    lives: Vec<Life>,
    ring: Option<ClientRing>,
}

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
    ring: &'w mut ClientRing,
    connections: &'w mut [ClientConnection],
    lives: &'w mut [Life],
    dispatcher: RequestDispatcher,
    received: u64,
}

impl LoadWorker for UringLoop {
    fn connect(&mut self) -> Result<(), LoadError> {
        let Some(plan) = self.connections.first().map(ClientConnection::plan) else { return Ok(()) };
        let ring = self.ring.insert(ClientRing::new(self.connections.len(), ANSWER)?);
        open_all(&plan, &mut self.connections, ClientConnection::open_blocking)?;
        for (number, connection) in self.connections.iter().enumerate() {
            if let Some(socket) = connection.socket() {
                ring.push_receive(number, socket)?;
                self.lives[number] = Life::Open;
            }
        }
        Ok(ring.submit_and_wait(Nanos(0))?)
    }

    fn run(&mut self, run: &Arc<LoadRun>, usage: &mut ClientUsage) -> Result<(), LoadError> {
        let before = opened(&self.connections);
        let Self { share, connections, lives, ring: Some(ring) } = self else { return Ok(()) };
        let spin = run.plan().spin.0;
        let dispatcher = RequestDispatcher::new(run, share.worker, connections.len(), share.most_busy, monotonic());
        let mut work = AtWork { ring, connections, lives, dispatcher, received: 0 };
        loop {
            let now = monotonic();
            let DispatchStep::Wait { until, due } = work.pump(now)? else { break };
            let now = monotonic();
            let left = until.0.saturating_sub(now.0);
            let looking = due && left <= spin;
            let timeout = if looking { 0 } else { left - if due { spin.min(left) } else { 0 } };
            work.ring.submit_and_wait(Nanos(timeout))?;
            let mut count = 0;
            while let Some(done) = work.ring.completion() {
                // That a send is done is no event to a request that waits for its answer.
                count += u64::from(done.op != SocketOp::Send);
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
        usage.connects += opened(&self.connections) - before;
        Ok(())
    }
}

impl AtWork<'_> {
    /// Starts what is due, and returns what to do then.
    #[inline]
    fn pump(&mut self, mut now: Nanos) -> Result<DispatchStep, SysError> {
        loop {
            match self.dispatcher.step(now) {
                DispatchStep::Send { connection, number } => {
                    self.connections[connection].begin(number);
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
    fn start(&mut self, connection: usize) -> Result<(), Trouble> {
        match self.lives[connection] {
            Life::Open => self.send(connection),
            Life::Closing { .. } => {
                self.lives[connection] = Life::Closing { restart: true };
                Ok(())
            }
            Life::Closed | Life::Connecting => {
                let address = self.connections[connection].plan().address;
                let socket = self.connections[connection].prepare()?;
                self.lives[connection] = Life::Connecting;
                Ok(self.ring.push_connect(connection, socket, address)?)
            }
        }
    }

    #[inline]
    fn send(&mut self, connection: usize) -> Result<(), Trouble> {
        let client = &self.connections[connection];
        if let Some(socket) = client.socket() {
            self.ring.push_send(connection, socket, client.unwritten())?;
        }
        Ok(())
    }

    #[inline]
    fn receive(&mut self, connection: usize) -> Result<(), Trouble> {
        if let Some(socket) = self.connections[connection].socket() {
            self.ring.push_receive(connection, socket)?;
        }
        Ok(())
    }

    #[inline]
    fn handle(&mut self, done: ClientCompletion) -> Result<(), SysError> {
        let connection = done.slot;
        if let Life::Closing { restart } = self.lives[connection] {
            if self.ring.is_in_use(connection) {
                return Ok(());
            }
            self.lives[connection] = Life::Closed;
            if !restart || !self.dispatcher.is_busy(connection) {
                return Ok(());
            }
            return match self.start(connection) {
                Ok(()) => Ok(()),
                Err(trouble) => self.trouble(connection, trouble),
            };
        }
        let handled = match done.op {
            SocketOp::Connect => self.connected(done),
            SocketOp::Send => self.sent(done),
            SocketOp::Receive => self.arrived(done),
        };
        match handled {
            Ok(()) => Ok(()),
            Err(trouble) => self.trouble(connection, trouble),
        }
    }

    fn connected(&mut self, done: ClientCompletion) -> Result<(), Trouble> {
        done.bytes().map_err(|error| RequestFailure::of_call("connect", &error))?;
        self.lives[done.slot] = Life::Open;
        self.receive(done.slot)?;
        self.send(done.slot)
    }

    #[inline]
    fn sent(&mut self, done: ClientCompletion) -> Result<(), Trouble> {
        let count = done.bytes().map_err(|error| RequestFailure::of_call("send", &error))?;
        let client = &mut self.connections[done.slot];
        client.note_written(count);
        if client.unwritten().is_empty() { Ok(()) } else { self.send(done.slot) }
    }

    #[inline]
    fn arrived(&mut self, done: ClientCompletion) -> Result<(), Trouble> {
        let connection = done.slot;
        let count = done.bytes().map_err(|error| RequestFailure::of_call("recv", &error))?;
        self.received += count as u64;
        if !self.dispatcher.is_busy(connection) {
            // The server closed its side, or sent what was not asked for.
            return Ok(self.shut(connection)?);
        }
        let bytes = self.ring.received(connection, count);
        match self.connections[connection].take(bytes, self.ring.room(connection))? {
            Received::Answer(answered) => {
                let client = &mut self.connections[connection];
                client.note_answered(answered);
                if !client.is_open() {
                    self.shut(connection)?;
                } else if count == 0 {
                    self.connections[connection].close();
                    self.shut(connection)?;
                } else {
                    self.receive(connection)?;
                }
                self.dispatcher.answered(connection, answered, monotonic());
                self.pump(monotonic())?;
                Ok(())
            }
            Received::Part { .. } | Received::Nothing => self.receive(connection),
        }
    }

    /// Closes the socket, and gives up what is in flight on it.
    fn shut(&mut self, connection: usize) -> Result<(), SysError> {
        self.connections[connection].close();
        self.ring.cancel(connection)?;
        let in_use = self.ring.is_in_use(connection);
        self.lives[connection] = if in_use { Life::Closing { restart: false } } else { Life::Closed };
        Ok(())
    }

    /// A request failed, and its connection with it; trouble of the ring ends the worker.
    fn trouble(&mut self, connection: usize, trouble: Trouble) -> Result<(), SysError> {
        match trouble {
            Trouble::Ring(error) => Err(error),
            Trouble::Request(failure) if self.dispatcher.is_busy(connection) => self.fail(connection, &failure),
            Trouble::Request(_) => self.shut(connection),
        }
    }

    fn fail(&mut self, connection: usize, failure: &RequestFailure) -> Result<(), SysError> {
        self.shut(connection)?;
        let rest = self.connections[connection].note_failed();
        self.dispatcher.failed(connection, failure, rest, monotonic());
        Ok(())
    }
}
