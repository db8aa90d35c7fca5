//! Tasks and where they run: spawning, pinning, naming, handshakes, deadlines and teardown, written once for every
//! mechanism.
//!
//! The [`Driver`] is the first task of an instance. Its thread sets the mechanism up, performs the first and the last
//! operation of every batch, takes both timestamps in most mechanisms, and takes the instance down. It spawns the other
//! tasks through a [`Crew`]. All of them descend from the driver's thread, so what is attached to that thread before
//! set-up (counters with `inherit`, an affinity mask) reaches all of them. It never reaches the main thread, which
//! sends requests to the driver and waits for the answers.

mod cpu_assignment;
mod cpu_work;
mod driver;
mod failure;
mod forked_tasks;
mod idle_guard;
mod scheduling;

use std::any::Any;
use std::os::fd::RawFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

pub use cpu_assignment::{CpuAssignment, CpuMask};
pub use cpu_work::{Calibration, CpuWork, scramble};
pub use driver::{Batch, Driver, InstanceConfig, Operation, UsageMeter};
pub use failure::Failure;
pub use forked_tasks::ReadyProcess;
pub use idle_guard::IdleGuard;

use forked_tasks::{ChildPids, ForkedTasks};
use scheduling::set_policy;

use crate::sys::affinity::confine_current_thread;
use crate::sys::process::name_current_thread;
use crate::sys::thread::{LEAST_STACK, Pthread};
use crate::terms::Policy;

/// Stacks of the tasks that mechanisms spawn. They hold a loop over system calls; the standard library's 2 MiB
/// would make 100,000 of them 200 GiB of address space.
const STACK: usize = if LEAST_STACK > 64 * 1024 { LEAST_STACK } else { 64 * 1024 };

/// How long set-up, one batch, or the end of an instance may take before the watchdog calls it hung. A batch lasts
/// tens of milliseconds and an emulated machine is some twenty times slower than a real one.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Locks even when a task panicked while it held the lock: what the crew guards are counters and messages, each
/// valid by itself.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The message that a task panicked with, where it is text.
pub fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().map(|text| (*text).to_string());
    text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "panicked".into())
}

/// The tasks of one instance besides its driver.
#[derive(Debug)]
pub struct Crew {
    spawner: Spawner,
    processes: ForkedTasks,
    timeout: Duration,
}

/// Spawns threads for a crew. A task that holds one can spawn further tasks as its own descendants; they share the
/// descriptor table that the task has at that moment.
#[derive(Debug, Clone)]
pub struct Spawner {
    assignment: CpuAssignment,
    policy: Policy,
    prefix: String,
    monitor: Arc<TaskMonitor>,
}

#[derive(Debug, Default)]
struct TaskMonitor {
    state: Mutex<TaskCounts>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct TaskCounts {
    /// Threads that were spawned, or are about to be.
    spawned: usize,
    ready: usize,
    ended: usize,
    failure: Option<Failure>,
    threads: Vec<Pthread>,
}

/// A task's handle for telling its crew that it is ready.
#[derive(Debug)]
pub struct Ready {
    monitor: Arc<TaskMonitor>,
}

impl Ready {
    /// Says that the task holds all it needs, and that its next step is to wait for work. To be called once.
    pub fn signal(&self) {
        lock(&self.monitor.state).ready += 1;
        self.monitor.changed.notify_all();
    }
}

impl Crew {
    fn new(assignment: CpuAssignment, policy: Policy, prefix: String, timeout: Duration, children: ChildPids) -> Self {
        let spawner = Spawner { assignment, policy, prefix, monitor: Arc::default() };
        Self { spawner, processes: ForkedTasks::new(children), timeout }
    }

    /// The CPU masks of the tasks.
    pub fn assignment(&self) -> &CpuAssignment {
        &self.spawner.assignment
    }

    /// How long the whole set-up may take.
    pub fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The name of task number `task`: the instance's prefix, which no other process shares, and the number.
    pub fn name(&self, task: usize) -> String {
        self.spawner.name(task)
    }

    /// A spawner for a task that spawns further tasks. The task must have spawned all of them before it signals that it
    /// is ready.
    pub fn spawner(&self) -> Spawner {
        self.spawner.clone()
    }

    /// Spawns task number `task` (the driver is number 0) as a thread in its CPU mask.
    ///
    /// `body` must call [`Ready::signal`] once, when the next thing it does is to wait for work, and must return
    /// when the operation's descriptors, senders or flags tell it that the instance ends.
    ///
    /// # Errors
    /// When no thread can be created: `EAGAIN`, from one of the limits that `switchcost limits` names.
    pub fn spawn<F>(&mut self, task: usize, body: F) -> Result<(), Failure>
    where
        F: FnOnce(&Ready) -> Result<(), Failure> + Send + 'static,
    {
        self.spawner.spawn(task, body)
    }

