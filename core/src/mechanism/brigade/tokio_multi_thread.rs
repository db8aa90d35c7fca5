//! A tokio task per task of the brigade on the work-stealing runtime: async as servers run it.
//!
//! Timed: per hop the wakeup and the poll of a task, one read, one write, and whatever the workers do to find the
//! byte: the worker that holds the I/O driver waits in epoll, the others park. The driver is a spawned task like the
//! others and takes both timestamps itself, so no hop crosses from a worker to a thread outside. Not timed: building
//! the runtime, spawning the tasks, waking the thread that waits for the lap.
//! Distortions: which worker runs a task, and whether a second one is woken to look for work, is the runtime's and the
//! scheduler's decision.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::runtime::Runtime;

use super::asynchronous::{LeadTask, pass_on};
use super::load::{BYTES_IN_FLIGHT, Load, PAYLOAD, TOUCH, WORK, hops_of_all_tokens, one_token};
use super::tokio_tasks::{TokioPort, call_names, ports};
use super::{TASKS, TRANSPORT, WORKERS, descriptors};
use crate::mechanism::workers::Workers;
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Resources, Tasks, Unit,
    Unsupported, register,
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "brigade/tokio_multi_thread",
    isolates: "async tasks on tokio's work-stealing runtime: what sharing the tasks between workers adds",
    unit: Unit::Hop,
    tasks: Tasks::Several,
    parameters: &[TASKS, TRANSPORT, WORKERS, BYTES_IN_FLIGHT, PAYLOAD, WORK, TOUCH],
    baseline: "brigade/one_thread",
    requirements: &[],
    source: "docs.rs/tokio, runtime, \"Multi-threaded runtime\"",
    lap: hops_of_all_tokens,
    resources: |parameters| Resources {
        descriptors: descriptors(parameters) + 16,
        threads: 2 + parameters.number(WORKERS.name),
        processes: 0,
    },
    expects: |parameters, _| {
        let (receive, send) = call_names(parameters);
        // Tokens that meet share a read; one that is met half way needs another.
        let reads = if one_token(parameters) { Bound::Exactly(1.0) } else { Bound::AtMost(2.0) };
        Expectation::nothing()
            .call(receive, reads)
            .call(send, Bound::Exactly(1.0))
            // A worker that sleeps in the I/O driver is woken by a write to its eventfd (mio's Waker), which looks like
            // a hop's. It happens when a batch finds the workers asleep, and seldom within one.
            .per_batch("write", 4.0)
            // Workers that look for work take turns at the I/O driver and wake one another.
            .call("epoll_wait", Bound::Depends)
            .call("futex:wait", Bound::Depends)
            .call("futex:wake", Bound::Depends)
            .others(Bound::AtMost(1.0))
            .voluntary(Bound::Depends)
            .wakeups(Bound::Depends)
    },
};

struct TokioMultiThread;

register!(TokioMultiThread);

impl Mechanism for TokioMultiThread {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn supports(&self, parameters: &Parameters) -> Result<(), Unsupported> {
        Load::of(parameters).map(drop)
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let runtime = runtime(parameters, crew)?;
        let load = Load::of(parameters)?;
        let mut ports = ports(&runtime, parameters, &load)?;
        let mut driver = Some(LeadTask::new(ports.remove(0), load));
        for port in ports {
            runtime.spawn(pass_on(port, load.task_load()));
        }
        Ok(Box::new(move |ops: u64| {
            let lead = driver.take().ok_or_else(|| Failure::library("tokio", "the driver's task is lost"))?;
            let (batch, lead) = run(&runtime, lead, ops)?;
            driver = Some(lead);
            batch
        }))
    }
}

type TokioLead = LeadTask<TokioPort>;

/// Runs the driver as a task of the runtime, and hands its place back.
fn run(runtime: &Runtime, mut driver: TokioLead, ops: u64) -> Result<(Result<Batch, Failure>, TokioLead), Failure> {
    let driving = runtime.spawn(async move {
        let batch = driver.drive(ops).await;
        (batch, driver)
    });
    runtime.block_on(driving).map_err(|error| Failure::library("tokio", error))
}

/// Worker k in CPU mask k; every one tells whether it got there before the first task runs.
fn runtime(parameters: &Parameters, crew: &Crew) -> Result<Runtime, Failure> {
    let workers = match parameters.size(WORKERS.name) {
        0 => crew.assignment().cpus().len(),
        workers => workers,
    };
    let names: Vec<String> = (1..=workers).map(|worker| crew.name(worker)).collect();
    let (named, masks) = (AtomicUsize::new(0), Workers::of(crew, workers)?);
    let masks_of_workers = Arc::clone(&masks);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(workers)
        .thread_name_fn(move || names[named.fetch_add(1, Ordering::Relaxed) % names.len()].clone())
        .on_thread_start(move || masks_of_workers.take_mask())
        .enable_io()
        .build()
        .map_err(|error| Failure::library("tokio", error))?;
    masks.await_all()?;
    Ok(runtime)
}
