//! Settings that decide how fast a CPU runs and how long it takes to wake.

use serde::{Deserialize, Serialize};

use super::first;
use super::root::Observer;
use crate::units::CpuId;

const CPU: &str = "/sys/devices/system/cpu";

/// Frequency, turbo, idle and SMT settings.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Power {
    /// The cpufreq driver: `intel_pstate`, `amd-pstate-epp`, `acpi-cpufreq` …
    pub scaling_driver: Option<String>,
    /// The distinct cpufreq governors of the online CPUs, sorted. Empty where the kernel does not set frequencies.
    pub governors: Vec<String>,
    /// The highest frequency the kernel may choose, in kHz, of the first online CPU.
    pub scaling_maximum_khz: Option<u64>,
    /// Whether frequencies above the nominal one are allowed.
    pub turbo: Option<Turbo>,
    /// How a CPU with nothing to do waits.
    pub idle: Idle,
    /// SMT as the kernel controls it: `on`, `off`, `forceoff`, `notsupported`, `notimplemented`.
    pub smt_control: Option<String>,
}

/// The switch of the frequencies above the nominal one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Turbo {
    /// Whether they are allowed.
    pub allowed: bool,
    /// The file that says so.
    pub path: String,
    /// What to write to it to forbid them.
    pub off: String,
}

/// How a CPU with nothing to do waits (Documentation/admin-guide/pm/cpuidle.rst).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Idle {
    /// The driver: `intel_idle`, `acpi_idle`, `haltpoll` …; `none` when there is none.
    pub driver: Option<String>,
    /// The governor: `menu`, `teo`, `haltpoll` …
    pub governor: Option<String>,
    /// The states of the first online CPU, shallow to deep.
    pub states: Vec<IdleState>,
}

/// One idle state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleState {
    /// The driver's name for it: `C1E`.
    pub name: String,
    /// How long leaving it takes at worst, in microseconds, as the driver declares it.
    pub exit_latency_us: u64,
    /// Whether it has been switched off.
    pub disabled: bool,
}

impl Power {
    pub(super) fn observe(observer: &mut Observer<'_>, online: &[CpuId]) -> Self {
        let cpufreq = format!("{CPU}/cpu{}/cpufreq", first(online));
        Self {
            scaling_driver: observer.text("scaling driver", &format!("{cpufreq}/scaling_driver")),
            governors: governors(observer, online),
            scaling_maximum_khz: observer.value("scaling maximum", &format!("{cpufreq}/scaling_max_freq")),
            turbo: turbo(observer, &cpufreq),
            idle: Idle::observe(observer, first(online)),
            smt_control: observer.text("SMT control", &format!("{CPU}/smt/control")),
        }
    }
}

impl Idle {
    /// The longest exit latency of a state that may be entered, in microseconds.
    pub fn deepest_us(&self) -> Option<u64> {
        self.states.iter().filter(|state| !state.disabled).map(|state| state.exit_latency_us).max()
    }

    fn observe(observer: &mut Observer<'_>, first: CpuId) -> Self {
        // The file with `_ro` is the older name; newer kernels have both or only the other.
        let governor = observer.root.text(&format!("{CPU}/cpuidle/current_governor_ro")).ok();
        Self {
            driver: observer.text("idle driver", &format!("{CPU}/cpuidle/current_driver")),
            governor: governor.or_else(|| observer.text("idle governor", &format!("{CPU}/cpuidle/current_governor"))),
            states: idle_states(observer, &format!("{CPU}/cpu{first}/cpuidle")),
        }
    }
}

fn governors(observer: &mut Observer<'_>, online: &[CpuId]) -> Vec<String> {
    let read = |cpu| observer.text("scaling governor", &format!("{CPU}/cpu{cpu}/cpufreq/scaling_governor"));
    let mut governors: Vec<String> = online.iter().filter_map(read).collect();
    governors.sort_unstable();
    governors.dedup();
    governors
}

/// Each driver has its own switch: intel_pstate's is inverted, amd-pstate's is per CPU.
fn turbo(observer: &mut Observer<'_>, cpufreq: &str) -> Option<Turbo> {
    let switches = [
        (format!("{CPU}/intel_pstate/no_turbo"), "0"),
        (format!("{CPU}/cpufreq/boost"), "1"),
        (format!("{cpufreq}/boost"), "1"),
    ];
    let read = |(path, on): &(String, &str)| {
        let off = if *on == "1" { "0" } else { "1" };
        let allowed = observer.root.text(path).ok()? == *on;
        Some(Turbo { allowed, path: path.clone(), off: off.to_owned() })
    };
    let turbo = switches.iter().find_map(read);
    if turbo.is_none() {
        observer.miss("turbo", &switches[1].0, "neither there, nor in intel_pstate, nor in the CPU's cpufreq");
    }
    turbo
}

fn idle_states(observer: &mut Observer<'_>, directory: &str) -> Vec<IdleState> {
    let mut numbers: Vec<u32> = observer
        .names("idle states", directory)
        .iter()
        .filter_map(|name| name.strip_prefix("state")?.parse().ok())
        .collect();
    numbers.sort_unstable();
    let mut read = |number| {
        let state = format!("{directory}/state{number}");
        Some(IdleState {
            name: observer.text("idle state name", &format!("{state}/name"))?,
            exit_latency_us: observer.value("idle state latency", &format!("{state}/latency"))?,
            disabled: observer.root.text(&format!("{state}/disable")).is_ok_and(|text| text != "0"),
        })
    };
    numbers.into_iter().filter_map(&mut read).collect()
}
