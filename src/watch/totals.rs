//! What remains when watching has ended: the observation.

use std::collections::HashMap;
use std::path::Path;

use nix::unistd::Pid;

use super::attribution::{BurstEvidence, ThreadAccount, attribute};
use super::call_watch::CallSummary;
use super::surroundings::{allowed_cpus, stacks, throttled};
use super::watched_thread::ThreadDelta;
use super::watching::{Watcher, monotonic};
use crate::sys::bpf::CountedSwitches;
use crate::sys::launch::usage_of_ended;
use crate::sys::usage::thread_cpu;
use crate::terms::{
    ChangeKind, Observation, ObservedChange, ObservedRequests, Shortfall, SwitchDetail, WatchOverhead, WatchTier,
};
use crate::units::{Nanos, cpu_list};

impl Watcher<'_> {
    pub(super) fn finish(mut self) -> Observation {
        let end = monotonic();
        let wall = Nanos(end.0.saturating_sub(self.begin.0));
        let counted = self.finish_bpf();
        let recorded = self.finish_switches(end);
        let calls = self.finish_calls(end);
        self.note_surroundings(wall);
        let (counted, switches) = match counted {
            Some((counted, detail)) => (Some(counted), Some(detail)),
            None => (None, recorded),
        };
        let accounts = self.accounts(counted.as_ref());
        let tally = self.switches.as_ref().map(|switches| &switches.tally);
        let round = Nanos(wall.0.checked_div(self.burst.rounds).unwrap_or(0));
        let seen = BurstEvidence {
            samples: &self.burst.samples,
            sites: &self.burst.sites,
            tally,
            counted: counted.as_ref(),
            calls: calls.as_ref(),
        };
        let (waits, roles) = attribute(&accounts, seen, round);
        let mut total = ThreadDelta::default();
        accounts.iter().for_each(|account| total.add(account.total));
        let (user, system) = self.cpu();
        let stack_resident = self.stack_resident();
        self.note_unseen(switches.is_some());
        let mut observation = Observation {
            started_ms: self.started_ms,
            wall,
            pid: u32::try_from(self.target.process).unwrap_or(0),
            command: self.tree.command().unwrap_or(&self.target.command).to_string(),
            processes_seen: self.tree.processes_seen,
            threads_peak: self.tree.threads_peak,
            threads_begun: self.tree.threads_begun,
            threads_ended: self.tree.ended.len() as u64,
            cpus_allowed: std::mem::take(&mut self.cpus_allowed),
            tiers: self.tiers(),
            user,
            system,
            voluntary: total.voluntary,
            involuntary: total.involuntary,
            run_queue_wait: self.tree.has_schedstat().then_some(Nanos(total.waited)),
            resident: self.resident,
            stack_resident,
            moments: std::mem::take(&mut self.moments),
            roles,
            waits,
            switches,
            calls: calls.map(|calls| calls.per_second),
            requests: self.requests(),
            overhead: WatchOverhead::default(),
            unseen: std::mem::take(&mut self.unseen),
            changed: std::mem::take(&mut self.changed),
        };
        self.correct_by_end(&mut observation);
        observation.overhead = WatchOverhead {
            watcher_cpu: Nanos(thread_cpu().unwrap_or_default().0.saturating_sub(self.cpu_at_begin.0)),
            attach: self.attach,
            read_out: Nanos(monotonic().0.saturating_sub(end.0)),
            tiers: self.costs,
            pairs: self.pairs,
        };
        observation
    }

    /// What was counted in the kernel; without it, what was recorded has to do.
    fn finish_bpf(&mut self) -> Option<(CountedSwitches, SwitchDetail)> {
        let cpu = thread_cpu().unwrap_or_default();
        let bpf = self.bpf.as_mut()?;
        let finished = bpf.finish(monotonic);
        match &finished {
            Ok((counted, _)) => self.unseen.extend(bpf.shortfalls(counted)),
            Err(lacking) => self.unseen.push(lacking.clone()),
        }
        self.add_cost(WatchTier::Bpf, Nanos(0), cpu);
        finished.ok()
    }

    fn finish_switches(&mut self, end: Nanos) -> Option<SwitchDetail> {
        let (detail, lacking) = self.switches.as_mut()?.finish(end);
        self.unseen.extend(lacking);
        Some(detail)
    }

    fn finish_calls(&mut self, end: Nanos) -> Option<CallSummary> {
        let tally = self.switches.as_ref().map(|switches| &switches.tally);
        let (summary, lacking) = self.calls.as_mut()?.finish(tally, end);
        self.unseen.extend(lacking);
        Some(summary)
    }

    fn tiers(&self) -> Vec<WatchTier> {
        let bpf = self.bpf.as_ref().map(|_| WatchTier::Bpf);
        let records = self.switches.as_ref().map(|_| WatchTier::SwitchRecords);
        let burst = (!self.burst.samples.is_empty()).then_some(WatchTier::Burst);
        let calls = self.calls.as_ref().and(burst).map(|_| WatchTier::CallTracepoints);
        [Some(WatchTier::Proc), bpf, records, burst, calls].into_iter().flatten().collect()
    }

    /// All threads that were seen, by `/proc`, in the kernel's counts or in records. Of a thread that ended, `/proc`
    /// knows what it did up to its last reading, and the others know all of it that they cover: the larger count is the
    /// better one.
    fn accounts(&self, counted: Option<&CountedSwitches>) -> Vec<ThreadAccount> {
        let alive = self.tree.threads().iter().map(|(key, thread)| ThreadAccount {
            thread: key.1,
            name: thread.name.clone(),
            total: thread.total,
        });
        let mut accounts: Vec<ThreadAccount> = alive.collect();
        let tally = self.switches.as_ref().map(|switches| switches.tally.threads());
        // Times each thread waited, and was preempted.
        let recorded: HashMap<i32, (u64, u64)> = match (counted, tally) {
            (Some(counted), _) => counted.threads.iter().map(|(&id, one)| (id, (one.waiting, one.preempted))).collect(),
            (None, Some(tally)) => tally.iter().map(|(&id, one)| (id, (one.waiting, one.preempted))).collect(),
            (None, None) => HashMap::new(),
        };
        let larger = |total: ThreadDelta, thread: i32| {
            let (waiting, preempted) = recorded.get(&thread).copied().unwrap_or_default();
            let (voluntary, involuntary) = (total.voluntary.max(waiting), total.involuntary.max(preempted));
            ThreadDelta { voluntary, involuntary, ..total }
        };
        accounts.extend(self.tree.ended.iter().map(|ended| ThreadAccount {
            thread: ended.thread,
            name: ended.name.clone(),
            total: larger(ended.total, ended.thread),
        }));
        let known: std::collections::HashSet<i32> = accounts.iter().map(|account| account.thread).collect();
        // Those that began and ended between two scans.
        let unseen = recorded.keys().copied().filter(|thread| !known.contains(thread));
        accounts.extend(unseen.map(|thread| ThreadAccount {
            thread,
            name: self.target.command.clone(),
            total: larger(ThreadDelta::default(), thread),
        }));
        accounts
    }

    /// CPU time by mode: the clocks' time, in the ratio of the ticks. Without a tick it was mostly in the kernel, as
    /// that of threads that wait for each other is.
    fn cpu(&self) -> (Nanos, Nanos) {
        let cpu: u64 = self.moments.iter().map(|moment| moment.cpu.0).sum();
        let (user, system) = self.tree.ticks;
        let user = match user + system {
            0 => 0,
            ticks => (u128::from(cpu) * u128::from(user) / u128::from(ticks)) as u64,
        };
        (Nanos(user), Nanos(cpu - user))
    }

    /// A child that has ended tells all that it used, and its threads and children.
    fn correct_by_end(&self, observation: &mut Observation) {
        let Some(usage) = self.ends_as_child.then(|| usage_of_ended(Pid::from_raw(self.target.process))).flatten()
        else {
            return;
        };
        if !self.tree.is_alive() && usage.cpu().0 >= observation.user.0 + observation.system.0 {
            (observation.user, observation.system) = (usage.user, usage.system);
        }
        observation.voluntary = observation.voluntary.max(usage.voluntary);
        observation.involuntary = observation.involuntary.max(usage.involuntary);
    }

    fn stack_resident(&mut self) -> Option<u64> {
        let threads = self.tree.threads();
        let alive: HashMap<(i32, i32), u64> = self.burst.stack_pointers.iter().map(|(&key, &at)| (key, at)).collect();
        let alive: HashMap<(i32, i32), u64> = alive.into_iter().filter(|(key, _)| threads.contains_key(key)).collect();
        let (bytes, stacks) = stacks(&self.target.root, &alive)?;
        // Threads that were never seen blocked hold as much as the others.
        Some((bytes as f64 / stacks as f64 * threads.len() as f64) as u64)
    }

    fn requests(&self) -> Option<ObservedRequests> {
        let source = self.options.requests.as_ref()?;
        let (first, last) = self.requests?;
        Some(ObservedRequests { count: (last - first).max(0.0), source: source.name.clone() })
    }

    fn note_surroundings(&mut self, at: Nanos) {
        let (root, process) = (&self.target.root, self.target.process);
        let mut changed = Vec::new();
        let now = throttled(root, Path::new(super::watching::CGROUPS), process);
        if let (Some(before), Some(now)) = (self.throttled, now)
            && now.0 > before.0
        {
            let what = format!(
                "its control group was held back at its quota {} times, for {} ms",
                now.0 - before.0,
                now.1.saturating_sub(before.1) / 1000
            );
            changed.push(ObservedChange { at, kind: ChangeKind::Throttled, what });
        }
        if let Some(now) = allowed_cpus(root, process)
            && now != self.cpus_allowed
        {
            let what = format!("it may use the CPUs {} (it might {})", cpu_list(&now), cpu_list(&self.cpus_allowed));
            changed.push(ObservedChange { at, kind: ChangeKind::Affinity, what });
        }
        self.changed.extend(changed);
    }

    fn note_unseen(&mut self, recorded: bool) {
        let mut lacking = Vec::new();
        let ended = self.tree.ended.len();
        if ended > 0 && !recorded {
            let what = format!("switches of {ended} threads after they were read last");
            let why = "a thread's counts end with it";
            lacking.push(Shortfall::new(what, why, "let switches be recorded"));
        }
        if self.tree.read_by_turns {
            let what = format!("all {} threads ten times in a second", self.tree.threads_peak);
            let why = "reading them takes too long, so that moments hold the switches of some; the sums hold all";
            lacking.push(Shortfall::new(what, why, "watch for longer"));
        }
        if self.tree.descriptors_left() == 0 {
            let why = "the limit of descriptors is met, so that files of some threads are opened for each reading";
            lacking.push(Shortfall::new("every thread at little cost", why, "raise it (ulimit -Hn)"));
        }
        if !self.tree.has_schedstat() {
            let why = "the kernel has no /proc/PID/schedstat";
            lacking.push(Shortfall::new("time spent waiting for a CPU", why, "use a kernel with CONFIG_SCHED_INFO"));
        }
        lacking.extend(self.burst.shortfall());
        self.unseen.extend(lacking);
    }
}
