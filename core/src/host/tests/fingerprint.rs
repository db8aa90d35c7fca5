use super::{FIXTURES, host, pairs, root, unread};
use crate::terms::host::fnv1a;
use crate::terms::{
    Host, Moment,
    host::{PreemptionModel, RlimitValue, Silicon},
};

#[test]
fn a_bare_metal_server_is_read_whole() {
    let host = host("intel-2socket-smt");
    let processor = &host.processor;
    assert_eq!(processor.silicon, [Silicon::X86 { family: 6, model: 85, stepping: 4 }]);
    assert_eq!(processor.microcode.as_deref(), Some("0x2007006"));
    assert_eq!((processor.nominal_khz, processor.maximum_khz), (Some(2_600_000), Some(3_700_000)));
    assert_eq!(host.kernel.tick_hz, Some(1000));
    let preemption = host.kernel.preemption.as_ref().unwrap();
    assert_eq!(preemption.model, PreemptionModel::Voluntary);
    assert_eq!(preemption.path, "/boot/config-6.8.0-49-generic");
    assert_eq!(host.mitigations["meltdown"], "Mitigation: PTI");
    assert_eq!((host.power.governors.as_slice(), host.power.idle.deepest_us()), (&["powersave".into()][..], Some(133)));
    assert!(host.power.turbo.as_ref().unwrap().allowed);
    assert!(!host.virtualization.is_virtual() && host.has_core_pmu());
    assert_eq!(host.sysctl("kernel.perf_event_paranoid"), Some(4));
    assert_eq!(host.process.rlimits["RLIMIT_NOFILE"].soft, RlimitValue::At(1024));
    assert_eq!(unread(&host), Vec::<&str>::new());
}

#[test]
fn an_arm64_guest_is_named_by_its_core_and_its_firmware() {
    let host = host("arm64-vm-nocache");
    assert_eq!(host.processor.model.as_deref(), Some("Neoverse-N1"));
    assert_eq!(host.processor.vendor.as_deref(), Some("Arm"));
    assert_eq!(host.virtualization.hypervisor.as_deref(), Some("KVM"));
    assert_eq!(host.kernel.architecture, None, "5.10 has no file, and uname speaks of another machine");
    assert!(host.has_core_pmu());
    for missing in ["scaling governor", "turbo", "architecture", "kernel.io_uring_disabled", "maximum frequency"] {
        assert!(unread(&host).contains(&missing), "{missing} in {:?}", unread(&host));
    }
}

#[test]
fn an_x86_guest_is_known_by_cpu_flag_firmware_and_clock() {
    let host = host("vm-2cpu");
    assert_eq!(host.virtualization.evidence.len(), 3, "{:?}", host.virtualization.evidence);
    assert_eq!(host.virtualization.hypervisor.as_deref(), Some("QEMU"));
    assert_eq!(host.processor.nominal_khz, Some(2_700_000), "from the model's name");
    assert_eq!(pairs(&host), [Some((0, 0)), None, None, Some((0, 1)), None]);
}

#[test]
fn the_moment_holds_load_steal_pressure_and_frequencies() {
    let moment = Moment::observe(&root("vm-2cpu"));
    assert_eq!((moment.load, moment.runnable_tasks, moment.tasks), (Some([1.5, 1.1, 0.9]), Some(3), Some(210)));
    assert_eq!(moment.ticks.and_then(|ticks| ticks.steal_share()), Some(0.08));
    assert_eq!(moment.cpu_pressure_percent, Some(12.5));
    assert_eq!(moment.cpu_mhz, [2699.998; 2]);
    assert_eq!(Moment::observe(&root("arm64-vm-nocache")).cpu_pressure_percent, None);
}

#[test]
fn an_id_follows_the_machine_and_not_what_happens_on_it() {
    let host = host("intel-2socket-smt");
    let id = host.id();
    assert_eq!(id.len(), 16);
    let mut busy = host.clone();
    busy.cgroups.clear();
    busy.process.rlimits.clear();
    busy.kernel.preemption = None;
    busy.memory.total_bytes = None;
    assert_eq!(busy.id(), id);
    let mut patched = host.clone();
    patched.processor.microcode = Some("0x2007007".into());
    assert_ne!(patched.id(), id);
    let mut ids: Vec<String> = FIXTURES.iter().map(|name| self::host(name).id()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), FIXTURES.len());
}

#[test]
fn the_hash_is_the_published_one() {
    // From the test vectors of RFC 9923.
    assert_eq!(fnv1a(b""), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a(b"foobar"), 0x8594_4171_f739_67e8);
}

#[test]
fn a_host_survives_being_written_and_read() {
    for name in FIXTURES {
        let host = host(name);
        let json = serde_json::to_string(&host).unwrap();
        let back: Host = serde_json::from_str(&json).unwrap();
        assert_eq!(back, host);
        assert_eq!(back.id(), host.id());
    }
}
