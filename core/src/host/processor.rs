//! What the CPUs are: maker, model, stepping, microcode, features, frequencies.

use super::root::FactReader;
use super::{field, fields};
use crate::terms::host::{Processor, Silicon};
use crate::units::CpuId;

impl Processor {
    pub(super) fn observe(facts: &mut FactReader<'_>, cpuinfo: &str, first: CpuId) -> Self {
        let silicon = kinds_of_core(cpuinfo);
        let model = field(cpuinfo, "model name").map(str::to_owned);
        let mut identification = if silicon.is_empty() { identification(cpuinfo) } else { Vec::new() };
        let elsewhere = model_elsewhere(cpuinfo).or_else(|| identification.first().cloned());
        if silicon.is_empty() {
            identification.extend(board(facts));
        }
        Self {
            nominal_khz: nominal_khz(facts, first, model.as_deref()),
            maximum_khz: facts
                .value("maximum frequency", &format!("/sys/devices/system/cpu/cpu{first}/cpufreq/cpuinfo_max_freq")),
            model: model.or_else(|| core_names(&silicon)).or(elsewhere),
            vendor: field(cpuinfo, "vendor_id")
                .map(str::to_owned)
                .or_else(|| silicon.first().and_then(Silicon::implementer_name))
                .or_else(|| riscv_vendor(field(cpuinfo, "mvendorid")?)),
            identification,
            silicon,
            microcode: field(cpuinfo, "microcode").map(str::to_owned),
            flags: words(field(cpuinfo, "flags").or_else(|| field(cpuinfo, "Features"))),
            bugs: words(field(cpuinfo, "bugs")),
        }
    }
}

impl Silicon {
    fn of(block: &str) -> Option<Self> {
        let decimal = |key| field(block, key)?.parse().ok();
        if let (Some(family), Some(model), Some(stepping)) =
            (decimal("cpu family"), decimal("model"), decimal("stepping"))
        {
            return Some(Silicon::X86 { family, model, stepping });
        }
        Some(Silicon::Arm64 {
            implementer: hexadecimal(field(block, "CPU implementer")?)?,
            part: hexadecimal(field(block, "CPU part")?)?,
            variant: field(block, "CPU variant").and_then(hexadecimal).unwrap_or_default(),
            revision: decimal("CPU revision").unwrap_or_default(),
        })
    }

    /// Codes from Linux's `arch/arm64/include/asm/cputype.h`.
    fn implementer_name(&self) -> Option<String> {
        let Silicon::Arm64 { implementer, .. } = self else {
            return None;
        };
        let name = match implementer {
            0x41 => "Arm",
            0x43 => "Cavium",
            0x46 => "Fujitsu",
            0x48 => "HiSilicon",
            0x4e => "NVIDIA",
            0x50 => "APM",
            0x51 => "Qualcomm",
            0x61 => "Apple",
            0x69 => "Intel",
            0x6d => "Microsoft",
            0x70 => "Phytium",
            0xc0 => "Ampere",
            _ => return None,
        };
        Some(name.to_owned())
    }

    /// The cores that servers and small boards are made of; same source. Of others, the two numbers by which it can be
    /// looked up.
    fn core_name(&self) -> Option<String> {
        let Silicon::Arm64 { implementer, part, .. } = self else {
            return None;
        };
        let name = match (implementer, part) {
            (0x41, 0xd03) => "Cortex-A53",
            (0x41, 0xd04) => "Cortex-A35",
            (0x41, 0xd05) => "Cortex-A55",
            (0x41, 0xd07) => "Cortex-A57",
            (0x41, 0xd08) => "Cortex-A72",
            (0x41, 0xd09) => "Cortex-A73",
            (0x41, 0xd0a) => "Cortex-A75",
            (0x41, 0xd0b) => "Cortex-A76",
            (0x41, 0xd0c) => "Neoverse-N1",
            (0x41, 0xd0d) => "Cortex-A77",
            (0x41, 0xd40) => "Neoverse-V1",
            (0x41, 0xd41) => "Cortex-A78",
            (0x41, 0xd44) => "Cortex-X1",
            (0x41, 0xd46) => "Cortex-A510",
            (0x41, 0xd47) => "Cortex-A710",
            (0x41, 0xd48) => "Cortex-X2",
            (0x41, 0xd49) => "Neoverse-N2",
            (0x41, 0xd4f) => "Neoverse-V2",
            (0x41, 0xd84) => "Neoverse-V3",
            (0x41, 0xd8e) => "Neoverse-N3",
            (0x43, 0x0af) => "ThunderX2",
            (0x46, 0x001) => "A64FX",
            (0x48, 0xd01) => "TSV110",
            (0x6d, 0xd49) => "Azure Cobalt 100",
            (0xc0, 0xac3) => "Ampere-1",
            (0xc0, 0xac4) => "Ampere-1A",
            _ => return Some(format!("arm64 core, implementer {implementer:#04x}, part {part:#05x}")),
        };
        Some(name.to_owned())
    }
}

/// The names of all kinds of core: `Cortex-A55 + Cortex-A76`.
fn core_names(silicon: &[Silicon]) -> Option<String> {
    let mut names: Vec<String> = silicon.iter().filter_map(Silicon::core_name).collect();
    names.dedup();
    (!names.is_empty()).then(|| names.join(" + "))
}

