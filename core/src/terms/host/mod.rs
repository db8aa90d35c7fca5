//! The machine as it was measured, in data. `core/src/host/` observes it.

mod cgroup;
mod kernel;
mod kernel_list;
mod kernel_scheduler;
mod memory;
mod moment;
mod power;
mod privileges;
mod processor;
mod topology;
mod virtualization;

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::CpuId;
pub use cgroup::{CgroupLevel, CgroupVersion, Quota};
pub use kernel::{ClockSource, Kernel, Preemption, PreemptionModel, boot_parameter};
pub use kernel_scheduler::KernelScheduler;
pub use memory::Memory;
pub use moment::{CpuTicks, Moment, Stoppages};
pub use power::{CpuIdle, IdleState, Power, Turbo};
pub use privileges::{Capability, Privileges, Rlimit, RlimitValue};
pub use processor::{Processor, Silicon};
pub use topology::{Cache, CacheKind, LogicalCpu, Relation, Topology};
pub use virtualization::Virtualization;

/// The machine as measured, as far as it stays the same during a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// What the CPUs are.
    pub processor: Processor,
    /// How the online CPUs lie to one another.
    pub topology: Topology,
    /// The running kernel.
    pub kernel: Kernel,
    /// Which scheduler runs, and how it is tuned.
    #[serde(default, skip_serializing_if = "KernelScheduler::is_plain")]
    pub scheduler: KernelScheduler,
    /// Each known CPU vulnerability and what the kernel does about it, in the kernel's words
    /// (`/sys/devices/system/cpu/vulnerabilities`).
    pub mitigations: BTreeMap<String, String>,
    /// Frequency, turbo, idle and SMT settings.
    pub power: Power,
    /// Where the kernel takes the time from.
    pub clock: ClockSource,
    /// Whether this is a virtual machine, and how that is known.
    pub virtualization: Virtualization,
    /// The PMUs and other perf event sources the kernel offers (`/sys/bus/event_source/devices`).
    pub event_sources: Vec<String>,
    /// Memory, swap and huge pages.
    pub memory: Memory,
    /// The control groups above this process that can limit it, innermost first within each hierarchy.
    pub cgroups: Vec<CgroupLevel>,
    /// This process's user, capabilities and resource limits.
    pub process: Privileges,
    /// Settings by their sysctl name (`kernel.pid_max`); those this kernel has not are in `unread`.
    pub sysctls: BTreeMap<String, String>,
    /// CPUs that are offline and that the kernel has a switch for, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offline: Vec<CpuId>,
    /// What could not be read, and why.
    pub unread: Vec<UnreadFact>,
}

/// What tells one host from another. Left out are what changes by itself (load, free memory), what depends on the user
/// (limits, control groups, files that only root can read), and `MemTotal`, which differs by a few pages from boot to
/// boot.
#[derive(Serialize)]
struct Identity<'a> {
    processor: &'a Processor,
    topology: &'a Topology,
    kernel: [&'a Option<String>; 4],
    mitigations: &'a BTreeMap<String, String>,
    power: &'a Power,
    clock: &'a ClockSource,
    virtualization: &'a Virtualization,
    transparent_hugepages: &'a Option<String>,
    /// Left out where there is none: ids of other hosts stay what they were.
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduler: Option<&'a String>,
}

impl Host {
    /// A short name for this machine in this state: 16 hexadecimal digits, the FNV-1a hash of what tells hosts
    /// apart (processor, microcode, topology, kernel, command line, mitigations, frequency and idle settings,
    /// hypervisor). The same from run to run and for every user; a new field in it changes every id, so ids are
    /// compared only within one version of the record's schema.
    pub fn id(&self) -> String {
        let identity = Identity {
            processor: &self.processor,
            topology: &self.topology,
            kernel: [&self.kernel.release, &self.kernel.version, &self.kernel.architecture, &self.kernel.command_line],
            mitigations: &self.mitigations,
            power: &self.power,
            clock: &self.clock,
            virtualization: &self.virtualization,
            transparent_hugepages: &self.memory.transparent_hugepages,
            scheduler: self.scheduler.extension.as_ref(),
        };
        let json = serde_json::to_vec(&identity).expect("an identity holds strings, numbers and lists only");
        format!("{:016x}", fnv1a(&json))
    }

    /// This host as a record keeps it, which may be published: without the directories of its control groups, whose
    /// names tell of services, containers and users and change no figure. Their limits stay.
    #[must_use]
    pub fn for_the_record(mut self) -> Self {
        for level in &mut self.cgroups {
            level.path = String::new();
        }
        self
    }

    /// The value of a sysctl, when this kernel has it and it is a `T`.
    pub fn sysctl<T: FromStr>(&self, name: &str) -> Option<T> {
        self.sysctls.get(name)?.parse().ok()
    }

    /// Whether the machine's file `path` was looked for and is not there.
    pub fn lacks(&self, path: &str) -> bool {
        self.unread.iter().any(|line| line.path == path)
    }

    /// Whether the kernel drives a PMU of the CPU cores, so that cycles and instructions can be counted.
    pub fn has_core_pmu(&self) -> bool {
        self.event_sources.iter().any(|name| is_core_pmu(name))
    }
}

/// Whether this event source is the PMU of CPU cores. x86, RISC-V and POWER name it `cpu`, hybrid x86 `cpu_core` and
/// `cpu_atom`, arm64 after the core: `armv8_pmuv3_0`, and Apple's `apple_icestorm_pmu`; s390 `cpum_cf`.
pub fn is_core_pmu(name: &str) -> bool {
    name == "cpu" || ["cpu_", "cpum_cf", "armv", "apple_"].iter().any(|prefix| name.starts_with(prefix))
}

/// One fact about the host that could not be had, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnreadFact {
    /// The fact, in words: `scaling governor`.
    pub what: String,
    /// Where it was looked for, as an absolute path on the measured machine. Of several CPUs, the first that
    /// lacks it.
    pub path: String,
    /// Why it is not there.
    pub reason: String,
}

/// FNV-1a, 64 bits (Fowler, Noll and Vo; RFC 9923). The standard library's hasher may change with any release
/// of Rust; ids are kept for years.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
