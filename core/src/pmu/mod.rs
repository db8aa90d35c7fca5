//! Counters: event sets, opening, reading, what could not be counted and why.
//!
//! A driver thread calls [`Counters::open`] before any worker exists. Every event is opened on that thread with
//! `inherit`, so threads, processes and io_uring kernel threads created later are counted too, and the
//! [`Counters`] can then be given to another thread that selects event sets and reads differences outside the
//! timed region.
//!
//! Nothing here fails because a machine counts less than another: what cannot be counted becomes a
//! [`Shortfall`](crate::terms::Shortfall) with the reason and the remedy, never a zero.
//!
//! [`Energy`] and [`Wakeups`] count whole processors, so they stand beside the per-task [`Counters`].

mod counters;
mod energy;
mod event;
mod event_set;
#[cfg(test)]
mod fuzz;
mod names;
mod opener;
#[cfg(test)]
mod ping_pong;
mod refusal;
mod sysfs;
mod tally;
mod tracepoint;
mod trial;
mod workload;

use std::io;
use std::path::{Path, PathBuf};

pub use counters::{CounterReading, Counters, Delta, Snapshot};
pub use energy::{Energy, EnergyReading};
pub use event::{Event, EventScale};
pub use event_set::{EventSet, HARDWARE_EVENTS_PER_SET};
pub use tally::{EventCost, Tally};
pub use tracepoint::{Wakeups, tracepoint_id};

use crate::sys::SysError;
use crate::terms::host::is_core_pmu;

/// What can go wrong in this room. An event that a machine cannot count is not among it: see
/// [`Shortfall`](crate::terms::Shortfall).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PmuError {
    /// No event has this name on any machine.
    #[error(
        "unknown event '{name}'{}; `perf list` and /sys/bus/event_source/devices show what there is",
        suggestion(.nearest)
    )]
    UnknownEvent {
        /// The name as it was given.
        name: String,
        /// Up to three known names, the most similar first; empty when none is similar.
        nearest: Vec<String>,
    },
    /// The name has the form of an event, and a mistake in it.
    #[error("event '{name}': {fault}")]
    MalformedEvent {
        /// The name as it was given.
        name: String,
        /// What is wrong with it.
        fault: String,
    },
    /// The kernel refused to switch or read a counter that it had opened.
    #[error("counter {event}: {source}")]
    Counter {
        /// The counter's event.
        event: String,
        /// The call, and what the kernel answered.
        source: SysError,
    },
}

impl PmuError {
    fn counter(event: &str, call: &str, error: &io::Error) -> Self {
        Self::Counter { event: event.to_owned(), source: SysError::from_io(call, error) }
    }
}

fn suggestion(nearest: &[String]) -> String {
    match nearest {
        [] => String::new(),
        names => format!(" (did you mean {}?)", names.join(", ")),
    }
}

/// The directory below which `/sys` and `/proc` are read; tests put a fixture tree in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SysRoot(PathBuf);

impl Default for SysRoot {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl SysRoot {
    /// Reads below `path`, a fixture tree, instead of `/`.
    #[cfg(test)]
    pub(crate) fn fixture(name: &str) -> Self {
        Self(Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/pmu").join(name))
    }

    /// Whether this is the running machine, where mounting makes sense.
    fn is_live(&self) -> bool {
        self.0 == Path::new("/")
    }

    fn join(&self, path: impl AsRef<Path>) -> PathBuf {
        self.0.join(path)
    }

    fn event_sources(&self) -> PathBuf {
        self.join("sys/bus/event_source/devices")
    }

    /// The PMUs of CPU cores that stand for CPUs of one kind each, by name, with their types: two and more where cores
    /// are of several kinds. Elsewhere at most one: Arm's has a `cpus` file too, a PMU `cpu` none
    /// (Documentation/ABI/testing/sysfs-bus-event_source-devices).
    fn pmus_of_kinds(&self) -> Vec<(String, u32)> {
        let number = |folder: &Path| std::fs::read_to_string(folder.join("type")).ok()?.trim().parse().ok();
        let entries = std::fs::read_dir(self.event_sources()).into_iter().flatten().flatten();
        let of_a_kind = entries.filter(|entry| entry.path().join("cpus").exists()).filter_map(|entry| {
            let name = entry.file_name().into_string().ok().filter(|name| is_core_pmu(name))?;
            Some((name, number(&entry.path())?))
        });
        let mut pmus: Vec<(String, u32)> = of_a_kind.collect();
        pmus.sort();
        pmus
    }

    /// Whether the NMI watchdog holds one of the PMU's counters: it is on, and a counter is what it is made of.
    /// Elsewhere than on x86 and arm64 the same switch turns on a detector that needs none (lib/Kconfig.debug,
    /// HARDLOCKUP_DETECTOR_BUDDY and HARDLOCKUP_DETECTOR_ARCH).
    fn nmi_watchdog(&self) -> bool {
        let on = || std::fs::read_to_string(self.join("proc/sys/kernel/nmi_watchdog")).is_ok_and(|on| on.trim() == "1");
        cfg!(any(target_arch = "x86_64", target_arch = "aarch64")) && on()
    }

    /// `kernel.perf_event_paranoid` (Documentation/admin-guide/sysctl/kernel.rst). `None` when it cannot be read.
    fn paranoid(&self) -> Option<i32> {
        std::fs::read_to_string(self.join("proc/sys/kernel/perf_event_paranoid")).ok()?.trim().parse().ok()
    }
}
