//! Settings that decide how fast a CPU runs and how long it takes to wake.

use super::first;
use super::root::FactReader;
use crate::terms::host::{CpuIdle, IdleState, Power, Turbo};
use crate::units::CpuId;

const CPU: &str = "/sys/devices/system/cpu";

impl Power {
    pub(super) fn observe(facts: &mut FactReader<'_>, online: &[CpuId]) -> Self {
        let cpufreq = format!("{CPU}/cpu{}/cpufreq", first(online));
        Self {
            scaling_driver: facts.text("scaling driver", &format!("{cpufreq}/scaling_driver")),
            governors: governors(facts, online),
            scaling_maximum_khz: facts.value("scaling maximum", &format!("{cpufreq}/scaling_max_freq")),
            turbo: turbo(facts, &cpufreq),
            idle: CpuIdle::observe(facts, first(online)),
            smt_control: facts.text("SMT control", &format!("{CPU}/smt/control")),
        }
    }
}

impl CpuIdle {
    fn observe(facts: &mut FactReader<'_>, first: CpuId) -> Self {
        // The file with `_ro` is the older name; newer kernels have both or only the other.
        let governor = facts.root.text(&format!("{CPU}/cpuidle/current_governor_ro")).ok();
        Self {
            driver: facts.text("idle driver", &format!("{CPU}/cpuidle/current_driver")),
            governor: governor.or_else(|| facts.text("idle governor", &format!("{CPU}/cpuidle/current_governor"))),
            states: idle_states(facts, &format!("{CPU}/cpu{first}/cpuidle")),
        }
    }
}

fn governors(facts: &mut FactReader<'_>, online: &[CpuId]) -> Vec<String> {
    let read = |cpu| facts.text("scaling governor", &format!("{CPU}/cpu{cpu}/cpufreq/scaling_governor"));
    let mut governors: Vec<String> = online.iter().filter_map(read).collect();
    governors.sort_unstable();
    governors.dedup();
    governors
}

/// Each driver has its own switch: intel_pstate's is inverted, amd-pstate's is per CPU.
fn turbo(facts: &mut FactReader<'_>, cpufreq: &str) -> Option<Turbo> {
    let switches = [
        (format!("{CPU}/intel_pstate/no_turbo"), "0"),
        (format!("{CPU}/cpufreq/boost"), "1"),
        (format!("{cpufreq}/boost"), "1"),
    ];
    let read = |(path, on): &(String, &str)| {
        let off = if *on == "1" { "0" } else { "1" };
        let allowed = facts.root.text(path).ok()? == *on;
        Some(Turbo { allowed, path: path.clone(), off: off.to_owned() })
    };
    let turbo = switches.iter().find_map(read);
    if turbo.is_none() {
        facts.miss("turbo", &switches[1].0, "neither there, nor in intel_pstate, nor in the CPU's cpufreq");
    }
    turbo
}

fn idle_states(facts: &mut FactReader<'_>, directory: &str) -> Vec<IdleState> {
    let mut numbers: Vec<u32> = facts
        .names("idle states", directory)
        .iter()
        .filter_map(|name| name.strip_prefix("state")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    let mut read = |number| {
        let state = format!("{directory}/state{number}");
        Some(IdleState {
            name: facts.text("idle state name", &format!("{state}/name"))?,
            exit_latency_us: facts.value("idle state latency", &format!("{state}/latency"))?,
            disabled: facts.root.text(&format!("{state}/disable")).is_ok_and(|text| text != "0"),
        })
    };
    numbers.into_iter().filter_map(&mut read).collect()
}
