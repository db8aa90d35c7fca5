//! What kernels of other architectures than x86 and arm64 say of themselves.

use super::host;
use crate::host::Root;
use crate::terms::noise::warnings;
use crate::terms::{Host, Moment, Shortfall};

/// A machine of which these files are all that is known.
fn machine(files: &[(&str, &str)]) -> Host {
    let directory = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let file = directory.path().join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    Host::observe(&Root::at(directory.path()))
}

fn cpuinfo(text: &str) -> Host {
    machine(&[("proc/cpuinfo", text)])
}

fn warned(host: &Host) -> Vec<Shortfall> {
    warnings(host, &Moment::observe(&Root::at("/no-such-machine")))
}

fn remedy(host: &Host, what: &str) -> String {
    let warnings = warned(host);
    let found = warnings.iter().find(|warning| warning.what.contains(what));
    found.unwrap_or_else(|| panic!("no warning of {what} in {warnings:?}")).remedy.clone()
}

const RISCV: &str = "processor\t: 0\nhart\t: 0\nisa\t: rv64imafdc_zicntr\nmmu\t: sv39\nuarch\t: sifive,u74-mc\n\
    mvendorid\t: 0x489\nmarchid\t: 0x8000000000000007\nmimpid\t: 0x4210427\n";

#[test]
fn different_cores_have_different_ids_on_every_architecture() {
    let s390 = "vendor_id : IBM/S390\nprocessor 0: version = FF,  identification = 1A2B3C,  machine = 3931\n";
    let power = "processor\t: 0\ncpu\t\t: POWER10 (raw), altivec supported\nclock\t\t: 2750.000000MHz\n\
        revision\t: 2.0 (pvr 0080 0200)\n\ntimebase\t: 512000000\nplatform\t: pSeries\nmodel\t\t: IBM,9105-42A\n";
    let loongarch = "system type\t\t: generic-loongson-machine\n\nprocessor\t\t: 0\nCPU Family\t\t: Loongson-64bit\n\
        Model Name\t\t: Loongson-3A5000\nCPU Revision\t\t: 0x10\n";
    for (one, from, to) in [
        (RISCV, "rv64imafdc_zicntr", "rv64imafdcv_zicntr"),
        (RISCV, "u74-mc", "p550"),
        (RISCV, "0x489", "0x5b7"),
        (RISCV, "0x8000000000000007", "0x8000000000000008"),
        (RISCV, "0x4210427", "0x4210428"),
        (power, "POWER10", "POWER9"),
        (power, "2.0 (pvr", "2.1 (pvr"),
        (s390, "machine = 3931", "machine = 8561"),
        (loongarch, "3A5000", "3A6000"),
    ] {
        let other = one.replace(from, to);
        assert_ne!(cpuinfo(one).id(), cpuinfo(&other).id(), "{from} and {to}");
    }
    for (one, from, to) in [(s390, "1A2B3C", "1A2B3D"), (power, "2750.0", "2749.9"), (RISCV, "hart\t: 0", "hart\t: 4")]
    {
        assert_eq!(cpuinfo(one).id(), cpuinfo(&one.replace(from, to)).id(), "{from} is of one machine or moment");
    }
    let named = |text: &str| cpuinfo(text).processor.model.unwrap();
    assert_eq!(named(RISCV), "sifive,u74-mc");
    assert_eq!(named(power), "POWER10 (raw), altivec supported");
    assert_eq!(named(loongarch), "Loongson-3A5000");
    assert_eq!(cpuinfo(RISCV).processor.vendor.as_deref(), Some("SiFive"));
    assert_eq!(host("vm-2cpu").processor.identification, Vec::<String>::new(), "its registers say more");
}

/// What cpuinfo says of a core, block by block.
fn arm64(cores: &[(&str, &str)]) -> Host {
    let core = |(implementer, part): &(&str, &str)| {
        format!(
            "processor\t: 0\nFeatures\t: fp\nCPU implementer\t: {implementer}\nCPU architecture: 8\nCPU variant\t: \
             0x1\nCPU part\t: {part}\nCPU revision\t: 0\n"
        )
    };
    cpuinfo(&cores.iter().map(core).collect::<Vec<_>>().join("\n"))
}

#[test]
fn a_processor_without_a_name_is_known_by_its_numbers() {
    let named = |host: Host| host.processor.model.unwrap();
    assert_eq!(named(arm64(&[("0x41", "0xd0c"); 2])), "Neoverse-N1");
    assert_eq!(named(arm64(&[("0x00", "0x051")])), "arm64 core, implementer 0x00, part 0x051", "QEMU's `max`");
    let odd = arm64(&[("0x51", "0x001")]);
    assert_eq!((odd.processor.vendor.as_deref(), odd.processor.is_arm64()), (Some("Qualcomm"), true));
    assert_eq!(named(odd), "arm64 core, implementer 0x51, part 0x001");
    assert_eq!(named(arm64(&[("0x41", "0xd05"), ("0x41", "0xd05"), ("0x41", "0xd0b")])), "Cortex-A55 + Cortex-A76");
    assert_ne!(arm64(&[("0x00", "0x051")]).id(), arm64(&[("0x00", "0x052")]).id());
    let early = RISCV.split("uarch").next().unwrap();
    assert_eq!(named(cpuinfo(early)), "isa rv64imafdc_zicntr, mmu sv39", "before the numbers were there");
    let s390 = "vendor_id : IBM/S390\nprocessor 0: version = FF,  identification = 1A2B3C,  machine = 3931\n";
    assert_eq!(named(cpuinfo(s390)), "vendor_id IBM/S390, machine 3931");
    assert_eq!(cpuinfo("processor\t: 0\n").processor.model, None, "nothing is said");
}

