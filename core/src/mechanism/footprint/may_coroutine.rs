//! A stackful coroutine of may that waits: to be unparked, or for its pipe.
//!
//! Timed: nothing. Measured: the coroutine's stack as far as it was touched, its mapping and its guard page, its
//! handles on the heap, what a registered descriptor adds. With `pipe = own` a coroutine holds the reading end,
//! registered; the driver keeps the writing end, by whose closing it ends.
//! Distortions: may keeps 1000 stacks ready, which would make coroutines look free; while an instance exists it keeps
//! one (docs.rs/may, `Config::set_pool_capacity`). One scheduler serves the whole process (see `brigade/may`), and its
//! tables are in no task's figure once they have grown.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use may::coroutine::{JoinHandle, park};
use may::io::CoIo;

use super::{Footprint, PIPE, ParkGate, ParkedTasks, PipeMode, TASKS, pipe_ends, pipes_per_task, tasks_per_lap};
use crate::mechanism::scheduler::{SchedulerGuard, WORKERS, await_ends};
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit, register,
};
use crate::sys::coroutine;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "footprint/may_coroutine",
    isolates: "what a stackful coroutine holds while it waits: a stack as far as it was used, and its mapping",
    unit: Unit::Task,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, PIPE, WORKERS],
    baseline: "footprint/thread",
    requirements: &["smaps_rollup in /proc (Linux 4.14, CONFIG_PROC_PAGE_MONITOR)"],
    source: "docs.rs/may, coroutine::spawn; proc_pid_smaps(5), proc_pid_status(5)",
    lap: tasks_per_lap,
    resources: |parameters| Resources {
        descriptors: 8 + pipe_ends(parameters),
        threads: 2 + parameters.number(WORKERS.name),
        processes: 0,
    },
    expects: |parameters, _| {
        Expectation::nothing()
            .call("clone", Bound::Exactly(0.0))
            .call("pipe2", Bound::Exactly(pipes_per_task(parameters)))
            .others(Bound::Depends)
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

    fn inherits_counters(&self) -> bool {
        false
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let hold = SchedulerGuard::acquire(parameters.size(WORKERS.name), crew)?;
        let no_pool = NoPool::new()?;
        let (all, piping) = (parameters.size(TASKS.name), PipeMode::of(parameters));
        Footprint::operation(parameters, move || {
            // Held as long as the operation is.
            let _ = (&hold, &no_pool);
            let coroutines = Vec::with_capacity(all);
            Ok(Coroutines { piping, gate: Arc::default(), writers: Vec::new(), coroutines })
        })
    }
}

/// While this exists, may unmaps the stacks of coroutines that have ended.
struct NoPool {
    capacity: usize,
}

impl NoPool {
    /// Uses up the stacks that are ready.
    fn new() -> Result<Self, Failure> {
        let capacity = may::config().get_pool_capacity();
        // 0 would stand for the default.
        may::config().set_pool_capacity(1);
        let no_pool = Self { capacity };
        for _ in 0..capacity {
            coroutine::run(|| ()).join().map_err(|_| Failure::library("may", "a coroutine panicked"))?;
        }
        Ok(no_pool)
    }
}

impl Drop for NoPool {
    fn drop(&mut self) {
        may::config().set_pool_capacity(self.capacity);
    }
}

struct Coroutines {
    piping: PipeMode,
    gate: Arc<ParkGate>,
    /// What keeps the pipes from ending.
    writers: Vec<OwnedFd>,
    coroutines: Vec<JoinHandle<Result<(), Failure>>>,
}

impl ParkedTasks for Coroutines {
    fn grow(&mut self, tasks: usize) -> Result<(), Failure> {
        while self.coroutines.len() < tasks {
            let gate = Arc::clone(&self.gate);
            self.coroutines.push(if self.piping.exists() {
                let ends = self.piping.open(true)?;
                self.writers.push(ends.writer);
                let mut reader = CoIo::new(File::from(ends.reader)).map_err(|error| Failure::library("may", error))?;
                coroutine::run(move || {
                    gate.arrive()?;
                    let ended = reader.read(&mut [0]);
                    ended.map(drop).map_err(|error| Failure::library("may", error))
                })
            } else {
                coroutine::run(move || {
                    gate.arrive()?;
                    while !gate.is_open() {
                        park();
                    }
                    Ok(())
                })
            });
        }
        self.gate.await_all(tasks)
    }
}

impl Drop for Coroutines {
    fn drop(&mut self) {
        self.gate.open();
        self.writers.clear();
        self.coroutines.iter().for_each(|coroutine| coroutine.coroutine().unpark());
        await_ends(&self.coroutines);
    }
}
