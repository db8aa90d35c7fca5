//! This process as the kernel limits it: user, capabilities, resource limits.

use super::field;
use super::root::FactReader;
use crate::terms::host::{Privileges, Rlimit, RlimitValue};

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
