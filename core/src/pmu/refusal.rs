//! Why the kernel would not count, and what the user can do.

use std::io;

use nix::errno::Errno;

use super::Event;
use crate::terms::Shortfall;

/// An event that opens and is said to run, and misses work that no working counter misses.
pub(super) fn silent(event: impl Into<String>) -> Shortfall {
    Shortfall::new(
        event,
        "the PMU claims to count and reads 0",
        "run where the PMU implements the event; emulated ones often do not",
    )
}

/// The PMU refuses `event` for its mode alone. It was `counted` in both modes under that name, or that was refused too.
pub(super) fn modes_not_told_apart(event: &Event, counted: Result<&str, Shortfall>) -> Shortfall {
    let cannot = "the PMU here cannot count one mode alone (EINVAL), so user mode and the kernel are not told apart";
    match counted {
        Ok(both) => Shortfall::new(
            event.to_string(),
            format!("{cannot}; counted in both together, as {both}"),
            "run on a CPU whose PMU filters by mode (RISC-V: Sscofpmf or Smcntrpmf)",
        ),
        Err(refusal) => {
            Shortfall::new(event.to_string(), format!("{cannot}; and together: {}", refusal.why), refusal.remedy)
        }
    }
}

/// The remedy for an event that got no counter. `watchdog`: whether the NMI watchdog holds one.
pub(super) fn free_a_counter(watchdog: bool) -> &'static str {
    if watchdog {
        "end other profilers, and the NMI watchdog: sudo sysctl kernel.nmi_watchdog=0"
    } else {
        "end other profilers"
    }
}

/// The errno of `perf-event2`'s errors; it replaces E2BIG by an error of its own.
pub(super) fn errno_of(error: &io::Error) -> Errno {
    match error.raw_os_error() {
        Some(number) => Errno::from_raw(number),
        None if error.kind() == io::ErrorKind::Unsupported => Errno::E2BIG,
        None => Errno::UnknownErrno,
    }
}

/// What an event looks at, which decides the privilege it takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// The caller's own tasks, in user mode alone.
    OwnUserMode,
    /// The caller's own tasks, the kernel included.
    OwnTasks,
    /// Everything that runs on a processor.
    Processors,
}

impl Reach {
    /// The highest `kernel.perf_event_paranoid` that lets an unprivileged task open such an event
    /// (Documentation/admin-guide/sysctl/kernel.rst; 3 and 4 are additions of distributions that refuse all).
    fn highest_paranoid(self) -> i32 {
        match self {
            Self::OwnUserMode => 2,
            Self::OwnTasks => 1,
            Self::Processors => 0,
        }
    }
}

/// What is known of the machine when the kernel refuses.
#[derive(Debug, Clone, Copy)]
pub(super) struct RefusalContext {
    pub(super) reach: Reach,
    /// `kernel.perf_event_paranoid`, if it could be read.
    pub(super) paranoid: Option<i32>,
    /// Whether the processor's own PMU counts anything at all. `None` when that could not be found out, or when
    /// the event is none of that PMU's.
    pub(super) cpu_pmu: Option<bool>,
    /// Whether the NMI watchdog holds one of the PMU's counters.
    pub(super) watchdog: bool,
}

/// Decodes the errno of perf_event_open(2) ("ERRORS" there).
pub(super) fn explain(event: &str, errno: Errno, conditions: RefusalContext) -> Shortfall {
    let (reason, remedy) = match errno {
        // Where there is no PMU at all, more privilege would not help.
        Errno::ENOENT | Errno::EACCES | Errno::EPERM if conditions.cpu_pmu == Some(false) => (
            "there is no hardware PMU here",
            "in a virtual machine have the hypervisor expose the vPMU (QEMU/KVM: -cpu host,pmu=on; clouds: metal \
             or whole-socket instances), or run on bare metal",
        ),
        Errno::ENOENT => (
            "neither the kernel nor the PMU here has such an event",
            "choose one that `perf list` shows, or give the processor's own event as a raw one (rNNNN)",
        ),
        Errno::EACCES | Errno::EPERM => return permission(event, errno, conditions),
        Errno::EINVAL => (
            "the kernel or the PMU does not accept this event or its modifier (EINVAL)",
            "check the encoding against the processor's manual, or drop the modifier",
        ),
        Errno::EOPNOTSUPP => (
            "the PMU lacks a feature that the event needs (EOPNOTSUPP)",
            "drop the modifier, or choose an event that `perf list` shows",
        ),
        Errno::ENODEV => (
            "the processor, or the processor asked for, cannot count it (ENODEV)",
            "check that the processor is online and that the PMU's driver is loaded",
        ),
        Errno::EMFILE | Errno::ENFILE => {
            ("too many open descriptors: each event takes one (EMFILE)", "raise the limit: ulimit -n 4096")
        }
        Errno::ENOSYS => (
            "there is no perf_event_open here: the kernel lacks CONFIG_PERF_EVENTS or a sandbox hides it (ENOSYS)",
            "run outside the container or sandbox, or allow perf_event_open in its seccomp profile",
        ),
        Errno::EBUSY => ("another event holds the PMU exclusively (EBUSY)", free_a_counter(conditions.watchdog)),
        Errno::ENOSPC => ("the processor has no free counter or breakpoint (ENOSPC)", "ask for fewer events"),
        Errno::E2BIG => ("the event uses an option this kernel does not know (E2BIG)", "use a newer kernel"),
        other => {
            return Shortfall::new(event, format!("perf_event_open: {other}"), "see perf_event_open(2), ERRORS");
        }
    };
    Shortfall::new(event, reason, remedy)
}

