//! What an idle CPU does while a mechanism is measured.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::Unsupported;
use crate::sys::dma_latency::PollingIdle;

/// Whether idle CPUs may sleep. On a virtual machine leaving idle costs more than any choice of mechanism.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Idle {
    /// As the machine is set up.
    #[default]
    Default,
    /// Idle CPUs poll: `/dev/cpu_dma_latency` is held at 0 µs while the benchmark runs.
    Poll,
}

impl Idle {
    /// Every choice.
    pub const ALL: [Self; 2] = [Self::Default, Self::Poll];

    /// The word on the command line and in records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Poll => "poll",
        }
    }

    /// Puts the machine in this state until the answer is dropped.
    ///
    /// # Errors
    /// When the machine has no such device or does not let this user hold it.
    pub fn hold(self) -> Result<Option<PollingIdle>, Unsupported> {
        match self {
            Self::Default => Ok(None),
            Self::Poll => PollingIdle::hold().map(Some).map_err(|error| {
                Unsupported::new(
                    "idle=poll: /dev/cpu_dma_latency open for writing",
                    error.to_string(),
                    "run as root, or `sudo chmod o+w /dev/cpu_dma_latency`",
                )
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
#[error("idle is `default` or `poll`, not `{0}`")]
pub struct UnknownIdle(pub String);

impl FromStr for Idle {
    type Err = UnknownIdle;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|idle| idle.name() == text).ok_or_else(|| UnknownIdle(text.into()))
    }
}
