//! The kernel's scheduler as it is set up.

use serde::{Deserialize, Serialize};

use crate::units::CpuId;

/// Which scheduler runs, how it is tuned, and the CPUs that it leaves to themselves.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct KernelScheduler {
    /// The name of the BPF scheduler that has been loaded in the place of the kernel's own (sched_ext,
    /// Documentation/scheduler/sched-ext.rst). `None` where none is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub extension: Option<String>,
    /// How long a task runs before another one of equal rights does, in nanoseconds (`base_slice_ns` in debugfs, which
    /// root alone can read).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_slice_ns: Option<u64>,
    /// Its features, those that are off with `NO_` before them (`features` in debugfs).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// CPUs to and from which it moves no task by itself (`isolcpus=`, or an isolated cpuset).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub isolated: Vec<CpuId>,
    /// CPUs without a tick while they run one task (`nohz_full=`).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub nohz_full: Vec<CpuId>,
}

impl KernelScheduler {
    /// Whether nothing is known of it, and nothing is unusual.
    pub fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}
