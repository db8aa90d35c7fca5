//! Counting the switches and wake-ups of the tree's threads in the kernel, by BPF, where privileges allow it.

use std::collections::HashSet;

use nix::errno::Errno;

use super::tree::ProcessTree;
use crate::sys::bpf::{BpfRefusal, CountedSwitches, SwitchCounter, ThreadSwitchCounts};
use crate::terms::{Shortfall, SwitchDetail};
use crate::units::Nanos;

/// Room for the counts of so many threads, at least: those of a program that begins threads all the time. An entry
/// takes some 200 bytes.
const LEAST_ROOM: usize = 16_384;

/// Room for so many times as many threads as there are at the beginning.
const ROOM: usize = 4;

const MOST_ROOM: usize = 1 << 18;

const WHAT: &str = "whether a CPU went idle or to another program, and from where threads were woken";

/// A counter in the kernel, and for how long it has counted.
#[derive(Debug)]
pub(super) struct BpfWatch {
    counter: SwitchCounter,
    /// When counting was switched on, while it is.
    since: Option<Nanos>,
    counted: Nanos,
    /// Processes that the counter was told of.
    known: HashSet<i32>,
    /// The first thing that went wrong.
    failure: Option<String>,
}

impl BpfWatch {
    /// Brings the counter into the kernel, for a program of so many threads. That takes a while, and concerns no
    /// process yet.
    ///
    /// # Errors
    /// Why nothing is counted.
    pub(super) fn load(threads: usize) -> Result<Self, Shortfall> {
        let room = (threads * ROOM).clamp(LEAST_ROOM, MOST_ROOM);
        let counter = SwitchCounter::load(u32::try_from(room).unwrap_or(u32::MAX));
        let counter = counter.map_err(|refusal| shortfall(&refusal, &lockdown()))?;
        Ok(Self { counter, since: None, counted: Nanos(0), known: HashSet::new(), failure: None })
    }

    /// Tells the counter of processes that a scan has found. It follows children by itself; those that were forked
    /// before it could are found so.
    pub(super) fn follow(&mut self, tree: &ProcessTree) {
        for process in tree.processes() {
            if self.known.insert(process)
                && let Err(error) = self.counter.watch(process.cast_unsigned())
            {
                self.failure.get_or_insert(format!("process {process}: {error}"));
            }
        }
    }

    /// Switches counting on or off; `now` tells the time.
    pub(super) fn set_counting(&mut self, counting: bool, now: impl Fn() -> Nanos) {
        if counting == self.since.is_some() {
            return;
        }
        // Attaching takes milliseconds, in which it is not counted for certain.
        let before = now();
        if let Err(error) = self.counter.set_counting(counting) {
            self.failure.get_or_insert(error.to_string());
        }
        match self.since.take() {
            Some(since) => self.counted.0 += before.0.saturating_sub(since.0),
            None => self.since = Some(now()),
        }
    }

    /// Ends counting; returns what was counted, and what was not.
    ///
    /// # Errors
    /// When the counts cannot be read.
    pub(super) fn finish(&mut self, now: impl Fn() -> Nanos) -> Result<(CountedSwitches, SwitchDetail), Shortfall> {
        self.set_counting(false, now);
        let counted = self.counter.read();
        let counted = counted.map_err(|error| Shortfall::new(WHAT, error.to_string(), "watch again"))?;
        let detail = detail(&counted, self.counted);
        Ok((counted, detail))
    }

    /// What was not counted of what it was to count.
    pub(super) fn shortfalls(&self, counted: &CountedSwitches) -> Vec<Shortfall> {
        let mut lacking = Vec::new();
        let crowded = counted.others.waiting + counted.others.preempted;
        if crowded > 0 {
            let what = format!("to which threads {crowded} switches belong");
            let why = format!("there is room for the counts of {} threads", counted.threads.len());
            lacking.push(Shortfall::new(what, why, "watch for a shorter time"));
        }
        if let Some(failure) = &self.failure {
            lacking.push(Shortfall::new("all switches, in the kernel", failure.clone(), "watch again"));
        }
        lacking
    }
}

/// That it was left out.
pub(super) fn left_out() -> Shortfall {
    Shortfall::new(WHAT, "counting by BPF was left out (--without bpf)", "leave that option away")
}

fn detail(counted: &CountedSwitches, wall: Nanos) -> SwitchDetail {
    let mut total = counted.others;
    counted.threads.values().for_each(|counts| total.add(counts));
    let share = |part: u64, all: u64| (all > 0).then(|| part as f64 / all as f64);
    let ThreadSwitchCounts { waiting, to_idle, direct, .. } = total;
    SwitchDetail {
        wall,
        out_voluntary: waiting,
        out_preempted: total.preempted,
        lost: 0,
        direct: share(direct, waiting),
        to_idle: share(to_idle, waiting),
        to_others: share(waiting.saturating_sub(to_idle + direct), waiting),
        migrated: share(total.migrated, total.arrivals),
        run_queue_delay: total.mean_delay(),
        woken_remotely: share(total.woken_remotely, total.woken),
        woken_by_own: share(total.woken_by_own, total.woken),
    }
}

