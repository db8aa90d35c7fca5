//! What makes this machine noisy, why that matters, and the command that quietens it.
//!
//! Address space randomisation is not among it: rounds are fresh processes, and a layout drawn anew for each is
//! what keeps one lucky layout from deciding the result (Mytkowicz et al., "Producing Wrong Data Without Doing
//! Anything Obviously Wrong!", ASPLOS 2009).

use super::Shortfall;
use super::host::{Host, Moment, RlimitValue};
use crate::units::{CpuId, cpu_list};

/// A load average above this means that other programs are likely to run during a measurement.
const QUIET_LOAD: f64 = 0.5;

/// The share of steal since boot above which other guests of the hypervisor disturb figures: one part in a thousand.
const FELT_STEAL: f64 = 0.001;

/// Idle states slower to leave than this, in microseconds, cost more than the handoff they delay.
const DEEP_IDLE_US: u64 = 2;

/// While a 0 written to it is held open, CPUs do not sleep deeply (Documentation/power/pm_qos_interface.rst).
pub const DMA_LATENCY: &str = "/dev/cpu_dma_latency";

/// What makes `host` noisy at this `moment`: what was found, what it does to measurements, and the command that ends
/// it. There is no warning of what could not be read.
pub fn warnings(host: &Host, moment: &Moment) -> Vec<Shortfall> {
    let single = [
        few_cpus(host),
        governor(host),
        turbo(host),
        smt(host),
        deep_idle(host),
        virtual_machine(host),
        steal(moment),
        missing_pmu(host),
        load(moment),
        clock_source(host),
        autogroup(host),
        paranoid(host),
        nmi_watchdog(host),
        numa_balancing(host),
        huge_pages(host),
        assumed_llc(host),
        extension(host),
        isolated(host),
        nohz_full(host),
        kinds(host),
    ];
    single.into_iter().flatten().chain(quotas(host)).collect()
}

fn warning(what: impl Into<String>, why: &str, remedy: impl Into<String>) -> Option<Shortfall> {
    Some(Shortfall::new(what, why, remedy))
}

fn few_cpus(host: &Host) -> Option<Shortfall> {
    // None at all means that the topology could not be read, not that there is no CPU.
    (host.topology.cpus.len() == 1).then_some(())?;
    warning(
        "one CPU online",
        "placements across CPUs cannot be measured, and the measuring process shares the CPU with its tasks",
        match host.offline.first() {
            Some(cpu) => format!("echo 1 | sudo tee /sys/devices/system/cpu/cpu{cpu}/online"),
            None => "give the machine more CPUs".into(),
        },
    )
}

fn governor(host: &Host) -> Option<Shortfall> {
    let governors = &host.power.governors;
    governors.iter().any(|governor| governor != "performance").then_some(())?;
    warning(
        format!("scaling governor {}", governors.join(", ")),
        "the frequency follows the load, so short and blocking mechanisms are timed at a lower clock than busy ones",
        "echo performance | sudo tee /sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
    )
}

fn turbo(host: &Host) -> Option<Shortfall> {
    let turbo = host.power.turbo.as_ref().filter(|turbo| turbo.allowed)?;
    warning(
        "turbo is allowed",
        "the frequency depends on temperature and on how many cores are awake, which differ between mechanisms",
        format!("echo {} | sudo tee {}", turbo.off, turbo.path),
    )
}

fn smt(host: &Host) -> Option<Shortfall> {
    let shared = host.topology.cpus.iter().any(|cpu| cpu.siblings.len() > 1);
    shared.then_some(())?;
    warning(
        "SMT is on",
        "a task on the sibling takes execution units and cache from the one that is measured",
        match host.power.smt_control {
            Some(_) => "echo off | sudo tee /sys/devices/system/cpu/smt/control",
            None => "boot with nosmt, or switch it off in the firmware",
        },
    )
}

