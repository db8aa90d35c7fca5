//! epoll(7), edge-triggered: one thread waits for all of its connections at once.
//!
//! A socket is registered once, for reading and writing. A request costs a send(2), a recv(2) and its part of an
//! epoll_pwait2(2); nothing is changed in the set while a connection lasts.

use std::sync::Arc;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags};

use super::super::client_connection::{ClientConnection, Opening, Received, RequestFailure};
use super::super::dispatcher::{DispatchStep, RequestDispatcher};
use super::super::ledger::LoadFailure;
use super::super::load_plan::LoadPlan;
use super::super::load_run::{LoadError, LoadRun};
use super::super::outcome::ClientUsage;
use super::{LoadEngine, LoadWorker, WorkerShare, open_all, opened, shares};
use crate::sys::SysError;
use crate::sys::event_wait::wait_for_events;
use crate::sys::timer::monotonic;
use crate::units::Nanos;

/// The engine `epoll`.
#[derive(Debug)]
pub(super) struct EpollClient;

impl LoadEngine for EpollClient {
    fn name(&self) -> &'static str {
        "epoll"
    }

    fn describe(&self) -> &'static str {
        "an event loop per thread, which waits in epoll_pwait2(2)"
    }

    fn workers(&self, plan: &Arc<LoadPlan>) -> Vec<Box<dyn LoadWorker>> {
        let worker = |share: WorkerShare| -> Box<dyn LoadWorker> {
            Box::new(EpollLoop {
                connections: ClientConnection::several(plan, share.first, share.connections),
                stages: vec![EpollStage::Ready; share.connections],
                share,
                epoll: None,
                buffer: vec![0; 64 << 10].into(),
            })
        };
        shares(plan, plan.threads).into_iter().map(worker).collect()
    }
}

/// What a connection waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EpollStage {
    /// An answer, or nothing.
    Ready,
    /// The end of its handshake.
    Connecting,
    /// Room for the rest of its request.
    Writing,
}

struct EpollLoop {
    share: WorkerShare,
    connections: Vec<ClientConnection>,
    stages: Vec<EpollStage>,
    epoll: Option<Epoll>,
    buffer: Box<[u8]>,
}

/// How many events one wait brings at most.
const EVENTS: usize = 256;

impl EpollLoop {
    fn set(&mut self) -> Result<&Epoll, SysError> {
        if self.epoll.is_none() {
            let made = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC);
            self.epoll = Some(made.map_err(|errno| SysError::new("epoll_create1", errno))?);
        }
        Ok(self.epoll.as_ref().expect("it was made above"))
    }

    fn register(&self, connection: usize) -> Result<(), RequestFailure> {
        let (Some(epoll), Some(socket)) = (&self.epoll, self.connections[connection].socket()) else { return Ok(()) };
        let flags = EpollFlags::EPOLLIN | EpollFlags::EPOLLOUT | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLET;
        let added = epoll.add(socket, EpollEvent::new(flags, connection as u64));
        let told = |errno| RequestFailure::new(LoadFailure::Socket, SysError::new("epoll_ctl", errno).to_string());
        added.map_err(told)
    }

    /// Sends what is due, and returns what to do then.
    #[inline]
    fn pump(&mut self, dispatcher: &mut RequestDispatcher, mut now: Nanos) -> DispatchStep {
        loop {
            match dispatcher.step(now) {
                DispatchStep::Send { connection, number } => {
                    self.connections[connection].begin(number);
                    if let Err(failure) = self.start(connection) {
                        self.fail(dispatcher, connection, &failure);
                    }
                    now = monotonic();
                }
                step => return step,
            }
        }
    }

    #[inline]
    fn start(&mut self, connection: usize) -> Result<(), RequestFailure> {
        if !self.connections[connection].is_open() {
            let opening = self.connections[connection].open()?;
            self.register(connection)?;
            if opening == Opening::InProgress {
                self.stages[connection] = EpollStage::Connecting;
                return Ok(());
            }
        }
        self.write(connection)
    }

    #[inline]
    fn write(&mut self, connection: usize) -> Result<(), RequestFailure> {
        let whole = self.connections[connection].write()?;
        self.stages[connection] = if whole { EpollStage::Ready } else { EpollStage::Writing };
        Ok(())
    }

    fn fail(&mut self, dispatcher: &mut RequestDispatcher, connection: usize, failure: &RequestFailure) {
        self.stages[connection] = EpollStage::Ready;
        let rest = self.connections[connection].note_failed();
        dispatcher.failed(connection, failure, rest, monotonic());
    }

    /// Does what an event allows; whether a request has ended.
    #[inline]
    fn handle(
        &mut self,
        dispatcher: &mut RequestDispatcher,
        connection: usize,
        flags: EpollFlags,
        received: &mut u64,
    ) -> Result<bool, RequestFailure> {
        if self.stages[connection] == EpollStage::Connecting {
            self.connections[connection].connected()?;
            // A first event may only say that the handshake has begun.
            if !flags.intersects(EpollFlags::EPOLLOUT) {
                return Ok(false);
            }
            self.write(connection)?;
        } else if self.stages[connection] == EpollStage::Writing && flags.contains(EpollFlags::EPOLLOUT) {
            self.write(connection)?;
        }
        let closing = EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        if !flags.intersects(EpollFlags::EPOLLIN | closing) {
            return Ok(false);
        }
        loop {
            match self.connections[connection].read(&mut self.buffer, received)? {
                Received::Answer(answered) => {
                    self.connections[connection].note_answered(answered);
                    if flags.intersects(closing) {
                        self.connections[connection].close();
                    }
                    dispatcher.answered(connection, answered, monotonic());
                    return Ok(true);
                }
                // The next edge tells of what comes later (epoll(7): a short read of a stream emptied it).
                Received::Part { full: false } if !flags.intersects(closing) => return Ok(false),
                Received::Part { .. } => {}
                Received::Nothing => return Ok(false),
            }
        }
    }
}

