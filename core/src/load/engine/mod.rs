//! The engines: each a way in which a client waits for the answers of many connections. One file each, and one line of
//! the registry.

mod blocking_threads;
mod epoll;
mod tokio;
mod uring;

use std::fmt;
use std::sync::Arc;

use super::client_connection::ClientConnection;
use super::client_threads::connect_error;
use super::load_plan::{LoadDriver, LoadPlan};
use super::load_run::{LoadError, LoadRun};
use super::outcome::ClientUsage;
use crate::terms::Unsupported;

/// A way to send requests and to wait for their answers.
pub trait LoadEngine: Sync + fmt::Debug {
    /// Its word on the command line.
    fn name(&self) -> &'static str;

    /// In one sentence without full stop: how it waits.
    fn describe(&self) -> &'static str;

    /// Whether this machine has what it needs.
    ///
    /// # Errors
    /// What is missing, and what would help.
    fn supports(&self) -> Result<(), Unsupported> {
        Ok(())
    }

    /// Its workers for a plan, none of them connected; each is to have a thread of its own.
    fn workers(&self, plan: &Arc<LoadPlan>) -> Vec<Box<dyn LoadWorker>>;
}

/// The part of one thread: some of the connections, and the requests on them.
pub trait LoadWorker: Send {
    /// Opens the connections. To be called once, in the thread that will run it.
    ///
    /// # Errors
    /// The first connection that could not be opened.
    fn connect(&mut self) -> Result<(), LoadError>;

    /// Sends and receives until a run has no request left and none is outstanding. [`LoadRun::work`] calls it.
    ///
    /// # Errors
    /// What ended the engine. A request that fails is a result.
    fn run(&mut self, run: &Arc<LoadRun>, usage: &mut ClientUsage) -> Result<(), LoadError>;
}

/// Every engine, in the order in which they are listed.
pub static ENGINES: &[&dyn LoadEngine] =
    &[&blocking_threads::BlockingThreads, &epoll::EpollClient, &uring::UringClient, &tokio::TokioClient];

/// The engine called `name`.
pub fn engine(name: &str) -> Option<&'static dyn LoadEngine> {
    ENGINES.iter().copied().find(|engine| engine.name() == name)
}

/// Which connections a worker has, by number, and how many of them may be busy at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct WorkerShare {
    worker: usize,
    first: usize,
    connections: usize,
    most_busy: usize,
}

/// Shares the connections of a plan out among so many workers, and what may be outstanding with them.
fn shares(plan: &LoadPlan, workers: usize) -> Vec<WorkerShare> {
    let outstanding = match plan.driver {
        LoadDriver::Closed { outstanding, .. } => outstanding,
        LoadDriver::Open(_) => plan.connections,
    };
    // A worker without a connection, or with none that may be busy, has nothing to do.
    let workers = workers.min(outstanding).max(1);
    let upto = |whole: usize, worker: usize| whole * worker / workers;
    let share = |worker: usize| {
        let (first, end) = (upto(plan.connections, worker), upto(plan.connections, worker + 1));
        let most_busy = upto(outstanding, worker + 1) - upto(outstanding, worker);
        WorkerShare { worker, first, connections: end - first, most_busy }
    };
    (0..workers).map(share).collect()
}

/// Opens the connections of a worker before a run, where they are to be kept.
fn open_all<'c>(
    plan: &LoadPlan,
    connections: impl IntoIterator<Item = &'c mut ClientConnection>,
    open: impl Fn(&mut ClientConnection) -> Result<(), super::client_connection::RequestFailure>,
) -> Result<(), LoadError> {
    if plan.protocol.connects_each_time() {
        return Ok(());
    }
    for (opened, connection) in connections.into_iter().enumerate() {
        open(connection).map_err(|failure| connect_error(plan, failure, opened))?;
    }
    Ok(())
}

fn opened<'c>(connections: impl IntoIterator<Item = &'c ClientConnection>) -> u64 {
    connections.into_iter().map(ClientConnection::opened).sum()
}

#[cfg(test)]
mod tests {
    use super::super::tests::plan;
    use super::*;

    #[test]
    fn every_connection_and_every_outstanding_request_has_one_worker() {
        for (connections, outstanding, workers) in [(64, 64, 1), (64, 3, 2), (7, 7, 3), (5, 2, 8), (1, 1, 4)] {
            let driver = LoadDriver::Closed { outstanding, ramp: std::time::Duration::ZERO };
            let shares = shares(&LoadPlan { connections, driver, ..plan() }, workers);
            let mut next = 0;
            for share in &shares {
                assert_eq!(share.first, next);
                assert!(share.most_busy >= 1 && share.most_busy <= share.connections, "{share:?}");
                next += share.connections;
            }
            assert_eq!(next, connections);
            assert_eq!(shares.iter().map(|share| share.most_busy).sum::<usize>(), outstanding);
            assert!(shares.len() <= workers);
        }
    }

    #[test]
    fn every_engine_is_found_by_its_name() {
        for known in ENGINES {
            assert_eq!(engine(known.name()).unwrap().name(), known.name());
        }
        assert!(engine("carrier pigeon").is_none());
    }
}