fn kinds_of_core(cpuinfo: &str) -> Vec<Silicon> {
    let mut kinds = Vec::new();
    for kind in cpuinfo.split("\n\n").filter_map(Silicon::of) {
        if !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// What tells one kind of core from another where there is no register for it: show_cpuinfo of arch/riscv/kernel/cpu.c,
/// arch/powerpc/kernel/setup-common.c, arch/s390/kernel/processor.c, arch/loongarch/kernel/proc.c and
/// arch/mips/kernel/proc.c. Serial numbers and clocks are left out, and so are numbers of CPUs.
const IDENTIFYING: [&str; 18] = [
    "isa",
    "hart isa",
    "mmu",
    "uarch",
    "mvendorid",
    "marchid",
    "mimpid",
    "cpu",
    "revision",
    "vendor_id",
    "machine",
    "model",
    "system type",
    "cpu model",
    "CPU Family",
    "Model Name",
    "CPU Revision",
    "Features",
];

/// The board, by the device tree. Kernels of RISC-V before 6.1 say no more of a core than its instruction set, which
/// very different ones share.
fn board(facts: &FactReader<'_>) -> Option<String> {
    let model = facts.root.text("/sys/firmware/devicetree/base/model").ok()?;
    Some(format!("board={}", model.trim_end_matches('\0').trim()))
}

fn identification(cpuinfo: &str) -> Vec<String> {
    let mut kinds = Vec::new();
    for block in cpuinfo.split("\n\n") {
        let said = block.lines().filter_map(|line| line.split_once(':')).map(|(key, value)| (key.trim(), value.trim()));
        let known = said.filter_map(|(key, value)| match key {
            // s390 writes a line for each CPU: `processor 0: version = FF, identification = 1A2B3C, machine = 8561`.
            _ if key.starts_with("processor ") => Some(format!("machine {}", value.split_once("machine = ")?.1)),
            _ => IDENTIFYING.contains(&key).then(|| format!("{key} {value}")),
        });
        let mut parts: Vec<String> = known.collect();
        parts.dedup();
        let kind = parts.join(", ");
        if !kind.is_empty() && !kinds.contains(&kind) {
            kinds.push(kind);
        }
    }
    kinds
}

/// The name of the core, or its identification numbers, where no line is called `model name`.
fn model_elsewhere(cpuinfo: &str) -> Option<String> {
    let named = ["Model Name", "uarch", "cpu model", "cpu"].iter().find_map(|key| field(cpuinfo, key));
    let numbers = || {
        let number = |key| field(cpuinfo, key);
        let (vendor, core, version) = (number("mvendorid")?, number("marchid")?, number("mimpid")?);
        Some(format!("RISC-V core, mvendorid {vendor}, marchid {core}, mimpid {version}"))
    };
    named.map(str::to_owned).or_else(numbers)
}

/// JEDEC codes from Linux's `arch/riscv/include/asm/vendorid_list.h`.
fn riscv_vendor(code: &str) -> Option<String> {
    let name = match hexadecimal(code)? {
        0x31e => "Andes",
        0x489 => "SiFive",
        0x5b7 => "T-Head",
        _ => return None,
    };
    Some(name.to_owned())
}

fn nominal_khz(facts: &mut FactReader<'_>, first: CpuId, model: Option<&str>) -> Option<u64> {
    let cpu = format!("/sys/devices/system/cpu/cpu{first}");
    let base = format!("{cpu}/cpufreq/base_frequency");
    let root = facts.root;
    let cppc_mhz = || root.value::<u64>(&format!("{cpu}/acpi_cppc/nominal_freq")).ok();
    let nominal =
        root.value(&base).ok().or_else(|| cppc_mhz()?.checked_mul(1000)).or_else(|| model.and_then(khz_in_model_name));
    if nominal.is_none() {
        facts.miss("nominal frequency", &base, "neither there, nor in acpi_cppc, nor in the model's name");
    }
    nominal
}

/// Intel writes the nominal frequency into the model's name: `… CPU @ 2.60GHz`.
fn khz_in_model_name(model: &str) -> Option<u64> {
    let (_, frequency) = model.rsplit_once("@ ")?;
    let ghz: f64 = frequency.strip_suffix("GHz")?.trim().parse().ok()?;
    (ghz > 0.0 && ghz < 100.0).then(|| (ghz * 1e6).round() as u64)
}

fn hexadecimal(text: &str) -> Option<u32> {
    u32::from_str_radix(text.strip_prefix("0x")?, 16).ok()
}

fn words(text: Option<&str>) -> Vec<String> {
    text.unwrap_or_default().split_whitespace().map(str::to_owned).collect()
}

/// The clock each CPU runs at now in MHz, where the kernel writes it (x86).
pub(super) fn current_mhz(cpuinfo: &str) -> Vec<f64> {
    fields(cpuinfo, "cpu MHz").filter_map(|mhz| mhz.parse().ok()).filter(|mhz: &f64| mhz.is_finite()).collect()
}

/// The CPUs that `/proc/cpuinfo` lists.
pub(super) fn listed(cpuinfo: &str) -> Vec<CpuId> {
    fields(cpuinfo, "processor").filter_map(|number| number.parse().ok()).map(CpuId).collect()
}
