//! Tracepoints: their numbers, and counting wake-ups.

use std::ffi::CString;
use std::io;
use std::path::Path;

use perf_event::events::Tracepoint;
use perf_event::{Builder, Counter};

use super::refusal::{Reach, RefusalContext, errno_of, explain};
use super::{PmuError, SysRoot};
use crate::sys::{perf, tracefs};
use crate::terms::Shortfall;
use crate::units::{CpuId, parse_cpu_list};

/// Where tracefs is mounted: its own place, and where it was before Linux 4.1 and debugfs still shows it.
const TRACEFS: [&str; 2] = ["sys/kernel/tracing", "sys/kernel/debug/tracing"];

/// `MAX_FILTER_STR_VAL` in kernel/trace/trace_events_filter.c, less the end of the string and the star that [`filter`]
/// may add.
const LONGEST_GLOB: usize = 254;

const WAKING: &str = "sched:sched_waking";

/// The number by which perf knows the tracepoint `system:name` of this machine.
///
/// # Errors
/// Why it cannot be had: tracefs is closed to this user, the kernel has no tracepoints or not this one.
pub fn tracepoint_id(system: &str, name: &str) -> Result<u64, Shortfall> {
    id(&SysRoot::default(), system, name)
}

/// The number perf knows a tracepoint by, from tracefs. Where tracefs is not mounted and the caller may mount, it is
/// mounted for as long as reading takes, in a mount namespace that no other process is in.
pub(super) fn id(root: &SysRoot, system: &str, name: &str) -> Result<u64, Shortfall> {
    let event = format!("{system}:{name}");
    for mount_point in TRACEFS.map(|place| root.join(place)) {
        match mount_point.join("events").metadata() {
            Ok(_) => return read_id(&mount_point, &event),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                return Err(unreadable(&event, &mount_point));
            }
            Err(_) => {}
        }
    }
    let absent = |why: &str| {
        // sysfs has the directory where the kernel has tracefs (kernel/trace/trace.c, tracing_init_dentry).
        let remedy = match root.join(TRACEFS[0]).is_dir() {
            true => "sudo mount -t tracefs tracefs /sys/kernel/tracing, and run as root",
            false => "use a kernel with CONFIG_TRACING, and mount sysfs on /sys",
        };
        Shortfall::new(&event, format!("tracefs is not mounted{why}"), remedy)
    };
    if !root.is_live() {
        return Err(absent(""));
    }
    // A thread of its own: the mount namespace it moves to ends with it, and the caller's stays as it is.
    let name = event.clone();
    let with_mount = move || tracefs::mount_privately().map(|mount_point| read_id(&mount_point, &name));
    let thread = std::thread::Builder::new().spawn(with_mount);
    match thread.map_err(|error| absent(&format!(" and no thread to mount it ({error})")))?.join() {
        Ok(Ok(id)) => id,
        Ok(Err(error)) => Err(absent(&format!(" and cannot be ({error})"))),
        Err(_) => Err(absent(" and mounting it panicked")),
    }
}

/// `event` is `system:name`, and the directory `system/name`.
fn read_id(mount_point: &Path, event: &str) -> Result<u64, Shortfall> {
    let path = mount_point.join("events").join(event.replacen(':', "/", 1)).join("id");
    let text = std::fs::read_to_string(&path).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => unreadable(event, mount_point),
        _ => {
            Shortfall::new(event, "this kernel has no such tracepoint", "choose one that `perf list tracepoint` shows")
        }
    })?;
    text.trim().parse().map_err(|_| {
        let reason = format!("{}: '{}' is not a number", path.display(), text.trim());
        Shortfall::new(event, reason, "report it with the kernel's version")
    })
}

fn unreadable(event: &str, mount_point: &Path) -> Shortfall {
    let remedy = format!("run as root, or sudo mount -o remount,mode=755 {}", mount_point.display());
    Shortfall::new(event, "tracefs is closed to this user", remedy)
}

