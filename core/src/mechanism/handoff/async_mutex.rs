//! A lock that async tasks pass on: tokio's mutex, which may be held across an await, beside the standard library's,
//! which may not; each contended and not.
//!
//! An operation is one acquisition and its release, counted under the lock by the task that holds it. A lap is one
//! acquisition for each task.
//! - `lock = tokio`, `contended = yes`: the holder yields to its runtime while it holds the lock, as code does that
//!   awaits I/O there. All other tasks stand in the lock's queue, which is first in, first out: each release is a
//!   handoff to the next task.
//! - `lock = std`, `contended = yes`: the section has no await, so the holder yields only after the release. On one
//!   thread the lock is therefore free at every acquisition; on two workers the threads may meet at it, and the one
//!   that comes late spins and then sleeps in futex(2).
//! - `contended = no`: the driver's task alone takes the lock and gives it back.
//!
//! Timed: from before the first acquisition to after the last, with the notifications that start the other tasks, once
//! a batch. Not timed: building the runtime, spawning the tasks.
//! Distortions: the section is empty. The share of acquisitions by another task than the last holder is reported as a
//! metric of its own, because an unfair lock can be taken again by the task that has just released it. Every 128th
//! acquisition of tokio's mutex without contention also returns to the runtime (tokio's cooperative budget).

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Notify;
use tokio::task::yield_now;

use super::tokio_notify::{FLAVOUR, SAME_THREAD, by_flavour, two_workers};
use crate::mechanism::{
    Batch, Crew, Descriptor, Domain, Failure, Mechanism, Metric, MetricKey, Operation, Parameter, Parameters,
    Resources, Tasks, Unit, register,
};
use crate::units::Quantity;

const LOCK: Parameter = Parameter {
    name: "lock",
    meaning: "tokio's mutex, held across an await, or the standard library's, held between awaits",
    domain: Domain::Word { words: &["tokio", STD] },
};
const STD: &str = "std";
const CONTENDED: Parameter = Parameter {
    name: "contended",
    meaning: "whether the other tasks want the lock as well",
    domain: Domain::Word { words: &["yes", UNCONTENDED] },
};
const UNCONTENDED: &str = "no";
const TASKS: Parameter = Parameter {
    name: "tasks",
    meaning: "tasks that want the lock, the driver's among them; without contention the others only exist",
    domain: Domain::Number { default: 8, min: 2, max: 100_000 },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/async_mutex",
    isolates: "a lock passed on among async tasks: tokio's fair mutex held across an await, or std's between awaits",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[FLAVOUR, LOCK, CONTENDED, TASKS],
    baseline: "handoff/futex",
    requirements: &[],
    source: "docs.rs/tokio, sync::Mutex, \"Which kind of mutex should you use?\"; doc.rust-lang.org, std::sync::Mutex",
    lap: |parameters| if is_contended(parameters) { parameters.number(TASKS.name) } else { 1 },
    resources: |_| Resources { descriptors: 8, threads: 3, processes: 0 },
    expects: |parameters, _| by_flavour(parameters),
};

fn is_contended(parameters: &Parameters) -> bool {
    parameters.word(CONTENDED.name) != UNCONTENDED
}

struct AsyncMutex;

register!(AsyncMutex);

impl Mechanism for AsyncMutex {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn tasks(&self, parameters: &Parameters) -> Tasks {
        if parameters.word(FLAVOUR.name) == SAME_THREAD { Tasks::OneThread } else { Tasks::Several }
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let same_thread = parameters.word(FLAVOUR.name) == SAME_THREAD;
        let runtime = if same_thread {
            // Without I/O and timers: with them the runtime looks at its epoll set every 61 polls.
            Builder::new_current_thread().build().map_err(|error| Failure::library("tokio", error))?
        } else {
            two_workers(crew)?
        };
        let is_std = parameters.word(LOCK.name) == STD;
        let others = if is_contended(parameters) { parameters.size(TASKS.name) - 1 } else { 0 };
        let section = if is_std { CountLock::Std(Mutex::default()) } else { CountLock::Tokio(Default::default()) };
        Ok(Box::new(MutexDriver::new(runtime, same_thread, section, others)))
    }
}

/// What the lock protects.
#[derive(Debug, Default)]
struct Count {
    /// Acquisitions so far in this batch, and how many it has.
    made: u64,
    target: u64,
    /// The task that held the lock last, the driver's being 0; acquisitions by another task than that.
    holder: usize,
    passed_on: u64,
    ended: Option<Instant>,
    /// Tasks that have seen the end of the batch.
    left: usize,
}

impl Count {
    /// Counts an acquisition by `task`; false when the batch has enough.
    fn acquire(&mut self, task: usize) -> bool {
        if self.made == self.target {
            return false;
        }
        self.made += 1;
        self.passed_on += u64::from(self.holder != task);
        self.holder = task;
        if self.made == self.target {
            self.ended = Some(Instant::now());
        }
        true
    }
}

enum CountLock {
    Tokio(tokio::sync::Mutex<Count>),
    Std(Mutex<Count>),
}

