//! The scheduler of the `may` crate, which a process has once: which threads it has, on which CPUs they run, and under
//! which names, while an instance uses it.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use may::coroutine::JoinHandle;
use nix::unistd::Pid;

use super::{Crew, Domain, Failure, Parameter, Parameters, Tasks, Unsupported};
use crate::sys::affinity::confine_thread;
use crate::sys::coroutine;
use crate::sys::process::{name_thread, threads};

/// Not one for each CPU, as may has it: that would settle for the process what only one placement asks for.
pub(super) const WORKERS: Parameter = Parameter {
    name: "workers",
    meaning: "worker threads of the scheduler",
    domain: Domain::Number { default: 1, min: 1, max: 1024 },
};

/// A single worker runs on the CPU of the driver, which waits for it meanwhile.
pub(super) fn tasks(parameters: &Parameters) -> Tasks {
    if parameters.number(WORKERS.name) == 1 { Tasks::OneThread } else { Tasks::Several }
}

/// How long coroutines have to end.
const ENDS: Duration = Duration::from_secs(10);

/// What may calls its threads when no instance does.
const IDLE_NAME: &str = "may";

/// The threads of may's scheduler, the workers behind the timer's; empty until it is started.
static SCHEDULER: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

/// The scheduler's threads in the placement and under the names of an instance.
pub(super) struct SchedulerGuard;

impl SchedulerGuard {
    /// Starts the scheduler if it is not running, and moves its threads.
    pub(super) fn acquire(workers: usize, crew: &Crew) -> Result<Self, Failure> {
        let mut scheduler = SCHEDULER.lock().unwrap_or_else(PoisonError::into_inner);
        if scheduler.is_empty() {
            *scheduler = start(workers)?;
        }
        let running = scheduler.len() - 1;
        if running != workers {
            return Err(Unsupported::new(
                format!("a scheduler of may with {workers} workers"),
                format!("it was started with {running} in this process, and can be started once"),
                "measure this benchmark alone, in a process of its own",
            )
            .into());
        }
        for (task, &thread) in scheduler.iter().enumerate() {
            // The timer's thread, number 0 here, gets the mask of the driver; worker k gets CPU mask k - 1, as if the
            // workers were the only threads.
            confine_thread(thread, &crew.assignment().cpu_mask(task.saturating_sub(1)).cpus)?;
            name_thread(thread, &crew.name(task + 1))?;
        }
        Ok(Self)
    }
}

/// Waits until all of `coroutines` have ended, which were told to: may would abandon them otherwise, descriptors and
/// all. One that does not end must not keep the driver from ending, and may knows no wait with a deadline: so this
/// looks again and again, once an instance and long after its last batch.
pub(super) fn await_ends<T>(coroutines: &[JoinHandle<T>]) {
    let deadline = Instant::now() + ENDS;
    while Instant::now() < deadline && !coroutines.iter().all(JoinHandle::is_done) {
        std::thread::sleep(Duration::from_millis(1));
    }
}

impl Drop for SchedulerGuard {
    fn drop(&mut self) {
        for &thread in &*SCHEDULER.lock().unwrap_or_else(PoisonError::into_inner) {
            // They never end, and a name is no more than that.
            let _ = name_thread(thread, IDLE_NAME);
        }
    }
}

/// Starts may's scheduler and says which threads it has created: first the timer's, then the workers.
fn start(workers: usize) -> Result<Vec<Pid>, Failure> {
    may::config().set_workers(workers).set_worker_pin(false);
    let before = threads()?;
    coroutine::run(|| ()).join().map_err(|_| Failure::library("may", "its first coroutine panicked"))?;
    let mut created = threads()?;
    created.retain(|thread| !before.contains(thread));
    created.sort_unstable();
    if created.len() != workers + 1 {
        return Err(Failure::library(
            "may",
            format!("started {} threads, not a timer's and {workers} workers", created.len()),
        ));
    }
    Ok(created)
}
