//! Creation: a task is created, runs, and is reaped.
//!
//! `alive` tasks exist at once: the driver creates that many, and only then lets them end and reaps them, so that with
//! more than one the figure holds no reuse of the stack or slot that the last one left. A lap is `alive` tasks.
//!
//! With `until = running` the figure is the latency from the call that creates a task to the first step of its body;
//! its end and its reaping are then outside, and a batch takes longer than its figure. Every mechanism has it whose
//! body is this program's own and runs by itself: not `clone3`, whose thread is one instruction, nor `vfork_exec` and
//! `posix_spawn`, whose programs cannot look at the clock for this one, nor `boxed_future`, whose body runs when its
//! creator polls it.
//!
//! Where the placement has more than one CPU, a created thread or process moves itself to its CPU mask first: tasks are
//! born where their creator runs (sched(7), "CPU affinity"), and the move is part of creating one elsewhere.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::{Batch, Domain, Failure, Group, Parameter, Parameters};
use crate::sys::shared::Shared;
use crate::units::{Amount, Quantity};

mod boxed_future;
mod clone3;
mod fork;
mod may_coroutine;
mod posix_spawn;
mod rayon_scope;
mod smol_task;
mod thread;
mod thread_pool;
mod thread_small_stack;
mod tokio_task;
mod vfork_exec;

/// The group `creation`, with the question that its mechanisms answer.
pub const GROUP: Group = Group {
    name: "creation",
    question: "What does it cost to create a task, run it and reap it?",
    measures: Quantity::Nanoseconds,
    queues: false,
};

const ALIVE: Parameter = Parameter {
    name: "alive",
    meaning: "tasks alive at once; with 1 each is reaped before the next is created",
    domain: Domain::Number { default: 1, min: 1, max: MOST_ALIVE as u64 },
};
const MOST_ALIVE: usize = 100_000;

const UNTIL: Parameter = Parameter {
    name: "until",
    meaning: "when timing ends: once the task has been reaped, or once its body begins to run",
    domain: Domain::Word { words: &["reaped", RUNNING] },
};
const RUNNING: &str = "running";

fn tasks_per_lap(parameters: &Parameters) -> u64 {
    parameters.number(ALIVE.name)
}

/// When bodies began: one entry a task, in memory that forked processes share.
type BodyStarts = Shared<[AtomicU64; MOST_ALIVE]>;

/// Stops at the first step of each body, where that is asked for.
struct Stopwatch {
    start: Instant,
    created: Vec<u64>,
    began: Arc<BodyStarts>,
}

/// What a task tells the stopwatch.
#[derive(Clone)]
struct BodyStart {
    start: Instant,
    task: usize,
    began: Arc<BodyStarts>,
}

impl Stopwatch {
    /// `None` where the clock stops at the end of a batch.
    fn wanted(parameters: &Parameters) -> Result<Option<Self>, Failure> {
        if parameters.word(UNTIL.name) != RUNNING {
            return Ok(None);
        }
        Ok(Some(Self { start: Instant::now(), created: Vec::new(), began: Arc::new(Shared::new()?) }))
    }

    /// The next task of a lap is about to be created.
    fn next(&mut self) -> BodyStart {
        let task = self.created.len() % MOST_ALIVE;
        self.created.push(nanos_since(self.start));
        BodyStart { start: self.start, task, began: Arc::clone(&self.began) }
    }

    /// Adds up the latencies of a lap whose tasks have all been reaped.
    fn lap(&mut self) -> u64 {
        // The reaping orders what the bodies stored.
        let began = |task: usize| self.began[task].load(Ordering::Relaxed);
        let latencies = self.created.iter().enumerate().map(|(task, &created)| began(task).saturating_sub(created));
        let sum = latencies.sum();
        self.created.clear();
        sum
    }
}

impl BodyStart {
    /// Records the time of the body's first step.
    fn record(&self) {
        self.began[self.task].store(nanos_since(self.start), Ordering::Relaxed);
    }
}

/// As [`laps`], inside a runtime.
async fn async_laps(
    watch: &mut Option<Stopwatch>,
    ops: u64,
    mut lap: impl AsyncFnMut(&mut Option<Stopwatch>) -> Result<u64, Failure>,
) -> Result<Batch, Failure> {
    let start = Instant::now();
    let mut latencies = 0;
    let mut created = 0;
    while created < ops {
        created += lap(watch).await?;
        latencies += watch.as_mut().map_or(0, Stopwatch::lap);
    }
    let mut batch = Batch::since(start, created);
    if watch.is_some() {
        batch.amount = Amount(latencies);
    }
    Ok(batch)
}

fn nanos_since(start: Instant) -> u64 {
    // 584 years fit.
    start.elapsed().as_nanos() as u64
}

/// Runs laps until `ops` tasks have come and gone. The time is the whole batch's, or with a stopwatch the sum of what
/// it measured.
fn laps(
    watch: &mut Option<Stopwatch>,
    ops: u64,
    mut lap: impl FnMut(&mut Option<Stopwatch>) -> Result<u64, Failure>,
) -> Result<Batch, Failure> {
    let mut latencies = 0;
    let mut batch = Batch::timed(|| {
        let mut created = 0;
        while created < ops {
            created += lap(watch)?;
            latencies += watch.as_mut().map_or(0, Stopwatch::lap);
        }
        Ok(created)
    })?;
    if watch.is_some() {
        batch.amount = Amount(latencies);
    }
    Ok(batch)
}
