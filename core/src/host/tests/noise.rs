use super::{FIXTURES, host, root};
use crate::host::Root;
use crate::terms::{Host, host::Stoppages};
use crate::terms::{Moment, noise::warnings};
use crate::units::{CpuId, Nanos};

fn warned(name: &str) -> Vec<String> {
    warnings(&host(name), &Moment::observe(&root(name))).into_iter().map(|warning| warning.what).collect()
}

#[test]
fn guests_are_warned_of_the_host_below_them() {
    assert_eq!(
        warned("vm-2cpu"),
        [
            "a virtual machine (QEMU)",
            "8.0 % of CPU time since boot was stolen",
            "no PMU of the CPU cores",
            "load average 1.50",
            "clock source kvm-clock",
            "autogroup is on",
            "perf_event_paranoid is 3",
            "transparent huge pages are always on",
        ]
    );
    assert_eq!(
        warned("arm64-vm-nocache"),
        [
            "a virtual machine (KVM)",
            "the kernel describes no caches",
            "a CPU quota of 150000 us in 100000 us on /sys/fs/cgroup/cpu,cpuacct/user.slice",
        ]
    );
}

#[test]
fn every_warning_gives_a_reason_and_a_remedy_of_one_line() {
    for name in FIXTURES {
        for warning in warnings(&host(name), &Moment::observe(&root(name))) {
            for line in [&warning.why, &warning.remedy] {
                assert!(!line.is_empty() && !line.contains('\n'), "{warning:?}");
            }
        }
    }
}

#[test]
fn a_quiet_server_is_warned_of_what_its_administrator_left_on() {
    assert_eq!(
        warned("intel-2socket-smt"),
        [
            "scaling governor powersave",
            "turbo is allowed",
            "SMT is on",
            "idle states that take up to 133 us to leave",
            "autogroup is on",
            "perf_event_paranoid is 4",
            "the NMI watchdog is on",
            "NUMA balancing is on",
        ]
    );
}

#[test]
fn a_tuned_server_is_warned_of_the_little_that_is_left() {
    assert_eq!(
        warned("amd-two-ccx"),
        [
            "SMT is on",
            "clock source hpet",
            "transparent huge pages are always on",
            "a CPU quota of 200000 us in 100000 us on /sys/fs/cgroup/ci/job",
        ]
    );
}

#[test]
fn a_scheduler_out_of_the_ordinary_and_kinds_of_core_are_told() {
    let tree = tempfile::tempdir().unwrap();
    super::damage::copy(&super::directory("vm-2cpu"), tree.path());
    let write = |path: &str, text: &str| {
        let path = tree.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{text}\n")).unwrap();
    };
    let seen = || Host::observe(&Root::at(tree.path()));
    let plain = seen();
    assert!(plain.scheduler.is_plain() && plain.topology.kinds().len() == 1);
    write("sys/kernel/sched_ext/state", "disabled");
    write("sys/devices/system/cpu/nohz_full", "(null)");
    assert_eq!(seen().id(), plain.id(), "a kernel that could load a scheduler is the same host");
    write("sys/kernel/sched_ext/state", "enabled");
    write("sys/kernel/sched_ext/root/ops", "lavd_1.0.9");
    write("sys/kernel/debug/sched/base_slice_ns", "3000000");
    write("sys/kernel/debug/sched/features", "GENTLE_FAIR_SLEEPERS NO_HRTICK");
    write("sys/devices/system/cpu/isolated", "1");
    write("sys/devices/system/cpu/nohz_full", "0-1,7");
    for (cpu, capacity) in [(0, "1024"), (1, "380")] {
        write(&format!("sys/devices/system/cpu/cpu{cpu}/cpu_capacity"), capacity);
    }
    write("sys/bus/event_source/devices/armv8_cortex_a55/cpus", "1");
    write("sys/bus/event_source/devices/armv8_cortex_a76/cpus", "0");
    let host = seen();
    assert_eq!(host.scheduler.extension.as_deref(), Some("lavd_1.0.9"));
    assert_eq!((host.scheduler.base_slice_ns, host.scheduler.features.len()), (Some(3_000_000), 2));
    assert_ne!(host.id(), plain.id());
    assert_eq!(host.topology.kinds(), [vec![CpuId(0)], vec![CpuId(1)]]);
    assert_eq!(host.topology.cpus[1].pmu.as_deref(), Some("armv8_cortex_a55"));
    let warned: Vec<String> = warnings(&host, &Moment::default()).into_iter().map(|warning| warning.what).collect();
    for expected in [
        "the BPF scheduler lavd_1.0.9 (sched_ext) runs",
        "CPUs 1 are isolated from load balancing",
        "CPUs 0-1 run without a tick (nohz_full)",
        "kinds of core: CPUs 0, and CPUs 1",
    ] {
        assert!(warned.iter().any(|what| what == expected), "{expected}: {warned:?}");
    }
}

#[test]
fn what_stops_tasks_is_read_where_the_machine_tells() {
    let tree = tempfile::tempdir().unwrap();
    let write = |path: &str, text: &str| {
        let path = tree.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, format!("{text}\n")).unwrap();
    };
    let seen = || Moment::observe(&Root::at(tree.path())).stoppages;
    assert_eq!(seen(), Stoppages::default());
    write("proc/self/cgroup", "0::/a/b");
    write("proc/self/mountinfo", "31 23 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw");
    // The quota of an ancestor holds back as well.
    write("sys/fs/cgroup/a/cpu.stat", "usage_usec 9\nnr_throttled 3\nthrottled_usec 1200");
    write("sys/fs/cgroup/a/b/cpu.stat", "usage_usec 9\nnr_throttled 0\nthrottled_usec 7");
    write("sys/fs/cgroup/a/cpuset.cpus.effective", "0-2");
    write("sys/fs/cgroup/cpuset.cpus.effective", "0-3");
    write("proc/vmstat", "pswpin 2\npswpout 5");
    write("sys/devices/system/cpu/online", "0-3");
    write("sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count", "4");
    write("sys/devices/system/cpu/cpu1/thermal_throttle/package_throttle_count", "2");
    write("sys/devices/system/cpu/cpufreq/thermal_throttle/core_throttle_count", "100");
    let expected = Stoppages {
        held_by_quota: Some(Nanos(1_200_000)),
        overheated: Some(6),
        swapped_pages: Some(7),
        suspended: None,
        online: Some("0-3".into()),
        granted: Some("0-2".into()),
    };
    assert_eq!(seen(), expected);
    // Version 1 counts nanoseconds.
    write("proc/self/cgroup", "4:cpu:/a");
    write("proc/self/mountinfo", "40 31 0:36 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct");
    write("sys/fs/cgroup/cpu/a/cpu.stat", "nr_throttled 1\nthrottled_time 55");
    assert_eq!(seen().held_by_quota, Some(Nanos(55)));
}