/// Counts the wake-ups of tasks by their name, each exactly once, whichever task is the waker.
///
/// It counts `sched:sched_waking` on every processor with a filter on the woken task's name. On tasks the same
/// tracepoint would be counted in the waker *and* in the woken task, because it carries the latter
/// (`__perf_task` in include/trace/events/sched.h). A wake-up that finds its task awake already is not counted:
/// the kernel fires the tracepoint after that check (`try_to_wake_up` in kernel/sched/core.c). A round trip of two
/// tasks on one processor is therefore one wake-up or two, as the woken side preempts its waker or not.
#[derive(Debug)]
pub struct Wakeups {
    /// One per processor that was online.
    counters: Vec<Counter>,
}

impl Wakeups {
    /// Opens the count, disabled, for tasks whose name (15 bytes, `PR_SET_NAME`) matches the shell pattern
    /// `comm_glob` (`*`, `?` and `[…]`; 1 to 254 bytes, no quotes, backslashes or NUL).
    ///
    /// # Errors
    /// Why it cannot be counted: privileges (`CAP_PERFMON`, or `kernel.perf_event_paranoid` 0, and a tracefs that
    /// can be read or mounted), a kernel without tracepoints, a pattern that cannot be one.
    pub fn open(comm_glob: &str) -> Result<Self, Shortfall> {
        let root = SysRoot::default();
        let filter = filter(comm_glob)?;
        let id = id(&root, "sched", "sched_waking")?;
        let conditions =
            RefusalContext { reach: Reach::Processors, paranoid: root.paranoid(), cpu_pmu: None, watchdog: false };
        let on = |CpuId(cpu): CpuId| {
            let mut builder = Builder::new(Tracepoint::with_id(id));
            perf::open(builder.exclude_kernel(false).exclude_hv(false).any_pid().one_cpu(cpu))
        };
        let mut counters = Vec::new();
        for cpu in online_cpus(&root)? {
            let counter = on(cpu).map_err(|error| explain(WAKING, errno_of(&error), conditions))?;
            perf::set_filter(&counter, &filter)
                .map_err(|error| Shortfall::new(WAKING, error.to_string(), "check the pattern of the tasks' names"))?;
            counters.push(counter);
        }
        Ok(Self { counters })
    }

    /// Starts counting.
    ///
    /// # Errors
    /// [`PmuError::Counter`] when the kernel refuses.
    pub fn enable(&mut self) -> Result<(), PmuError> {
        let outcome = self.counters.iter_mut().try_for_each(Counter::enable);
        outcome.map_err(|error| PmuError::counter(WAKING, "ioctl PERF_EVENT_IOC_ENABLE", &error))
    }

    /// Stops counting.
    ///
    /// # Errors
    /// As [`enable`](Self::enable).
    pub fn disable(&mut self) -> Result<(), PmuError> {
        let outcome = self.counters.iter_mut().try_for_each(Counter::disable);
        outcome.map_err(|error| PmuError::counter(WAKING, "ioctl PERF_EVENT_IOC_DISABLE", &error))
    }

    /// The wake-ups counted since it was opened: use differences.
    ///
    /// # Errors
    /// [`PmuError::Counter`] when the kernel refuses a read.
    pub fn count(&mut self) -> Result<u64, PmuError> {
        let counts: io::Result<Vec<u64>> = self.counters.iter_mut().map(Counter::read).collect();
        Ok(counts.map_err(|error| PmuError::counter(WAKING, "read", &error))?.into_iter().sum())
    }
}

fn filter(comm_glob: &str) -> Result<CString, Shortfall> {
    let quotable = (1..=LONGEST_GLOB).contains(&comm_glob.len()) && !comm_glob.contains(['"', '\'', '\\']);
    // A pattern whose only star leads it is matched against the end of the 16-byte field, not of the name in it
    // (`regex_match_end` in kernel/trace/trace_events_filter.c). A second star makes it a full glob.
    let full_glob = if comm_glob.starts_with('*') { "*" } else { "" };
    let filter = CString::new(format!("comm ~ \"{full_glob}{comm_glob}\"")).ok().filter(|_| quotable);
    filter.ok_or_else(|| {
        let reason = format!("'{comm_glob}' cannot be a pattern in the kernel's filter language");
        Shortfall::new(WAKING, reason, "use 1 to 254 bytes without quotes and backslashes")
    })
}

