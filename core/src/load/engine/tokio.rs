//! tokio: a current-thread runtime per thread, a task per connection, and one task that keeps the schedule.
//!
//! The schedule sleeps by a timerfd: tokio's own timers have whole milliseconds.

use std::cell::RefCell;
use std::future::poll_fn;
use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Poll, Waker};
use std::time::Duration;

use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use tokio::io::unix::AsyncFd;
use tokio::runtime::{Builder, Runtime};
use tokio::task::LocalSet;

use super::super::client_connection::{ClientConnection, Opening, Received, RequestFailure};
use super::super::dispatcher::{DispatchStep, RequestDispatcher};
use super::super::exchange::Answered;
use super::super::ledger::LoadFailure;
use super::super::load_plan::LoadPlan;
use super::super::load_run::{LoadError, LoadRun};
use super::super::outcome::ClientUsage;
use super::{LoadEngine, LoadWorker, WorkerShare, open_all, opened, shares};
use crate::sys::SysError;
use crate::sys::timer::monotonic;
use crate::sys::watched::watch;
use crate::units::Nanos;

/// The engine `tokio`.
#[derive(Debug)]
pub(super) struct TokioClient;

impl LoadEngine for TokioClient {
    fn name(&self) -> &'static str {
        "tokio"
    }

    fn describe(&self) -> &'static str {
        "a tokio runtime per thread, with a task per connection"
    }

    fn workers(&self, plan: &Arc<LoadPlan>) -> Vec<Box<dyn LoadWorker>> {
        let worker = |share: WorkerShare| -> Box<dyn LoadWorker> {
            Box::new(TokioTasks {
                connections: TaskConnection::several(ClientConnection::several(plan, share.first, share.connections)),
                share,
                runtime: None,
            })
        };
        shares(plan, plan.threads).into_iter().map(worker).collect()
    }
}

/// A connection, and what its task keeps from one run to the next.
struct TaskConnection {
    client: ClientConnection,
    /// Its socket, as the runtime watches it; none before the first request on it.
    watched: Option<AsyncFd<OwnedFd>>,
    buffer: Box<[u8]>,
}

impl TaskConnection {
    fn several(clients: Vec<ClientConnection>) -> Vec<Self> {
        let with = |client| Self { client, watched: None, buffer: vec![0; BUFFER].into() };
        clients.into_iter().map(with).collect()
    }
}

/// Bytes that a read takes at most.
const BUFFER: usize = 16 << 10;

struct TokioTasks {
    share: WorkerShare,
    // Before the runtime, which watches their sockets.
    connections: Vec<TaskConnection>,
    runtime: Option<Runtime>,
}

/// What the tasks of one run share.
struct TaskTable {
    dispatcher: RequestDispatcher,
    /// The request that a connection is to send.
    assigned: Vec<Option<u64>>,
    /// Why a connection is to give up its request.
    given_up: Vec<Option<RequestFailure>>,
    wakers: Vec<Option<Waker>>,
    /// The task that keeps the schedule, and until when it sleeps.
    keeper: Option<Waker>,
    asleep_until: Nanos,
    finished: bool,
    usage: ClientUsage,
}

impl TaskTable {
    /// Hands out what is due, and returns what to do then. `own` need not be woken.
    fn pump(&mut self, own: Option<usize>, mut now: Nanos) -> DispatchStep {
        loop {
            match self.dispatcher.step(now) {
                DispatchStep::Send { connection, number } => {
                    self.assigned[connection] = Some(number);
                    if own != Some(connection)
                        && let Some(waker) = self.wakers[connection].take()
                    {
                        waker.wake();
                    }
                    now = monotonic();
                }
                step => {
                    match step {
                        DispatchStep::Finished if !self.finished => self.finish(),
                        // A connection has become free, and the next request is due before the keeper wakes.
                        DispatchStep::Wait { until, due: true } if until < self.asleep_until => {
                            self.asleep_until = Nanos(0);
                            self.keeper.iter().for_each(Waker::wake_by_ref);
                        }
                        _ => {}
                    }
                    return step;
                }
            }
        }
    }
}

