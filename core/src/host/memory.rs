//! Memory, swap and huge pages.

use super::field;
use super::kernel::between;
use super::root::FactReader;
use crate::terms::host::Memory;

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
