//! Background load: tasks that want a CPU all the time while a batch runs, and sleep between batches.

use std::sync::Arc;

use nix::unistd::Pid;

use super::batch_gate::{BatchGate, GateOwner};
use super::{Batch, CpuAssignment, Crew, Domain, Failure, Parameter, Parameters};
use crate::sys::sched::{self, Attributes};

/// What else runs on the CPUs of the placement.
pub(super) const LOAD: Parameter = Parameter {
    name: "load",
    meaning: "what else runs: nothing, or a task that never sleeps on each CPU of the placement, except the \
              generator's own CPU",
    domain: Domain::Word { words: &[NONE, BUSY] },
};
const NONE: &str = "none";
const BUSY: &str = "busy";

/// Whether the parameters ask for background load.
pub(super) fn wanted(parameters: &Parameters) -> bool {
    parameters.word(LOAD.name) == BUSY
}

/// The tasks of background load for each CPU of the placement.
pub(super) fn for_each_cpu(parameters: &Parameters) -> u64 {
    u64::from(wanted(parameters))
}

/// Which CPUs of the placement are loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LoadedCpus {
    /// All of them.
    Everywhere,
    /// All but the driver's, where CPU masks differ: a driver that generates the load is no part of what is measured.
    BesideTheOthers,
}

impl LoadedCpus {
    /// The crew's numbers for the tasks of the load, when the numbers below `others` are taken.
    fn numbers(self, assignment: &CpuAssignment, others: usize) -> Vec<usize> {
        let masks = assignment.masks();
        // The first number belongs to the first CPU mask, which is the driver's, so that each CPU mask gets a task.
        let first = others.next_multiple_of(masks);
        let spared = usize::from(self == Self::BesideTheOthers && masks > 1);
        (first + spared..first + assignment.cpus().len()).collect()
    }
}

/// The background load of one instance. Dropping it ends its tasks.
#[derive(Debug, Default)]
pub(super) struct BackgroundLoad(Vec<GateOwner>);

impl BackgroundLoad {
    /// Spawns the tasks of the load, if the parameters ask for it. `others` tasks of the crew, the driver among them,
    /// have their numbers already.
    pub(super) fn spawn(
        parameters: &Parameters,
        crew: &mut Crew,
        others: usize,
        cpus: LoadedCpus,
    ) -> Result<Self, Failure> {
        let mut background = Self::default();
        if !wanted(parameters) {
            return Ok(background);
        }
        for task in cpus.numbers(crew.assignment(), others) {
            let gate = Arc::<BatchGate>::default();
            background.0.push(GateOwner(Arc::clone(&gate)));
            crew.spawn(task, move |ready| {
                // Under the real-time policy of the instance this task would leave it no CPU at all.
                let fair = Attributes { policy: libc::SCHED_OTHER.unsigned_abs(), priority: 0, slice_ns: 0 };
                sched::set(Pid::from_raw(0), fair)?;
                ready.signal();
                while gate.await_next()? {
                    while gate.is_on() {
                        std::hint::spin_loop();
                    }
                    gate.leave()?;
                }
                Ok(())
            })?;
        }
        Ok(background)
    }

    /// Runs a batch while the load runs.
    pub(super) fn beside(&self, batch: impl FnOnce() -> Result<Batch, Failure>) -> Result<Batch, Failure> {
        for owner in &self.0 {
            owner.begin()?;
        }
        let batch = batch();
        for owner in &self.0 {
            owner.close();
        }
        for owner in &self.0 {
            owner.await_gone()?;
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
    fn a_generator_with_a_cpu_of_its_own_has_no_load_there() {
        let cpus = [CpuId(0), CpuId(1), CpuId(2)];
        let one_per_cpu = CpuAssignment::round_robin(Placement::OnePerCpu, &cpus);
        let masks = |at: LoadedCpus| -> Vec<CpuId> {
            let numbers = at.numbers(&one_per_cpu, 2);
            assert!(numbers.iter().all(|number| *number >= 2), "{numbers:?}");
            numbers.iter().map(|number| one_per_cpu.cpu_mask(*number).cpus[0]).collect()
        };
        assert_eq!(masks(LoadedCpus::Everywhere), cpus);
        assert_eq!(masks(LoadedCpus::BesideTheOthers), cpus[1..]);
    }

    #[test]
    fn where_all_tasks_share_a_mask_each_cpu_is_loaded() {
        for cpus in [vec![CpuId(1)], vec![CpuId(0), CpuId(1)]] {
            let shared = CpuAssignment::shared(Placement::Unpinned, cpus.clone());
            for at in [LoadedCpus::Everywhere, LoadedCpus::BesideTheOthers] {
                assert_eq!(at.numbers(&shared, 2).len(), cpus.len(), "{at:?}");
            }
        }
    }
}
