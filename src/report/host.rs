//! The machine and the build in words, for the report's table of hosts.

use jiff::Timestamp;

use super::text;
use crate::record::{Build, HostLine};
use crate::terms::Host;
use crate::units::cpu_list;

/// Names and values; what is not known says so.
pub(super) fn facts(host_line: &HostLine) -> Vec<(&'static str, String)> {
    let (host, build) = (&host_line.host, &host_line.build);
    let unknown = || "not known".to_string();
    let or_unknown = |value: &Option<String>| value.clone().unwrap_or_else(unknown);
    let revision = build.revision.as_ref().map_or_else(unknown, |revision| {
        let short: String = revision.chars().take(12).collect();
        if build.changed == Some(true) { format!("{short}, with uncommitted changes") } else { short }
    });
    vec![
        ("processor", processor(host)),
        ("CPUs", cpus(host)),
        ("kernel", or_unknown(&host.kernel.release)),
        ("preemption and tick", preemption(host)),
        ("kernel command line", or_unknown(&host.kernel.command_line)),
        ("mitigations", mitigations(host)),
        ("frequency", frequency(host)),
        ("idle", idle(host)),
        ("clock source", or_unknown(&host.clock.source)),
        ("virtualization", virtualization(host)),
        ("memory", memory(host)),
        ("PMU", if host.has_core_pmu() { "yes".into() } else { "none of the cores".into() }),
        ("load at the start", host_line.moment.load.map_or_else(unknown, |load| format!("{:.2}", load[0]))),
        ("switchcost", format!("{} ({revision}), {}", build.version, build.profile)),
        ("toolchain", toolchain(build)),
        ("started", when(host_line.started_ms)),
        ("host id", host_line.id.clone()),
    ]
}

/// Compiler, target and, where the record says so, the allocator.
fn toolchain(build: &Build) -> String {
    let allocator = build.allocator.as_ref().map_or_else(String::new, |allocator| format!(", {allocator}"));
    format!("{}, {}{allocator}", build.rustc, build.target)
}

/// What a host is in a few words: its processor, and whether it is a virtual machine.
pub(super) fn kind(host: &Host) -> String {
    match virtualization(host) {
        seen if host.virtualization.is_virtual() => format!("{}, {seen}", processor(host)),
        _ => processor(host),
    }
}

/// Processor and kernel: what a machine is called in a sentence.
pub(super) fn short(host: &Host) -> String {
    let kernel = host.kernel.release.as_deref().map(|release| format!(", Linux {release}")).unwrap_or_default();
    format!("{}, {}{kernel}", processor(host), text::count(host.topology.cpus.len(), "CPU"))
}

/// The date and time, in UTC.
pub(super) fn when(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    time.map_or_else(|| "not known".into(), |time| time.strftime("%Y-%m-%d %H:%M UTC").to_string())
}

fn processor(host: &Host) -> String {
    let model = host.processor.model.clone().or_else(|| host.processor.vendor.clone());
    let architecture = || format!("{} processor", host.kernel.architecture.as_deref().unwrap_or("unknown"));
    model.unwrap_or_else(architecture)
}

fn cpus(host: &Host) -> String {
    let topology = &host.topology;
    let plural = |number: usize, one: &str, many: &str| format!("{number} {}", if number == 1 { one } else { many });
    format!(
        "{} ({}), {}, {}, {}",
        topology.cpus.len(),
        cpu_list(&topology.online()),
        plural(topology.cores(), "core", "cores"),
        plural(topology.llcs(), "last-level cache", "last-level caches"),
        plural(topology.nodes(), "node", "nodes"),
    )
}

fn preemption(host: &Host) -> String {
    let model = host.kernel.preemption.as_ref().map_or("not known", |preemption| preemption.model.name());
    host.kernel.tick_hz.map_or_else(|| model.into(), |hz| format!("{model}, {hz} Hz"))
}

/// Those that do something; the others are counted.
fn mitigations(host: &Host) -> String {
    let active: Vec<String> = host
        .mitigations
        .iter()
        .filter_map(|(name, text)| text.strip_prefix("Mitigation: ").map(|what| format!("{name}: {what}")))
        .collect();
    let vulnerable: Vec<&str> = host
        .mitigations
        .iter()
        .filter(|(_, text)| text.starts_with("Vulnerable"))
        .map(|(name, _)| name.as_str())
        .collect();
    let mut parts = active;
    if !vulnerable.is_empty() {
        parts.push(format!("vulnerable: {}", vulnerable.join(", ")));
    }
    match (parts.is_empty(), host.mitigations.is_empty()) {
        (_, true) => "not known".into(),
        (true, false) => "none needed".into(),
        (false, false) => parts.join("; "),
    }
}

fn frequency(host: &Host) -> String {
    let governor = host.power.governors.join(", ");
    let governor = if governor.is_empty() { "governor not visible".into() } else { format!("governor {governor}") };
    let turbo = match &host.power.turbo {
        Some(turbo) if turbo.allowed => ", turbo allowed",
        Some(_) => ", turbo off",
        None => "",
    };
    let nominal = host.processor.nominal_khz.map(|khz| format!(", nominal {} MHz", khz / 1000)).unwrap_or_default();
    format!("{governor}{turbo}{nominal}")
}

fn idle(host: &Host) -> String {
    let idle = &host.power.idle;
    let driver = idle.driver.as_deref().unwrap_or("none");
    let governor = idle.governor.as_deref().map(|governor| format!(", governor {governor}")).unwrap_or_default();
    let deepest = idle.deepest_us().map(|us| format!(", deepest state takes {us} µs to leave")).unwrap_or_default();
    let boot = host.kernel.parameter("idle").map(|mode| format!(", idle={mode}")).unwrap_or_default();
    format!("driver {driver}{governor}{deepest}{boot}")
}

fn virtualization(host: &Host) -> String {
    let virtualization = &host.virtualization;
    if !virtualization.is_virtual() {
        return "none seen".into();
    }
    let product = virtualization.product.as_deref().map(|product| format!(" ({product})")).unwrap_or_default();
    format!("{}{product}", virtualization.hypervisor.as_deref().unwrap_or("a virtual machine"))
}

fn memory(host: &Host) -> String {
    let total = host.memory.total_bytes.map(|bytes| format!("{:.1} GiB", bytes as f64 / f64::from(1 << 30)));
    let huge = host.memory.transparent_hugepages.as_deref().map(|mode| format!(", huge pages {mode}"));
    format!("{}{}", total.unwrap_or_else(|| "not known".into()), huge.unwrap_or_default())
}
