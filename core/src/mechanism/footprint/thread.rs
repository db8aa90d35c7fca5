//! A thread of the standard library that waits: on a futex, or for its pipe.
//!
//! Timed: nothing. Measured: the stack as far as it was touched, the C library's and the standard library's share of it
//! and of the heap, the tables that map it, the kernel's stack and objects. The thread's body touches next to nothing;
//! what a real one touches comes on top, and stays until it ends.
//! Distortions: a stack of 2 MiB begins in page-table pages of its own, smaller ones share them. glibc keeps up to 40
//! MiB of the stacks of ended threads for the next ones, oldest first to go: a lap begins with a thread whose stack is
//! larger than that, and whose end makes them all go (glibc's nptl/nptl-stack.c, `__nptl_free_stacks`). Threads that
//! allocate get heaps of their own from glibc, of 64 MiB addresses each, until there are eight for each CPU: these too
//! fall to the first step.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use super::{Footprint, PIPE, ParkGate, ParkedTasks, PipeMode, TASKS, pipe_ends, pipes_per_task, tasks_per_lap};
use crate::mechanism::{
    Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Resources,
    Tasks, Unit, register,
};
use crate::sys::SysError;
use crate::sys::channel::read_byte;

/// Before the tasks of the group in general: threads are dearer to create than futures.
const THREADS: Parameter = Parameter { domain: Domain::Number { default: 500, min: 5, max: 1_000_000 }, ..TASKS };

const STACK: Parameter = Parameter {
    name: "stack",
    meaning: "bytes of each thread's stack",
    domain: Domain::Number { default: 2 << 20, min: 16 << 10, max: 1 << 30 },
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "footprint/thread",
    isolates: "what a thread holds while it waits: its stack as far as it was used, page tables, the kernel's share",
    unit: Unit::Task,
    tasks: Tasks::OneThread,
    parameters: &[THREADS, PIPE, STACK],
    baseline: "footprint/thread",
    requirements: &["smaps_rollup in /proc (Linux 4.14, CONFIG_PROC_PAGE_MONITOR)"],
    source: "proc_pid_smaps(5), proc_pid_status(5), pthread_attr_setstacksize(3)",
    lap: tasks_per_lap,
    resources: |parameters| Resources {
        descriptors: 4 + pipe_ends(parameters),
        threads: 1 + tasks_per_lap(parameters),
        processes: 0,
    },
    expects: |parameters, _| {
        // A lap's first thread, which empties the C library's cache.
        let threads = 1.0 + 1.0 / tasks_per_lap(parameters) as f64;
        Expectation::nothing()
            .call("clone", Bound::Exactly(threads))
            .call("exit", Bound::Exactly(threads))
            .call("pipe2", Bound::Exactly(pipes_per_task(parameters)))
            .others(Bound::Depends)
            .voluntary(Bound::Depends)
            .wakeups(Bound::Depends)
    },
};

struct Thread;

register!(Thread);

impl Mechanism for Thread {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let (stack, piping) = (parameters.size(STACK.name), PipeMode::of(parameters));
        let all = parameters.size(THREADS.name);
        Footprint::operation(parameters, move || {
            empty_cache()?;
            let threads = Vec::with_capacity(all);
            Ok(Threads { stack, piping, gate: Arc::default(), writers: Vec::new(), threads })
        })
    }
}

/// More than glibc keeps.
const LARGE_STACK: usize = 64 << 20;

/// Makes the C library unmap the stacks of threads that have ended.
fn empty_cache() -> Result<(), Failure> {
    let thread = Builder::new().stack_size(LARGE_STACK).spawn(|| ());
    let thread = thread.map_err(|error| SysError::from_io("clone3", &error))?;
    thread.join().map_err(|_| Failure::Corrupted("a created thread panicked".into()))
}

struct Threads {
    stack: usize,
    piping: PipeMode,
    gate: Arc<ParkGate>,
    /// What keeps the pipes from ending.
    writers: Vec<OwnedFd>,
    threads: Vec<JoinHandle<Result<(), Failure>>>,
}

impl ParkedTasks for Threads {
    fn grow(&mut self, tasks: usize) -> Result<(), Failure> {
        while self.threads.len() < tasks {
            let reader = if self.piping.exists() {
                let ends = self.piping.open(false)?;
                self.writers.push(ends.writer);
                Some(ends.reader)
            } else {
                None
            };
            let gate = Arc::clone(&self.gate);
            let body = move || {
                gate.arrive()?;
                match reader {
                    Some(reader) => read_byte(&reader).map(drop).map_err(Failure::from),
                    None => gate.pass(),
                }
            };
            let thread = Builder::new().stack_size(self.stack).spawn(body);
            self.threads.push(thread.map_err(|error| SysError::from_io("clone3", &error))?);
        }
        self.gate.await_all(tasks)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.gate.open();
        self.writers.clear();
        for thread in self.threads.drain(..) {
            // Whatever it says, it has ended.
            let _ = thread.join();
        }
    }
}