fn online_cpus(root: &SysRoot) -> Result<Vec<CpuId>, Shortfall> {
    let path = root.join("sys/devices/system/cpu/online");
    let text = std::fs::read_to_string(&path).unwrap_or_default();
    parse_cpu_list(&text).filter(|cpus| !cpus.is_empty()).ok_or_else(|| {
        Shortfall::new(WAKING, format!("{} does not list the processors", path.display()), "mount sysfs on /sys")
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::thread;
    use std::time::Duration;

    use super::*;

    const SLEEPS: u64 = 200;

    #[test]
    fn numbers_come_from_tracefs() {
        let root = SysRoot::fixture("amd-server");
        assert_eq!(id(&root, "sched", "sched_waking"), Ok(317));
        assert!(id(&root, "sched", "sched_x").is_err_and(|refusal| refusal.why.contains("no such tracepoint")));
        let refusal = id(&SysRoot::fixture("no-such-machine"), "sched", "sched_waking").unwrap_err();
        assert!(refusal.why.contains("not mounted") && refusal.remedy.contains("CONFIG_TRACING"), "{refusal}");
        let refusal = id(&SysRoot::fixture("unmounted"), "sched", "sched_waking").unwrap_err();
        assert!(refusal.remedy.contains("mount -t tracefs tracefs /sys/kernel/tracing"), "{refusal}");
    }

    #[test]
    fn the_first_tracefs_that_is_mounted_has_the_number() {
        // The two trees are of different kernels: an event is looked for in the one that perf's numbers are of.
        let root = SysRoot::fixture("debugfs-only");
        assert_eq!(id(&root, "sched", "sched_waking"), Ok(211));
        let both = SysRoot::fixture("two-tracefs");
        assert_eq!(id(&both, "sched", "sched_waking"), Ok(318));
    }

    #[test]
    fn patterns_cannot_break_out_of_the_filter() {
        assert_eq!(filter("brigade-*").unwrap().to_bytes(), b"comm ~ \"brigade-*\"");
        for wrong in ["", "a\" || 1", "a\\", "a'", "a\0b", &"a".repeat(256)] {
            assert!(filter(wrong).is_err(), "{wrong}");
        }
    }

    /// Each sleep of these threads ends in exactly one wake-up, whatever else the machine does. (A ping-pong will
    /// not do: where the woken side preempts its waker at once, the answer finds the waker awake.)
    fn sleep_often(names: [String; 2], start: impl FnOnce()) {
        let go = Barrier::new(3);
        let sleep_all = || {
            go.wait();
            (0..SLEEPS).for_each(|_| thread::sleep(Duration::from_micros(100)));
        };
        thread::scope(|scope| {
            for name in names {
                thread::Builder::new().name(name).spawn_scoped(scope, sleep_all).unwrap();
            }
            start();
            go.wait();
        });
    }

    #[test]
    fn each_wake_up_is_counted_once() {
        // Every CPU is watched: another checkout's tests may run beside these. A name has fifteen letters.
        let own = format!("woken-{:x}", std::process::id());
        let globs = [format!("{own}-?"), format!("{own}-*"), format!("*{}-b", &own[2..]), format!("*{}-b*", &own[4..])];
        let globs = globs.into_iter().chain([format!("{own}-b"), format!("{own}-c")]);
        let globs: Vec<String> = globs.collect();
        let opened: Result<Vec<Wakeups>, Shortfall> = globs.iter().map(|glob| Wakeups::open(glob)).collect();
        let mut opened = match opened {
            Ok(opened) => opened,
            Err(refusal) => return println!("not checked: {refusal}"),
        };
        sleep_often([format!("{own}-a"), format!("{own}-b")], || {
            opened.iter_mut().for_each(|wakeups| wakeups.enable().unwrap());
        });
        opened.iter_mut().for_each(|wakeups| wakeups.disable().unwrap());
        for ((wakeups, glob), threads) in opened.iter_mut().zip(globs).zip([2, 2, 1, 1, 1, 0]) {
            let count = wakeups.count().unwrap();
            // The barrier's lock and its opening are a few wake-ups more.
            let expected = threads * SLEEPS..=threads * (SLEEPS + 5);
            assert!(expected.contains(&count), "{glob}: {count}");
        }
    }
}
