//! How busy a machine was: what changes all the time.

use serde::{Deserialize, Serialize};

use crate::units::Nanos;

/// How busy the machine was at one moment. What could not be read is `None` or empty.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Moment {
    /// Load averages over 1, 5 and 15 minutes (proc_loadavg(5)).
    pub load: Option<[f64; 3]>,
    /// Tasks that run or wait for a CPU, this process's included.
    pub runnable_tasks: Option<u64>,
    /// Tasks that exist.
    pub tasks: Option<u64>,
    /// CPU time since boot, over all CPUs.
    pub ticks: Option<CpuTicks>,
    /// The frequency of each CPU in MHz, where `/proc/cpuinfo` gives it.
    pub cpu_mhz: Vec<f64>,
    /// The share of the last ten seconds in which some task waited for a CPU, in percent, 0 to 100
    /// (Documentation/accounting/psi.rst).
    pub cpu_pressure_percent: Option<f64>,
    /// What stopped or slowed the machine's tasks so far.
    #[serde(default, skip_serializing_if = "Stoppages::is_empty")]
    pub stoppages: Stoppages,
}

/// What stopped or slowed tasks, each counted since boot, and the CPUs that there are. `None` where the machine does
/// not tell.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stoppages {
    /// Time for which a CPU quota of this process's control groups held tasks back (`cpu.stat`, cgroups(7)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub held_by_quota: Option<Nanos>,
    /// Times that cores and packages were slowed because they were hot (`thermal_throttle/*_throttle_count`, which
    /// x86 has).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overheated: Option<u64>,
    /// Pages read from swap and written to it (`pswpin` and `pswpout`, proc_vmstat(5)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub swapped_pages: Option<u64>,
    /// Time for which the machine was suspended: `CLOCK_BOOTTIME` less `CLOCK_MONOTONIC` (clock_gettime(2)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspended: Option<Nanos>,
    /// The CPUs that are online, as the kernel lists them: `0-3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub online: Option<String>,
    /// The CPUs that this process's cpuset grants, as the kernel lists them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub granted: Option<String>,
}

impl Stoppages {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// CPU time since boot in ticks of `USER_HZ`, over all CPUs (`/proc/stat`, proc_stat(5)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct CpuTicks {
    /// Time in which the hypervisor ran something else while a CPU had work.
    pub steal: u64,
    /// All time, idle and steal included. Guest time is part of user time and not added again.
    pub total: u64,
    /// Time in which a CPU of this machine ran something: not idle, not waiting for I/O, not stolen.
    #[serde(default)]
    pub busy: Option<u64>,
}

impl Moment {
    /// The share of all CPU time between two moments that the hypervisor took away, 0 to 1. `None` when it is
    /// not known, or when no tick passed between them.
    pub fn steal_share(start: &Moment, end: &Moment) -> Option<f64> {
        let (start, end) = (start.ticks?, end.ticks?);
        let total = end.total.checked_sub(start.total).filter(|total| *total > 0)?;
        // A live migration can set steal back.
        let steal = end.steal.checked_sub(start.steal)?;
        Some((steal as f64 / total as f64).min(1.0))
    }
}

impl CpuTicks {
    /// The share of steal in all time since boot, 0 to 1. `None` at the very start.
    pub fn steal_share(self) -> Option<f64> {
        (self.total > 0).then(|| self.steal as f64 / self.total as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(steal: u64, total: u64) -> Moment {
        Moment { ticks: Some(CpuTicks { steal, total, busy: None }), ..Moment::default() }
    }

    #[test]
    fn steal_is_a_share_of_the_time_between() {
        assert_eq!(Moment::steal_share(&at(10, 1000), &at(60, 2000)), Some(0.05));
        assert_eq!(Moment::steal_share(&at(10, 1000), &at(10, 1000)), None);
        assert_eq!(Moment::steal_share(&at(10, 1000), &at(5, 2000)), None);
        assert_eq!(Moment::steal_share(&Moment::default(), &at(5, 2000)), None);
    }
}
