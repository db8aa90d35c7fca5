//! An event loop that hands CPU-bound work to a pool of threads: what `spawn_blocking` and its like do.
//!
//! Timed: as for `event_loop`. On the way of a job there is one more pipe, which the pool's threads read; the thread
//! that does the job answers it.
//! Distortions: where loop and pool share CPUs, the scheduler decides whether a loop that wakes preempts a worker at
//! once or waits for the end of its slice.

use std::sync::Arc;

use super::poller::Poller;
use super::{
    PERIOD, QueueLayout, SHARE, WORK, WORKERS, at_most_one_wait_each, lap, messages, number, receive, resources, send,
    set_up, workers, workers_per_cpu,
};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};
use crate::sys::channel::pipe;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "fairness/event_loop_spawn_blocking",
    isolates: "I/O on an event loop that hands jobs to a pool: a request waits for a preemption, not for the end of a \
               job",
    unit: Unit::Request,
    tasks: Tasks::Simultaneous,
    parameters: &[PERIOD, SHARE, WORK, WORKERS],
    baseline: "fairness/thread_per_task",
    requirements: &[],
    source: "epoll(7); docs.rs/tokio, task::spawn_blocking; Pai, Druschel and Zwaenepoel, \"Flash\", USENIX ATC 1999",
    lap,
    resources: |parameters| resources(1 + parameters.number(WORKERS.name)),
    expects: |parameters, _| messages(parameters, 1.0, 0.0).call("epoll_wait", at_most_one_wait_each(parameters)),
};

struct EventLoopSpawnBlocking;

register!(EventLoopSpawnBlocking);

impl Mechanism for EventLoopSpawnBlocking {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn threads_per_cpu(&self, parameters: &Parameters) -> u64 {
        workers_per_cpu(parameters)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let workers = workers(parameters, crew);
        set_up(parameters, crew, QueueLayout::OnePerClient, |crew, clients| {
            let queue = pipe(false)?;
            let jobs = Arc::new(queue.reader);
            for worker in 1..=workers {
                let (jobs, service) = (Arc::clone(&jobs), clients.service.clone());
                crew.spawn(number(crew.assignment(), worker), move |ready| {
                    ready.signal();
                    while receive(&jobs)?.is_some() {
                        service.serve_job()?;
                    }
                    Ok(())
                })?;
            }
            let poller = Poller::new(clients)?;
            let to_pool = queue.writer;
            crew.spawn(number(crew.assignment(), 0), move |ready| {
                ready.signal();
                poller.serve(|_, job| send(&to_pool, job))
            })
        })
    }
}
