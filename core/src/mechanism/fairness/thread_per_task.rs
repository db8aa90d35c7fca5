//! A thread for each task, blocking: one for the I/O client, and several for CPU-bound jobs.
//!
//! Timed: as for `event_loop`. Jobs are dealt to their threads as these become free; the I/O thread has nothing else to
//! do, so that a request waits for the scheduler alone: for the wakeup, and where CPUs are shared for the preemption of
//! a job.
//! Distortions: a thread that wakes after a sleep preempts a busy one at once if the fair scheduler finds that it has
//! had less than its share, and at the end of a slice otherwise (kernel/sched/fair.c).

use std::sync::Arc;

use super::{PERIOD, QueueLayout, SHARE, WORK, lap, messages, number, receive, resources, set_up};
use crate::mechanism::{
    Crew, Descriptor, Domain, Failure, Mechanism, Operation, Parameter, Parameters, Tasks, Unit, register,
};

const TASKS: Parameter = Parameter {
    name: "tasks",
    meaning: "CPU-bound tasks, a thread each",
    domain: Domain::Number { default: 4, min: 1, max: 10_000 },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "fairness/thread_per_task",
    isolates: "I/O on a thread of its own: how long the kernel's scheduler keeps it waiting beside CPU-bound threads",
    unit: Unit::Request,
    tasks: Tasks::Simultaneous,
    parameters: &[PERIOD, SHARE, WORK, TASKS],
    baseline: "fairness/thread_per_task",
    requirements: &[],
    source: "sched(7); Linux Documentation/scheduler/sched-eevdf.rst",
    lap,
    resources: |parameters| resources(1 + parameters.number(TASKS.name)),
    expects: |parameters, _| messages(parameters, 0.0, 0.0),
};

struct ThreadPerTask;

register!(ThreadPerTask);

impl Mechanism for ThreadPerTask {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let tasks = parameters.size(TASKS.name);
        set_up(parameters, crew, QueueLayout::OnePerClient, |crew, clients| {
            let jobs = Arc::new(clients.jobs);
            for task in 1..=tasks {
                let (jobs, service) = (Arc::clone(&jobs), clients.service.clone());
                crew.spawn(number(crew.assignment(), task), move |ready| {
                    ready.signal();
                    while receive(&jobs)?.is_some() {
                        service.serve_job()?;
                    }
                    Ok(())
                })?;
            }
            let (io, service) = (clients.io, clients.service);
            crew.spawn(number(crew.assignment(), 0), move |ready| {
                ready.signal();
                while let Some(request) = receive(&io)? {
                    service.serve_io(request)?;
                }
                Ok(())
            })
        })
    }
}