impl TaskTable {
    /// Lets every task end.
    fn finish(&mut self) {
        self.finished = true;
        self.keeper.iter().for_each(Waker::wake_by_ref);
        self.wakers.iter().flatten().for_each(Waker::wake_by_ref);
    }
}

impl LoadWorker for TokioTasks {
    fn connect(&mut self) -> Result<(), LoadError> {
        let Some(plan) = self.connections.first().map(|connection| connection.client.plan()) else { return Ok(()) };
        let built = Builder::new_current_thread().enable_io().build();
        self.runtime = Some(built.map_err(|error| SysError::from_io("tokio: build a runtime", &error))?);
        let clients = self.connections.iter_mut().map(|connection| &mut connection.client);
        open_all(&plan, clients, ClientConnection::open_at_once)
    }

    fn run(&mut self, run: &Arc<LoadRun>, usage: &mut ClientUsage) -> Result<(), LoadError> {
        let before = opened(self.connections.iter().map(|connection| &connection.client));
        let Some(runtime) = &self.runtime else { return Ok(()) };
        let count = self.connections.len();
        let dispatcher = RequestDispatcher::new(run, self.share.worker, count, self.share.most_busy, monotonic());
        let table = Rc::new(RefCell::new(TaskTable {
            dispatcher,
            assigned: vec![None; count],
            given_up: vec![None; count],
            wakers: vec![None; count],
            keeper: None,
            asleep_until: Nanos(0),
            finished: false,
            usage: ClientUsage::default(),
        }));
        let local = LocalSet::new();
        let connections = std::mem::take(&mut self.connections);
        let spin = run.plan().spin.0;
        let returned = local.block_on(runtime, async {
            let serve = |(number, connection)| tokio::task::spawn_local(serve(Rc::clone(&table), number, connection));
            let tasks: Vec<_> = connections.into_iter().enumerate().map(serve).collect();
            let kept = keep_schedule(&table, spin).await;
            if kept.is_err() {
                // No request will be handed out any more.
                table.borrow_mut().finish();
            }
            let mut connections = Vec::with_capacity(count);
            for task in tasks {
                let ended = task.await;
                connections.push(ended.map_err(|error| LoadError::Thread(format!("a task of tokio: {error}")))?);
            }
            kept.map(|()| connections)
        });
        self.connections = returned?;
        let Ok(table) = Rc::try_unwrap(table) else {
            return Err(LoadError::Thread("a task of tokio outlived its run".into()));
        };
        let table = table.into_inner();
        usage.add(&table.usage);
        table.dispatcher.finish(monotonic());
        usage.connects += opened(self.connections.iter().map(|connection| &connection.client)) - before;
        Ok(())
    }
}

/// Hands out requests when they are due, and looks for those that wait too long.
async fn keep_schedule(table: &RefCell<TaskTable>, spin: u64) -> Result<(), LoadError> {
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_CLOEXEC | TimerFlags::TFD_NONBLOCK)
        .map_err(|errno| SysError::new("timerfd_create", errno))?;
    let watched = watch(timer.as_fd())?;
    loop {
        let now = monotonic();
        {
            let mut table = table.borrow_mut();
            for (connection, failure) in table.dispatcher.overdue(now) {
                table.given_up[connection] = Some(failure);
                if let Some(waker) = table.wakers[connection].take() {
                    waker.wake();
                }
            }
        }
        let step = table.borrow_mut().pump(None, now);
        let DispatchStep::Wait { until, due } = step else { return Ok(()) };
        let now = monotonic();
        let left = until.0.saturating_sub(now.0);
        if due && left <= spin {
            // Tasks that have something to read come first.
            tokio::task::yield_now().await;
            table.borrow_mut().usage.spun.0 += monotonic().0.min(until.0).saturating_sub(now.0);
            continue;
        }
        let moment = until.0 - if due { spin.min(left) } else { 0 };
        let once = Expiration::OneShot(TimeSpec::from_duration(Duration::from_nanos(moment.max(1))));
        timer
            .set(once, TimerSetTimeFlags::TFD_TIMER_ABSTIME)
            .map_err(|errno| SysError::new("timerfd_settime", errno))?;
        table.borrow_mut().asleep_until = until;
        // The timer rings, a request is due before that, or the last answer of the run is there.
        poll_fn(|context| {
            let mut table = table.borrow_mut();
            if table.finished || table.asleep_until != until {
                return Poll::Ready(());
            }
            table.keeper = Some(context.waker().clone());
            match watched.poll_read_ready(context) {
                Poll::Ready(Ok(mut ready)) => {
                    // Setting it again takes the ring back (timerfd_create(2)), so it is not read.
                    ready.clear_ready();
                    Poll::Ready(())
                }
                Poll::Ready(Err(_)) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            }
        })
        .await;
    }
}

