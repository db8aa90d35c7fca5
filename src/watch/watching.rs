//! The time in which a target is watched, slot by slot.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::resource::{Resource, getrlimit};
use nix::time::ClockId;
use nix::unistd::Pid;

use super::bpf_watch::{BpfWatch, left_out};
use super::burst::BurstSampler;
use super::call_watch::CallWatch;
use super::slots::{SLOT, Slot, SlotPlan};
use super::surroundings::{allowed_cpus, resident, throttled};
use super::switch_watch::SwitchWatch;
use super::target::WatchTarget;
use super::tree::ProcessTree;
use super::{WatchError, WatchOptions, WatchProgress};
use crate::sys::limits::raise_descriptors;
use crate::sys::process::{open_child, open_descriptors};
use crate::sys::task_files::threads_of;
use crate::sys::usage::thread_cpu;
use crate::terms::{
    ChangeKind, Observation, ObservedChange, ObservedMoment, OverheadPair, Shortfall, SpanUsage, TierCost, WatchTier,
};
use crate::units::{CpuId, Nanos, parse_cpu_list};

/// Parts of a slot: after each, records are taken out of their buffers.
const TICKS: u32 = 4;

/// For how long threads are read in one scan, at most.
const MOST_SCANNING: Duration = Duration::from_millis(5);

/// Descriptors that are left to the rest of the program.
const RESERVE: usize = 128;

/// From one look at each thread to the next in a burst, at least; and at least so many times as long as a look takes.
const LEAST_GAP: Nanos = Nanos(2_000_000);
const LOOK_SHARE: u64 = 2;

pub(super) const CGROUPS: &str = "/sys/fs/cgroup";

/// A target that is watched. Nothing is taken from it but by [`run`](Self::run).
#[derive(Debug)]
pub struct Watcher<'a> {
    pub(super) target: WatchTarget,
    pub(super) options: &'a WatchOptions<'a>,
    pub(super) tree: ProcessTree,
    pub(super) bpf: Option<BpfWatch>,
    pub(super) switches: Option<SwitchWatch>,
    pub(super) calls: Option<CallWatch>,
    pub(super) burst: BurstSampler,
    pub(super) burst_wall: Nanos,
    pub(super) started_ms: u64,
    pub(super) begin: Nanos,
    pub(super) attach: Nanos,
    pub(super) cpu_at_begin: Nanos,
    pub(super) cpus_allowed: Vec<CpuId>,
    pub(super) throttled: Option<(u64, u64)>,
    pub(super) resident: Option<u64>,
    pub(super) moments: Vec<ObservedMoment>,
    pub(super) requests: Option<(f64, f64)>,
    pub(super) pairs: Vec<OverheadPair>,
    pub(super) costs: Vec<TierCost>,
    pub(super) changed: Vec<ObservedChange>,
    pub(super) unseen: Vec<Shortfall>,
    /// Whether the target is a child of this process that was launched.
    pub(super) ends_as_child: bool,
    /// Readable when the target has ended.
    end: Option<OwnedFd>,
    half_pair: Option<(WatchTier, bool, SpanUsage)>,
}

