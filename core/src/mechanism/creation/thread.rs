//! `std::thread::spawn` and `join`, with the standard library's default stack.
//!
//! Timed: mapping or reusing a stack, clone3, the thread's own start-up (signal stack, rseq, robust list), its end and
//! the join. Not timed: anything a body would do.
//! Distortions: with one alive, glibc hands the stack of the last thread to the next from its cache (40 MiB,
//! pthread_attr_setstacksize(3) and glibc's nptl/allocatestack.c); the parameter `alive` takes that away.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{Builder, JoinHandle};

use super::{ALIVE, BodyStart, Stopwatch, UNTIL, laps, tasks_per_lap};
use crate::mechanism::{
    Bound, CpuAssignment, Crew, Descriptor, Expectation, Failure, Mechanism, Operation, Parameters, Resources, Tasks,
    Unit, register,
};
use crate::sys::SysError;
use crate::sys::affinity::confine_current_thread;
use crate::sys::futex::{FutexScope, wait, wake};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "creation/thread",
    isolates: "a thread spawned and joined with the default stack of 2 MiB",
    unit: Unit::Task,
    tasks: Tasks::Several,
    parameters: &[ALIVE, UNTIL],
    baseline: "creation/thread",
    requirements: &[],
    source: "doc.rust-lang.org/std/thread; clone3 in clone(2); pthread_create(3)",
    lap: tasks_per_lap,
    resources,
    expects: |_, _| expectation(),
};

struct Thread;

register!(Thread);

impl Mechanism for Thread {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, crew: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        spawn_and_join(Builder::new, parameters, crew.assignment())
    }
}

pub(super) fn resources(parameters: &Parameters) -> Resources {
    Resources { descriptors: 0, threads: 1 + parameters.number(ALIVE.name), processes: 0 }
}

/// One clone and one end a thread; what the C library does around them differs between its versions.
pub(super) fn expectation() -> Expectation {
    Expectation::nothing()
        .call("clone", Bound::Exactly(1.0))
        .call("exit", Bound::Exactly(1.0))
        .others(Bound::Between(1.0, 24.0))
        // The creator sleeps in the join, and the new thread may sleep at its gate.
        .voluntary(Bound::AtMost(3.0))
        .wakeups(Bound::AtMost(4.0))
}

/// The operation of both thread mechanisms: they differ in the stack that `builder` asks for.
pub(super) fn spawn_and_join(
    builder: fn() -> Builder,
    parameters: &Parameters,
    assignment: &CpuAssignment,
) -> Result<Box<dyn Operation>, Failure> {
    let alive = parameters.size(ALIVE.name);
    let mut watch = Stopwatch::wanted(parameters)?;
    let assignment = (assignment.masks() > 1).then(|| Arc::new(assignment.clone()));
    let mut threads = Vec::with_capacity(alive);
    Ok(Box::new(move |ops: u64| {
        laps(&mut watch, ops, |watch| {
            let gate = (alive > 1).then(Arc::<ExitGate>::default);
            let spawned = (1..=alive).try_for_each(|task| {
                let beginning = watch.as_mut().map(Stopwatch::next);
                threads.push(spawn(builder(), task, assignment.clone(), gate.clone(), beginning)?);
                Ok(())
            });
            // Those before one that could not be created wait behind the gate.
            if let Some(gate) = gate {
                gate.open()?;
            }
            let reaped = reap(&mut threads);
            spawned.and(reaped)
        })
    }))
}

type Handle = JoinHandle<Result<(), Failure>>;

fn spawn(
    builder: Builder,
    task: usize,
    assignment: Option<Arc<CpuAssignment>>,
    gate: Option<Arc<ExitGate>>,
    beginning: Option<BodyStart>,
) -> Result<Handle, Failure> {
    let body = move || {
        if let Some(assignment) = assignment {
            confine_current_thread(&assignment.cpu_mask(task).cpus)?;
        }
        if let Some(beginning) = beginning {
            beginning.record();
        }
        gate.map_or(Ok(()), |gate| gate.pass())
    };
    Ok(builder.spawn(body).map_err(|error| SysError::from_io("clone3", &error))?)
}

fn reap(threads: &mut Vec<Handle>) -> Result<u64, Failure> {
    let mut reaped = 0;
    for thread in threads.drain(..) {
        thread.join().unwrap_or_else(|_| Err(Failure::Corrupted("a created thread panicked".into())))?;
        reaped += 1;
    }
    Ok(reaped)
}

/// Holds the threads of a lap until the last of them exists.
#[derive(Default)]
struct ExitGate(AtomicU32);

impl ExitGate {
    fn open(&self) -> Result<(), Failure> {
        self.0.store(1, Ordering::Release);
        wake(&self.0, u32::MAX, FutexScope::Private)?;
        Ok(())
    }

    fn pass(&self) -> Result<(), Failure> {
        while self.0.load(Ordering::Acquire) == 0 {
            wait(&self.0, 0, FutexScope::Private, None)?;
        }
        Ok(())
    }
}
