//! Two async tasks take turns through a `tokio::sync::Notify` each: the handoff without any task of the kernel.
//!
//! Timed: per handoff one notification, the woken task's way through the runtime's queue, and one poll. With
//! `flavour = same_thread` both tasks share a thread; with `two_workers` they are spawned on a runtime of two workers,
//! which pass them to each other as they see fit. Not timed: building the runtime, spawning the partner.
//! Distortions: the futures are as small as futures get. On two workers, which one runs the woken task and whether the
//! other is woken to look for work is the runtime's decision: mostly the waker keeps it, in its LIFO slot.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;

use super::{ROUND_TRIP, handoffs_per_lap};
use crate::mechanism::workers::Workers;
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters,
    Resources, Tasks, Unit, register,
};

pub(super) const FLAVOUR: Parameter = Parameter {
    name: "flavour",
    meaning: "whether both tasks share a thread, or are spawned on a runtime of two workers",
    domain: Domain::Word { words: &[SAME_THREAD, "two_workers"] },
};
pub(super) const SAME_THREAD: &str = "same_thread";
const WORKERS: usize = 2;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/tokio_notify",
    isolates: "an async task waking another: a turn of the runtime's queue instead of the kernel's",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[FLAVOUR],
    baseline: "handoff/futex",
    requirements: &[],
    source: "docs.rs/tokio, sync::Notify; runtime, \"Multi-threaded runtime\"",
    lap: handoffs_per_lap,
    resources: |_| Resources { descriptors: 8, threads: 1 + WORKERS as u64, processes: 0 },
    expects: |parameters, _| by_flavour(parameters),
};

/// Tasks that share a thread call nothing; when workers sleep and are woken is the runtime's affair.
pub(super) fn by_flavour(parameters: &Parameters) -> Expectation {
    match parameters.word(FLAVOUR.name) {
        SAME_THREAD => Expectation::nothing(),
        _ => Expectation::nothing()
            .call("futex:wait", Bound::Depends)
            .call("futex:wake", Bound::Depends)
            .call("epoll_wait", Bound::Depends)
            .others(Bound::AtMost(1.0))
            .voluntary(Bound::Depends)
            .wakeups(Bound::Depends),
    }
}

struct TokioNotify;

register!(TokioNotify);

impl Mechanism for TokioNotify {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn tasks(&self, parameters: &Parameters) -> Tasks {
        if parameters.word(FLAVOUR.name) == SAME_THREAD { Tasks::OneThread } else { Tasks::Several }
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let table = Arc::<Table>::default();
        let failed = |error| Failure::library("tokio", error);
        if parameters.word(FLAVOUR.name) == SAME_THREAD {
            // Without I/O and timers: with them the runtime looks at its epoll set every 61 polls.
            let runtime = Builder::new_current_thread().build().map_err(failed)?;
            runtime.spawn(answer(Arc::clone(&table)));
            return Ok(Box::new(move |ops: u64| Ok(runtime.block_on(drive(Arc::clone(&table), ops)))));
        }
        let runtime = two_workers(crew)?;
        runtime.spawn(answer(Arc::clone(&table)));
        Ok(Box::new(move |ops: u64| {
            let driving = runtime.spawn(drive(Arc::clone(&table), ops));
            runtime.block_on(driving).map_err(|error| Failure::library("tokio", error))
        }))
    }
}

#[derive(Default)]
struct Table {
    to_driver: Notify,
    to_partner: Notify,
    /// Toggled with each turn: a notification that comes twice, or without a turn, is found.
    partners: AtomicBool,
}

/// The partner's life, which the end of the runtime ends.
async fn answer(table: Arc<Table>) {
    loop {
        table.to_partner.notified().await;
        // The notification orders it.
        if table.partners.swap(false, Ordering::Relaxed) {
            table.to_driver.notify_one();
        }
    }
}

async fn drive(table: Arc<Table>, ops: u64) -> Batch {
    let start = Instant::now();
    let mut done = 0;
    while done < ops {
        table.partners.store(true, Ordering::Relaxed);
        table.to_partner.notify_one();
        table.to_driver.notified().await;
        if table.partners.load(Ordering::Relaxed) {
            break;
        }
        done += ROUND_TRIP;
    }
    Batch::since(start, done)
}

/// Worker k in CPU mask k; both tell whether they got there before the first task runs.
pub(super) fn two_workers(crew: &Crew) -> Result<Runtime, Failure> {
    let names = Arc::new(Mutex::new(vec![crew.name(2), crew.name(1)]));
    let masks = Workers::of(crew, WORKERS)?;
    let masks_of_workers = Arc::clone(&masks);
    let runtime = Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .thread_name_fn(move || names.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default())
        .on_thread_start(move || masks_of_workers.take_mask())
        .build()
        .map_err(|error| Failure::library("tokio", error))?;
    masks.await_all()?;
    Ok(runtime)
}
