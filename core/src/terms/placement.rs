//! Where the tasks of a mechanism may run: the placements by name.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How the tasks of a mechanism lie on the machine's CPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Placement {
    /// Wherever the scheduler puts them, on the CPUs this process may use.
    Unpinned,
    /// All on one CPU.
    SameCpu,
    /// Alternating between two hardware threads of one core.
    SmtSibling,
    /// Alternating between two cores that share their last-level cache.
    SameLlc,
    /// Alternating between two cores of one NUMA node with different last-level caches.
    CrossLlc,
    /// Alternating between two NUMA nodes.
    CrossNode,
    /// Alternating between two kinds of core, such as a performance core and an efficient one.
    CrossKind,
    /// One CPU each, round robin over all CPUs this process may use.
    OnePerCpu,
}

impl Placement {
    /// Every placement, in the order in which tables show them.
    pub const ALL: [Self; 8] = [
        Self::Unpinned,
        Self::SameCpu,
        Self::SmtSibling,
        Self::SameLlc,
        Self::CrossLlc,
        Self::CrossNode,
        Self::CrossKind,
        Self::OnePerCpu,
    ];

    /// The name used in benchmark ids, records and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Unpinned => "unpinned",
            Self::SameCpu => "same-cpu",
            Self::SmtSibling => "smt-sibling",
            Self::SameLlc => "same-llc",
            Self::CrossLlc => "cross-llc",
            Self::CrossNode => "cross-node",
            Self::CrossKind => "cross-kind",
            Self::OnePerCpu => "one-per-cpu",
        }
    }

    /// True where a mechanism of one task can tell it from the others.
    pub fn fits_a_single_task(self) -> bool {
        matches!(self, Self::Unpinned | Self::SameCpu)
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A word that names no placement.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no placement is called `{0}`; there are {names}", names = Placement::ALL.map(Placement::name).join(", "))]
pub struct UnknownPlacement(pub String);

impl FromStr for Placement {
    type Err = UnknownPlacement;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|placement| placement.name() == text).ok_or_else(|| UnknownPlacement(text.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for placement in Placement::ALL {
            assert_eq!(placement.name().parse(), Ok(placement));
        }
        let error = "same_cpu".parse::<Placement>().unwrap_err().to_string();
        assert!(error.contains("`same_cpu`") && error.contains("same-cpu"), "{error}");
    }
}
