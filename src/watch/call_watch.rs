//! Recording the system calls of the tree's threads in bursts, where privileges allow it.

use std::collections::{BTreeMap, HashMap};

use nix::unistd::Pid;
use syscalls::Sysno;

use super::switch_tally::SwitchTally;
use super::tree::ProcessTree;
use crate::pmu::tracepoint_id;
use crate::sys::call_records::{CallRecord, CallRecorder, CallTracepoints};
use crate::terms::Shortfall;
use crate::units::{CpuId, Nanos};

/// The threads whose calls are recorded, at most: those that ran most often.
const MOST_THREADS: usize = 64;

const WHAT: &str = "which calls were made, and how many events each wait brought";

/// A recorder of calls, and what it has recorded.
#[derive(Debug)]
pub(super) struct CallWatch {
    recorder: CallRecorder,
    tally: CallTally,
    /// When recording was switched on, while it is.
    since: Option<Nanos>,
    recorded: Nanos,
    left_out: usize,
}

/// What the calls of a time add up to.
#[derive(Debug, Default)]
struct CallTally {
    pending: Vec<CallRecord>,
    /// The call that a thread is in, by what it entered last.
    entered: HashMap<i32, Nanos>,
    calls: Vec<FinishedCall>,
    lost: u64,
}

/// A call from its begin to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FinishedCall {
    thread: i32,
    number: i64,
    from: Nanos,
    to: Nanos,
    returned: i64,
}

/// What is told of calls.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct CallSummary {
    /// Calls per second by name.
    pub(super) per_second: BTreeMap<String, f64>,
    /// How many events a wait of a call brought, in the mean, by name.
    pub(super) events: BTreeMap<String, f64>,
    /// How often a thread waited in a call, by thread and name.
    pub(super) waits: HashMap<i32, BTreeMap<String, f64>>,
}

impl CallWatch {
    /// Records the threads of `tree`, once recording is switched on.
    ///
    /// # Errors
    /// Why none is recorded.
    pub(super) fn attach(tree: &ProcessTree, cpus: &[CpuId]) -> Result<Self, Shortfall> {
        let tracepoints = CallTracepoints {
            enter: tracepoint_id("raw_syscalls", "sys_enter")?,
            exit: tracepoint_id("raw_syscalls", "sys_exit")?,
        };
        let refused = |error: crate::sys::SysError| Shortfall::new(WHAT, error.to_string(), "run as root");
        let mut recorder = CallRecorder::open(cpus, tracepoints).map_err(refused)?;
        let mut threads: Vec<(u64, i32)> =
            tree.threads().iter().map(|(key, thread)| (thread.arrivals(), key.1)).collect();
        threads.sort_unstable_by(|one, other| other.cmp(one));
        let fitting = (tree.descriptors_left() / recorder.descriptors_per_thread().max(1)).min(MOST_THREADS);
        let mut recorded = 0;
        for (_, thread) in threads.iter().take(fitting) {
            // One that has ended meanwhile makes no more calls.
            recorded += usize::from(recorder.add(Pid::from_raw(*thread)).is_ok());
        }
        if recorded == 0 {
            return Err(Shortfall::new(WHAT, "no event could be opened for a thread", "run as root"));
        }
        let left_out = threads.len().saturating_sub(fitting);
        Ok(Self { recorder, tally: CallTally::default(), since: None, recorded: Nanos(0), left_out })
    }

    /// Switches recording on or off, at `now`.
    pub(super) fn set_enabled(&mut self, enabled: bool, now: Nanos) {
        match (self.since, enabled) {
            (None, true) if self.recorder.set_enabled(true).is_ok() => self.since = Some(now),
            (Some(since), false) if self.recorder.set_enabled(false).is_ok() => {
                self.drain();
                self.tally.settle(since);
                self.recorded.0 += now.0.saturating_sub(since.0);
                self.since = None;
            }
            _ => {}
        }
    }

    /// Takes out what was recorded.
    pub(super) fn drain(&mut self) {
        if self.since.is_some() {
            let tally = &mut self.tally;
            tally.lost += self.recorder.drain(|record| tally.pending.push(record));
        }
    }

    /// What the calls tell, with the switches of the same time, at `now`.
    pub(super) fn finish(&mut self, switches: Option<&SwitchTally>, now: Nanos) -> (CallSummary, Option<Shortfall>) {
        self.set_enabled(false, now);
        let lacking = (self.left_out > 0 || self.tally.lost > 0).then(|| {
            let why = format!("{} threads were left out, and {} records were lost", self.left_out, self.tally.lost);
            Shortfall::new("all system calls", why, "watch for longer")
        });
        let waited = |call: &FinishedCall| {
            switches.is_some_and(|switches| switches.waited_within(call.thread, call.from, call.to))
        };
        (self.tally.summary(self.recorded, waited), lacking)
    }
}

impl CallTally {
    /// Joins entries with returns. A call that was entered before recording began, at `since`, begins there.
    fn settle(&mut self, since: Nanos) {
        let mut records = std::mem::take(&mut self.pending);
        records.sort_by_key(|record| record.at);
        for CallRecord { at, thread, number, returned } in records {
            match returned {
                None => {
                    self.entered.insert(thread, at);
                }
                Some(returned) => {
                    let from = self.entered.remove(&thread).unwrap_or(since);
                    self.calls.push(FinishedCall { thread, number, from, to: at, returned });
                }
            }
        }
        self.entered.clear();
    }

    fn summary(&self, wall: Nanos, waited: impl Fn(&FinishedCall) -> bool) -> CallSummary {
        let mut summary = CallSummary::default();
        let mut events: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for call in &self.calls {
            let number = usize::try_from(call.number).ok().and_then(Sysno::new);
            let name = number.map_or_else(|| format!("call {}", call.number), |number| number.name().to_string());
            *summary.per_second.entry(name.clone()).or_default() += 1e9 / wall.0.max(1) as f64;
            if !waited(call) {
                continue;
            }
            *summary.waits.entry(call.thread).or_default().entry(name.clone()).or_default() += 1.0;
            if call.returned > 0 && returns_events(&name) {
                let sum = events.entry(name).or_default();
                *sum = (sum.0 + call.returned as f64, sum.1 + 1.0);
            }
        }
        summary.events = events.into_iter().map(|(name, (events, waits))| (name, events / waits)).collect();
        summary
    }
}

/// Whether what a call returns is a number of events.
fn returns_events(name: &str) -> bool {
    ["epoll_wait", "epoll_pwait", "epoll_pwait2", "poll", "ppoll", "select", "pselect6"].contains(&name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_brings_events_and_a_call_that_did_not_wait_is_none() {
        let number = Sysno::ppoll as i64;
        let record = |at, thread, returned| CallRecord { at: Nanos(at), thread, number, returned };
        // The first is a return from a call that was entered before.
        let records = vec![record(20, 1, None), record(10, 1, Some(3)), record(30, 1, Some(1)), record(40, 2, None)];
        let mut tally = CallTally { pending: records, ..CallTally::default() };
        tally.settle(Nanos(5));
        let call = |from, to, returned| FinishedCall { thread: 1, number, from: Nanos(from), to: Nanos(to), returned };
        assert_eq!(tally.calls, [call(5, 10, 3), call(20, 30, 1)]);
        let summary = tally.summary(Nanos(1_000_000_000), |call| call.returned == 3);
        assert_eq!(summary.per_second, BTreeMap::from([("ppoll".to_string(), 2.0)]));
        assert_eq!(summary.events, BTreeMap::from([("ppoll".to_string(), 3.0)]));
        assert_eq!(summary.waits[&1]["ppoll"], 1.0);
    }
}