fn deep_idle(host: &Host) -> Option<Shortfall> {
    let words = host.kernel.command_line.as_deref().unwrap_or_default();
    if host.kernel.parameter("idle") == Some("poll") || words.split_whitespace().any(|word| word == "nohlt") {
        return None;
    }
    let deepest = host.power.idle.deepest_us().filter(|latency| *latency > DEEP_IDLE_US)?;
    warning(
        format!("idle states that take up to {deepest} us to leave"),
        "a wakeup across CPUs measures how deep the other CPU slept, not the mechanism",
        match host.lacks(DMA_LATENCY) {
            true => format!("boot with {}", busy_idle(host)),
            false => {
                format!("boot with {}, or hold a 0 written to {DMA_LATENCY} open while measuring", busy_idle(host))
            }
        },
    )
}

/// The boot parameter that keeps idle CPUs from sleeping at all (Documentation/admin-guide/kernel-parameters.txt).
fn busy_idle(host: &Host) -> &'static str {
    if host.processor.is_x86() { "idle=poll" } else { "nohlt" }
}

fn virtual_machine(host: &Host) -> Option<Shortfall> {
    host.virtualization.is_virtual().then_some(())?;
    let name = host.virtualization.hypervisor.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
    warning(
        format!("a virtual machine{name}"),
        "interrupts between CPUs, idle and page faults can leave the guest; waking an idle CPU costs far more",
        format!("measure on bare metal, or boot the guest with {} and say so beside the figures", busy_idle(host)),
    )
}

fn steal(moment: &Moment) -> Option<Shortfall> {
    let share = moment.ticks?.steal_share().filter(|share| *share > FELT_STEAL)?;
    warning(
        format!("{:.1} % of CPU time since boot was stolen", share * 100.0),
        "the hypervisor ran other guests while a CPU here had work, which no clock in the guest can subtract",
        "use an instance with dedicated CPUs, and discard rounds in which steal rose",
    )
}

fn missing_pmu(host: &Host) -> Option<Shortfall> {
    (!host.event_sources.is_empty() && !host.has_core_pmu()).then_some(())?;
    let remedy = if host.virtualization.is_virtual() {
        "give the guest a PMU (QEMU: -cpu host,pmu=on), or measure on bare metal"
    } else {
        "boot with a kernel that drives this CPU's PMU (dmesg | grep -i pmu)"
    };
    warning("no PMU of the CPU cores", "cycles, instructions and cache misses cannot be counted", remedy)
}

fn load(moment: &Moment) -> Option<Shortfall> {
    let load = moment.load?[0];
    (load > QUIET_LOAD).then_some(())?;
    warning(
        format!("load average {load:.2}"),
        "other tasks take CPU time, keep CPUs awake and warm, and move unpinned tasks about",
        "end other work first; top -b -n 1 | head -20 shows it",
    )
}

fn clock_source(host: &Host) -> Option<Shortfall> {
    let source = host.clock.source.as_deref().filter(|source| *source != "tsc" && host.processor.is_x86())?;
    let remedy = if host.clock.available.iter().any(|source| source == "tsc") {
        "echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource"
    } else {
        "boot with tsc=reliable, if the CPU has the flags constant_tsc and nonstop_tsc"
    };
    warning(
        format!("clock source {source}"),
        "reading the time costs more than with the TSC, and a system call where user space cannot read the clock",
        remedy,
    )
}

fn autogroup(host: &Host) -> Option<Shortfall> {
    (host.sysctl("kernel.sched_autogroup_enabled") == Some(1_u32)).then_some(())?;
    warning(
        "autogroup is on",
        "the scheduler shares time between sessions before tasks, so the terminal it runs in changes the result",
        "sudo sysctl -w kernel.sched_autogroup_enabled=0",
    )
}

fn paranoid(host: &Host) -> Option<Shortfall> {
    let level = host.sysctl("kernel.perf_event_paranoid").filter(|level: &i32| *level > 1)?;
    (!host.process.may_count_everything()).then_some(())?;
    warning(
        format!("perf_event_paranoid is {level}"),
        "events inside the kernel, context switches among them, cannot be counted without privileges",
        "sudo sysctl -w kernel.perf_event_paranoid=1",
    )
}

