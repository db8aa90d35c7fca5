//! A task spawned on smol's executor and awaited through its handle, all on one thread.
//!
//! Timed: the task's one allocation, scheduling, poll, and the join. Not timed: building the executor.
//! Distortions: the future is empty and smaller than any real one. There is no reactor, where tokio's runtime looks at
//! its own now and then.

use async_executor::LocalExecutor;
use futures_lite::future::block_on;

use super::{ALIVE, tasks_per_lap};
use crate::mechanism::{
    Batch, Crew, Demand, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "creation/smol_task",
    isolates: "an async task spawned and joined on smol's executor: an allocation and two turns of a queue",
    unit: Unit::Task,
    tasks: Tasks::OneThread,
    parameters: &[ALIVE],
    baseline: "creation/tokio_task",
    requirements: &[],
    source: "docs.rs/async-executor, LocalExecutor",
    lap: tasks_per_lap,
    demand: |_| Demand { descriptors: 0, threads: 1, processes: 0 },
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
        let mut tasks = Vec::with_capacity(alive);
        Ok(Box::new(move |ops: u64| {
            Ok(block_on(executor.run(async {
                let start = std::time::Instant::now();
                let mut created = 0;
                while created < ops {
                    tasks.extend((0..alive).map(|_| executor.spawn(async {})));
                    for task in tasks.drain(..) {
                        task.await;
                        created += 1;
                    }
                }
                Batch::since(start, created)
            })))
        }))
    }
}