fn permission(event: &str, errno: Errno, RefusalContext { reach, paranoid, .. }: RefusalContext) -> Shortfall {
    let needed = reach.highest_paranoid();
    let Some(paranoid) = paranoid.filter(|paranoid| *paranoid > needed) else {
        return Shortfall::new(
            event,
            format!("perf_event_open was refused ({errno:?}) though kernel.perf_event_paranoid allows it"),
            "a container's seccomp profile or a security module refuses: allow perf_event_open, or grant CAP_PERFMON",
        );
    };
    let what = match reach {
        Reach::OwnUserMode => "any event",
        Reach::OwnTasks => "events in the kernel",
        Reach::Processors => "events of whole processors",
    };
    Shortfall::new(
        event,
        format!("kernel.perf_event_paranoid is {paranoid}, which keeps {what} from unprivileged users"),
        format!(
            "sudo sysctl kernel.perf_event_paranoid={needed}, or grant CAP_PERFMON (before Linux 5.8 CAP_SYS_ADMIN)"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn here(reach: Reach, paranoid: Option<i32>) -> RefusalContext {
        RefusalContext { reach, paranoid, cpu_pmu: Some(true), watchdog: true }
    }

    #[test]
    fn each_errno_has_its_reason_and_remedy() {
        for (errno, reason, remedy) in [
            (Errno::ENOENT, "has such an event", "perf list"),
            (Errno::EINVAL, "EINVAL", "manual"),
            (Errno::EOPNOTSUPP, "EOPNOTSUPP", "modifier"),
            (Errno::ENODEV, "ENODEV", "online"),
            (Errno::EMFILE, "descriptors", "ulimit -n"),
            (Errno::ENOSYS, "CONFIG_PERF_EVENTS", "seccomp"),
            (Errno::EBUSY, "EBUSY", "nmi_watchdog"),
            (Errno::ENOSPC, "ENOSPC", "fewer"),
            (Errno::E2BIG, "E2BIG", "newer kernel"),
            (Errno::EFAULT, "EFAULT", "perf_event_open(2)"),
        ] {
            let refusal = explain("cycles:k", errno, here(Reach::OwnTasks, Some(2)));
            assert!(refusal.why.contains(reason), "{refusal}");
            assert!(refusal.remedy.contains(remedy), "{refusal}");
            assert_eq!(refusal.what, "cycles:k");
        }
    }

    #[test]
    fn the_watchdog_is_named_only_where_it_holds_a_counter() {
        let without = RefusalContext { watchdog: false, ..here(Reach::OwnTasks, Some(0)) };
        let refusal = explain("cycles", Errno::EBUSY, without);
        assert!(refusal.remedy.contains("profilers") && !refusal.remedy.contains("watchdog"), "{refusal}");
    }

    #[test]
    fn a_machine_without_pmu_is_told_apart_from_one_without_the_event() {
        let conditions = RefusalContext { cpu_pmu: Some(false), ..here(Reach::OwnTasks, Some(0)) };
        for errno in [Errno::ENOENT, Errno::EACCES] {
            let refusal = explain("cycles", errno, conditions);
            assert!(refusal.why.contains("no hardware PMU") && refusal.remedy.contains("vPMU"), "{refusal}");
        }
    }

    #[test]
    fn refusals_name_the_level_that_was_read_and_the_one_that_helps() {
        for (reach, paranoid, helps) in [
            (Reach::OwnTasks, 2, "perf_event_paranoid=1"),
            (Reach::OwnUserMode, 3, "perf_event_paranoid=2"),
            (Reach::Processors, 1, "perf_event_paranoid=0"),
        ] {
            let refusal = explain("x", Errno::EACCES, here(reach, Some(paranoid)));
            assert!(refusal.why.contains(&format!("paranoid is {paranoid}")), "{refusal}");
            assert!(refusal.remedy.contains(helps) && refusal.remedy.contains("CAP_PERFMON"), "{refusal}");
        }
    }

    #[test]
    fn a_refusal_that_paranoid_does_not_explain_points_at_the_sandbox() {
        for paranoid in [Some(1), Some(-1), None] {
            let refusal = explain("x", Errno::EPERM, here(Reach::OwnTasks, paranoid));
            assert!(refusal.remedy.contains("seccomp"), "{refusal}");
        }
    }
}
