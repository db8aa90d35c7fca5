//! A pool of threads and one queue: a free thread takes what came first, I/O or CPU-bound.
//!
//! Timed: as for `event_loop`. Both clients write to one pipe, which the pool's threads read by blocking. While a
//! thread is free a request waits for its wakeup alone; when all of them compute, for the first that ends.
//! Distortions: a queue without classes, as most pools have; one with a lane for I/O would be thread_per_task.

use std::sync::Arc;

use super::{
    JOB, PERIOD, QueueLayout, SHARE, WORK, WORKERS, lap, messages, number, receive, resources, set_up, workers,
    workers_per_cpu,
};
use crate::mechanism::{Crew, Descriptor, Failure, Mechanism, Operation, Parameters, Tasks, Unit, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "fairness/thread_pool",
    isolates: "I/O and CPU-bound jobs in one queue of a thread pool: a request waits once all threads compute",
    unit: Unit::Request,
    tasks: Tasks::Simultaneous,
    parameters: &[PERIOD, SHARE, WORK, WORKERS],
    baseline: "fairness/thread_per_task",
    requirements: &[],
    source: "Welsh, Culler and Brewer, \"SEDA\", SOSP 2001, section 2; sched(7)",
    lap,
    resources: |parameters| resources(parameters.number(WORKERS.name)),
    expects: |parameters, _| messages(parameters, 0.0, 0.0),
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
        let workers = workers(parameters, crew);
        set_up(parameters, crew, QueueLayout::One, |crew, clients| {
            let queue = Arc::new(clients.io);
            for worker in 0..workers {
                let (queue, service) = (Arc::clone(&queue), clients.service.clone());
                crew.spawn(number(crew.assignment(), worker), move |ready| {
                    ready.signal();
                    while let Some(message) = receive(&queue)? {
                        if message == JOB { service.serve_job()? } else { service.serve_io(message)? }
                    }
                    Ok(())
                })?;
            }
            Ok(())
        })
    }
}
