//! The machine as measured: what it is, how its CPUs lie to one another, what it allows, what makes it noisy.
//!
//! Everything is read from `/proc`, `/sys` and `/boot` below a [`Root`] that tests replace by a fixture tree.
//! Observing never fails: what cannot be read is `None` or empty, and a line of [`Host::unread`] says why.
//!
//! [`Host`] holds what stays while a run lasts, [`Moment`](moment::Moment) what changes all the time, and
//! [`Limits`](limits::Limits) what is allowed and already used just before something large is set up.
//! The host name is left out on purpose: records are meant to be published.

pub mod cgroup;
pub mod kernel;
pub mod limits;
pub mod memory;
pub mod moment;
pub mod noise;
pub mod power;
pub mod privileges;
pub mod processor;
pub mod topology;
pub mod virtualization;

mod kernel_list;
mod root;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::{CpuId, parse_cpu_list};
use root::FactReader;
pub use root::{HostError, Root, UnreadFact};

/// The settings below `/proc/sys` that bound or disturb what is measured (Documentation/admin-guide/sysctl).
const SYSCTLS: [&str; 18] = [
    "fs.file-max",
    "fs.nr_open",
    "kernel.io_uring_disabled",
    "kernel.nmi_watchdog",
    "kernel.numa_balancing",
    "kernel.perf_event_mlock_kb",
    "kernel.perf_event_paranoid",
    "kernel.pid_max",
    "kernel.randomize_va_space",
    "kernel.sched_autogroup_enabled",
    "kernel.sched_rt_runtime_us",
    "kernel.threads-max",
    "kernel.unprivileged_bpf_disabled",
    "kernel.yama.ptrace_scope",
    "net.core.somaxconn",
    "vm.max_map_count",
    "vm.overcommit_memory",
    "vm.swappiness",
];

/// The machine as measured, as far as it stays the same during a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Host {
    /// What the CPUs are.
    pub processor: processor::Processor,
    /// How the online CPUs lie to one another.
    pub topology: topology::Topology,
    /// The running kernel.
    pub kernel: kernel::Kernel,
    /// Each known CPU vulnerability and what the kernel does about it, in the kernel's words
    /// (`/sys/devices/system/cpu/vulnerabilities`).
    pub mitigations: BTreeMap<String, String>,
    /// Frequency, turbo, idle and SMT settings.
    pub power: power::Power,
    /// Where the kernel takes the time from.
    pub clock: kernel::ClockSource,
    /// Whether this is a virtual machine, and how that is known.
    pub virtualization: virtualization::Virtualization,
    /// The PMUs and other perf event sources the kernel offers (`/sys/bus/event_source/devices`).
    pub event_sources: Vec<String>,
    /// Memory, swap and huge pages.
    pub memory: memory::Memory,
    /// The control groups above this process that can limit it, innermost first within each hierarchy.
    pub cgroups: Vec<cgroup::CgroupLevel>,
    /// This process's user, capabilities and resource limits.
    pub process: privileges::Privileges,
    /// Settings by their sysctl name (`kernel.pid_max`); those this kernel has not are in `unread`.
    pub sysctls: BTreeMap<String, String>,
    /// CPUs that are offline and that the kernel has a switch for, in their order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub offline: Vec<CpuId>,
    /// What could not be read, and why.
    pub unread: Vec<UnreadFact>,
}

/// What tells one host from another. Left out are what changes by itself (load, free memory), what depends on
/// who asks (limits, control groups, whatever only root can read), and `MemTotal`, which moves by a few pages
/// from boot to boot.
#[derive(Serialize)]
struct Identity<'a> {
    processor: &'a processor::Processor,
    topology: &'a topology::Topology,
    kernel: [&'a Option<String>; 4],
    mitigations: &'a BTreeMap<String, String>,
    power: &'a power::Power,
    clock: &'a kernel::ClockSource,
    virtualization: &'a virtualization::Virtualization,
    transparent_hugepages: &'a Option<String>,
}

