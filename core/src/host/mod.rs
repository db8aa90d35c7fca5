//! The machine as measured: what it is, how its CPUs lie to one another, what it allows, what makes it noisy.
//!
//! Everything is read from `/proc`, `/sys` and `/boot` below a [`Root`] that tests replace by a fixture tree.
//! Observing never fails: what cannot be read is `None` or empty, and a line of [`Host::unread`] says why.
//!
//! [`Host`] holds what stays while a run lasts, [`Moment`](crate::terms::Moment) what changes all the time, and
//! [`Limits`](limits::Limits) what is allowed and already used just before something large is set up.
//! The host name is left out on purpose: records are meant to be published.

mod cgroup;
mod kernel;
pub mod limits;
mod memory;
mod moment;
mod power;
mod privileges;
mod processor;
mod topology;
mod virtualization;

mod kernel_scheduler;
mod root;
#[cfg(test)]
mod tests;

use crate::terms::Host;
use crate::terms::host::{
    ClockSource, Kernel, KernelScheduler, Memory, Power, Privileges, Processor, Topology, Virtualization,
};
use crate::terms::noise;
use crate::units::{CpuId, parse_cpu_list};
use root::FactReader;
pub use root::{HostError, Root};
use std::collections::BTreeMap;

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

impl Host {
    /// Observes the machine below `root`. It takes milliseconds: a few dozen small files, and about twenty for each
    /// online CPU.
    pub fn observe(root: &Root) -> Host {
        let mut facts = FactReader::new(root);
        let cpuinfo = facts.text("processor description", "/proc/cpuinfo").unwrap_or_default();
        let topology = Topology::observe(&mut facts, &cpuinfo);
        let online = topology.online();
        let processor = Processor::observe(&mut facts, &cpuinfo, first(&online));
        let kernel = Kernel::observe(&mut facts);
        let clock = ClockSource::observe(&mut facts);
        facts.look_for("the device that holds CPUs awake", noise::DMA_LATENCY);
        let virtualization = Virtualization::observe(&mut facts, &processor, &kernel, &clock);
        Host {
            scheduler: KernelScheduler::observe(root),
            mitigations: mitigations(&mut facts),
            power: Power::observe(&mut facts, &online),
            event_sources: facts.names("perf event sources", "/sys/bus/event_source/devices"),
            memory: Memory::observe(&mut facts),
            cgroups: cgroup::observe(&mut facts),
            process: Privileges::observe(&mut facts),
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