impl LoadWorker for EpollLoop {
    fn connect(&mut self) -> Result<(), LoadError> {
        self.set()?;
        let Some(plan) = self.connections.first().map(ClientConnection::plan) else { return Ok(()) };
        open_all(&plan, &mut self.connections, ClientConnection::open_at_once)?;
        for connection in 0..self.connections.len() {
            self.register(connection).map_err(|failure| super::connect_error(&plan, failure, connection))?;
        }
        Ok(())
    }

    fn run(&mut self, run: &Arc<LoadRun>, usage: &mut ClientUsage) -> Result<(), LoadError> {
        let before = opened(&self.connections);
        let (spin, share) = (run.plan().spin.0, self.share);
        let mut dispatcher =
            RequestDispatcher::new(run, share.worker, self.connections.len(), share.most_busy, monotonic());
        let mut events = [EpollEvent::empty(); EVENTS];
        loop {
            let now = monotonic();
            let DispatchStep::Wait { until, due } = self.pump(&mut dispatcher, now) else { break };
            let now = monotonic();
            let left = until.0.saturating_sub(now.0);
            // Within `spin` of a request's time the loop looks and does not sleep.
            let looking = due && left <= spin;
            let timeout = if looking { 0 } else { left - if due { spin.min(left) } else { 0 } };
            let count = wait_for_events(self.set()?, &mut events, Some(Nanos(timeout)))?;
            if count == 0 && looking {
                usage.spun.0 += monotonic().0.saturating_sub(now.0);
            }
            usage.wakes += u64::from(count > 0);
            usage.events += count as u64;
            for event in &events[..count] {
                let connection = event.data() as usize;
                if !dispatcher.is_busy(connection) {
                    self.look_at_idle(connection, event.events(), usage);
                    continue;
                }
                match self.handle(&mut dispatcher, connection, event.events(), &mut usage.received) {
                    Ok(false) => {}
                    Ok(true) => {
                        self.pump(&mut dispatcher, monotonic());
                    }
                    Err(failure) => self.fail(&mut dispatcher, connection, &failure),
                }
            }
            for (connection, failure) in dispatcher.overdue(monotonic()) {
                self.fail(&mut dispatcher, connection, &failure);
            }
        }
        dispatcher.finish(monotonic());
        usage.connects += opened(&self.connections) - before;
        Ok(())
    }
}

impl EpollLoop {
    /// A connection without a request is closed with the server's side of it, or with bytes that were not asked for.
    fn look_at_idle(&mut self, connection: usize, flags: EpollFlags, usage: &mut ClientUsage) {
        let told = EpollFlags::EPOLLIN | EpollFlags::EPOLLRDHUP | EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR;
        if !flags.intersects(told) || !self.connections[connection].is_open() {
            return;
        }
        match self.connections[connection].read(&mut self.buffer, &mut usage.received) {
            Ok(Received::Nothing) => {}
            _ => self.connections[connection].close(),
        }
    }
}
