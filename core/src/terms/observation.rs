//! What was seen of a live program while it was watched: how much CPU it used, how often its threads gave their CPU up,
//! and what they waited in.
//!
//! `src/watch/` fills it in; the advice is computed from it, and can be computed again when it is read back from a
//! record. Amounts are those of the watched span alone, of all processes and threads of the tree, with those that
//! began or ended in it. `None` was not seen, and a line of [`Observation::unseen`] says why.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Shortfall;
use crate::units::{CpuId, Nanos};

/// A live process and its descendants, watched for a while.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Observation {
    /// When watching began, in milliseconds since 1970 (UTC).
    pub started_ms: u64,
    /// How long it lasted: until the time was over, it was stopped, or the last process of the tree ended.
    pub wall: Nanos,
    /// The number of the process that was asked for.
    pub pid: u32,
    /// Its name as `/proc/PID/comm` has it, at most 15 bytes; the name it had at the end.
    pub command: String,
    /// How many processes of the tree were seen, the first included; one that began and ended between two scans is not
    /// among them, though its CPU time is in `user` and `system`.
    pub processes_seen: u64,
    /// The most threads that were alive at one scan.
    pub threads_peak: u64,
    /// Threads that were seen for the first time after watching began.
    pub threads_begun: u64,
    /// Threads that were seen once and gone at a later scan.
    pub threads_ended: u64,
    /// The CPUs that the first process was allowed to use, in rising order.
    pub cpus_allowed: Vec<CpuId>,
    /// What was looked at, in the order in which it began.
    pub tiers: Vec<WatchTier>,
    /// CPU time in user mode. The sum with `system` is exact to some microseconds but for children that were waited for
    /// unseen, of which the kernel counts ticks; the split follows the kernel's own (proc_pid_stat(5)), in ticks.
    pub user: Nanos,
    /// CPU time in the kernel.
    pub system: Nanos,
    /// Times a thread gave up its CPU to wait. Without switch records, what a thread did after its last scan is lost:
    /// a line of `unseen` says so when threads ended.
    pub voluntary: u64,
    /// Times a thread was taken off its CPU.
    pub involuntary: u64,
    /// Time that threads spent runnable without a CPU (schedstat's second number). `None` where the kernel has no
    /// `/proc/PID/schedstat`.
    pub run_queue_wait: Option<Nanos>,
    /// Memory resident in the processes at the end, in bytes, pages shared between them counted once for each.
    pub resident: Option<u64>,
    /// Bytes of it that are stacks of threads, without those of the kernel. From a sample of threads where they are
    /// many.
    pub stack_resident: Option<u64>,
    /// Consecutive spans that cover the watched one, at least ten in a second.
    pub moments: Vec<ObservedMoment>,
    /// The threads, by their names without digits, those with most CPU time first.
    pub roles: Vec<ThreadRole>,
    /// What threads waited in, those with most voluntary switches first.
    pub waits: Vec<Wait>,
    /// What was counted, or recorded, of switches and wake-ups.
    pub switches: Option<SwitchDetail>,
    /// System calls per second by name, from the burst with tracepoints, which needs privileges.
    pub calls: Option<BTreeMap<String, f64>>,
    /// How many requests the program answered meanwhile, where a source was given.
    pub requests: Option<ObservedRequests>,
    /// What watching cost.
    pub overhead: WatchOverhead,
    /// What was not seen: why, and what would help.
    pub unseen: Vec<Shortfall>,
    /// What changed about the program or its surroundings meanwhile, in the order of time.
    pub changed: Vec<ObservedChange>,
}

/// What is looked at, each on top of the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WatchTier {
    /// `/proc` alone, for the whole time.
    Proc,
    /// Records of each switch by perf_event_open(2), as an ordinary user, for the whole time.
    SwitchRecords,
    /// A BPF program that counts switches and wake-ups in the kernel, which needs privileges, for the whole time.
    /// Single switches are then recorded in bursts alone.
    Bpf,
    /// What threads are blocked in, by sampling `/proc`, for at most a second.
    Burst,
    /// Entries of system calls, by tracepoints, which need privileges, for at most a second.
    CallTracepoints,
}

