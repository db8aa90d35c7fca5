//! Recording the switches of the tree's threads while it is watched.

use std::collections::HashSet;

use nix::errno::Errno;
use nix::unistd::Pid;

use super::switch_tally::SwitchTally;
use super::tree::ProcessTree;
use crate::sys::SysError;
use crate::sys::switch_records::SwitchRecorder;
use crate::sys::usage::thread_cpu;
use crate::terms::{Shortfall, SwitchDetail};
use crate::units::{CpuId, Nanos};

/// Events are opened for no more CPU time than this: attaching shall take less than a tenth of a second.
const MOST_ATTACHING: Nanos = Nanos(50_000_000);

/// Records that are taken out after each part of a slot, at most, but in bursts: two in five microseconds. Of a program
/// that switches more often, switches are recorded in part of the time, so that recording costs it no more.
const MOST_RECORDS: u64 = 10_000;

/// Parts of a slot that are left out at once, at most: two seconds.
const MOST_PAUSES: u64 = 80;

const WHAT: &str = "records of single switches";

/// What helps where there are too many threads.
const MORE_DESCRIPTORS: &str = "raise the limit of descriptors (ulimit -Hn)";

/// A recorder and what it has recorded.
#[derive(Debug)]
pub(super) struct SwitchWatch {
    recorder: SwitchRecorder,
    pub(super) tally: SwitchTally,
    enabled: bool,
    /// Parts of a slot for which recording is to stay off.
    pauses: u64,
    /// When recording was switched on last, and for how long it was before.
    since: Nanos,
    recorded: Nanos,
    /// Threads that an event was opened for, or refused.
    known: HashSet<i32>,
    /// Threads that are not recorded.
    left_out: u64,
    why_left_out: Option<Shortfall>,
}

impl SwitchWatch {
    /// Records the threads of `tree`, which was scanned.
    ///
    /// # Errors
    /// Why none is recorded.
    pub(super) fn attach(tree: &ProcessTree, online: &[CpuId], now: Nanos) -> Result<Self, Shortfall> {
        let recorder = SwitchRecorder::open(&cpus(tree, online)).map_err(|error| refusal(&error))?;
        let mut watch = Self {
            recorder,
            tally: SwitchTally::default(),
            enabled: true,
            pauses: 0,
            since: now,
            recorded: Nanos(0),
            known: HashSet::new(),
            left_out: 0,
            why_left_out: None,
        };
        let begin = thread_cpu().unwrap_or_default().0;
        let is_late = || thread_cpu().unwrap_or_default().0.saturating_sub(begin) > MOST_ATTACHING.0;
        // Those that ran most often first: they are what is to be seen, should there be too many.
        let mut threads: Vec<(u64, i32)> =
            tree.threads().iter().map(|(key, thread)| (thread.arrivals(), key.1)).collect();
        threads.sort_unstable_by(|one, other| other.cmp(one));
        let per_thread = watch.recorder.descriptors_per_thread().max(1);
        let fitting = tree.descriptors_left() / per_thread;
        for (place, (_, thread)) in threads.into_iter().enumerate() {
            watch.known.insert(thread);
            if place >= fitting {
                let why = format!(
                    "an event for each thread and CPU does not fit below the limit of descriptors; {fitting} threads do"
                );
                watch.leave_out(why, MORE_DESCRIPTORS);
            } else if is_late() {
                let why = format!("opening an event for each thread takes too long; {place} threads have one");
                watch.leave_out(why, "none is needed: the busiest threads are recorded");
            } else {
                match watch.recorder.add(Pid::from_raw(thread), true) {
                    Ok(()) | Err(SysError { errno: Errno::ESRCH, .. }) => {}
                    Err(error) if place == 0 => return Err(refusal(&error)),
                    Err(error) => watch.leave_out(error.to_string(), MORE_DESCRIPTORS),
                }
            }
        }
        Ok(watch)
    }

    fn leave_out(&mut self, why: String, remedy: &str) {
        self.left_out += 1;
        self.why_left_out.get_or_insert_with(|| Shortfall::new(WHAT, why, remedy));
    }

