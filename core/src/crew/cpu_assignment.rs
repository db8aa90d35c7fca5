//! The CPU masks that a placement comes down to on one machine.

use std::fmt;

use crate::terms::{Placement, Setting};
use crate::units::{CpuId, cpu_list};

/// The CPUs one task may run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuMask {
    /// In rising order, never empty.
    pub cpus: Vec<CpuId>,
}

/// A placement on this machine: the CPU masks that tasks take round robin, task k the CPU mask k modulo their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuAssignment {
    placement: Placement,
    masks: Vec<CpuMask>,
}

impl CpuAssignment {
    /// The masks that `setting` comes down to: `unpinned` is one mask of all its CPUs, any other placement a mask for
    /// each.
    pub fn of(setting: &Setting) -> Self {
        match setting.placement {
            Placement::Unpinned => Self::shared(setting.placement, setting.cpus.clone()),
            placement => Self::round_robin(placement, &setting.cpus),
        }
    }

    /// All tasks share one mask, which is all of `cpus`.
    pub fn shared(placement: Placement, cpus: Vec<CpuId>) -> Self {
        Self { placement, masks: vec![CpuMask { cpus }] }
    }

    /// A mask for each of `cpus`; tasks take them round robin.
    pub fn round_robin(placement: Placement, cpus: &[CpuId]) -> Self {
        Self { placement, masks: cpus.iter().map(|&cpu| CpuMask { cpus: vec![cpu] }).collect() }
    }

    /// The placement that this assignment realises.
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// The mask of task number `task`; the driver is task 0.
    pub fn cpu_mask(&self, task: usize) -> &CpuMask {
        &self.masks[task % self.masks.len()]
    }

    /// How many CPU masks differ.
    pub fn masks(&self) -> usize {
        self.masks.len()
    }

    /// The CPUs of the CPU masks, in the order of the CPU masks.
    pub fn in_order(&self) -> Vec<CpuId> {
        self.masks.iter().flat_map(|cpu_mask| cpu_mask.cpus.iter().copied()).collect()
    }

    /// All CPUs of all CPU masks, in rising order.
    pub fn cpus(&self) -> Vec<CpuId> {
        let mut cpus: Vec<CpuId> = self.masks.iter().flat_map(|cpu_mask| cpu_mask.cpus.iter().copied()).collect();
        cpus.sort_unstable();
        cpus.dedup();
        cpus
    }
}

impl fmt::Display for CpuAssignment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on CPU {}", self.placement, cpu_list(&self.cpus()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_take_masks_round_robin() {
        let assignment = CpuAssignment::round_robin(Placement::SameLlc, &[CpuId(4), CpuId(2)]);
        assert_eq!(assignment.cpu_mask(0).cpus, [CpuId(4)]);
        assert_eq!(assignment.cpu_mask(3).cpus, [CpuId(2)]);
        assert_eq!(assignment.cpus(), [CpuId(2), CpuId(4)]);
    }
}
