//! What an idle CPU does while a mechanism is measured.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Whether idle CPUs may sleep. On a virtual machine leaving idle costs more than any choice of mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Idle {
    /// Idle CPUs sleep as the machine is set up.
    #[default]
    Default,
    /// Idle CPUs poll: `/dev/cpu_dma_latency` is held at 0 µs while the benchmark runs.
    Poll,
    /// CPUs are never idle: on each CPU of the placement a process spins under `SCHED_IDLE` while the benchmark runs. A
    /// task that wakes there needs no way out of idle, but still an interrupt and a switch.
    Spinner,
}

impl Idle {
    /// Every idle mode, in the order in which messages list them.
    pub const ALL: [Self; 3] = [Self::Default, Self::Poll, Self::Spinner];

    /// The word on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Poll => "poll",
            Self::Spinner => "spinner",
        }
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The error for a word that is no idle mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("idle is `default`, `poll` or `spinner`, not `{0}`")]
pub struct UnknownIdle(pub String);

impl FromStr for Idle {
    type Err = UnknownIdle;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|idle| idle.name() == text).ok_or_else(|| UnknownIdle(text.into()))
    }
}