/// One of the consecutive spans in which the counters were read.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservedMoment {
    /// When the span ended, since watching began.
    pub at: Nanos,
    /// How long it was.
    pub wall: Nanos,
    /// CPU time used in it, user and system.
    pub cpu: Nanos,
    /// Times a thread gave up its CPU to wait.
    pub voluntary: u64,
    /// Times a thread was taken off its CPU.
    pub involuntary: u64,
    /// Time that threads spent runnable without a CPU: divided by `wall`, the mean depth of the run queue on top of
    /// those that ran.
    pub run_queue_wait: Option<Nanos>,
    /// Threads alive at its end.
    pub threads: u64,
    /// Threads that ran in it.
    pub active_threads: u64,
    /// Requests answered in it, where a source was given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requests: Option<f64>,
}

impl ObservedMoment {
    /// The mean number of threads that ran or were ready to run. `None` where the waiting was not seen or the span is
    /// empty.
    pub fn runnable(&self) -> Option<f64> {
        let waited = self.run_queue_wait?;
        (self.wall.0 > 0).then(|| (self.cpu.0 + waited.0) as f64 / self.wall.0 as f64)
    }
}

/// Threads of one name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ThreadRole {
    /// The name with each run of digits replaced by `N`: `tokio-rt-worker`, `worker-N`.
    pub name: String,
    /// How many threads had it.
    pub threads: u64,
    /// Their CPU time.
    pub cpu: Nanos,
    /// Times they gave up their CPU to wait.
    pub voluntary: u64,
    /// Times they were taken off their CPU.
    pub involuntary: u64,
    /// Which of [`Observation::waits`] they were seen in, by its place in that list, with the share of their samples,
    /// above 0 and at most 1; what is missing to 1, they ran.
    pub waits: Vec<(usize, f64)>,
}

/// One way in which threads waited.
///
/// Voluntary switches are attributed by time: each thread's own count is divided among the waits in which the burst saw
/// it blocked, by how often it did. Of a thread that waits in two places, many short waits in one are so given to the
/// long waits in the other. Where there are tracepoints, the count of each call is used instead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wait {
    /// The system call: `read`, `futex`, `epoll_wait`. `page fault` and `unknown` are none.
    pub call: String,
    /// What is waited for.
    pub kind: WaitKind,
    /// On how many descriptors a blocked thread waits, in the mean, without those that only wake it (eventfd, signalfd,
    /// timerfd, a pipe to itself). `None` of calls that wait on none, or where it cannot be read.
    pub descriptors: Option<f64>,
    /// What most of these descriptors are.
    pub descriptor_type: Option<DescriptorType>,
    /// How many threads were seen in it.
    pub threads: u64,
    /// Voluntary switches that are attributed to it.
    pub switches: f64,
    /// Time that threads spent in it: the sum over threads, from samples.
    pub blocked: Nanos,
    /// The share of its switches at which the CPU went straight to another thread of the tree, 0 to 1.
    pub direct: Option<f64>,
    /// The share of wake-ups from it whose cost was charged to the tree itself, 0 to 1. `None` without BPF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub woken_by_own: Option<f64>,
    /// How many events a return from it brought, in the mean.
    pub events_per_wake: Option<f64>,
    /// Of sleeps: the part of those threads that also wait for one descriptor, each of which may be a part of serving
    /// it. `None` of other waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serving: Option<ServingSleeps>,
}

/// Sleeps of threads that also wait for one descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServingSleeps {
    /// Voluntary switches that are attributed to them.
    pub switches: f64,
    /// Time that these threads spent in them, from samples.
    pub blocked: Nanos,
}

/// What a wait waits for: what decides whether an event loop would take its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WaitKind {
    /// One socket, pipe or terminal, by whatever call: what a thread of a connection does.
    OneDescriptor,
    /// Several of them: an event loop.
    ManyDescriptors,
    /// A lock, a condition, another thread of the program.
    Lock,
    /// Time alone: sleeping, a timer, a signal.
    Sleep,
    /// A file system or a block device, or a page from one.
    Disk,
    /// The end of a child process.
    Child,
    /// It could not be told.
    Unknown,
}

/// What a descriptor stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DescriptorType {
    /// A socket of any family.
    Socket,
    /// A pipe or a FIFO.
    Pipe,
    /// A regular file, a directory or a block device.
    File,
    /// A terminal or another character device.
    Device,
    /// An epoll set.
    Epoll,
    /// An io_uring instance.
    Uring,
    /// eventfd(2), signalfd(2), timerfd_create(2) or inotify(7): what wakes a loop.
    Wakeup,
    /// None of these.
    Other,
}