/// The life of a connection's task: it sends what it is assigned, until the run is over, and returns the connection.
async fn serve(table: Rc<RefCell<TaskTable>>, number: usize, mut connection: TaskConnection) -> TaskConnection {
    while let Some(request) = assigned(&table, number).await {
        connection.client.begin(request);
        let answered = ask(&table, number, &mut connection).await;
        let mut table = table.borrow_mut();
        let now = monotonic();
        table.usage.wakes += 1;
        table.usage.events += 1;
        match answered {
            Ok(answered) => {
                if !answered.reusable || connection.client.plan().protocol.connects_each_time() {
                    connection.watched = None;
                }
                connection.client.note_answered(answered);
                table.dispatcher.answered(number, answered, now);
            }
            Err(failure) => {
                connection.watched = None;
                let rest = connection.client.note_failed();
                table.dispatcher.failed(number, &failure, rest, now);
            }
        }
        table.pump(Some(number), now);
    }
    connection
}

/// The next request of a connection; nothing when the run is over.
async fn assigned(table: &RefCell<TaskTable>, number: usize) -> Option<u64> {
    poll_fn(|context| {
        let mut table = table.borrow_mut();
        if let Some(request) = table.assigned[number].take() {
            table.dispatcher.note_sent(number, monotonic());
            return Poll::Ready(Some(request));
        }
        if table.finished {
            return Poll::Ready(None);
        }
        table.wakers[number] = Some(context.waker().clone());
        Poll::Pending
    })
    .await
}

/// Waits until the connection's socket can be read, or written; or for the failure that ends the request.
async fn ready(
    table: &RefCell<TaskTable>,
    number: usize,
    watched: &AsyncFd<OwnedFd>,
    write: bool,
) -> Result<(), RequestFailure> {
    poll_fn(|context| {
        let mut table = table.borrow_mut();
        if let Some(failure) = table.given_up[number].take() {
            return Poll::Ready(Err(failure));
        }
        table.wakers[number] = Some(context.waker().clone());
        let polled = if write { watched.poll_write_ready(context) } else { watched.poll_read_ready(context) };
        polled.map(|ready| match ready {
            Ok(mut ready) => {
                // What was read and written before has used it up; epoll's next edge sets it again.
                ready.clear_ready();
                Ok(())
            }
            Err(error) => Err(RequestFailure::of_call("tokio: wait for a socket", &error)),
        })
    })
    .await
}

async fn ask(
    table: &RefCell<TaskTable>,
    number: usize,
    connection: &mut TaskConnection,
) -> Result<Answered, RequestFailure> {
    let TaskConnection { client: connection, watched, buffer } = connection;
    let opening = if connection.is_open() { Opening::Connected } else { connection.open()? };
    let watched = match watched {
        Some(watched) => watched,
        None => {
            let refused = |error: SysError| RequestFailure::new(LoadFailure::Socket, error.to_string());
            let socket =
                connection.socket().ok_or_else(|| refused(SysError::new("tokio", nix::errno::Errno::EBADF)))?;
            watched.insert(watch(socket).map_err(refused)?)
        }
    };
    if opening == Opening::InProgress {
        ready(table, number, watched, true).await?;
        connection.connected()?;
    }
    while !connection.write()? {
        ready(table, number, watched, true).await?;
    }
    loop {
        // Before the read: an edge that comes between the read and the wait is then kept.
        ready(table, number, watched, false).await?;
        loop {
            let mut received = 0;
            let read = connection.read(buffer, &mut received);
            table.borrow_mut().usage.received += received;
            match read? {
                Received::Answer(answered) => return Ok(answered),
                Received::Part { .. } => {}
                Received::Nothing => break,
            }
        }
    }
}
