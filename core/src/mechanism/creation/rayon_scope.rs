//! Tasks spawned in a rayon scope from outside the pool, and awaited by the scope's end.
//!
//! Timed: a job for each task, its way through the pool's queue, waking workers, and the scope's end, at which the
//! driver sleeps until all are done. Not timed: starting the workers.
//! Distortions: workers spin, yield and look at one another's queues before they sleep, so that system calls depend on
//! the scheduler; with one task alive a scope holds a single task, and its own cost is all in it.

use std::sync::atomic::{AtomicU64, Ordering};

use super::thread_pool::{WORKERS, pooled, workers, workers_per_cpu};
use super::{ALIVE, Stopwatch, UNTIL, laps, tasks_per_lap};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "creation/rayon_scope",
    isolates: "a task spawned in a rayon scope and awaited: work stealing instead of creation",
    unit: Unit::Task,
    tasks: Tasks::Several,
    parameters: &[ALIVE, UNTIL, WORKERS],
    baseline: "creation/thread",
    requirements: &[],
    source: "docs.rs/rayon, ThreadPool::in_place_scope",
    lap: tasks_per_lap,
    resources: |parameters| Resources { descriptors: 0, threads: 1 + parameters.number(WORKERS.name), processes: 0 },
    expects: |_, _| pooled(),
};

struct RayonScope;

register!(RayonScope);

impl Mechanism for RayonScope {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn threads_per_cpu(&self, parameters: &Parameters) -> u64 {
        workers_per_cpu(parameters)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let alive = parameters.number(ALIVE.name);
        let mut watch = Stopwatch::wanted(parameters)?;
        let mut refusal = None;
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(workers(parameters, crew))
            .spawn_handler(|worker| {
                let spawned = crew.spawn(worker.index() + 1, move |ready| {
                    ready.signal();
                    worker.run();
                    Ok(())
                });
                spawned.map_err(|failure| {
                    let told = std::io::Error::other(failure.to_string());
                    refusal = Some(failure);
                    told
                })
            })
            .build();
        let pool = pool.map_err(|error| refusal.unwrap_or_else(|| Failure::library("rayon", error)))?;
        Ok(Box::new(move |ops: u64| {
            laps(&mut watch, ops, |watch| {
                let done = AtomicU64::new(0);
                pool.in_place_scope(|scope| {
                    for _ in 0..alive {
                        // The scope's end orders it.
                        let count = |_: &_| _ = done.fetch_add(1, Ordering::Relaxed);
                        match watch.as_mut().map(Stopwatch::next) {
                            None => scope.spawn(count),
                            Some(beginning) => scope.spawn(move |scope| {
                                beginning.record();
                                count(scope);
                            }),
                        }
                    }
                });
                Ok(done.into_inner())
            })
        }))
    }
}