/// What single switches tell: by BPF, or else by records, which leave some of it open.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SwitchDetail {
    /// For how long, in all; the counts are of this time alone.
    pub wall: Nanos,
    /// Switches away from a thread that waited.
    pub out_voluntary: u64,
    /// Switches away from a thread that could have gone on.
    pub out_preempted: u64,
    /// Records that the kernel had to drop; they are in neither count.
    pub lost: u64,
    /// The share of `out_voluntary` after which the CPU went straight to another thread of the tree, 0 to 1.
    pub direct: Option<f64>,
    /// The share after which the CPU had nothing to do. `None` without BPF: records of the tree's own threads do not
    /// tell what a CPU does besides, so that the rest of `direct` is either this or `to_others`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_idle: Option<f64>,
    /// The share after which another program ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to_others: Option<f64>,
    /// The share of switches in at which the thread ran on another CPU than before, 0 to 1.
    pub migrated: Option<f64>,
    /// The mean time from when a thread could run, because it was woken or was preempted, until it ran. `None` without
    /// BPF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_queue_delay: Option<Nanos>,
    /// The share of wake-ups by what ran on another CPU than the woken thread was given, 0 to 1. `None` without BPF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub woken_remotely: Option<f64>,
    /// The share of wake-ups whose cost was charged to the tree itself: one of its threads woke the other, or was
    /// interrupted for it. That of the others shows in other accounts. `None` without BPF.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub woken_by_own: Option<f64>,
}

/// How many requests were answered while the program was watched.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservedRequests {
    /// Their number.
    pub count: f64,
    /// Where the number comes from, as it was given.
    pub source: String,
}

/// What watching cost: the watcher itself, and the watched program.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WatchOverhead {
    /// CPU time of the watcher, for the whole observation.
    pub watcher_cpu: Nanos,
    /// How long it took until the program was watched, without loading the BPF program, which concerns no process yet.
    pub attach: Nanos,
    /// How long it took to collect what was seen, after the watched span.
    pub read_out: Nanos,
    /// CPU time of the watcher by tier, where a tier has a thread of its own or a span of its own.
    pub tiers: Vec<TierCost>,
    /// Pairs of neighbouring spans of which one had a tier switched on and the other had not.
    pub pairs: Vec<OverheadPair>,
}

/// What the watcher used for one tier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TierCost {
    /// The tier.
    pub tier: WatchTier,
    /// How long it was switched on, in all.
    pub wall: Nanos,
    /// CPU time of the watcher for it.
    pub cpu: Nanos,
}

/// Two neighbouring spans: with a tier switched on, and without. Which was first changes from pair to pair.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OverheadPair {
    /// The tier that was switched on in one of them.
    pub tier: WatchTier,
    /// The program in the span with the tier.
    pub watched: SpanUsage,
    /// The program in the span without it.
    pub bare: SpanUsage,
}

/// What the program did in a short span.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SpanUsage {
    /// Its length.
    pub wall: Nanos,
    /// CPU time of the program in it.
    pub cpu: Nanos,
    /// What it got done: requests where a source was given. `None` leaves its CPU rate to compare by.
    pub progress: Option<f64>,
}

impl SpanUsage {
    /// CPU time per unit of progress, in nanoseconds; without progress, CPU time per second of wall time. `None` of an
    /// empty span.
    pub fn cpu_rate(&self) -> Option<f64> {
        let per = match self.progress {
            Some(progress) => progress,
            None => self.wall.0 as f64 / 1e9,
        };
        (per > 0.0).then(|| self.cpu.0 as f64 / per)
    }
}

/// What changed while the program was watched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ObservedChange {
    /// When it was noticed, since watching began.
    pub at: Nanos,
    /// What sort of change it is.
    pub kind: ChangeKind,
    /// What happened, in a sentence without full stop: `process 712 became nginx (it was sh)`.
    pub what: String,
}

/// The sort of a change: what of the observation it puts in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ChangeKind {
    /// A process runs another program than before (execve(2)).
    Exec,
    /// The watched process ended before the time was over.
    Exit,
    /// The process was stopped by a signal, or continued.
    Stopped,
    /// The control group was held back at its quota of CPU time.
    Throttled,
    /// The CPUs that the process may use are others.
    Affinity,
}
