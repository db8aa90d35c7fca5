//! This process as the kernel limits it: user, capabilities, resource limits.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::field;
use super::root::FactReader;

/// The lines of `/proc/self/limits` by the constants of getrlimit(2).
const RLIMITS: [(&str, &str); 8] = [
    ("Max address space", "RLIMIT_AS"),
    ("Max data size", "RLIMIT_DATA"),
    ("Max locked memory", "RLIMIT_MEMLOCK"),
    ("Max nice priority", "RLIMIT_NICE"),
    ("Max open files", "RLIMIT_NOFILE"),
    ("Max processes", "RLIMIT_NPROC"),
    ("Max realtime priority", "RLIMIT_RTPRIO"),
    ("Max stack size", "RLIMIT_STACK"),
];

/// A number that may have no bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RlimitValue {
    /// Not above this.
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
    /// Most of what root may.
    SysAdmin = 21,
    /// Raise limits.
    SysResource = 24,
    /// Count everything.
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
    pub(super) fn observe(facts: &mut FactReader<'_>) -> Self {
        let status = facts.text("this process's status", "/proc/self/status").unwrap_or_default();
        let limits = facts.text("resource limits", "/proc/self/limits").unwrap_or_default();
        Self {
            user: real_user(&status),
            capabilities: field(&status, "CapEff").and_then(|bits| u64::from_str_radix(bits, 16).ok()),
            rlimits: limits.lines().filter_map(rlimit).collect(),
        }
    }

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

impl RlimitValue {
    /// Reads `max` (cgroup v2), `unlimited` (`/proc/self/limits`) or a number.
    pub(super) fn parse(text: &str) -> Option<Self> {
        match text.trim() {
            "max" | "unlimited" => Some(RlimitValue::Unlimited),
            number => number.parse().ok().map(RlimitValue::At),
        }
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

/// The first of the four ids in `Uid:`, of a `/proc/PID/status`.
pub(super) fn real_user(status: &str) -> Option<u32> {
    field(status, "Uid")?.split_whitespace().next()?.parse().ok()
}

fn rlimit(line: &str) -> Option<(String, Rlimit)> {
    let (name, rest) = RLIMITS.iter().find_map(|(label, name)| Some((name, line.strip_prefix(label)?)))?;
    let mut columns = rest.split_whitespace();
    let (soft, hard) = (RlimitValue::parse(columns.next()?)?, RlimitValue::parse(columns.next()?)?);
    Some(((*name).to_owned(), Rlimit { soft, hard }))
}
