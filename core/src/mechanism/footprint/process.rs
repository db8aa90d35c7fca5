//! A forked process that waits: for a signal, or for its pipe.
//!
//! Timed: nothing. Measured: the pages that the child copied by writing to them, its own tables over the parent's
//! memory, the kernel's stack and objects. A page that parent and children share counts once in all.
//! Distortions: the tables, and the kernel's list of mappings, follow the process that forks: the benchmark itself, of
//! a few MiB and some hundred mappings. The top of its tables, a page (two with page-table isolation), is in no file of
//! /proc and in no figure here. A child closes what it inherits, and when it has said that it waits the way to say so;
//! it keeps its pipe alone.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pause};

use super::{Footprint, PIPE, ParkedTasks, PipeMode, STEPS, TASKS, pipe_ends, pipes_per_task, tasks_per_lap};
use crate::mechanism::{
    Bound, Crew, Descriptor, Domain, Expectation, Failure, Mechanism, Operation, Parameter, Parameters, Resources,
    Tasks, Unit, register,
};
use crate::sys::channel::{Ends, ReadOutcome, pipe, read_byte, write_byte};
use crate::sys::process::{close_copy, die_with_parent, fork_running, keep_only, wait_for};

/// Each look at a process walks all of its mappings.
const PROCESSES: Parameter = Parameter { domain: Domain::Number { default: 100, min: 5, max: 1_000_000 }, ..TASKS };

static DESCRIPTOR: Descriptor = Descriptor {
    id: "footprint/process",
    isolates: "what a forked process holds while it waits: copied pages, its own page tables, the kernel's share",
    unit: Unit::Task,
    tasks: Tasks::OneThread,
    parameters: &[PROCESSES, PIPE],
    baseline: "footprint/thread",
    requirements: &["smaps_rollup in /proc (Linux 4.14, CONFIG_PROC_PAGE_MONITOR)"],
    source: "fork(2), proc_pid_smaps(5), proc_pid_status(5)",
    lap: tasks_per_lap,
    resources: |parameters| Resources {
        descriptors: 8 + pipe_ends(parameters),
        threads: 1,
        processes: tasks_per_lap(parameters),
    },
    expects: |parameters, _| {
        // A child's own, and one without a task; for the readiness of all another one a step.
        let tasks = tasks_per_lap(parameters) as f64;
        let pipes = pipes_per_task(parameters) + STEPS as f64 / tasks;
        Expectation::nothing()
            .call("clone", Bound::Exactly(1.0))
            .call("wait4", Bound::Between(1.0, 2.0))
            .call("pipe2", Bound::Exactly(pipes))
            .others(Bound::Depends)
            .voluntary(Bound::Depends)
            .wakeups(Bound::Depends)
    },
};

struct Process;

register!(Process);

impl Mechanism for Process {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let (piping, all) = (PipeMode::of(parameters), parameters.size(PROCESSES.name));
        Footprint::operation(parameters, move || Ok(Processes { piping, children: Vec::with_capacity(all) }))
    }
}

struct Processes {
    piping: PipeMode,
    children: Vec<Pid>,
}

const PARKED: u8 = 1;
const NO_PIPE: u8 = 2;

impl ParkedTasks for Processes {
    fn grow(&mut self, tasks: usize) -> Result<(), Failure> {
        let (ready, before, parent) = (pipe(false)?, self.children.len(), Pid::this());
        while self.children.len() < tasks {
            self.children.push(fork_running(|| life(parent, &ready, self.piping))?);
        }
        // From here on the children alone hold it: one that dies without a word is noticed by the end of what comes.
        drop(ready.writer);
        await_parked(&ready.reader, self.children.len() - before)
    }

    fn children(&self) -> &[Pid] {
        &self.children
    }

    fn shrink(&mut self, tasks: usize) -> Result<(), Failure> {
        for &child in self.children.get(tasks..).unwrap_or_default() {
            // It is a child that was not waited for, so it exists.
            let _ = kill(child, Signal::SIGKILL);
        }
        while self.children.len() > tasks {
            if let Some(child) = self.children.pop() {
                wait_for(child)?;
            }
        }
        Ok(())
    }
}

impl Drop for Processes {
    fn drop(&mut self) {
        // A child that cannot be waited for is none.
        let _ = self.shrink(0);
    }
}

/// Waits until so many children have said that they are parked, and have closed what they said it by, which would be
/// memory of theirs.
fn await_parked(reader: &OwnedFd, children: usize) -> Result<(), Failure> {
    let mut parked = 0;
    loop {
        match read_byte(reader)? {
            ReadOutcome::Byte(PARKED) => parked += 1,
            ReadOutcome::Closed if parked == children => return Ok(()),
            ReadOutcome::Closed => {
                let reason = format!("{parked} of {children} children were parked, and no other lives");
                return Err(Failure::Ended { task: DESCRIPTOR.id.into(), reason });
            }
            other => return Err(Failure::Corrupted(format!("a child could not park: {other:?}"))),
        }
    }
}

/// What a child does until it is killed; it may not allocate.
fn life(parent: Pid, ready: &Ends, piping: PipeMode) -> i32 {
    if !die_with_parent(parent) {
        return 1;
    }
    keep_only(&[ready.writer.as_raw_fd()]);
    let own = if piping.exists() { piping.open(false).ok() } else { None };
    let word = if piping.exists() && own.is_none() { NO_PIPE } else { PARKED };
    let mut connected = write_byte(ready.writer.as_fd(), word).is_ok();
    close_copy(ready.writer.as_fd());
    while connected {
        match &own {
            // It holds the writing end as well, so nothing ever comes.
            Some(ends) => connected = read_byte(&ends.reader).is_ok(),
            None => pause(),
        }
    }
    1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_dies_without_a_word_is_an_error_and_no_hang() {
        let ready = pipe(false).unwrap();
        let silent = fork_running(|| 1).unwrap();
        let parked = fork_running(|| i32::from(write_byte(ready.writer.as_fd(), PARKED).is_err())).unwrap();
        drop(ready.writer);
        let failure = await_parked(&ready.reader, 2).unwrap_err();
        assert!(failure.to_string().contains("1 of 2"), "{failure}");
        for child in [silent, parked] {
            wait_for(child).unwrap();
        }
    }

    #[test]
    fn children_that_are_parked_hold_nothing_of_what_they_said_it_by() {
        let mut processes = Processes { piping: PipeMode::Own, children: Vec::new() };
        processes.grow(2).unwrap();
        processes.grow(5).unwrap();
        assert_eq!(processes.children().len(), 5);
        processes.shrink(1).unwrap();
        assert_eq!(processes.children().len(), 1);
    }
}
