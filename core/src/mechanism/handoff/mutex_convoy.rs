//! A lock convoy: several tasks queue for one fair lock, and every release hands it to the next in the queue.
//!
//! The lock is a queue of tickets with a futex for each waiter. Who releases takes its next ticket first, so that all
//! the others stand in the queue at all times and the order never changes: a lap is one release by each task. The
//! standard library's mutex does not convoy like this, because the task that releases it may take it again before the
//! waiter runs; fair locks and locks held across a time slice do, and then every acquisition is a switch.
//! Timed: per handoff one ticket, one store, one `FUTEX_WAKE`, one `FUTEX_WAIT`, and the switch. Distortions: the
//! critical section is empty.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters,
    Placement, Resources, Tasks, Unit, register,
};
use crate::sys::futex::{FutexScope, wait, wake};

const TASKS: Parameter = Parameter {
    name: "tasks",
    meaning: "tasks that want the lock, the driver among them",
    domain: Domain::Number { default: 8, min: 2, max: 100_000 },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/mutex_convoy",
    isolates: "a fair lock that all tasks wait for: each acquisition is a switch",
    unit: Unit::Handoff,
    tasks: Tasks::Several,
    parameters: &[TASKS],
    baseline: "handoff/futex",
    requirements: &[],
    source: "Blasgen, Gray, Mitoma and Price, \"The convoy phenomenon\", Operating Systems Review 13(2), 1979; \
             futex(2)",
    lap: |parameters| parameters.number(TASKS.name),
    resources: |parameters| Resources { descriptors: 0, threads: parameters.number(TASKS.name), processes: 0 },
    expects: |_, placement| {
        let calls =
            Expectation::nothing().call("futex:wake", Bound::Exactly(1.0)).call("futex:wait", Bound::Between(1.0, 1.1));
        let seen = calls.voluntary(Bound::AtMost(1.0)).wakeups(Bound::AtMost(1.0));
        match placement {
            // Who is woken may preempt its waker, which then runs once more only to wait.
            Placement::SameCpu => seen.switches(Bound::Between(1.0, 2.0)),
            _ => seen,
        }
    },
};

struct MutexConvoy;

register!(MutexConvoy);

impl Mechanism for MutexConvoy {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let tasks = parameters.size(TASKS.name);
        let lock = Arc::new(Lock::new(tasks));
        // The driver holds the lock from here on, but while a batch runs: between batches all others sleep.
        let driver = ConvoyDriver { ticket: lock.queue_up(), tasks: tasks as u64, lock: Arc::clone(&lock) };
        for task in 1..tasks {
            let lock = Arc::clone(&lock);
            let mut ticket = lock.queue_up();
            crew.spawn(task, move |ready| {
                ready.signal();
                while lock.await_turn(ticket)? {
                    lock.handovers.fetch_add(1, Ordering::Relaxed);
                    ticket = lock.release_and_queue_up(ticket)?;
                }
                Ok(())
            })?;
        }
        Ok(Box::new(driver))
    }
}

const NOT_YET: u32 = 0;
const TURN: u32 = 1;
const STOP: u32 = 2;

struct Lock {
    next: AtomicU64,
    words: Box<[Word]>,
    handovers: AtomicU64,
}

/// A cache line each, as the turn flags'.
#[derive(Default)]
#[repr(align(128))]
struct Word(AtomicU32);

impl Lock {
    fn new(tasks: usize) -> Self {
        let words = (0..tasks).map(|_| Word::default()).collect();
        Self { next: AtomicU64::new(0), words, handovers: AtomicU64::new(0) }
    }

    /// Each waiter sleeps on the word of its ticket; there are never more tickets out than tasks.
    fn word(&self, ticket: u64) -> &AtomicU32 {
        &self.words[(ticket % self.words.len() as u64) as usize].0
    }

    fn queue_up(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// Hands the lock to the next in the queue, having queued up again.
    fn release_and_queue_up(&self, ticket: u64) -> Result<u64, Failure> {
        let again = self.queue_up();
        let word = self.word(ticket + 1);
        word.store(TURN, Ordering::Release);
        wake(word, 1, FutexScope::Private)?;
        Ok(again)
    }

    /// Waits until `ticket` is served; false when there will be no more turns.
    fn await_turn(&self, ticket: u64) -> Result<bool, Failure> {
        let word = self.word(ticket);
        loop {
            wait(word, NOT_YET, FutexScope::Private, None)?;
            match word.load(Ordering::Acquire) {
                NOT_YET => {}
                TURN => {
                    word.store(NOT_YET, Ordering::Relaxed);
                    return Ok(true);
                }
                _ => return Ok(false),
            }
        }
    }
}

struct ConvoyDriver {
    lock: Arc<Lock>,
    ticket: u64,
    tasks: u64,
}

impl Operation for ConvoyDriver {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        let before = self.lock.handovers.load(Ordering::Relaxed);
        let batch = Batch::timed(|| {
            for _ in 0..ops / self.tasks {
                self.ticket = self.lock.release_and_queue_up(self.ticket)?;
                if !self.lock.await_turn(self.ticket)? {
                    return Err(Failure::Corrupted("the lock is gone".into()));
                }
            }
            Ok(ops / self.tasks * self.tasks)
        })?;
        let others = self.lock.handovers.load(Ordering::Relaxed) - before;
        let laps = batch.ops.0 / self.tasks;
        if others + laps == batch.ops.0 {
            Ok(batch)
        } else {
            Err(Failure::Miscounted { asked: batch.ops.0, done: others + laps })
        }
    }
}

impl Drop for ConvoyDriver {
    fn drop(&mut self) {
        for word in &self.lock.words {
            word.0.store(STOP, Ordering::Release);
            // A wake without a waiter is harmless, and a drop cannot report a failure.
            let _ = wake(&word.0, 1, FutexScope::Private);
        }
    }
}
