//! `switchcost host`: this machine as a record keeps it, and what makes it noisy.

use std::io::Write;
use std::process::ExitCode;

use clap::Args;

use crate::host::Root;
use crate::terms::{Host, Moment, host::Virtualization, noise::warnings};
use crate::units::{CpuId, cpu_list};

/// Describe this machine, and warn about what makes it noisy
#[derive(Debug, Args)]
pub(super) struct HostArgs {
    /// Print everything as JSON
    #[arg(long)]
    json: bool,
}

impl HostArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        self.print(&mut std::io::stdout().lock())?;
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn print(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let root = Root::default();
        let (host, moment) = (Host::observe(&root), Moment::observe(&root));
        let warnings = warnings(&host, &moment);
        if self.json {
            let whole = serde_json::json!({ "id": host.id(), "host": host, "moment": moment, "warnings": warnings });
            writeln!(out, "{}", serde_json::to_string_pretty(&whole)?)?;
            return Ok(());
        }
        for (name, value) in facts(&host, &moment) {
            writeln!(out, "{name:<16} {value}")?;
        }
        for unread in &host.unread {
            writeln!(out, "{:<16} {} ({}: {})", "not read", unread.what, unread.path, unread.reason)?;
        }
        if !warnings.is_empty() {
            writeln!(out, "\nWhat makes this machine noisy:")?;
        }
        for warning in warnings {
            writeln!(out, "- {}: {}\n  {}", warning.what, warning.why, warning.remedy)?;
        }
        Ok(())
    }
}

/// What fits a line each; the JSON has everything.
fn facts(host: &Host, moment: &Moment) -> Vec<(&'static str, String)> {
    let unknown = || "unknown".to_string();
    let text = |value: &Option<String>| value.clone().unwrap_or_else(unknown);
    let topology = &host.topology;
    let number = |cpus: usize, what: &str| format!("{cpus} {what}{}", if cpus == 1 { "" } else { "s" });
    let mut facts = vec![
        ("id", host.id()),
        ("processor", text(&host.processor.model)),
        ("microcode", text(&host.processor.microcode)),
        (
            "topology",
            [
                format!("CPUs {}", cpu_list(&topology.online())),
                number(topology.cores(), "core"),
                number(topology.llcs(), "last-level cache"),
                number(topology.packages(), "package"),
                number(topology.nodes(), "NUMA node"),
            ]
            .join(", "),
        ),
        ("caches", caches(host)),
        ("kernel", format!("{} {}", text(&host.kernel.release), text(&host.kernel.version))),
        ("command line", text(&host.kernel.command_line)),
        (
            "preemption",
            host.kernel.preemption.as_ref().map_or_else(unknown, |p| format!("{} ({})", p.model.name(), p.path)),
        ),
        ("tick", host.kernel.tick_hz.map_or_else(unknown, |hz| format!("{hz} Hz"))),
        ("clock source", text(&host.clock.source)),
        ("governor", if host.power.governors.is_empty() { "none".into() } else { host.power.governors.join(", ") }),
        ("turbo", host.power.turbo.as_ref().map_or_else(unknown, |turbo| turbo.allowed.to_string())),
        ("SMT", text(&host.power.smt_control)),
        ("idle", idle(host)),
        ("virtualization", virtualization(&host.virtualization)),
        ("hardware PMU", if host.has_core_pmu() { "yes" } else { "no" }.into()),
        ("load", moment.load.map_or_else(unknown, |load| format!("{:.2} {:.2} {:.2}", load[0], load[1], load[2]))),
    ];
    facts.extend(
        host.mitigations
            .iter()
            .filter(|(_, state)| !state.starts_with("Not affected"))
            .map(|(name, state)| ("mitigation", format!("{name}: {state}"))),
    );
    facts
}

fn caches(host: &Host) -> String {
    // Those of one CPU stand for all; CPU 0 need not be online.
    let shown = host.topology.cpus.first().map(|cpu| cpu.id);
    let first = |cpus: &[CpuId]| shown.is_some_and(|cpu| cpus.contains(&cpu));
    let sizes = host.topology.caches.iter().filter(|cache| first(&cache.shared)).map(|cache| {
        let size = cache.bytes.map_or("?".into(), |bytes| format!("{} KiB", bytes / 1024));
        format!("L{} {:?} {size} (CPUs {})", cache.level, cache.kind, cpu_list(&cache.shared))
    });
    let sizes: Vec<String> = sizes.collect();
    if sizes.is_empty() { "unknown".into() } else { sizes.join(", ") }
}

/// Which hypervisor, and by which signs it is known.
fn virtualization(seen: &Virtualization) -> String {
    let signs = seen.evidence.join("; ");
    match &seen.hypervisor {
        _ if !seen.is_virtual() => "none seen".into(),
        Some(hypervisor) => format!("{hypervisor} ({signs})"),
        None => format!("yes, by an unnamed hypervisor ({signs})"),
    }
}

fn idle(host: &Host) -> String {
    let idle = &host.power.idle;
    let named = |name: &Option<String>| name.clone().unwrap_or_else(|| "none".into());
    let settings = [format!("driver {}", named(&idle.driver)), format!("governor {}", named(&idle.governor))];
    let states = idle.states.iter().map(|state| format!("{} {} µs", state.name, state.exit_latency_us));
    settings.into_iter().chain(states).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fixture(name: &str) -> Vec<(&'static str, String)> {
        let root = Root::at(format!("{}/tests/fixtures/host/{name}", env!("CARGO_MANIFEST_DIR")));
        facts(&Host::observe(&root), &Moment::observe(&root))
    }

    #[test]
    fn no_fact_ends_in_a_comma_or_says_nothing() {
        for name in ["riscv64-virt", "arm64-vm-nocache", "vm-2cpu", "amd-two-ccx", "intel-2socket-smt"] {
            for (fact, value) in fixture(name) {
                assert!(!value.trim().is_empty() && !value.trim_end().ends_with(','), "{name}: {fact}: {value:?}");
                assert!(!value.contains(", ,") && !value.contains("()"), "{name}: {fact}: {value:?}");
            }
        }
    }

    #[test]
    fn a_hypervisor_without_a_name_is_told_by_its_signs() {
        let seen = Virtualization { evidence: vec!["CPU flag hypervisor".into()], ..Virtualization::default() };
        assert_eq!(virtualization(&seen), "yes, by an unnamed hypervisor (CPU flag hypervisor)");
        assert_eq!(virtualization(&Virtualization::default()), "none seen");
    }
}
