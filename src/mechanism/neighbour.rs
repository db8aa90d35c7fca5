//! Neighbours: tasks that want a CPU all the time while a batch runs, and sleep between batches.

use std::sync::Arc;

use nix::unistd::Pid;

use super::shift::{Foreman, Shift};
use super::{Batch, Crew, Domain, Failure, Parameter, Parameters, Seating};
use crate::sys::sched::{self, Attributes};

/// What else runs on the CPUs of the placement.
pub(super) const LOAD: Parameter = Parameter {
    name: "load",
    meaning: "what else runs: nothing, or on each CPU of the placement, but a generator's own, a task that never sleeps",
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

/// Which CPUs of the placement get a neighbour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Where {
    /// Each.
    Everywhere,
    /// All but the driver's, where seats differ: a driver that generates the load is no part of what is measured.
    BesideTheOthers,
}

impl Where {
    /// The crew's numbers of the neighbours, when the numbers below `others` are taken.
    fn numbers(self, seating: &Seating, others: usize) -> Vec<usize> {
        let seats = seating.seats();
        // From a number that sits in the first seat, which is the driver's, so that each seat gets its own.
        let first = others.next_multiple_of(seats);
        let spared = usize::from(self == Self::BesideTheOthers && seats > 1);
        (first + spared..first + seating.cpus().len()).collect()
    }
}

/// The neighbours of one instance. Dropping them ends them.
#[derive(Debug, Default)]
pub(super) struct Neighbours(Vec<Foreman>);

impl Neighbours {
    /// As many as asked for; `others` tasks of the crew, the driver among them, have their numbers already.
    pub(super) fn spawn(parameters: &Parameters, crew: &mut Crew, others: usize, cpus: Where) -> Result<Self, Failure> {
        let mut neighbours = Self::default();
        if !wanted(parameters) {
            return Ok(neighbours);
        }
        for task in cpus.numbers(crew.seating(), others) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism::Placement;
    use crate::units::CpuId;

    #[test]
    fn a_generator_with_a_seat_of_its_own_has_no_neighbour_there() {
        let cpus = [CpuId(0), CpuId(1), CpuId(2)];
        let apart = Seating::in_turn(Placement::OnePerCpu, &cpus);
        let seats = |at: Where| -> Vec<CpuId> {
            let numbers = at.numbers(&apart, 2);
            assert!(numbers.iter().all(|number| *number >= 2), "{numbers:?}");
            numbers.iter().map(|number| apart.seat(*number).cpus[0]).collect()
        };
        assert_eq!(seats(Where::Everywhere), cpus);
        assert_eq!(seats(Where::BesideTheOthers), cpus[1..]);
    }

    #[test]
    fn where_all_share_a_seat_each_cpu_has_a_neighbour() {
        for cpus in [vec![CpuId(1)], vec![CpuId(0), CpuId(1)]] {
            let shared = Seating::shared(Placement::Unpinned, cpus.clone());
            for at in [Where::Everywhere, Where::BesideTheOthers] {
                assert_eq!(at.numbers(&shared, 2).len(), cpus.len(), "{at:?}");
            }
        }
    }
}
