//! A task of smol's local executor that waits: for nothing at all, or for its pipe, which async-io watches.
//!
//! Timed: nothing. Measured: the task's allocation with its future, its place in the executor's list, what a registered
//! descriptor adds. With `pipe = own` a task holds both ends, registered.
//! Distortions: the futures are smaller than real ones. The reactor serves the whole process and keeps its table of
//! descriptors, at the largest size it had: later laps find it ready. More than 1024 pipes get fewer slots from the
//! kernel when the user is not privileged (pipe(7), pipe-user-pages-soft).

use std::cell::Cell;
use std::future::pending;
use std::os::fd::OwnedFd;

use smol::{Async, LocalExecutor, block_on, future::yield_now};

use super::{Footprint, PIPE, ParkedTasks, PipeMode, TASKS, pipe_ends, pipes_per_task, tasks_per_lap};
use crate::mechanism::reactor;
use crate::mechanism::{
    Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit,
    Unsupported, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "footprint/smol_task",
    isolates: "what a task of smol holds while it waits: one allocation, and what it waits for",
    unit: Unit::Task,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, PIPE],
    baseline: "footprint/thread",
    requirements: &["smaps_rollup in /proc (Linux 4.14, CONFIG_PROC_PAGE_MONITOR)"],
    source: "docs.rs/async-executor, LocalExecutor; proc_pid_smaps(5), proc_pid_status(5)",
    lap: tasks_per_lap,
    resources: |parameters| Resources { descriptors: 8 + pipe_ends(parameters), threads: 1, processes: 0 },
    expects: |parameters, _| {
        Expectation::nothing()
            .call("clone", Bound::Exactly(0.0))
            .call("pipe2", Bound::Exactly(pipes_per_task(parameters)))
            .others(Bound::Depends)
            .voluntary(Bound::Depends)
            .wakeups(Bound::Depends)
    },
};

struct SmolTask;

register!(SmolTask);

impl Mechanism for SmolTask {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn probe(&self) -> Result<(), Unsupported> {
        reactor::start()
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let piping = PipeMode::of(parameters);
        Footprint::operation(parameters, move || {
            ARRIVED.set(0);
            Ok(Futures { piping, spawned: 0, executor: LocalExecutor::new() })
        })
    }
}

thread_local! {
    /// How many tasks have been polled. They all run on the driver's thread, and hold no handle to a counter.
    static ARRIVED: Cell<usize> = const { Cell::new(0) };
}

struct Futures {
    piping: PipeMode,
    spawned: usize,
    // Dropping it drops the tasks.
    executor: LocalExecutor<'static>,
}

impl ParkedTasks for Futures {
    fn grow(&mut self, tasks: usize) -> Result<(), Failure> {
        while self.spawned < tasks {
            if self.piping.exists() {
                let ends = self.piping.open(true)?;
                let (reader, writer) = (watched(ends.reader)?, watched(ends.writer)?);
                self.executor.spawn(wait_for_a_pipe(reader, writer)).detach();
            } else {
                self.executor.spawn(wait_for_nothing()).detach();
            }
            self.spawned += 1;
        }
        block_on(self.executor.run(async {
            while ARRIVED.get() < tasks {
                yield_now().await;
            }
        }));
        Ok(())
    }
}

fn watched(end: OwnedFd) -> Result<Async<OwnedFd>, Failure> {
    Async::new(end).map_err(|error| Failure::library("smol", error))
}

fn arrive() {
    ARRIVED.set(ARRIVED.get() + 1);
}

async fn wait_for_nothing() {
    arrive();
    pending().await
}

/// The pipe ends when the executor is dropped and not before: the task holds its writer.
async fn wait_for_a_pipe(reader: Async<OwnedFd>, writer: Async<OwnedFd>) {
    arrive();
    // An error ends the wait as well.
    let _ = reader.readable().await;
    drop(writer);
}
