//! What an idle CPU does while a mechanism is measured.

use std::fmt;
use std::str::FromStr;

use nix::errno::Errno;
use serde::{Deserialize, Serialize};

use super::Unsupported;
use crate::sys::dma_latency::PollingIdle;
use crate::sys::spinner::Spinner;
use crate::units::CpuId;

/// Whether idle CPUs may sleep. On a virtual machine leaving idle costs more than any choice of mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Idle {
    /// As the machine is set up.
    #[default]
    Default,
    /// Idle CPUs poll: `/dev/cpu_dma_latency` is held at 0 µs while the benchmark runs.
    Poll,
    /// CPUs are never idle: on each CPU of the placement a process spins under `SCHED_IDLE` while the benchmark runs. A
    /// task that wakes there needs no way out of idle, but still an interrupt and a switch.
    Spinner,
}

/// Keeps the machine as it was asked to be.
#[derive(Debug)]
pub enum IdleGuard {
    /// Nothing to keep.
    Nothing,
    /// The request for polling.
    Polling(PollingIdle),
    /// The spinning processes.
    Spinning(Vec<Spinner>),
}

impl Idle {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Default, Self::Poll, Self::Spinner];

    /// The word on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Poll => "poll",
            Self::Spinner => "spinner",
        }
    }

    /// Puts the machine, or of it `cpus`, in this state until the answer is dropped.
    ///
    /// # Errors
    /// When the machine has no such device or does not let this user hold it; when no process can be made.
    pub fn hold(self, cpus: &[CpuId]) -> Result<IdleGuard, Unsupported> {
        match self {
            Self::Default => Ok(IdleGuard::Nothing),
            Self::Spinner => {
                let spinners = cpus.iter().map(|&cpu| Spinner::start(cpu)).collect::<Result<_, _>>();
                spinners.map(IdleGuard::Spinning).map_err(|error| {
                    let requirement = "idle=spinner: a process for each CPU of the placement";
                    Unsupported::new(requirement, error.to_string(), "raise what `switchcost limits` names")
                })
            }
            Self::Poll => PollingIdle::hold().map(IdleGuard::Polling).map_err(|error| {
                let remedy = match error.errno {
                    Errno::ENOENT => "mount devtmpfs on /dev, or measure with idle=spinner",
                    _ => "run as root, or `sudo chmod o+w /dev/cpu_dma_latency`",
                };
                Unsupported::new("idle=poll: /dev/cpu_dma_latency open for writing", error.to_string(), remedy)
            }),
        }
    }
}

impl fmt::Display for Idle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that is no idle mode.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("idle is `default`, `poll` or `spinner`, not `{0}`")]
pub struct UnknownIdle(pub String);

impl FromStr for Idle {
    type Err = UnknownIdle;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|idle| idle.name() == text).ok_or_else(|| UnknownIdle(text.into()))
    }
}
