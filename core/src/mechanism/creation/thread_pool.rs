//! A job handed to a thread that exists already: what a thread pool pays instead of a thread's creation.
//!
//! Timed: boxing the job, sending it through a channel, waking a worker, running the job, and the worker's word that it
//! is done, which wakes the driver. Not timed: starting the workers.
//! Distortions: the channel spins and yields before it sleeps, on both sides, so that its system calls depend on the
//! scheduler. With one job alive there is never more than one worker at work.

use crossbeam::channel::{bounded, unbounded};

use super::{ALIVE, Stopwatch, UNTIL, laps, tasks_per_lap};
use crate::mechanism::{
    Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Resources,
    Tasks, Unit, register,
};

pub(super) const WORKERS: Parameter = Parameter {
    name: "workers",
    meaning: "threads of the pool; 0 is one for each CPU of the placement",
    domain: Domain::Number { default: 0, min: 0, max: 1024 },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "creation/thread_pool",
    isolates: "a job handed to a parked thread and awaited: dispatch instead of creation",
    unit: Unit::Task,
    tasks: Tasks::Several,
    parameters: &[ALIVE, UNTIL, WORKERS],
    baseline: "creation/thread",
    requirements: &[],
    source: "docs.rs/crossbeam-channel; crossbeam_utils::Backoff",
    lap: tasks_per_lap,
    resources: |parameters| Resources { descriptors: 0, threads: 1 + parameters.number(WORKERS.name), processes: 0 },
    expects: |_, _| pooled(),
};

struct ThreadPool;

register!(ThreadPool);

impl Mechanism for ThreadPool {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn threads_per_cpu(&self, parameters: &Parameters) -> u64 {
        workers_per_cpu(parameters)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let alive = parameters.size(ALIVE.name);
        let mut watch = Stopwatch::wanted(parameters)?;
        let (jobs, to_do) = unbounded::<Box<dyn FnOnce() + Send>>();
        let (done, finished) = bounded::<()>(alive);
        for worker in 1..=workers(parameters, crew) {
            let (to_do, done) = (to_do.clone(), done.clone());
            crew.spawn(worker, move |ready| {
                ready.signal();
                while let Ok(job) = to_do.recv() {
                    job();
                    // The send fails when the driver has dropped its end.
                    if done.send(()).is_err() {
                        break;
                    }
                }
                Ok(())
            })?;
        }
        Ok(Box::new(move |ops: u64| {
            laps(&mut watch, ops, |watch| {
                for _ in 0..alive {
                    let beginning = watch.as_mut().map(Stopwatch::next);
                    let job = move || {
                        if let Some(beginning) = beginning {
                            beginning.record();
                        }
                    };
                    jobs.send(Box::new(job)).map_err(|error| Failure::library("crossbeam", error))?;
                }
                for _ in 0..alive {
                    finished.recv().map_err(|error| Failure::library("crossbeam", error))?;
                }
                Ok(alive as u64)
            })
        }))
    }
}

pub(super) fn workers(parameters: &Parameters, crew: &Crew) -> usize {
    match parameters.size(WORKERS.name) {
        0 => crew.assignment().cpus().len(),
        workers => workers,
    }
}

/// The number follows the placement where it is 0.
pub(super) fn workers_per_cpu(parameters: &Parameters) -> u64 {
    u64::from(parameters.number(WORKERS.name) == 0)
}

/// Threads that spin before they sleep, on both sides.
pub(super) fn pooled() -> Expectation {
    Expectation::nothing()
        .call("futex:wait", Bound::AtMost(8.0))
        .call("futex:wake", Bound::AtMost(8.0))
        .call("sched_yield", Bound::Depends)
        .voluntary(Bound::AtMost(8.0))
        .wakeups(Bound::AtMost(8.0))
}
