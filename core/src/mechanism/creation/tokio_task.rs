//! A task spawned on tokio's single-threaded runtime and awaited through its handle.
//!
//! Timed: the task's one allocation, scheduling, poll, and the join. Not timed: building the runtime.
//! Distortions: the future is empty and smaller than any real one. Each time the spawner waits and nothing else is
//! ready the runtime looks at its epoll set, so with one alive every task costs an epoll_wait; `alive` spreads it.

use tokio::task::JoinHandle;

use super::{ALIVE, Stopwatch, UNTIL, async_laps, tasks_per_lap};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "creation/tokio_task",
    isolates: "an async task spawned and joined on one thread: an allocation and two turns of a queue",
    unit: Unit::Task,
    tasks: Tasks::OneThread,
    parameters: &[ALIVE, UNTIL],
    baseline: "creation/thread",
    requirements: &[],
    source: "docs.rs/tokio, task::spawn",
    lap: tasks_per_lap,
    resources: |_| Resources { descriptors: 8, threads: 1, processes: 0 },
    expects: |parameters, _| {
        // Once for each lap, and every 61 polls (runtime::Builder::event_interval).
        let most = 1.0 / parameters.number(ALIVE.name) as f64 + 0.1;
        Expectation::nothing().call("epoll_wait", Bound::AtMost(most))
    },
};

struct TokioTask;

register!(TokioTask);

impl Mechanism for TokioTask {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let failed = |error| Failure::library("tokio", error);
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .map_err(|error| Failure::library("tokio", error))?;
        let alive = parameters.size(ALIVE.name);
        let mut watch = Stopwatch::wanted(parameters)?;
        let mut tasks = Vec::with_capacity(alive);
        Ok(Box::new(move |ops: u64| {
            runtime.block_on(async_laps(&mut watch, ops, async |watch| {
                tasks.extend((0..alive).map(|_| spawn(watch)));
                for task in tasks.drain(..) {
                    task.await.map_err(failed)?;
                }
                Ok(alive as u64)
            }))
        }))
    }
}

/// A task of an empty future, or of one that tells the stopwatch.
#[inline]
fn spawn(watch: &mut Option<Stopwatch>) -> JoinHandle<()> {
    match watch.as_mut().map(Stopwatch::next) {
        None => tokio::spawn(async {}),
        Some(beginning) => tokio::spawn(async move { beginning.record() }),
    }
}
