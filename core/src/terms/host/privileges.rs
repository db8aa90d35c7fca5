//! A process as the kernel limits it: user, capabilities, resource limits.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// A number that may have no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RlimitValue {
    /// A bound: the value may not exceed this.
    At(u64),
    /// No bound.
    Unlimited,
}

/// A resource limit (getrlimit(2)).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rlimit {
    /// The bound in force.
    pub soft: RlimitValue,
    /// How far the process may raise it by itself.
    pub hard: RlimitValue,
}

/// A capability that changes what can be measured here, by its bit (capabilities(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    /// `CAP_SYS_ADMIN`: most administrative calls.
    SysAdmin = 21,
    /// `CAP_SYS_RESOURCE`: exceed limits, and raise hard ones.
    SysResource = 24,
    /// `CAP_PERFMON`: count any event of any process.
    Perfmon = 38,
}

/// This process's user, capabilities and resource limits.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Privileges {
    /// The real user id.
    pub user: Option<u32>,
    /// The effective capabilities as a bit set (capabilities(7)).
    pub capabilities: Option<u64>,
    /// Resource limits by the constants of getrlimit(2): `RLIMIT_NOFILE`.
    pub rlimits: BTreeMap<String, Rlimit>,
}

impl Privileges {
    /// Whether the process holds this capability. `false` where capabilities could not be read.
    pub fn has(&self, capability: Capability) -> bool {
        self.capabilities.is_some_and(|bits| bits & (1 << capability as u64) != 0)
    }

    /// Whether the process may count events in the kernel whatever `perf_event_paranoid` says
    /// (Documentation/admin-guide/perf-security.rst).
    pub fn may_count_everything(&self) -> bool {
        self.has(Capability::Perfmon) || self.has(Capability::SysAdmin)
    }

    /// Whether `RLIMIT_NPROC` does not hold for this process (fork in the kernel: root, `CAP_SYS_ADMIN` and
    /// `CAP_SYS_RESOURCE` are exempt).
    pub fn may_exceed_nproc(&self) -> bool {
        self.user == Some(0) || self.has(Capability::SysAdmin) || self.has(Capability::SysResource)
    }
}

impl fmt::Display for RlimitValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RlimitValue::At(value) => write!(f, "{value}"),
            RlimitValue::Unlimited => f.write_str("unlimited"),
        }
    }
}