    /// Forks task number `task` as a process in its CPU mask, which holds the descriptors `kept` and no others.
    ///
    /// `body` must call [`ReadyProcess::signal`] once, when the next thing it does is to wait for work, and must return
    /// when one of its descriptors tells it that the instance ends: true when all went well. It runs in a copy of a
    /// process that has other threads, so it may make system calls and touch what it holds, and nothing else: no
    /// allocation, no lock (signal-safety(7)).
    ///
    /// # Errors
    /// When no process can be created, from one of the limits that `switchcost limits` names.
    pub fn fork<F>(&mut self, task: usize, kept: &[RawFd], body: F) -> Result<(), Failure>
    where
        F: FnOnce(&ReadyProcess<'_>) -> bool,
    {
        let name = self.name(task);
        self.processes.fork(&name, self.spawner.assignment.cpu_mask(task), kept, body)
    }

    /// Waits until every task spawned or forked so far has signalled that it is ready.
    ///
    /// # Errors
    /// The first failure of a task; [`Failure::Ended`] when a task returned without a signal; [`Failure::TimedOut`]
    /// after the crew's timeout.
    pub fn await_ready(&mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + self.timeout;
        self.processes.await_ready(deadline, self.timeout)?;
        let mut state = lock(&self.monitor().state);
        loop {
            if let Some(failure) = state.failure.take() {
                return Err(failure);
            }
            let all = state.spawned;
            if state.ready >= all {
                return Ok(());
            }
            if state.ended > 0 {
                let reason = "it returned before it was ready".into();
                return Err(Failure::Ended { task: self.spawner.prefix.clone(), reason });
            }
            let ready = state.ready;
            state = self.wait(state, deadline, || format!("getting ready, as {ready} of {all} tasks are,"))?;
        }
    }

    /// The first failure that a task of the crew met, if any did.
    pub fn failure(&self) -> Option<Failure> {
        lock(&self.monitor().state).failure.clone()
    }

    /// Waits for every task to end. The operation has been dropped by now, which tells them to.
    fn shut_down(mut self) -> Result<(), Failure> {
        let deadline = Instant::now() + self.timeout;
        let processes = self.processes.shut_down(deadline);
        let mut state = lock(&self.monitor().state);
        while state.ended < state.spawned {
            let (left, all) = (state.spawned - state.ended, state.spawned);
            state = self.wait(state, deadline, || format!("the end of {left} of {all} tasks"))?;
        }
        let (failure, threads) = (state.failure.take(), std::mem::take(&mut state.threads));
        drop(state);
        threads.into_iter().for_each(Pthread::join);
        failure.map_or(processes, Err)
    }

    fn wait<'a>(
        &self,
        state: MutexGuard<'a, TaskCounts>,
        deadline: Instant,
        what: impl Fn() -> String,
    ) -> Result<MutexGuard<'a, TaskCounts>, Failure> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(Failure::TimedOut { what: what(), after: self.timeout });
        }
        Ok(self.monitor().changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0)
    }

    fn monitor(&self) -> &Arc<TaskMonitor> {
        &self.spawner.monitor
    }
}

impl Spawner {
    fn name(&self, task: usize) -> String {
        format!("{}{task}", self.prefix)
    }

    /// Makes `failure` that of the crew, unless the crew has one already. A task must call it before it drops what it
    /// holds: other tasks end when that is dropped, and must not be taken for the one that failed.
    #[must_use]
    pub fn report(&self, failure: Failure) -> Failure {
        lock(&self.monitor.state).failure.get_or_insert_with(|| failure.clone());
        failure
    }

    /// Spawns task number `task` as a thread in its CPU mask, on the terms of [`Crew::spawn`].
    ///
    /// # Errors
    /// Those of [`Crew::spawn`].
    pub fn spawn<F>(&self, task: usize, body: F) -> Result<(), Failure>
    where
        F: FnOnce(&Ready) -> Result<(), Failure> + Send + 'static,
    {
        let (cpu_mask, name, monitor) =
            (self.assignment.cpu_mask(task).clone(), self.name(task), Arc::clone(&self.monitor));
        let policy = self.policy;
        let life = move || {
            name_current_thread(&name);
            let ready = Ready { monitor: Arc::clone(&monitor) };
            let outcome = catch_unwind(AssertUnwindSafe(|| {
                confine_current_thread(&cpu_mask.cpus)?;
                set_policy(policy)?;
                body(&ready)
            }));
            let failure = match outcome {
                Ok(Ok(())) => None,
                // Those tell of the machine, and not of this task alone.
                Ok(Err(failure @ (Failure::Exhausted { .. } | Failure::Unsupported(_)))) => Some(failure),
                Ok(Err(failure)) if failure.refused_call().is_some() => Some(failure),
                Ok(Err(failure)) => Some(Failure::Ended { task: name, reason: failure.to_string() }),
                Err(panic) => Some(Failure::Ended { task: name, reason: panic_text(&*panic) }),
            };
            let mut state = lock(&monitor.state);
            state.ended += 1;
            state.failure = state.failure.take().or(failure);
            drop(state);
            monitor.changed.notify_all();
        };
        // Counted before the thread can signal, so that `await_ready` never finds all of them ready while one is still
        // being spawned.
        lock(&self.monitor.state).spawned += 1;
        let started = Pthread::start(STACK, life);
        let mut state = lock(&self.monitor.state);
        match started {
            Ok(thread) => state.threads.push(thread),
            Err(error) => {
                state.spawned -= 1;
                return Err(Failure::of_one_more("threads", state.threads.len() as u64, error));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
