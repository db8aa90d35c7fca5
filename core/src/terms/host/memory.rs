//! Memory, swap and huge pages.

use serde::{Deserialize, Serialize};

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
