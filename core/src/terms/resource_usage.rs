//! What tasks have used of the machine.

use serde::{Deserialize, Serialize};

use crate::units::Nanos;

/// Cumulative use by tasks: CPU time, context switches, page faults.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResourceUsage {
    /// CPU time in user mode. The sum with `system` is exact, the split follows the tick unless the kernel
    /// accounts at each entry (`CONFIG_VIRT_CPU_ACCOUNTING_GEN`).
    pub user: Nanos,
    /// CPU time in the kernel.
    pub system: Nanos,
    /// Times a task gave up its CPU to wait (`ru_nvcsw`).
    pub voluntary: u64,
    /// Times a task was taken off its CPU (`ru_nivcsw`).
    pub involuntary: u64,
    /// Page faults without I/O (`ru_minflt`).
    pub minor_faults: u64,
    /// Page faults with I/O (`ru_majflt`).
    pub major_faults: u64,
}

impl ResourceUsage {
    /// The sum of two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        self.zip(other, u64::saturating_add)
    }

    /// What was used after `earlier`.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        self.zip(earlier, u64::saturating_sub)
    }

    fn zip(self, other: Self, with: fn(u64, u64) -> u64) -> Self {
        Self {
            user: Nanos(with(self.user.0, other.user.0)),
            system: Nanos(with(self.system.0, other.system.0)),
            voluntary: with(self.voluntary, other.voluntary),
            involuntary: with(self.involuntary, other.involuntary),
            minor_faults: with(self.minor_faults, other.minor_faults),
            major_faults: with(self.major_faults, other.major_faults),
        }
    }

    /// CPU time in both modes.
    pub fn cpu(self) -> Nanos {
        Nanos(self.user.0.saturating_add(self.system.0))
    }
}
