//! Whether the machine is a virtual one, and how that is known.

use super::root::FactReader;
use crate::terms::host::{ClockSource, Kernel, Processor, Virtualization};

/// What the firmware calls machines that are virtual, and the hypervisor that is under them.
const FIRMWARE: [(&str, &str); 14] = [
    ("Firecracker", "Firecracker"),
    ("Google Compute Engine", "KVM"),
    ("Amazon EC2", "Nitro"),
    ("KVM", "KVM"),
    ("QEMU", "QEMU"),
    ("Bochs", "QEMU"),
    ("OpenStack", "KVM"),
    ("DigitalOcean", "KVM"),
    ("VMware", "VMware"),
    ("VirtualBox", "VirtualBox"),
    ("innotek GmbH", "VirtualBox"),
    ("Xen", "Xen"),
    ("Parallels", "Parallels"),
    ("Virtual Machine", "Hyper-V"),
];

struct Clue {
    evidence: String,
    hypervisor: Option<String>,
}

impl Virtualization {
    pub(super) fn observe(
        facts: &mut FactReader<'_>,
        processor: &Processor,
        kernel: &Kernel,
        clock: &ClockSource,
    ) -> Self {
        let system_vendor = facts.text("system vendor", "/sys/class/dmi/id/sys_vendor");
        let product = facts.text("product name", "/sys/class/dmi/id/product_name");
        let signs: Vec<Clue> = [
            from_sysfs(facts),
            from_firmware(system_vendor.as_deref(), product.as_deref()),
            from_device_tree(facts),
            from_machine_in_device_tree(facts),
            from_sysinfo(facts),
            from_clock(clock),
            from_command_line(kernel),
            from_flags(processor),
        ]
        .into_iter()
        .flatten()
        .collect();
        Self {
            hypervisor: signs.iter().find_map(|sign| sign.hypervisor.clone()),
            evidence: signs.into_iter().map(|sign| sign.evidence).collect(),
            system_vendor,
            product,
        }
    }
}

fn from_sysfs(facts: &FactReader<'_>) -> Option<Clue> {
    let kind = facts.root.text("/sys/hypervisor/type").ok()?;
    Some(Clue { evidence: format!("/sys/hypervisor/type is {kind}"), hypervisor: Some(kind) })
}

fn from_firmware(vendor: Option<&str>, product: Option<&str>) -> Option<Clue> {
    // Bare-metal instances have the cloud's name in the firmware too.
    if product.is_some_and(|product| product.contains("metal")) {
        return None;
    }
    let text = format!("{} {}", vendor.unwrap_or_default(), product.unwrap_or_default());
    let (_, hypervisor) = FIRMWARE.iter().find(|(mark, _)| text.contains(mark))?;
    Some(Clue { evidence: format!("firmware says {:?}", text.trim()), hypervisor: Some((*hypervisor).to_owned()) })
}

/// A property of the device tree: strings, each ended by a NUL. Without sysfs it is still in /proc.
fn device_tree(facts: &FactReader<'_>, property: &str) -> Option<Vec<String>> {
    let read = |base: &str| facts.root.text(&format!("{base}/{property}")).ok();
    let text = read("/sys/firmware/devicetree/base").or_else(|| read("/proc/device-tree"))?;
    Some(text.split('\0').filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

fn from_device_tree(facts: &FactReader<'_>) -> Option<Clue> {
    let kind = device_tree(facts, "hypervisor/compatible")?.into_iter().next()?;
    Some(Clue { evidence: format!("the device tree names the hypervisor {kind}"), hypervisor: Some(kind) })
}

/// Machines that exist in no other form: the generic boards of QEMU, crosvm and kvmtool (hw/arm/virt.c, hw/riscv/virt.c
/// and hw/ppc/spapr.c of QEMU).
fn from_machine_in_device_tree(facts: &FactReader<'_>) -> Option<Clue> {
    let names = ["compatible", "model"].into_iter().filter_map(|property| device_tree(facts, property)).flatten();
    let names: Vec<String> = names.collect();
    let of_qemu = names.iter().find(|name| name.contains("qemu"));
    let name =
        of_qemu.or_else(|| names.iter().find(|name| ["linux,dummy-virt", "riscv-virtio"].contains(&name.as_str())))?;
    let hypervisor = of_qemu.map(|_| "QEMU".to_owned());
    Some(Clue { evidence: format!("the device tree calls the machine {name}"), hypervisor })
}

/// s390 (arch/s390/kernel/sysinfo.c). Above no level called VM a logical partition has the machine.
fn from_sysinfo(facts: &FactReader<'_>) -> Option<Clue> {
    let text = facts.root.text("/proc/sysinfo").ok()?;
    let program = super::field(&text, "VM00 Control Program")?;
    let hypervisor = program.split_whitespace().next().map(|name| name.trim_end_matches("/Linux").to_owned());
    Some(Clue { evidence: format!("/proc/sysinfo names the control program {program}"), hypervisor })
}

fn from_clock(clock: &ClockSource) -> Option<Clue> {
    let hypervisor = |source: &str| match source {
        "kvm-clock" => Some("KVM"),
        "xen" => Some("Xen"),
        "hyperv_clocksource_tsc_page" | "hyperv_clocksource_msr" => Some("Hyper-V"),
        _ => None,
    };
    let (source, name) = clock.available.iter().find_map(|source| Some((source, hypervisor(source)?)))?;
    Some(Clue { evidence: format!("clock source {source}"), hypervisor: Some(name.to_owned()) })
}

/// Small virtual machines without firmware or PCI learn of their devices from the command line.
fn from_command_line(kernel: &Kernel) -> Option<Clue> {
    kernel.parameter("virtio_mmio.device")?;
    Some(Clue { evidence: "boot parameter virtio_mmio.device".to_owned(), hypervisor: None })
}

fn from_flags(processor: &Processor) -> Option<Clue> {
    processor.has_flag("hypervisor").then(|| Clue { evidence: "CPU flag hypervisor".to_owned(), hypervisor: None })
}
