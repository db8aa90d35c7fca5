//! The kernel that ran: release, command line, preemption, tick, clock.

use serde::{Deserialize, Serialize};

/// The kernel that runs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Kernel {
    /// `uname -r`.
    pub release: Option<String>,
    /// `uname -v`: build number, SMP and preemption, date.
    pub version: Option<String>,
    /// `uname -m`.
    pub architecture: Option<String>,
    /// The boot parameters that are the kernel's own: without the program that it starts first and the arguments of
    /// that program.
    pub command_line: Option<String>,
    /// Where in the kernel a running task can be preempted.
    pub preemption: Option<Preemption>,
    /// The scheduler tick in Hz (`CONFIG_HZ`).
    pub tick_hz: Option<u32>,
}

/// The preemption model and how it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preemption {
    /// The model.
    pub model: PreemptionModel,
    /// Where it was read.
    pub path: String,
}

/// Linux's preemption models (`kernel/Kconfig.preempt`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PreemptionModel {
    /// Kernel code is left only when it returns or sleeps.
    None,
    /// As `None`, and at explicit points.
    Voluntary,
    /// As `Voluntary`, and everywhere outside critical sections.
    Full,
    /// As `Full` for real-time tasks; others wait for the next tick (since 6.12).
    Lazy,
    /// As `Full`, with spin locks that sleep (`PREEMPT_RT`).
    RealTime,
    /// Chosen at boot or later, and what was chosen is not readable.
    Dynamic,
}

impl PreemptionModel {
    /// The model in words, for tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Voluntary => "voluntary",
            Self::Full => "full",
            Self::Lazy => "lazy",
            Self::RealTime => "real-time",
            Self::Dynamic => "dynamic, choice not readable",
        }
    }
}

/// Where the kernel takes the time from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ClockSource {
    /// The source in use: `tsc`, `kvm-clock`, `arch_sys_counter` …
    pub source: Option<String>,
    /// The sources it could be.
    pub available: Vec<String>,
}

impl Kernel {
    /// The value of the boot parameter `name=value`. Of several with this name it is the last, which the kernel uses.
    pub fn parameter(&self, name: &str) -> Option<&str> {
        boot_parameter(self.command_line.as_deref()?, name)
    }
}

/// The value of the boot parameter `name=value` on `command_line`. Of several with this name it is the last, which the
/// kernel uses.
pub fn boot_parameter<'a>(command_line: &'a str, name: &str) -> Option<&'a str> {
    let value = |word: &'a str| word.strip_prefix(name)?.strip_prefix('=');
    command_line.split_whitespace().filter_map(value).next_back()
}
