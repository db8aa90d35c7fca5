//! Pipelines with a task for each stage: on tokio or on smol's executor, with one thread or several.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use smol::channel::{Receiver, Sender, bounded};
use smol::future::block_on;
use smol::{Executor, LocalExecutor};
use tokio::runtime::{Builder, Runtime};

use super::channel::{MessageChannel, connect};
use super::progress::BatchProgress;
use super::stage::Stage;
use super::{CAPACITY, DOCUMENT, PIPELINES, PipelineDriver, PipelineShape, QUEUED, SINK, SINK_US, StageRunner, WORK};
use super::{moved, woken};
use crate::mechanism::workers::Workers;
use crate::mechanism::{
    Crew, Domain, Expectation, Failure, Operation, Parameter, Parameters, Placement, Resources, Tasks,
};

pub(super) const RUNTIME: Parameter = Parameter {
    name: "runtime",
    meaning: "whether tasks share several worker threads, which take them from one another, or run on one thread",
    domain: Domain::Word { words: &["multi_thread", CURRENT_THREAD] },
};
const CURRENT_THREAD: &str = "current_thread";

pub(super) const WORKERS: Parameter = Parameter {
    name: "workers",
    meaning: "worker threads of a runtime of several; 0 is one for each CPU of the placement",
    domain: Domain::Number { default: 0, min: 0, max: 1024 },
};

/// What pipelines of tasks can vary.
pub(super) const OF_TASKS: &[Parameter] =
    &[PIPELINES, CAPACITY, SINK, WORK, DOCUMENT, SINK_US, QUEUED, RUNTIME, WORKERS];

fn is_one_thread(parameters: &Parameters) -> bool {
    parameters.word(RUNTIME.name) == CURRENT_THREAD
}

/// On one thread they are one task to a placement.
pub(super) fn tasks(parameters: &Parameters) -> Tasks {
    if is_one_thread(parameters) { Tasks::OneThread } else { Tasks::Several }
}

pub(super) fn resources(parameters: &Parameters) -> Resources {
    let workers = match parameters.number(WORKERS.name) {
        _ if is_one_thread(parameters) => 0,
        0 => std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64),
        workers => workers,
    };
    Resources { descriptors: 8, threads: 1 + workers, processes: 0 }
}

/// On one thread a task is woken without the kernel; workers that find nothing to do sleep.
pub(super) fn expects(parameters: &Parameters, placement: Placement) -> Expectation {
    if is_one_thread(parameters) { moved(parameters) } else { woken(parameters, placement) }
}

fn workers(parameters: &Parameters, crew: &Crew) -> usize {
    match parameters.size(WORKERS.name) {
        0 => crew.assignment().cpus().len(),
        workers => workers,
    }
}

/// Makes the driver's part, lets `spawn` start each stage, and waits until all of them run.
fn drive<C: MessageChannel, R: StageRunner + 'static>(
    shape: &PipelineShape,
    crew: &Crew,
    runner: R,
    spawn: impl Fn(&R, Stage),
) -> Box<dyn Operation> {
    let progress = Arc::new(BatchProgress::new(shape));
    let driver = PipelineDriver::new(shape, &progress, runner);
    for stage in connect::<C>(shape, &progress, crew) {
        spawn(&driver.runner, stage);
    }
    driver.runner.block_on(progress.started(shape.stages()));
    Box::new(driver)
}

/// Pipelines over channels of `C` on tokio.
pub(super) fn set_up_on_tokio<C: MessageChannel>(
    parameters: &Parameters,
    crew: &mut Crew,
) -> Result<Box<dyn Operation>, Failure> {
    let shape = PipelineShape::of(parameters);
    // Without I/O and timers: with them a runtime looks at its epoll set every 61 polls.
    let runtime = if is_one_thread(parameters) {
        Builder::new_current_thread().build().map_err(|error| Failure::library("tokio", error))?
    } else {
        tokio_of_workers(workers(parameters, crew), crew)?
    };
    Ok(drive::<C, _>(&shape, crew, runtime, |runtime, stage| drop(runtime.spawn(stage.0))))
}

/// Worker k in CPU mask k; every one tells whether it got there before the first task runs.
fn tokio_of_workers(workers: usize, crew: &Crew) -> Result<Runtime, Failure> {
    let names: Vec<String> = (1..=workers).map(|worker| crew.name(worker)).collect();
    let (named, masks) = (AtomicUsize::new(0), Workers::of(crew, workers)?);
    let masks_of_workers = Arc::clone(&masks);
    let runtime = Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name_fn(move || names[named.fetch_add(1, Ordering::Relaxed) % names.len()].clone())
        .on_thread_start(move || masks_of_workers.take_mask())
        .build()
        .map_err(|error| Failure::library("tokio", error))?;
    masks.await_all()?;
    Ok(runtime)
}

/// With one thread it is the driver's, which runs the tasks while it waits; with several, it sleeps meanwhile.
impl StageRunner for Runtime {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        Self::block_on(self, future)
    }
}

/// Pipelines over channels of `C` on smol's executor.
pub(super) fn set_up_on_smol<C: MessageChannel>(
    parameters: &Parameters,
    crew: &mut Crew,
) -> Result<Box<dyn Operation>, Failure> {
    let shape = PipelineShape::of(parameters);
    if is_one_thread(parameters) {
        let spawn = |executor: &LocalExecutor<'static>, stage: Stage| executor.spawn(stage.0).detach();
        return Ok(drive::<C, _>(&shape, crew, LocalExecutor::new(), spawn));
    }
    let (executor, (over, workers_end)) = (Arc::new(Executor::new()), bounded(1));
    for worker in 1..=workers(parameters, crew) {
        let (executor, over) = (Arc::clone(&executor), Receiver::clone(&workers_end));
        crew.spawn(worker, move |ready| {
            ready.signal();
            // Until the sender is gone.
            let _ = block_on(executor.run(over.recv()));
            Ok(())
        })?;
    }
    let runner = SmolWorkers { executor, _over: over };
    Ok(drive::<C, _>(&shape, crew, runner, |workers, stage| workers.executor.spawn(stage.0).detach()))
}

impl StageRunner for LocalExecutor<'static> {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        block_on(self.run(future))
    }
}

/// An executor that threads of the crew run, until this is dropped.
struct SmolWorkers {
    executor: Arc<Executor<'static>>,
    _over: Sender<()>,
}

impl StageRunner for SmolWorkers {
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T {
        block_on(future)
    }
}