struct MutexTasks {
    section: CountLock,
    /// Tells each of the other tasks that a batch begins.
    go: Vec<Notify>,
    /// Tells the driver that all others have seen its end.
    done: Notify,
}

fn lock(count: &Mutex<Count>) -> MutexGuard<'_, Count> {
    count.lock().unwrap_or_else(PoisonError::into_inner)
}

impl MutexTasks {
    /// The loop of `task` in a batch: acquires until there were enough acquisitions by all together.
    async fn contend(&self, task: usize) {
        let alone = self.go.is_empty();
        match &self.section {
            CountLock::Tokio(count) => loop {
                let mut count = count.lock().await;
                if !count.acquire(task) {
                    return;
                }
                if !alone {
                    yield_now().await;
                }
            },
            CountLock::Std(count) => {
                while lock(count).acquire(task) {
                    if !alone {
                        yield_now().await;
                    }
                }
            }
        }
    }

    /// Changes the count between batches, when no task contends.
    async fn with_count<T>(&self, change: impl FnOnce(&mut Count) -> T) -> T {
        match &self.section {
            CountLock::Tokio(count) => change(&mut *count.lock().await),
            CountLock::Std(count) => change(&mut lock(count)),
        }
    }
}

/// The life of another task, which the end of the runtime ends.
async fn contend_when_told(shared: Arc<MutexTasks>, other: usize) {
    loop {
        shared.go[other].notified().await;
        shared.contend(other + 1).await;
        let all = shared.go.len();
        let last = |count: &mut Count| {
            count.left += 1;
            count.left == all
        };
        if shared.with_count(last).await {
            shared.done.notify_one();
        }
    }
}

/// A batch: its time, and how many acquisitions went to another task.
async fn drive(shared: Arc<MutexTasks>, ops: u64) -> (Batch, u64) {
    shared.with_count(|count| *count = Count { target: ops, ..Count::default() }).await;
    let start = Instant::now();
    shared.go.iter().for_each(Notify::notify_one);
    shared.contend(0).await;
    if !shared.go.is_empty() {
        shared.done.notified().await;
    }
    let (made, ended, passed_on) = shared.with_count(|count| (count.made, count.ended, count.passed_on)).await;
    let elapsed = ended.map_or_else(|| start.elapsed(), |ended| ended.duration_since(start));
    (Batch::lasting(elapsed, made), passed_on)
}

struct MutexDriver {
    runtime: Runtime,
    same_thread: bool,
    shared: Arc<MutexTasks>,
    passed_on: u64,
    ops: u64,
}

impl MutexDriver {
    /// Spawns the other tasks on `runtime`.
    fn new(runtime: Runtime, same_thread: bool, section: CountLock, others: usize) -> Self {
        let go = (0..others).map(|_| Notify::new()).collect();
        let shared = Arc::new(MutexTasks { section, go, done: Notify::new() });
        for other in 0..others {
            runtime.spawn(contend_when_told(Arc::clone(&shared), other));
        }
        Self { runtime, same_thread, shared, passed_on: 0, ops: 0 }
    }
}

impl Operation for MutexDriver {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        let batch = drive(Arc::clone(&self.shared), ops);
        let (batch, passed_on) = if self.same_thread {
            self.runtime.block_on(batch)
        } else {
            // On a worker, like the tasks that it competes with.
            let driving = self.runtime.spawn(batch);
            self.runtime.block_on(driving).map_err(|error| Failure::library("tokio", error))?
        };
        self.passed_on += passed_on;
        self.ops += batch.ops.0;
        Ok(batch)
    }

    fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        let (passed_on, ops) = (std::mem::take(&mut self.passed_on), std::mem::take(&mut self.ops));
        if ops == 0 {
            return Ok(Vec::new());
        }
        Ok(vec![Metric::scalar(MetricKey::AcquisitionsByAnother, Quantity::Share, passed_on as f64 / ops as f64)])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Which share of the acquisitions another task makes than the last holder, on one thread with three tasks.
    fn passed_on(section: CountLock, others: usize) -> f64 {
        let runtime = Builder::new_current_thread().build().unwrap();
        let mut driver = MutexDriver::new(runtime, true, section, others);
        assert_eq!(driver.run(300).unwrap().ops.0, 300);
        assert_eq!(driver.run(3).unwrap().ops.0, 3);
        let metrics = driver.metrics().unwrap();
        assert!(driver.metrics().unwrap().is_empty(), "each batch is told once");
        match &metrics[..] {
            [Metric::Scalar(share)] => share.value,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn contended_locks_are_handed_to_another_task_each_time() {
        let tokio = || CountLock::Tokio(tokio::sync::Mutex::default());
        // The first acquisition of a batch is the driver's, as the count of the last batch says nothing of it.
        assert_eq!(passed_on(tokio(), 2), 301.0 / 303.0);
        assert_eq!(passed_on(CountLock::Std(Mutex::default()), 2), 301.0 / 303.0);
        assert_eq!(passed_on(tokio(), 0), 0.0);
        assert_eq!(passed_on(CountLock::Std(Mutex::default()), 0), 0.0);
    }
}
