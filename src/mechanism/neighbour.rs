//! Neighbours: tasks that want a CPU all the time while a batch runs, and sleep between batches.

use std::sync::Arc;

use nix::unistd::Pid;

use super::shift::{Foreman, Shift};
use super::{Batch, Crew, Domain, Failure, Parameter, Parameters};
use crate::sys::sched::{self, Attributes};

/// What else runs on the CPUs of the placement.
pub(super) const LOAD: Parameter = Parameter {
    name: "load",
    meaning: "what else runs: nothing, or on each CPU of the placement a task under SCHED_OTHER that never sleeps",
    domain: Domain::Word { words: &[NONE, BUSY] },
};
const NONE: &str = "none";
const BUSY: &str = "busy";

/// Whether neighbours are asked for.
pub(super) fn wanted(parameters: &Parameters) -> bool {
    parameters.word(LOAD.name) == BUSY
}

/// How many there may be: one for each CPU of the machine.
pub(super) fn most(parameters: &Parameters) -> u64 {
    let cpus = || std::thread::available_parallelism().map_or(1, |cpus| cpus.get() as u64);
    if wanted(parameters) { cpus() } else { 0 }
}

/// The neighbours of one instance. Dropping them ends them.
#[derive(Debug, Default)]
pub(super) struct Neighbours(Vec<Foreman>);

impl Neighbours {
    /// As many as asked for; `others` tasks of the crew, the driver among them, have their numbers already.
    pub(super) fn spawn(parameters: &Parameters, crew: &mut Crew, others: usize) -> Result<Self, Failure> {
        let mut neighbours = Self::default();
        if !wanted(parameters) {
            return Ok(neighbours);
        }
        // From a number that sits in the first seat, so that each seat gets its own.
        let (seats, cpus) = (crew.seating().seats(), crew.seating().cpus().len());
        let first = others.next_multiple_of(seats);
        for task in first..first + cpus {
            let shift = Arc::<Shift>::default();
            neighbours.0.push(Foreman(Arc::clone(&shift)));
            crew.spawn(task, move |ready| {
                // A neighbour under the real-time policy of the instance would leave it no CPU at all.
                let fair = Attributes { policy: libc::SCHED_OTHER.unsigned_abs(), priority: 0, slice_ns: 0 };
                sched::set(Pid::from_raw(0), fair)?;
                ready.signal();
                while shift.await_next()? {
                    while shift.is_on() {
                        std::hint::spin_loop();
                    }
                    shift.leave()?;
                }
                Ok(())
            })?;
        }
        Ok(neighbours)
    }

    /// Runs a batch beside them.
    pub(super) fn beside(&self, batch: impl FnOnce() -> Result<Batch, Failure>) -> Result<Batch, Failure> {
        for foreman in &self.0 {
            foreman.begin()?;
        }
        let batch = batch();
        for foreman in &self.0 {
            foreman.close();
        }
        for foreman in &self.0 {
            foreman.await_gone()?;
        }
        batch
    }
}