impl Host {
    /// Reads everything there is to read below `root`. Takes milliseconds: a few dozen small files, and about
    /// twenty for each online CPU.
    pub fn observe(root: &Root) -> Host {
        let mut facts = FactReader::new(root);
        let cpuinfo = facts.text("processor description", "/proc/cpuinfo").unwrap_or_default();
        let topology = topology::Topology::observe(&mut facts, &cpuinfo);
        let online = topology.online();
        let processor = processor::Processor::observe(&mut facts, &cpuinfo, first(&online));
        let kernel = kernel::Kernel::observe(&mut facts);
        let clock = kernel::ClockSource::observe(&mut facts);
        facts.look_for("the device that holds CPUs awake", noise::DMA_LATENCY);
        let virtualization = virtualization::Virtualization::observe(&mut facts, &processor, &kernel, &clock);
        Host {
            mitigations: mitigations(&mut facts),
            power: power::Power::observe(&mut facts, &online),
            event_sources: facts.names("perf event sources", "/sys/bus/event_source/devices"),
            memory: memory::Memory::observe(&mut facts),
            cgroups: cgroup::observe(&mut facts),
            process: privileges::Privileges::observe(&mut facts),
            sysctls: sysctls(&mut facts),
            offline: offline(root),
            processor,
            topology,
            kernel,
            clock,
            virtualization,
            unread: facts.into_unread(),
        }
    }

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
        };
        let json = serde_json::to_vec(&identity).expect("an identity holds strings, numbers and lists only");
        format!("{:016x}", fnv1a(&json))
    }

    /// This host as a record keeps it, which is passed on: without the directories of its control groups, whose names
    /// tell of services, containers and users and change no figure. Their limits stay.
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
        // x86, RISC-V and POWER name it `cpu`, hybrid x86 `cpu_core` and `cpu_atom`, arm64 after the core:
        // `armv8_pmuv3_0`, and Apple's `apple_icestorm_pmu`; s390 `cpum_cf`.
        let core = |name: &String| {
            name == "cpu" || ["cpu_", "cpum_cf", "armv", "apple_"].iter().any(|prefix| name.starts_with(prefix))
        };
        self.event_sources.iter().any(core)
    }
}

/// The path of a sysctl: `kernel.pid_max` is `/proc/sys/kernel/pid_max`.
fn sysctl_path(name: &str) -> String {
    format!("/proc/sys/{}", name.replace('.', "/"))
}

fn sysctls(facts: &mut FactReader<'_>) -> BTreeMap<String, String> {
    let read = |name: &&str| Some((name.to_string(), facts.text(name, &sysctl_path(name))?));
    SYSCTLS.iter().filter_map(read).collect()
}

fn mitigations(facts: &mut FactReader<'_>) -> BTreeMap<String, String> {
    const DIRECTORY: &str = "/sys/devices/system/cpu/vulnerabilities";
    let names = facts.names("mitigations", DIRECTORY);
    let read = |name: String| {
        let text = facts.text(&format!("mitigation of {name}"), &format!("{DIRECTORY}/{name}"))?;
        Some((name, text))
    };
    names.into_iter().filter_map(read).collect()
}

/// The first CPU often cannot be switched off, and one that no slot holds has no directory.
fn offline(root: &Root) -> Vec<CpuId> {
    let listed = root.text("/sys/devices/system/cpu/offline").ok().and_then(|list| parse_cpu_list(&list));
    let has_switch = |cpu: &CpuId| root.path(&format!("/sys/devices/system/cpu/cpu{cpu}/online")).exists();
    listed.unwrap_or_default().into_iter().filter(has_switch).collect()
}

fn first(online: &[CpuId]) -> CpuId {
    online.first().copied().unwrap_or_default()
}

/// The value of the first line of the form `key: value` in a file such as `/proc/cpuinfo` or `/proc/meminfo`.
fn field<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    fields(text, key).next()
}

/// The values of every line of the form `key: value`.
fn fields<'a>(text: &'a str, key: &str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .filter(move |(name, _)| name.trim() == key)
        .map(|(_, value)| value.trim())
}

/// FNV-1a, 64 bits (Fowler, Noll and Vo; RFC 9923). The standard library's hasher may change with any release
/// of Rust; ids are kept for years.
fn fnv1a(bytes: &[u8]) -> u64 {
    let step = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}
