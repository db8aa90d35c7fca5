//! Settings that decide how fast a CPU runs and how long it takes to wake.

use serde::{Deserialize, Serialize};

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
    pub idle: CpuIdle,
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
pub struct CpuIdle {
    /// The driver: `intel_idle`, `acpi_idle`, `haltpoll` …; `none` when there is none.
    pub driver: Option<String>,
    /// The governor: `menu`, `teo`, `haltpoll` …
    pub governor: Option<String>,
    /// The states of the first online CPU, shallow to deep.
    pub states: Vec<IdleState>,
}

/// One idle state of a CPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdleState {
    /// The driver's name for it: `C1E`.
    pub name: String,
    /// How long leaving it takes at worst, in microseconds, as the driver declares it.
    pub exit_latency_us: u64,
    /// Whether it has been switched off.
    pub disabled: bool,
}

impl CpuIdle {
    /// The longest exit latency of a state that may be entered, in microseconds.
    pub fn deepest_us(&self) -> Option<u64> {
        self.states.iter().filter(|state| !state.disabled).map(|state| state.exit_latency_us).max()
    }
}
