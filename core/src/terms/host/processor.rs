//! What the CPUs are: maker, model, stepping, microcode, features, frequencies.

use serde::{Deserialize, Serialize};

/// The processor as `/proc/cpuinfo` describes it (proc_cpuinfo(5)).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Processor {
    /// The marketing name. arm64 kernels give none; there it is the names of its kinds of core, or their implementer
    /// and part. Other architectures: the core's name, or else what of [`identification`](Self::identification) there
    /// is.
    pub model: Option<String>,
    /// The maker: `GenuineIntel`, `AuthenticAMD`, or the name of the arm64 implementer.
    pub vendor: Option<String>,
    /// The distinct kinds of core by their identification registers, in the order of their first CPU. More than
    /// one on arm64 machines with big and little cores.
    pub silicon: Vec<Silicon>,
    /// The distinct kinds of core on architectures that are none of [`Silicon`]'s, by what the kernel says of them
    /// (RISC-V: `isa`, `uarch`, `mvendorid`, `marchid`, `mimpid`; POWER: `cpu`, `revision`; s390: `machine`), in the
    /// order of their first CPU; behind them the board, where a device tree names it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub identification: Vec<String>,
    /// The microcode's revision, as the kernel writes it. `None` on arm64.
    pub microcode: Option<String>,
    /// Features of the first CPU (`flags`, on arm64 `Features`), in the kernel's order.
    pub flags: Vec<String>,
    /// Known hardware bugs of the first CPU (`bugs`; x86 only).
    pub bugs: Vec<String>,
    /// The frequency without turbo in kHz, of the first online CPU.
    pub nominal_khz: Option<u64>,
    /// The highest frequency the hardware has, turbo included, in kHz, of the first online CPU.
    pub maximum_khz: Option<u64>,
}

/// One kind of core by its identification registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Silicon {
    /// CPUID leaf 1.
    X86 {
        /// Family, the extended one included.
        family: u32,
        /// Model, the extended one included.
        model: u32,
        /// Stepping.
        stepping: u32,
    },
    /// MIDR_EL1.
    Arm64 {
        /// Implementer: 0x41 is Arm.
        implementer: u32,
        /// Part: the kind of core.
        part: u32,
        /// Variant: the major revision, `r` in `r3p1`.
        variant: u32,
        /// Revision: the minor one, `p` in `r3p1`.
        revision: u32,
    },
}

impl Processor {
    /// Whether the first CPU has this feature, by the kernel's name for it.
    pub fn has_flag(&self, flag: &str) -> bool {
        self.flags.iter().any(|known| known == flag)
    }

    /// Whether this is an x86 processor.
    pub fn is_x86(&self) -> bool {
        matches!(self.silicon.first(), Some(Silicon::X86 { .. }))
    }

    /// Whether this is an arm64 processor.
    pub fn is_arm64(&self) -> bool {
        matches!(self.silicon.first(), Some(Silicon::Arm64 { .. }))
    }
}