fn nmi_watchdog(host: &Host) -> Option<Shortfall> {
    // Other architectures' detectors of hard lockups need no counter (lib/Kconfig.debug).
    let made_of_a_counter = host.processor.is_x86() || host.processor.is_arm64();
    (made_of_a_counter && host.has_core_pmu() && host.sysctl("kernel.nmi_watchdog") == Some(1_u32)).then_some(())?;
    warning(
        "the NMI watchdog is on",
        "it holds one hardware counter of each CPU, so fewer events fit without multiplexing",
        "sudo sysctl -w kernel.nmi_watchdog=0",
    )
}

fn numa_balancing(host: &Host) -> Option<Shortfall> {
    let on = host.sysctl("kernel.numa_balancing").is_some_and(|mode: u32| mode != 0);
    (on && host.topology.nodes() > 1).then_some(())?;
    warning(
        "NUMA balancing is on",
        "the kernel unmaps pages to see who touches them and moves tasks and memory between nodes",
        "sudo sysctl -w kernel.numa_balancing=0",
    )
}

fn huge_pages(host: &Host) -> Option<Shortfall> {
    (host.memory.transparent_hugepages.as_deref() == Some("always")).then_some(())?;
    warning(
        "transparent huge pages are always on",
        "whether a stack or heap lies on huge pages varies by chance, and khugepaged rewrites mappings in the \
         background",
        "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
    )
}

fn assumed_llc(host: &Host) -> Option<Shortfall> {
    (host.topology.llc_assumed() && host.topology.cores() > 1).then_some(())?;
    warning(
        "the kernel describes no caches",
        "which CPUs share a last level cache is assumed from the package, so same-llc may be cross-llc",
        "name the CPUs yourself, from the processor's manual, or give the guest the cache topology of its host",
    )
}

fn extension(host: &Host) -> Option<Shortfall> {
    let name = host.scheduler.extension.as_ref()?;
    warning(
        format!("the BPF scheduler {name} (sched_ext) runs"),
        "it decides where and when tasks run, so every figure with a switch in it is that scheduler's",
        "stop the program that loaded it, or name it beside the figures",
    )
}

fn isolated(host: &Host) -> Option<Shortfall> {
    let cpus = among_online(host, &host.scheduler.isolated)?;
    warning(
        format!("CPUs {cpus} are isolated from load balancing"),
        "tasks that are unpinned stay on the CPU on which they began, which makes a placement of one CPU of it there",
        "boot without isolcpus=, or measure unpinned placements with --cpus and the others",
    )
}

fn nohz_full(host: &Host) -> Option<Shortfall> {
    let cpus = among_online(host, &host.scheduler.nohz_full)?;
    warning(
        format!("CPUs {cpus} run without a tick (nohz_full)"),
        "each entry into the kernel is accounted for there, so system calls and switches cost more than on other CPUs",
        "measure with --cpus and others, or say so beside the figures",
    )
}

fn among_online(host: &Host, cpus: &[CpuId]) -> Option<String> {
    let online: Vec<CpuId> = cpus.iter().copied().filter(|cpu| host.topology.cpu(*cpu).is_some()).collect();
    (!online.is_empty()).then(|| cpu_list(&online))
}

fn kinds(host: &Host) -> Option<Shortfall> {
    let kinds = host.topology.kinds();
    let [strongest, others @ ..] = kinds.as_slice() else { return None };
    let others: Vec<String> = others.iter().map(|cpus| cpu_list(cpus)).collect();
    (!others.is_empty()).then_some(())?;
    warning(
        format!("kinds of core: CPUs {}, and CPUs {}", cpu_list(strongest), others.join(", and ")),
        "unpinned and one-per-cpu mix them; same-cpu and pairs are on the strongest kind that has them",
        "--cpus with the CPUs of one kind",
    )
}

fn quotas(host: &Host) -> impl Iterator<Item = Shortfall> {
    host.cgroups.iter().filter_map(|level| {
        let quota = level.cpu_quota?;
        let RlimitValue::At(microseconds) = quota.microseconds else { return None };
        let unlimited = if level.quota_file().ends_with("cpu.max") { "max" } else { "-1" };
        warning(
            format!("a CPU quota of {microseconds} us in {} us on {}", quota.period_us, level.path),
            "tasks that used up the quota do not run until the period ends, in the middle of a sample",
            format!("echo {unlimited} | sudo tee {}", level.quota_file()),
        )
    })
}
