//! A stackful coroutine spawned on may's scheduler and joined by another one.
//!
//! Timed: taking a stack from may's pool or mapping one, scheduling, the switch to the coroutine and back, the join.
//! The spawner is a coroutine as well and takes both timestamps itself. Not timed: starting the scheduler, waking the
//! thread that waits for the batch.
//! Distortions: may keeps 1000 stacks ready (docs.rs/may, `Config::set_pool_capacity`), so that only with more `alive`
//! than that are stacks mapped. One scheduler serves the whole process (see `brigade/may`); counters of one instance
//! cannot reach its threads, so there are no counted samples.

use may::coroutine::JoinHandle;

use super::{ALIVE, tasks_per_lap};
use crate::mechanism::scheduler::{self, SchedulerGuard, WORKERS};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit,
    register,
};
use crate::sys::coroutine;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "creation/may_coroutine",
    isolates: "a stackful coroutine spawned and joined: a stack of its own and two switches in user space",
    unit: Unit::Task,
    tasks: Tasks::Several,
    parameters: &[ALIVE, WORKERS],
    baseline: "creation/tokio_task",
    requirements: &[],
    source: "docs.rs/may, coroutine::spawn",
    lap: tasks_per_lap,
    resources: |parameters| Resources { descriptors: 16, threads: 2 + parameters.number(WORKERS.name), processes: 0 },
    expects: |parameters, _| {
        // A batch is a coroutine itself, which the driver waits for.
        let expected = Expectation::nothing().per_batch(Expectation::OTHER_CALLS, 4.0);
        if parameters.number(WORKERS.name) == 1 {
            // The one that joins waits, so that the worker looks for events, of which its own eventfd's is one.
            expected
                .call("epoll_wait", Bound::AtMost(2.0))
                .call("read", Bound::AtMost(2.0))
                .call("write", Bound::AtMost(2.0))
        } else {
            expected.call("epoll_wait", Bound::Depends).others(Bound::Depends)
        }
        .voluntary(Bound::Depends)
        .wakeups(Bound::Depends)
    },
};

struct MayCoroutine;

register!(MayCoroutine);

impl Mechanism for MayCoroutine {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn tasks(&self, parameters: &Parameters) -> Tasks {
        scheduler::tasks(parameters)
    }

    fn inherits_counters(&self) -> bool {
        false
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let hold = SchedulerGuard::acquire(parameters.size(WORKERS.name), crew)?;
        let alive = parameters.size(ALIVE.name);
        Ok(Box::new(move |ops: u64| {
            // Held as long as the operation is.
            let _ = &hold;
            let spawner = coroutine::run(move || Batch::timed(|| spawn_and_join(alive, ops)));
            spawner.join().unwrap_or_else(|_| Err(panicked()))
        }))
    }
}

fn spawn_and_join(alive: usize, ops: u64) -> Result<u64, Failure> {
    let mut coroutines: Vec<JoinHandle<()>> = Vec::with_capacity(alive);
    let mut created = 0;
    while created < ops {
        coroutines.extend((0..alive).map(|_| coroutine::run(|| ())));
        for coroutine in coroutines.drain(..) {
            coroutine.join().map_err(|_| panicked())?;
            created += 1;
        }
    }
    Ok(created)
}

fn panicked() -> Failure {
    Failure::library("may", "a coroutine panicked")
}