/// The level of kernel_lockdown(7), where the kernel has it: `integrity`, `confidentiality`.
fn lockdown() -> String {
    let text = std::fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    let level = text.split_once('[').and_then(|(_, rest)| rest.split_once(']')).map_or("none", |(level, _)| level);
    level.to_string()
}

fn shortfall(refusal: &BpfRefusal, lockdown: &str) -> Shortfall {
    let (why, remedy) = match refusal {
        BpfRefusal::Privileges => (refusal.to_string(), "run as root"),
        BpfRefusal::Call(error) if error.errno == Errno::EPERM && lockdown != "none" => (
            format!("{error}: the kernel is locked down ({lockdown}, kernel_lockdown(7))"),
            "boot without Secure Boot, or with lockdown=none",
        ),
        BpfRefusal::Call(error) if error.errno == Errno::EPERM => {
            (format!("{error}: a sandbox forbids the call"), "run as root, outside of the sandbox")
        }
        BpfRefusal::Call(error) if error.errno == Errno::ENOSYS => {
            (error.to_string(), "use a kernel with CONFIG_BPF_SYSCALL, outside of a sandbox")
        }
        BpfRefusal::Call(error) if error.errno == Errno::ENOMEM => (error.to_string(), "free some memory"),
        BpfRefusal::NoTypes(_) => {
            (refusal.to_string(), "use a kernel with CONFIG_DEBUG_INFO_BTF (Linux 5.4), and /sys")
        }
        BpfRefusal::NoTracepoint(_) => (refusal.to_string(), "use a newer kernel (Linux 5.5)"),
        BpfRefusal::PidNamespace => (
            format!("{refusal}, and the kernel numbers processes by the first one"),
            "run on the host, or in a container with --pid=host",
        ),
        BpfRefusal::Call(_) | BpfRefusal::Unfit(_) => (
            refusal.to_string(),
            "report it with the kernel's version (uname -r); records of switches are used instead",
        ),
    };
    Shortfall::new(WHAT, why, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::SysError;

    #[test]
    fn each_refusal_says_what_helps() {
        let call = |errno| BpfRefusal::Call(SysError::new("bpf", errno));
        let told = [
            (BpfRefusal::Privileges, "none", "CAP_BPF", "root"),
            (call(Errno::EPERM), "none", "sandbox", "sandbox"),
            (call(Errno::EPERM), "integrity", "locked down (integrity", "lockdown=none"),
            (call(Errno::ENOSYS), "none", "ENOSYS", "CONFIG_BPF_SYSCALL"),
            (BpfRefusal::NoTypes(Errno::ENOENT), "none", "/sys/kernel/btf/vmlinux", "CONFIG_DEBUG_INFO_BTF"),
            (BpfRefusal::NoTracepoint("sched_waking"), "none", "tracepoint sched_waking", "newer kernel"),
            (BpfRefusal::PidNamespace, "none", "PID namespace", "host"),
            (BpfRefusal::Unfit("invalid mem access".into()), "none", "invalid mem access", "uname -r"),
        ];
        for (refusal, lockdown, why, remedy) in told {
            let told = shortfall(&refusal, lockdown);
            assert!(told.why.contains(why) && told.remedy.contains(remedy), "{told}");
        }
    }

    #[test]
    fn counts_become_shares_of_what_they_are_a_part_of() {
        let one = ThreadSwitchCounts {
            waiting: 10,
            preempted: 2,
            to_idle: 6,
            direct: 1,
            arrivals: 8,
            migrated: 2,
            woken: 5,
            woken_remotely: 4,
            woken_by_own: 1,
            delay: 8_000,
        };
        let crowded = ThreadSwitchCounts { waiting: 10, to_idle: 4, ..ThreadSwitchCounts::default() };
        let counted = CountedSwitches { threads: [(7, one)].into(), others: crowded };
        let expected = SwitchDetail {
            wall: Nanos(5),
            out_voluntary: 20,
            out_preempted: 2,
            lost: 0,
            direct: Some(0.05),
            to_idle: Some(0.5),
            to_others: Some(0.45),
            migrated: Some(0.25),
            run_queue_delay: Some(Nanos(1_000)),
            woken_remotely: Some(0.8),
            woken_by_own: Some(0.2),
        };
        assert_eq!(detail(&counted, Nanos(5)), expected);
        let nothing = detail(&CountedSwitches::default(), Nanos(5));
        assert_eq!((nothing.to_idle, nothing.run_queue_delay, nothing.woken_by_own), (None, None, None));
    }
}
