//! Worker threads that a library creates by itself: whether they can be had, and whether they have taken their CPU
//! masks.
//!
//! tokio panics when it cannot create a worker. While that unwinds it waits for the workers that it has, which were not
//! told to end (tokio/src/runtime/scheduler/multi_thread/worker.rs, `Launch::launch`). So it is asked for no more than
//! this process was able to create a moment before.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

use super::{CpuAssignment, Crew, Failure};
use crate::sys::SysError;
use crate::sys::affinity::{AffinityError, confine_current_thread};

/// The CPU masks of a runtime's workers: worker k in CPU mask k, in the order in which they come.
#[derive(Debug)]
pub(super) struct Workers {
    assignment: CpuAssignment,
    number: usize,
    assigned: Mutex<Vec<Result<(), AffinityError>>>,
    changed: Condvar,
    timeout: Duration,
}

impl Workers {
    /// CPU masks for `number` workers, after creating as many threads as a trial.
    ///
    /// # Errors
    /// `EAGAIN`, from one of the limits that `switchcost limits` names.
    pub(super) fn of(crew: &Crew, number: usize) -> Result<Arc<Self>, Failure> {
        make_sure_of(number)?;
        let (assignment, timeout) = (crew.assignment().clone(), crew.timeout());
        Ok(Arc::new(Self { assignment, number, assigned: Mutex::default(), changed: Condvar::new(), timeout }))
    }

    /// What each worker does first.
    pub(super) fn take_mask(&self) {
        let mut assigned = self.assigned.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = confine_current_thread(&self.assignment.cpu_mask(assigned.len()).cpus);
        assigned.push(outcome);
        self.changed.notify_all();
    }

    /// Waits until all workers have taken their CPU masks.
    pub(super) fn await_all(&self) -> Result<(), Failure> {
        let assigned = self.assigned.lock().unwrap_or_else(PoisonError::into_inner);
        let absent = |assigned: &mut Vec<_>| assigned.len() < self.number;
        let waited = self.changed.wait_timeout_while(assigned, self.timeout, absent);
        let (mut assigned, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        if timeout.timed_out() {
            let what = format!("the start of {} workers", self.number);
            return Err(Failure::TimedOut { what, after: self.timeout });
        }
        Ok(assigned.drain(..).collect::<Result<(), _>>()?)
    }
}

/// Creates that many threads, all alive at once, and ends them.
fn make_sure_of(threads: usize) -> Result<(), SysError> {
    let gate = Mutex::new(());
    std::thread::scope(|scope| {
        let _held = gate.lock().unwrap_or_else(PoisonError::into_inner);
        for _ in 0..threads {
            let wait = || drop(gate.lock().unwrap_or_else(PoisonError::into_inner));
            Builder::new().spawn_scoped(scope, wait).map_err(|error| SysError::from_io("clone3", &error))?;
        }
        Ok(())
    })
}
