//! A task of tokio's single-threaded runtime that waits: for nothing at all, for a channel, or for its pipe.
//!
//! Timed: nothing. Measured: the task's allocation with its future and its waker's links, what a channel or a
//! registered descriptor adds, and the runtime's own tables as far as they grow. With `channel = own` each task waits
//! for a channel of room 1, whose sender the driver keeps; with `pipe = own` it holds both ends, registered, and a byte
//! of room. Distortions: the futures are smaller than real ones, whose every local variable across an await is in them.
//! The registration with epoll belongs to the task and not to the pipe. More than 1024 pipes get fewer slots from the
//! kernel when the user is not privileged (pipe(7), pipe-user-pages-soft).

use std::cell::Cell;
use std::future::pending;

use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe::{Receiver, Sender};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc;

use super::{Footprint, OWN, PIPE, ParkedTasks, PipeMode, TASKS, pipe_ends, pipes_per_task, tasks_per_lap};
use crate::mechanism::{
    Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Resources,
    Tasks, Unit, register,
};

const CHANNEL: Parameter = Parameter {
    name: "channel",
    meaning: "whether each task without a pipe waits for a channel of its own",
    domain: Domain::Word { words: &["none", OWN] },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "footprint/tokio_task",
    isolates: "what a task of tokio holds while it waits: one allocation, and what it waits for",
    unit: Unit::Task,
    tasks: Tasks::OneThread,
    parameters: &[TASKS, PIPE, CHANNEL],
    baseline: "footprint/thread",
    requirements: &["smaps_rollup in /proc (Linux 4.14, CONFIG_PROC_PAGE_MONITOR)"],
    source: "docs.rs/tokio, task::spawn; proc_pid_smaps(5), proc_pid_status(5)",
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

struct TokioTask;

register!(TokioTask);

impl Mechanism for TokioTask {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let (all, piping) = (parameters.size(TASKS.name), PipeMode::of(parameters));
        let with_channel = parameters.word(CHANNEL.name) == OWN;
        Footprint::operation(parameters, move || {
            ARRIVED.set(0);
            let runtime = Builder::new_current_thread().enable_io().build().map_err(failed)?;
            Ok(Futures { piping, with_channel, spawned: 0, senders: Vec::with_capacity(all), runtime })
        })
    }
}

thread_local! {
    /// How many tasks have been polled. They all run on the driver's thread, and hold no handle to a counter.
    static ARRIVED: Cell<usize> = const { Cell::new(0) };
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::library("tokio", error)
}

struct Futures {
    piping: PipeMode,
    with_channel: bool,
    spawned: usize,
    // Dropping it drops the tasks, before the end of a channel would wake them.
    runtime: Runtime,
    senders: Vec<mpsc::Sender<u8>>,
}

impl ParkedTasks for Futures {
    fn grow(&mut self, tasks: usize) -> Result<(), Failure> {
        let Self { piping, with_channel, spawned, senders, runtime } = self;
        runtime.block_on(async {
            while *spawned < tasks {
                if piping.exists() {
                    let ends = piping.open(true)?;
                    let receiver = Receiver::from_owned_fd(ends.reader).map_err(failed)?;
                    let sender = Sender::from_owned_fd(ends.writer).map_err(failed)?;
                    tokio::spawn(wait_for_a_pipe(receiver, sender));
                } else if *with_channel {
                    let (sender, receiver) = mpsc::channel(1);
                    senders.push(sender);
                    tokio::spawn(wait_for_a_channel(receiver));
                } else {
                    tokio::spawn(wait_for_nothing());
                }
                *spawned += 1;
            }
            while ARRIVED.get() < tasks {
                tokio::task::yield_now().await;
            }
            Ok(())
        })
    }
}

fn arrive() {
    ARRIVED.set(ARRIVED.get() + 1);
}

async fn wait_for_nothing() {
    arrive();
    pending().await
}

async fn wait_for_a_channel(mut receiver: mpsc::Receiver<u8>) {
    arrive();
    while receiver.recv().await.is_some() {}
}

/// The pipe ends when the runtime is dropped and not before: the task holds its writer.
async fn wait_for_a_pipe(mut receiver: Receiver, sender: Sender) {
    arrive();
    let mut room = [0];
    while receiver.read(&mut room).await.is_ok_and(|bytes| bytes > 0) {}
    drop(sender);
}
