//! Memory, swap and huge pages.

use serde::{Deserialize, Serialize};

use super::field;
use super::kernel::between;
use super::root::FactReader;

/// How much memory there is and how it is mapped.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Memory {
    /// Memory the kernel manages, in bytes (`MemTotal`).
    pub total_bytes: Option<u64>,
    /// Swap space, in bytes (`SwapTotal`).
    pub swap_bytes: Option<u64>,
    /// Transparent huge pages: `always`, `madvise` or `never`.
    pub transparent_hugepages: Option<String>,
}

impl Memory {
    pub(super) fn observe(facts: &mut FactReader<'_>) -> Self {
        let meminfo = facts.text("memory", "/proc/meminfo").unwrap_or_default();
        Self {
            total_bytes: bytes(&meminfo, "MemTotal"),
            swap_bytes: bytes(&meminfo, "SwapTotal"),
            transparent_hugepages: facts.parsed(
                "transparent huge pages",
                "/sys/kernel/mm/transparent_hugepage/enabled",
                "a choice in brackets",
                |text| between(text, '[', ']').map(str::to_owned),
            ),
        }
    }
}

/// A line of `/proc/meminfo`, whose `kB` are 1024 bytes (proc_meminfo(5)).
pub(super) fn bytes(meminfo: &str, key: &str) -> Option<u64> {
    field(meminfo, key)?.strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}