/// Watches `target` as `options` say, and calls `progress` some ten times in a second, until the time is over, the last
/// process of the tree has ended, or `stop` says so.
///
/// # Errors
/// When the target is not there any more, or its number is another process's.
pub fn watch(
    target: &WatchTarget,
    options: &WatchOptions<'_>,
    progress: &mut dyn FnMut(WatchProgress<'_>),
    stop: &dyn Fn() -> bool,
) -> Result<Observation, WatchError> {
    Ok(Watcher::attach(target, options)?.run(progress, stop))
}

/// `CLOCK_MONOTONIC`, which is also that of the records of switches.
pub(super) fn monotonic() -> Nanos {
    let now = ClockId::CLOCK_MONOTONIC.now();
    now.map_or(Nanos(0), |now| Nanos(now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64))
}

impl<'a> Watcher<'a> {
    /// Begins to watch `target`: what it does from now on is counted. A program that was launched is released after
    /// this.
    ///
    /// # Errors
    /// As [`watch`].
    pub fn attach(target: &WatchTarget, options: &'a WatchOptions<'a>) -> Result<Self, WatchError> {
        let process = target.process;
        let cpu_at_begin = thread_cpu().unwrap_or_default();
        let mut unseen = Vec::new();
        let bpf = match options.without.contains(&WatchTier::Bpf) {
            true => Err(left_out()),
            false => BpfWatch::load(threads_of(&target.root, process).map_or(0, |threads| threads.len())),
        };
        let mut bpf = bpf.map_err(|shortfall| unseen.push(shortfall)).ok();
        let loading = Nanos(thread_cpu().unwrap_or_default().0.saturating_sub(cpu_at_begin.0));
        let loading = bpf.as_ref().map(|_| TierCost { tier: WatchTier::Bpf, wall: Nanos(0), cpu: loading });
        let begin = monotonic();
        raise_descriptors();
        // First of all the descriptor: it stands for the process that has the number now, which the next line checks.
        let end = open_child(Pid::from_raw(process)).ok();
        if !target.is_same() {
            return Err(WatchError::NoProcess { process });
        }
        let mut tree = ProcessTree::new(&target.root, process, descriptors());
        tree.scan(None);
        let switches = match options.without.contains(&WatchTier::SwitchRecords) {
            true => None,
            false => {
                SwitchWatch::attach(&tree, &online_cpus(), monotonic()).map_err(|shortfall| unseen.push(shortfall)).ok()
            }
        };
        let calls = match options.without.contains(&WatchTier::CallTracepoints) {
            true => None,
            false => CallWatch::attach(&tree, &online_cpus()).map_err(|shortfall| unseen.push(shortfall)).ok(),
        };
        if let Some(bpf) = &mut bpf {
            bpf.follow(&tree);
            bpf.set_counting(true, monotonic);
        }
        let attached = monotonic();
        let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let mut watcher = Self {
            tree,
            bpf,
            switches,
            calls,
            burst: BurstSampler::new(&target.root),
            burst_wall: Nanos(0),
            started_ms: since_epoch.map_or(0, |since| since.as_millis() as u64),
            begin: attached,
            attach: Nanos(attached.0 - begin.0),
            cpu_at_begin,
            cpus_allowed: allowed_cpus(&target.root, process).unwrap_or_default(),
            throttled: throttled(&target.root, Path::new(CGROUPS), process),
            resident: None,
            moments: Vec::new(),
            requests: None,
            pairs: Vec::new(),
            costs: loading.into_iter().collect(),
            changed: Vec::new(),
            unseen,
            ends_as_child: target.launched,
            end,
            half_pair: None,
            target: target.clone(),
            options,
        };
        watcher.read_requests();
        watcher.read_resident();
        watcher.note_changes();
        Ok(watcher)
    }

    /// Watches until the end, and tells what was seen.
    pub fn run(mut self, progress: &mut dyn FnMut(WatchProgress<'_>), stop: &dyn Fn() -> bool) -> Observation {
        let switches = if self.bpf.is_some() { WatchTier::Bpf } else { WatchTier::SwitchRecords };
        let plan = SlotPlan::new(self.options.duration, switches);
        let deadline = self.options.duration.map(|duration| Nanos(self.begin.0 + duration.as_nanos() as u64));
        let mut number = 0;
        let mut slot_begin = self.begin;
        while !self.slot(plan.slot(number), slot_begin, deadline, progress, stop) {
            number += 1;
            // Slots keep to their raster unless one took too long.
            slot_begin =
                Nanos(slot_begin.0 + SLOT.as_nanos() as u64).max(Nanos(monotonic().0.saturating_sub(5_000_000)));
        }
        self.finish()
    }

    /// Watches for a slot; returns whether it was the last.
    fn slot(
        &mut self,
        slot: Slot,
        begin: Nanos,
        deadline: Option<Nanos>,
        progress: &mut dyn FnMut(WatchProgress<'_>),
        stop: &dyn Fn() -> bool,
    ) -> bool {
        let first_moment = self.moments.len();
        let bursts = slot.burst && !self.options.without.contains(&WatchTier::Burst);
        let slot_end = Nanos(begin.0 + SLOT.as_nanos() as u64);
        if let Some(switches) = self.switches.as_mut().filter(|_| bursts) {
            switches.tally.keep_waits(begin, slot_end);
        }
        if let Some(calls) = &mut self.calls {
            calls.set_enabled(bursts, monotonic());
        }
        if let Some(bpf) = &mut self.bpf {
            let cpu = thread_cpu().unwrap_or_default();
            bpf.set_counting(slot.switches, monotonic);
            self.add_cost(WatchTier::Bpf, Nanos(0), cpu);
        }
        for tick in 1..=TICKS {
            // Where switches are counted in the kernel, single ones are needed in bursts alone.
            let recorded = slot.switches && self.bpf.is_none();
            if let Some(switches) = &mut self.switches {
                switches.plan(recorded || bursts, bursts, monotonic());
            }
            let until = Nanos(begin.0 + SLOT.as_nanos() as u64 * u64::from(tick) / u64::from(TICKS));
            let until = deadline.map_or(until, |deadline| until.min(deadline));
            let ended = match bursts {
                true => self.look_until(until),
                false => self.sleep_until(until),
            };
            self.drain();
            let over = ended || stop() || deadline.is_some_and(|deadline| monotonic() >= deadline);
            if over || tick == TICKS || (slot.proc && tick % 2 == 0) {
                self.moment((!over).then_some(MOST_SCANNING));
                if let Some(moment) = self.moments.last() {
                    progress(WatchProgress { moment, duration: self.options.duration });
                }
            }
            let alive = self.tree.is_alive();
            if !alive || (over && !ended) {
                return true;
            }
        }
        self.burst.end();
        if let Some((tier, on)) = slot.compares {
            self.compare(tier, on, first_moment);
        }
        if self.moments.len().is_multiple_of(20) {
            self.read_resident();
        }
        false
    }

    /// Waits; true when the target has ended just now.
    fn sleep_until(&mut self, until: Nanos) -> bool {
        let left = until.0.saturating_sub(monotonic().0);
        let Some(end) = &self.end else {
            std::thread::sleep(Duration::from_nanos(left));
            return false;
        };
        // poll(2) counts milliseconds; what is left of one is no matter.
        let timeout = PollTimeout::try_from(Duration::from_nanos(left + 999_999)).unwrap_or(PollTimeout::ZERO);
        let mut entries = [PollFd::new(end.as_fd(), PollFlags::POLLIN)];
        let ended = poll(&mut entries, timeout).is_ok_and(|ready| ready > 0);
        if ended {
            self.end = None;
        }
        ended
    }

    /// Looks at what threads wait in, again and again; true when the target has ended just now.
    fn look_until(&mut self, until: Nanos) -> bool {
        let cpu = thread_cpu().unwrap_or_default();
        let begin = monotonic();
        let (mut gap, mut last) = (LEAST_GAP, begin);
        let mut ended = false;
        while monotonic() < until && !ended {
            let threads: Vec<(i32, i32)> = self.tree.threads().keys().copied().collect();
            let look = monotonic();
            if look > last {
                gap = Nanos(look.0 - last.0);
            }
            last = look;
            self.burst.look(&threads, gap, self.tree.descriptors_left(), monotonic);
            let took = monotonic().0 - look.0;
            let next = Nanos(look.0 + LEAST_GAP.0.max(took * LOOK_SHARE));
            ended = self.sleep_until(next.min(until));
        }
        let wall = Nanos(monotonic().0 - begin.0);
        self.burst_wall.0 += wall.0;
        self.add_cost(WatchTier::Burst, wall, cpu);
        ended
    }

    fn drain(&mut self) {
        let cpu = thread_cpu().unwrap_or_default();
        if let Some(calls) = &mut self.calls {
            calls.drain();
        }
        if let Some(switches) = &mut self.switches {
            switches.drain(monotonic());
            self.add_cost(WatchTier::SwitchRecords, Nanos(0), cpu);
        }
    }

    /// Ends a span: reads what happened in it. Without a budget, every thread is read.
    fn moment(&mut self, budget: Option<Duration>) {
        let cpu = thread_cpu().unwrap_or_default();
        let delta = self.tree.scan(budget);
        if let Some(bpf) = &mut self.bpf {
            bpf.follow(&self.tree);
        }
        self.add_cost(WatchTier::Proc, Nanos(0), cpu);
        let at = Nanos(monotonic().0 - self.begin.0);
        let before = self.moments.last().map_or(Nanos(0), |moment| moment.at);
        let requests = self.read_requests();
        self.moments.push(ObservedMoment {
            at,
            wall: Nanos(at.0 - before.0),
            cpu: Nanos(delta.cpu),
            voluntary: delta.threads.voluntary,
            involuntary: delta.threads.involuntary,
            run_queue_wait: self.tree.has_schedstat().then_some(Nanos(delta.threads.waited)),
            threads: self.tree.threads().len() as u64,
            active_threads: delta.active,
            requests,
        });
        self.note_changes();
    }

    fn note_changes(&mut self) {
        let at = Nanos(monotonic().0.saturating_sub(self.begin.0));
        let mut changes = self.tree.take_changes(at);
        // A launched program becomes what it is once: that is no change.
        if self.target.launched
            && let Some(first) = changes.iter().position(|change| change.kind == ChangeKind::Exec)
        {
            changes.remove(first);
            self.target.launched = false;
            self.target.command = self.tree.command().unwrap_or(&self.target.command).to_string();
        }
        self.changed.extend(changes);
    }

    /// How many requests were answered since it was asked last.
    fn read_requests(&mut self) -> Option<f64> {
        let now = (self.options.requests.as_ref()?.read)()?;
        let (first, before) = self.requests.unwrap_or((now, now));
        self.requests = Some((first, now));
        // A program that starts anew counts from 0.
        Some((now - before).max(0.0))
    }

    pub(super) fn read_resident(&mut self) {
        let held: Vec<u64> = self.tree.processes().filter_map(|process| resident(&self.target.root, process)).collect();
        if !held.is_empty() {
            self.resident = Some(held.iter().sum());
        }
    }

    pub(super) fn add_cost(&mut self, tier: WatchTier, wall: Nanos, cpu_before: Nanos) {
        let cpu = thread_cpu().unwrap_or_default().0.saturating_sub(cpu_before.0);
        match self.costs.iter_mut().find(|cost| cost.tier == tier) {
            Some(cost) => (cost.wall.0, cost.cpu.0) = (cost.wall.0 + wall.0, cost.cpu.0 + cpu),
            None => self.costs.push(TierCost { tier, wall, cpu: Nanos(cpu) }),
        }
    }

    /// Keeps what the program did in the moments from `first`, with `tier` on or off, until the other of the pair is
    /// there.
    fn compare(&mut self, tier: WatchTier, on: bool, first: usize) {
        let here = match tier {
            WatchTier::SwitchRecords => self.switches.is_some(),
            WatchTier::Bpf => self.bpf.is_some(),
            WatchTier::Burst => !self.options.without.contains(&tier),
            _ => true,
        };
        let span = &self.moments[first..];
        let sum = |value: fn(&ObservedMoment) -> u64| span.iter().map(value).sum();
        let requests: Option<f64> = span.iter().map(|moment| moment.requests).sum();
        let usage =
            SpanUsage { wall: Nanos(sum(|span| span.wall.0)), cpu: Nanos(sum(|span| span.cpu.0)), progress: requests };
        match self.half_pair.take() {
            Some((other, was_on, before)) if other == tier && was_on != on && here => {
                let (watched, bare) = if on { (usage, before) } else { (before, usage) };
                self.pairs.push(OverheadPair { tier, watched, bare });
            }
            _ => self.half_pair = Some((tier, on, usage)),
        }
    }
}

/// How many descriptors may be opened.
fn descriptors() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| usize::try_from(soft).unwrap_or(1024));
    let open = open_descriptors().map_or(0, |open| open.len());
    limit.saturating_sub(open + RESERVE)
}

fn online_cpus() -> Vec<CpuId> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let online = parse_cpu_list(&text).unwrap_or_default();
    // A container without /sys: those that this process may use.
    if online.is_empty() { crate::sys::affinity::allowed_cpus().unwrap_or_default() } else { online }
}
