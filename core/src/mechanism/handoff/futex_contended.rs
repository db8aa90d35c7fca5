//! futex(2) while another task does the same on another CPU: what they share in the kernel.
//!
//! With `what = hash` each task calls `FUTEX_WAIT` on words of its own whose value has changed already, so that every
//! call hashes, takes the bucket's lock, looks and returns: the tasks share the table and nothing else. An operation is
//! such a call: a handoff whose turn has come before a task waited for it, and the least that any of them can cost.
//! With `what = lock` both take and give back one lock with priority inheritance, by `FUTEX_LOCK_PI` and
//! `FUTEX_UNLOCK_PI` every time. An operation is the lock's way to the other task: when the driver finds that the other
//! has held it meanwhile there were two, and a lock that its last holder takes again makes none and shows in the audit
//! as calls more. Who comes late sleeps, or spins in the kernel while the holder runs (rt_mutex, since Linux 5.15).
//! Timed: the driver's calls. Not timed: waking the other task, which sleeps between batches.
//! Distortions: the other task's calls are as many as it manages, and stand in the audit beside the driver's, which
//! therefore judges only that there are no other calls.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::slept_between_batches;
use crate::mechanism::batch_gate::{BatchGate, GateOwner};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Domain, Failure, Mechanism, Operation, Parameter, Parameters, Resources, Tasks,
    Unit, Unsupported, register,
};
use crate::sys::SysError;
use crate::sys::futex::{FutexScope, lock_pi, unlock_pi, wait};

const WHAT: Parameter = Parameter {
    name: "what",
    meaning: "what the tasks contend for: the kernel's hash table of futexes, or one lock with priority inheritance",
    domain: Domain::Word { words: &[HASH, "lock"] },
};
const HASH: &str = "hash";

static DESCRIPTOR: Descriptor = Descriptor {
    id: "handoff/futex_contended",
    isolates: "futex calls of two CPUs at the same time: on the kernel's hash table alone, or on one lock that both \
               take in turn",
    unit: Unit::Handoff,
    tasks: Tasks::Simultaneous,
    parameters: &[WHAT],
    baseline: "handoff/futex",
    requirements: &["two CPUs that this process may use"],
    source: "futex(2), FUTEX_LOCK_PI; Linux tools/perf/bench/futex-hash.c and futex-lock-pi.c",
    lap: |_| PAIR,
    resources: |_| Resources { descriptors: 0, threads: 2, processes: 0 },
    // The driver's own calls are certain; the other task's are as many as it managed meanwhile.
    expects: |parameters, _| match parameters.word(WHAT.name) {
        HASH => slept_between_batches().call("futex:wait", Bound::Depends),
        // So are those with which a lock goes nowhere.
        _ => slept_between_batches()
            .call("futex:lock-pi", Bound::Depends)
            .call("futex:unlock-pi", Bound::Depends)
            .voluntary(Bound::Depends)
            .wakeups(Bound::Depends),
    },
};

/// A lock's way to the other task and back; as many calls for the other way, so that a lap is the same.
const PAIR: u64 = 2;

struct FutexContended;

register!(FutexContended);

impl Mechanism for FutexContended {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let cpus = crew.assignment().cpus().len();
        if cpus < 2 {
            let remedy = "allow this process a second CPU (taskset, cpuset)";
            return Err(Unsupported::new("two CPUs", format!("{cpus} CPU"), remedy).into());
        }
        match parameters.word(WHAT.name) {
            HASH => compete(crew, Words::default(), Words::default()),
            _ => {
                let held = Arc::<LockOwner>::default();
                compete(crew, Lock { held: Arc::clone(&held), me: 0 }, Lock { held, me: 1 })
            }
        }
    }
}

/// Two calls of one task.
trait Contender {
    /// Makes them and says how many operations they were.
    fn make_two_calls(&mut self) -> Result<u64, SysError>;
}

fn compete(
    crew: &mut Crew,
    mut driver: impl Contender + 'static,
    mut partner: impl Contender + Send + 'static,
) -> Result<Box<dyn Operation>, Failure> {
    let gate = Arc::new(BatchGate::default());
    let partners = Arc::clone(&gate);
    crew.spawn(1, move |ready| {
        ready.signal();
        while partners.await_next()? {
            while partners.is_on() {
                partner.make_two_calls()?;
            }
            partners.leave()?;
        }
        Ok(())
    })?;
    let owner = GateOwner(gate);
    Ok(Box::new(move |ops: u64| {
        owner.begin()?;
        let batch = Batch::timed(|| {
            let mut made = 0;
            while made < ops {
                made += driver.make_two_calls()?;
            }
            Ok(made)
        });
        owner.close();
        owner.await_gone()?;
        batch
    }))
}

/// As many words as perf's benchmark has for each thread by default.
struct Words {
    words: Box<[AtomicU32]>,
    next: usize,
}

impl Default for Words {
    fn default() -> Self {
        Self { words: (0..1024).map(|_| AtomicU32::new(0)).collect(), next: 0 }
    }
}

impl Contender for Words {
    fn make_two_calls(&mut self) -> Result<u64, SysError> {
        for _ in 0..PAIR {
            self.next = (self.next + 1) % self.words.len();
            // It holds 0: the call returns at once.
            wait(&self.words[self.next], 1, FutexScope::Private, None)?;
        }
        Ok(PAIR)
    }
}

/// The lock, and who held it last, which it protects.
#[derive(Debug, Default)]
struct LockOwner {
    lock: AtomicU32,
    last: AtomicU32,
}

struct Lock {
    held: Arc<LockOwner>,
    me: u32,
}

impl Contender for Lock {
    fn make_two_calls(&mut self) -> Result<u64, SysError> {
        lock_pi(&self.held.lock, FutexScope::Private)?;
        // The lock orders it.
        let last = self.held.last.swap(self.me, Ordering::Relaxed);
        unlock_pi(&self.held.lock, FutexScope::Private)?;
        Ok(if last == self.me { 0 } else { PAIR })
    }
}