/// What kernels of RISC-V before 6.1 say is the same of many processors.
#[test]
fn boards_with_cores_of_one_description_have_different_ids() {
    let old = "processor\t: 0\nhart\t\t: 0\nisa\t\t: rv64imafdc\nmmu\t\t: sv39\n";
    let board = |name: &str| machine(&[("proc/cpuinfo", old), ("sys/firmware/devicetree/base/model", name)]);
    let (one, other) = (board("SiFive HiFive Unmatched A00\0"), board("StarFive VisionFive 2 v1.3B\0"));
    assert_ne!(one.id(), other.id());
    assert_eq!(one.processor.identification.last().unwrap(), "board=SiFive HiFive Unmatched A00");
    assert_eq!(cpuinfo(old).processor.identification.len(), 1);
}

#[test]
fn two_kinds_of_core_are_two_descriptions() {
    let both = format!("{RISCV}\n{}\n{RISCV}", RISCV.replace("u74-mc", "s7"));
    assert_eq!(cpuinfo(&both).processor.identification.len(), 2);
}

#[test]
fn a_riscv_guest_is_known_by_its_device_tree() {
    let host = host("riscv64-virt");
    assert_eq!(host.virtualization.hypervisor.as_deref(), Some("QEMU"));
    assert_eq!(host.virtualization.evidence, ["the device tree calls the machine riscv-virtio,qemu"]);
    assert_eq!(host.processor.model.as_deref(), Some("RISC-V core, mvendorid 0x0, marchid 0x0, mimpid 0x0"));
    assert!(host.has_core_pmu());
}

#[test]
fn virtual_machines_without_firmware_tables_are_known() {
    let base = "sys/firmware/devicetree/base";
    for (path, text, hypervisor) in [
        (format!("{base}/compatible"), "linux,dummy-virt\0", None),
        ("proc/device-tree/compatible".into(), "riscv-virtio\0", None),
        (format!("{base}/model"), "IBM pSeries (emulated by qemu)\0", Some("QEMU")),
        (format!("{base}/hypervisor/compatible"), "linux,kvm\0", Some("linux,kvm")),
        (format!("{base}/hypervisor/compatible"), "xen,xen-4.17\0xen,xen\0", Some("xen,xen-4.17")),
        ("proc/sysinfo".into(), "Manufacturer:         IBM\nVM00 Control Program: KVM/Linux\n", Some("KVM")),
    ] {
        let host = machine(&[(path.as_str(), text)]);
        assert!(host.virtualization.is_virtual(), "{path}: {text:?}");
        assert_eq!(host.virtualization.hypervisor.as_deref(), hypervisor, "{path}: {text:?}");
    }
    for (path, text) in [
        (format!("{base}/compatible"), "sifive,hifive-unmatched-a00\0sifive,fu740-c000\0"),
        ("proc/sysinfo".into(), "Manufacturer:         IBM\nLPAR Number:          12\n"),
    ] {
        assert!(!machine(&[(path.as_str(), text)]).virtualization.is_virtual(), "{path}: {text:?}");
    }
}

#[test]
fn advice_names_a_cpu_that_is_there() {
    let mut host = host("riscv64-virt");
    assert_eq!(remedy(&host, "one CPU online"), "echo 1 | sudo tee /sys/devices/system/cpu/cpu2/online");
    host.offline.clear();
    assert_eq!(remedy(&host, "one CPU online"), "give the machine more CPUs");
}

#[test]
fn advice_names_no_file_that_was_looked_for_in_vain() {
    let mut server = host("intel-2socket-smt");
    assert!(remedy(&server, "idle states").contains("/dev/cpu_dma_latency"));
    server.unread = machine(&[]).unread;
    assert_eq!(remedy(&server, "idle states"), "boot with idle=poll");
    assert!(remedy(&server, "SMT is on").contains("/sys/devices/system/cpu/smt/control"));
    server.power.smt_control = None;
    assert!(!remedy(&server, "SMT is on").contains("/sys"));
}

/// `idle=poll` is a parameter of x86, `nohlt` one of the others.
#[test]
fn advice_names_boot_parameters_of_its_own_architecture() {
    let of_guest = |name: &str| remedy(&host(name), "a virtual machine");
    assert!(of_guest("riscv64-virt").contains(" nohlt "), "{}", of_guest("riscv64-virt"));
    assert!(!of_guest("riscv64-virt").contains("idle=poll"), "{}", of_guest("riscv64-virt"));
    let server = remedy(&host("intel-2socket-smt"), "idle states");
    assert!(server.contains("idle=poll") && !server.contains("nohlt"), "{server}");
}

#[test]
fn the_watchdog_is_blamed_where_it_is_made_of_a_counter() {
    let riscv = host("riscv64-virt");
    assert_eq!(riscv.sysctl("kernel.nmi_watchdog"), Some(1));
    assert!(warned(&riscv).iter().all(|warning| !warning.what.contains("watchdog")));
    assert!(warned(&host("intel-2socket-smt")).iter().any(|warning| warning.what.contains("watchdog")));
}

#[test]
fn core_pmus_are_known_by_every_name() {
    let with = |name: &str| machine(&[(&format!("sys/bus/event_source/devices/{name}/type"), "4")]).has_core_pmu();
    for name in ["cpu", "cpu_core", "cpu_atom", "armv8_pmuv3_0", "cpum_cf", "apple_icestorm_pmu"] {
        assert!(with(name), "{name}");
    }
    for name in ["software", "tracepoint", "uncore_imc", "arm_spe_0", "arm_cmn_0", "riscv_iommu", "power"] {
        assert!(!with(name), "{name}");
    }
}