    /// Says for the next part of a slot whether switches are `wanted`, at `now`; where they are `needed`, they are
    /// recorded however many there are.
    pub(super) fn plan(&mut self, wanted: bool, needed: bool, now: Nanos) {
        let pausing = self.pauses > 0 && !needed;
        self.pauses = self.pauses.saturating_sub(1);
        self.set_enabled(wanted && !pausing, now);
    }

    /// Switches recording on or off, at `now`.
    fn set_enabled(&mut self, enabled: bool, now: Nanos) {
        if enabled == self.enabled || self.recorder.set_enabled(enabled).is_err() {
            return;
        }
        if enabled {
            self.since = now;
        } else {
            self.recorded.0 += now.0.saturating_sub(self.since.0);
            self.tally.lost += self.recorder.drain(|record| self.tally.push(record));
            self.tally.interrupt();
        }
        self.enabled = enabled;
    }

    /// Takes out what was recorded up to `now`.
    pub(super) fn drain(&mut self, now: Nanos) {
        let mut records = 0;
        let lost = self.recorder.drain(|record| {
            records += 1;
            self.tally.push(record);
        });
        self.tally.lost += lost;
        self.tally.settle(now);
        self.pauses = self.pauses.max((records + lost) / MOST_RECORDS).min(MOST_PAUSES);
    }

    /// Ends recording, at `now`; returns what was recorded, and what was not.
    pub(super) fn finish(&mut self, now: Nanos) -> (SwitchDetail, Vec<Shortfall>) {
        self.drain(now);
        self.set_enabled(false, now);
        self.tally.finish(now);
        let total = self.tally.total();
        let share = |part: u64, all: u64| (all > 0).then(|| part as f64 / all as f64);
        let detail = SwitchDetail {
            wall: self.recorded,
            out_voluntary: total.waiting,
            out_preempted: total.preempted,
            lost: self.tally.lost,
            direct: share(total.direct, total.waiting),
            to_idle: None,
            to_others: None,
            migrated: share(total.migrated, total.arrivals),
            run_queue_delay: None,
            woken_remotely: None,
            woken_by_own: None,
        };
        (detail, self.shortfalls())
    }

    fn shortfalls(&self) -> Vec<Shortfall> {
        let mut lacking = Vec::new();
        if let Some(first) = &self.why_left_out {
            let what = format!("{WHAT} of {} of {} threads", self.left_out, self.known.len());
            lacking.push(Shortfall { what, ..first.clone() });
        }
        if self.tally.lost > 0 {
            let why = format!("buffers of {} KiB were full", self.recorder.buffer_size() >> 10);
            let what = format!("{} {WHAT}", self.tally.lost);
            lacking.push(Shortfall::new(what, why, "sudo sysctl kernel.perf_event_mlock_kb=4100"));
        }
        lacking
    }
}

/// All CPUs where there are few; otherwise those that a thread of the tree may use, since each costs an event a thread.
fn cpus(tree: &ProcessTree, online: &[CpuId]) -> Vec<CpuId> {
    const FEW: usize = 16;
    if online.len() <= FEW {
        return online.to_vec();
    }
    let allowed: HashSet<CpuId> = tree.threads().values().flat_map(|thread| thread.cpus.iter().copied()).collect();
    online.iter().copied().filter(|cpu| allowed.contains(cpu)).collect()
}

fn refusal(error: &SysError) -> Shortfall {
    let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid").unwrap_or_default();
    let (why, remedy) = match (error.errno, paranoid.trim()) {
        (Errno::EACCES | Errno::EPERM, level @ ("3" | "4")) => (
            format!("{error}: kernel.perf_event_paranoid is {level}, which forbids it to users"),
            "sudo sysctl kernel.perf_event_paranoid=2, or run as root",
        ),
        (Errno::EPERM, _) if error.call.starts_with("mmap") => {
            (error.to_string(), "sudo sysctl kernel.perf_event_mlock_kb=2048, or end other programs that use perf")
        }
        (Errno::EMFILE, _) => (error.to_string(), "raise the limit of descriptors (ulimit -Hn)"),
        (Errno::EACCES | Errno::EPERM, _) => (
            format!("{error}: the program has closed itself to its user, or a sandbox forbids the call"),
            "run as root, outside of the sandbox",
        ),
        _ => (error.to_string(), "use a kernel with CONFIG_PERF_EVENTS"),
    };
    Shortfall::new(WHAT, why, remedy)
}
