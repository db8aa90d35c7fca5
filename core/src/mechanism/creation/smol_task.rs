//! A task spawned on smol's executor and awaited through its handle, all on one thread.
//!
//! Timed: the task's one allocation, scheduling, poll, and the join. Not timed: building the executor.
//! Distortions: the future is empty and smaller than any real one. There is no reactor, where tokio's runtime looks at
//! its own now and then.

use async_executor::{LocalExecutor, Task};
use futures_lite::future::block_on;

use super::{ALIVE, Stopwatch, UNTIL, async_laps, tasks_per_lap};
use crate::mechanism::{
    Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "creation/smol_task",
    isolates: "an async task spawned and joined on smol's executor: an allocation and two turns of a queue",
    unit: Unit::Task,
    tasks: Tasks::OneThread,
    parameters: &[ALIVE, UNTIL],
    baseline: "creation/tokio_task",
    requirements: &[],
    source: "docs.rs/async-executor, LocalExecutor",
    lap: tasks_per_lap,
    resources: |_| Resources { descriptors: 0, threads: 1, processes: 0 },
    expects: |_, _| Expectation::nothing(),
};

struct SmolTask;

register!(SmolTask);

impl Mechanism for SmolTask {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let executor = LocalExecutor::new();
        let alive = parameters.size(ALIVE.name);
        let mut watch = Stopwatch::wanted(parameters)?;
        let mut tasks = Vec::with_capacity(alive);
        Ok(Box::new(move |ops: u64| {
            block_on(executor.run(async_laps(&mut watch, ops, async |watch| {
                tasks.extend((0..alive).map(|_| spawn(&executor, watch)));
                for task in tasks.drain(..) {
                    task.await;
                }
                Ok(alive as u64)
            })))
        }))
    }
}

/// A task of an empty future, or of one that tells the stopwatch.
#[inline]
fn spawn(executor: &LocalExecutor<'static>, watch: &mut Option<Stopwatch>) -> Task<()> {
    match watch.as_mut().map(Stopwatch::next) {
        None => executor.spawn(async {}),
        Some(beginning) => executor.spawn(async move { beginning.record() }),
    }
}
