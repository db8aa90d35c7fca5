//! Whether the machine is a virtual one, and how that is known.

use serde::{Deserialize, Serialize};

/// Whether this is a virtual machine.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Virtualization {
    /// The hypervisor, when one of the signs names it.
    pub hypervisor: Option<String>,
    /// Every sign of a hypervisor that was seen. Empty: none, which on arm64 proves less than on x86, where the
    /// CPU itself says it.
    pub evidence: Vec<String>,
    /// The maker in the firmware's tables (DMI).
    pub system_vendor: Option<String>,
    /// The product in the firmware's tables (DMI); in a cloud often the instance type.
    pub product: Option<String>,
}

impl Virtualization {
    /// Whether anything says that this is a virtual machine.
    pub fn is_virtual(&self) -> bool {
        !self.evidence.is_empty()
    }
}
