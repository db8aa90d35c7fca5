//! Where tasks may run: the placements by name, and the CPU masks they come down to on one machine.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::{CpuId, cpu_list};

/// How the tasks of a mechanism lie on the machine's CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Wherever the scheduler puts them, on the CPUs this process may use.
    Unpinned,
    /// All on one CPU.
    SameCpu,
    /// Alternating between two hardware threads of one core.
    SmtSibling,
    /// Alternating between two cores that share their last-level cache.
    SameLlc,
    /// Alternating between two cores of one NUMA node with different last-level caches.
    CrossLlc,
    /// Alternating between two NUMA nodes.
    CrossNode,
    /// One CPU each, round robin over all CPUs this process may use.
    OnePerCpu,
}

impl Placement {
    /// Every placement, in the order in which tables show them.
    pub const ALL: [Self; 7] = [
        Self::Unpinned,
        Self::SameCpu,
        Self::SmtSibling,
        Self::SameLlc,
        Self::CrossLlc,
        Self::CrossNode,
        Self::OnePerCpu,
    ];

    /// The name used in benchmark ids, records and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unpinned => "unpinned",
            Self::SameCpu => "same-cpu",
            Self::SmtSibling => "smt-sibling",
            Self::SameLlc => "same-llc",
            Self::CrossLlc => "cross-llc",
            Self::CrossNode => "cross-node",
            Self::OnePerCpu => "one-per-cpu",
        }
    }

    /// True where a mechanism of one task can tell it from the others.
    pub fn fits_a_single_task(self) -> bool {
        matches!(self, Self::Unpinned | Self::SameCpu)
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that names no placement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no placement is called `{0}`; there are {names}", names = Placement::ALL.map(Placement::name).join(", "))]
pub struct UnknownPlacement(pub String);

impl FromStr for Placement {
    type Err = UnknownPlacement;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|placement| placement.name() == text).ok_or_else(|| UnknownPlacement(text.into()))
    }
}

/// The CPUs one task may run on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuMask {
    /// In rising order, never empty.
    pub cpus: Vec<CpuId>,
}

/// A placement on this machine: the CPU masks that tasks take in turn, task k the CPU mask k modulo their number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuAssignment {
    placement: Placement,
    masks: Vec<CpuMask>,
}

impl CpuAssignment {
    /// All tasks anywhere on `cpus`.
    pub fn shared(placement: Placement, cpus: Vec<CpuId>) -> Self {
        Self { placement, masks: vec![CpuMask { cpus }] }
    }

    /// One CPU per CPU mask, taken in turn.
    pub fn in_turn(placement: Placement, cpus: &[CpuId]) -> Self {
        Self { placement, masks: cpus.iter().map(|&cpu| CpuMask { cpus: vec![cpu] }).collect() }
    }

    /// The placement this came from.
    pub fn placement(&self) -> Placement {
        self.placement
    }

    /// Where task number `task` sits; the driver is task 0.
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
    fn names_are_read_back() {
        for placement in Placement::ALL {
            assert_eq!(placement.name().parse(), Ok(placement));
        }
        let error = "same_cpu".parse::<Placement>().unwrap_err().to_string();
        assert!(error.contains("`same_cpu`") && error.contains("same-cpu"), "{error}");
    }

    #[test]
    fn tasks_take_seats_in_turn() {
        let assignment = CpuAssignment::in_turn(Placement::SameLlc, &[CpuId(4), CpuId(2)]);
        assert_eq!(assignment.cpu_mask(0).cpus, [CpuId(4)]);
        assert_eq!(assignment.cpu_mask(3).cpus, [CpuId(2)]);
        assert_eq!(assignment.cpus(), [CpuId(2), CpuId(4)]);
    }
}
