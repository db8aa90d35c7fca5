use super::{FIXTURES, host, root};
use crate::terms::{Moment, noise::warnings};

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
