//! The control groups above a process that can limit it, in versions 1 and 2 (cgroups(7)).

use serde::{Deserialize, Serialize};

use super::privileges::RlimitValue;
use crate::units::CpuId;

/// Which of the two interfaces a group belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CgroupVersion {
    /// One hierarchy for each controller.
    V1,
    /// One hierarchy for all.
    V2,
}

/// One control group. `None` means that this group does not have the setting.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CgroupLevel {
    /// The interface.
    pub version: CgroupVersion,
    /// Its directory.
    pub path: String,
    /// How much CPU time its tasks may use together.
    pub cpu_quota: Option<Quota>,
    /// The CPUs its tasks may use.
    #[serde(with = "super::kernel_list::optional")]
    pub cpus: Option<Vec<CpuId>>,
    /// How many tasks it may hold.
    pub pids_max: Option<RlimitValue>,
    /// How many bytes of memory it may use.
    pub memory_max: Option<RlimitValue>,
}

/// A bound on CPU time (CFS bandwidth control): `microseconds` in every period.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// CPU time per period, over all CPUs, in microseconds.
    pub microseconds: RlimitValue,
    /// The period in microseconds.
    pub period_us: u64,
}

impl CgroupLevel {
    /// The file of this group that holds the bound of its tasks.
    pub fn pids_file(&self) -> String {
        format!("{}/pids.max", self.path)
    }

    /// The file of this group that holds the bound of its memory.
    pub fn memory_file(&self) -> String {
        let name = self.version.choose("memory.limit_in_bytes", "memory.max");
        format!("{}/{name}", self.path)
    }

    /// The file of this group that holds the bound of its CPU time.
    pub fn quota_file(&self) -> String {
        let name = self.version.choose("cpu.cfs_quota_us", "cpu.max");
        format!("{}/{name}", self.path)
    }
}

impl CgroupVersion {
    /// What one of the two interfaces calls something: `v1` or `v2`.
    pub fn choose<T>(self, v1: T, v2: T) -> T {
        match self {
            CgroupVersion::V1 => v1,
            CgroupVersion::V2 => v2,
        }
    }
}
