//! The threads of a load run, and the one that watches them.

use std::sync::{Arc, mpsc};
use std::thread::{Builder, Scope};
use std::time::Duration;

use super::client_connection::{ClientConnection, RequestFailure};
use super::engine::LoadWorker;
use super::load_plan::LoadPlan;
use super::load_run::{LoadError, LoadObserver, LoadRun};
use super::outcome::{LoadEnd, LoadOutcome};
use crate::sys::affinity::confine_current_thread;
use crate::sys::process::name_current_thread;
use crate::sys::timer::monotonic;
use crate::units::{CpuId, Nanos};

/// Stacks of client threads: a loop over system calls, and a runtime in one of the engines.
const STACK: usize = 256 << 10;

/// From the moment at which all are connected to that from which times count.
const LEAD: u64 = 2_000_000;

/// Carries out a plan in threads of its own and returns when it has ended.
///
/// # Errors
/// What kept it from beginning, or ended one of its threads. Requests that fail are results, also when all do.
pub fn run_load(plan: &Arc<LoadPlan>, observer: &mut dyn LoadObserver) -> Result<LoadOutcome, LoadError> {
    plan.engine.supports()?;
    let run = Arc::new(LoadRun::new(plan));
    let idle = IdleConnections::open(plan)?;
    let outcome = std::thread::scope(|scope| conduct(scope, &run, observer));
    drop(idle);
    outcome?;
    Ok(run.outcome())
}

/// Connections that carry nothing; dropped, they are closed.
#[derive(Debug)]
pub struct IdleConnections {
    _open: Vec<ClientConnection>,
}

impl IdleConnections {
    /// As many as `plan` asks for.
    ///
    /// # Errors
    /// The first that could not be opened.
    pub fn open(plan: &Arc<LoadPlan>) -> Result<Self, LoadError> {
        let mut idle = ClientConnection::several(plan, plan.connections, plan.idle_connections);
        for (opened, connection) in idle.iter_mut().enumerate() {
            connection.open_blocking().map_err(|failure| connect_error(plan, failure, opened))?;
        }
        Ok(Self { _open: idle })
    }
}

pub(super) fn connect_error(plan: &LoadPlan, failure: RequestFailure, opened: usize) -> LoadError {
    LoadError::Connect { address: plan.address, told: failure.told, opened }
}

/// What a client thread tells the one that watches.
enum News {
    Connected,
    Ended(Result<(), LoadError>),
}

fn conduct<'s>(
    scope: &'s Scope<'s, '_>,
    run: &'s Arc<LoadRun>,
    observer: &mut dyn LoadObserver,
) -> Result<(), LoadError> {
    let plan = run.plan();
    let (tell, news) = mpsc::channel();
    let workers = plan.engine.workers(plan);
    let all = workers.len();
    let mut first_error = None;
    for (index, worker) in workers.into_iter().enumerate() {
        let cpus = plan.cpus.get(index % plan.cpus.len().max(1)).copied();
        let tell = tell.clone();
        let life = move || {
            let outcome = live(run, worker, index, cpus, &tell);
            // The one that watches has left only when it has all it waits for.
            let _ = tell.send(News::Ended(outcome));
        };
        if let Err(error) = Builder::new().stack_size(STACK).spawn_scoped(scope, life) {
            first_error = Some(LoadError::Thread(format!("number {index} of {all} could not be created: {error}")));
            break;
        }
    }
    drop(tell);
    let mut connected = 0;
    while connected < all && first_error.is_none() {
        match news.recv() {
            Ok(News::Connected) => connected += 1,
            Ok(News::Ended(outcome)) => first_error = Some(outcome.err().unwrap_or_else(early)),
            Err(_) => first_error = Some(early()),
        }
    }
    if let Some(error) = first_error {
        run.abandon();
        return Err(error);
    }
    run.begin_with(Nanos(monotonic().0 + LEAD), observer.interval_length().is_some());
    watch(run, observer, &news, all)
}

fn early() -> LoadError {
    LoadError::Thread("it ended before it had begun".into())
}

/// The life of a client thread.
fn live(
    run: &Arc<LoadRun>,
    mut worker: Box<dyn LoadWorker>,
    index: usize,
    cpu: Option<CpuId>,
    tell: &mpsc::Sender<News>,
) -> Result<(), LoadError> {
    name_current_thread(&format!("load{index}"));
    if let Some(cpu) = cpu {
        confine_current_thread(&[cpu])?;
    }
    worker.connect()?;
    let _ = tell.send(News::Connected);
    run.work(&mut *worker)
}

/// Looks on until all threads have ended.
fn watch(
    run: &LoadRun,
    observer: &mut dyn LoadObserver,
    news: &mpsc::Receiver<News>,
    all: usize,
) -> Result<(), LoadError> {
    const LOOK: Duration = Duration::from_millis(100);
    let length = observer.interval_length();
    let (mut next_cut, mut next_check) = (length.unwrap_or_default(), Duration::from_secs(1));
    let (mut ended, mut outcome) = (0, Ok(()));
    while ended < all {
        match news.recv_timeout(LOOK) {
            Ok(News::Ended(Err(error))) => {
                ended += 1;
                run.end(LoadEnd::Interrupted);
                outcome = outcome.and(Err(error));
            }
            Ok(News::Ended(Ok(()))) => ended += 1,
            Ok(News::Connected) | Err(mpsc::RecvTimeoutError::Timeout) => {}
            Err(mpsc::RecvTimeoutError::Disconnected) => break,
        }
        let progress = run.progress();
        if !observer.progress(&progress) {
            run.end(LoadEnd::Interrupted);
        }
        let over = ended == all;
        if let Some(length) = length
            && (over || progress.elapsed >= next_cut)
        {
            next_cut = progress.elapsed + length;
            if let Some(interval) = run.cut(monotonic()) {
                observer.interval(interval);
            }
        }
        if progress.elapsed >= next_check {
            next_check = progress.elapsed + Duration::from_millis(250);
            if run.is_precise() {
                run.end(LoadEnd::Precise);
            }
        }
    }
    outcome
}
