//! What a metric is of: the key by which mechanisms name what they found out, and by which charts find it again.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Declares the keys, each once, with the word that stands for it in records.
macro_rules! metric_keys {
    ($($(#[doc = $meaning:literal])+ $key:ident = $word:literal,)+) => {
        /// What a metric is of. A mechanism that reports something new adds a key; a key that no mechanism reports is
        /// removed. Records hold its word ([`as_str`](Self::as_str)), which therefore never changes.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum MetricKey {
            $($(#[doc = $meaning])+ $key,)+
            /// A word in a record that this version does not know, as another version wrote it. Tables print it, and no
            /// chart looks for it.
            Other(Box<str>),
        }

        impl MetricKey {
            /// Every key that this version knows, in the order of their declaration.
            pub const ALL: &[Self] = &[$(Self::$key),+];

            /// The word in records and tables: `response time`.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$key => $word,)+
                    Self::Other(word) => word,
                }
            }
        }
    };
}

metric_keys! {
    // Open loops: `wakeup/request` and `fairness`.
    /// Nanoseconds from the intended send time of a request to its answer.
    ResponseTime = "response time",
    /// Nanoseconds from sending a request to the worker's start on it, in `wakeup/request`.
    Wakeup = "wakeup",
    /// The same in `fairness`, where a request may also wait for jobs.
    WaitForService = "wait for service",
    /// Nanoseconds from the server's start on a request to its answer.
    ServiceTime = "service time",
    /// How late requests were sent: the 99th percentile, in nanoseconds.
    ScheduleSlip = "schedule slip, p99",
    /// The share of requests that were sent later than one mean gap after their time; in `server`, after they could be
    /// sent.
    SentLate = "sent late",
    /// The same share, reported only where the generator's lateness makes the round void.
    GeneratorBottleneck = "generator was the bottleneck",

    /// The share of requests for which no connection was free at their time, in `server`.
    HeldForConnection = "held for a free connection",

    // `wakeup/timer_*`.
    /// Nanoseconds from the intended end of a sleep to the task's reading of the clock.
    Lateness = "lateness",

    // `file`.
    /// Nanoseconds for which submitting a wave of reads blocked the caller.
    Submission = "submission",
    /// Nanoseconds from the end of the submission to the taking of a read's completion.
    Completion = "completion",
    /// The share of all time in which submissions blocked the caller.
    BlockedInSubmission = "time blocked in submission",
    /// The share of the file that was in the page cache before the reads, at the worst of the batches.
    ResidentBefore = "file in the page cache before the reads",
    /// Pages that the kernel read without being asked, at the worst of the batches.
    PagesUnasked = "pages that came unasked",
    /// Nanoseconds that the question for readiness took.
    ReadinessCall = "asking whether it is ready",
    /// The share of those questions to which the answer was yes.
    ReadyAtOnce = "called ready at once",

    // `brigade`, `handoff`.
    /// The number of descriptor tables over which a brigade is spread.
    DescriptorTables = "descriptor tables",
    /// The share of acquisitions of a mutex by another task than the one that held it last.
    AcquisitionsByAnother = "acquisitions by another task",

    // `pipeline`.
    /// Nanoseconds from the source's sending of a message until its sink has it, of one message in 61.
    SourceToSink = "source to sink",
    /// Bytes of documents that went through all pipelines in a second.
    DocumentBytesPerSecond = "document bytes per second",
    /// The most messages that were on their way at once, where channels are unbounded.
    MostQueued = "messages queued at most",
    /// Bytes of memory that a batch took at the most, where channels are unbounded.
    PeakMemory = "peak memory",
    // `server`.
    /// Requests answered in a second, as the client saw it.
    Throughput = "requests per second",
    /// Requests that were in flight at the same time, on average.
    RequestsInFlight = "requests in flight",
    /// Events that a wait of the server brought, where it has an event loop or a ring; in `client`, a wait of the
    /// client.
    EventsPerWake = "events per wake",
    /// Context switches of the server's threads and processes, for each request.
    SwitchesPerRequest = "context switches per request",
    /// Connections that the server accepted, for each request.
    ConnectionsPerRequest = "connections per request",
    /// Nanoseconds of CPU time that the client used, for each request.
    ClientCpu = "CPU time of the client per request",
    /// Nanoseconds of CPU time of the server, for each request, in `client`.
    ServerCpu = "CPU time of the server per request",
    /// Bytes that the server's processes hold for each connection: user memory, page tables and kernel stacks.
    MemoryPerConnection = "memory per connection",
    /// The share of all connections that the worker with most of them has accepted.
    BusiestWorker = "connections of the busiest worker",

    // Sweeps: bytes for each task, by kind.
    /// All kinds together.
    MemoryPerTask = "memory per task",
    /// Resident memory of the user mode.
    UserResidentPerTask = "user resident per task",
    /// Page tables.
    PageTablesPerTask = "page tables per task",
    /// Kernel stacks.
    KernelStackPerTask = "kernel stack per task",
    /// Slab, as the control group accounts for it.
    SlabPerTask = "slab per task",
    /// Slab, as the whole machine's grew.
    MachineSlabPerTask = "slab per task (by the whole machine)",

    // `footprint`: bytes over the number of tasks, by kind.
    /// All kinds together, except for addresses.
    InAll = "in all",
    /// The same without the pipes of the tasks.
    WithoutPipe = "in all, its pipe taken off",
    /// Resident memory of the user mode.
    UserResident = "user resident",
    /// Page tables.
    PageTables = "page tables",
    /// Kernel stacks.
    KernelStacks = "kernel stacks",
    /// Slab, as the control group accounts for it.
    GroupSlab = "slab of the control group",
    /// Slab and what else a control group of version 1 accounts for as kernel memory.
    GroupKernelMemory = "slab and other kernel memory of the control group",
    /// Slab, as the whole machine's grew.
    MachineSlab = "slab of the whole machine",
    /// Addresses.
    VirtualSize = "virtual",
    /// Pipes without tasks.
    PipeAlone = "a pipe alone",

    // `after_syscall`, in time.
    /// Nanoseconds by which all blocks after the call took longer than those without the call.
    LostAfterCall = "lost after the call",
    /// The same in ticks.
    LostTicks = "the same in ticks of the counter",
    /// Nanoseconds by which all blocks took longer than those at the end of the trial.
    LostAgainstEnd = "lost against the end of the trial",
    /// The time of the slowest block, divided by that of the same block without the call.
    SlowestBlock = "slowest block against undisturbed",
    /// Nanoseconds of a block at the end of a trial.
    BlockAtEnd = "block at the end of the trial",
    /// Nanoseconds after the call until nine tenths of the loss have been suffered.
    UntilMostIsLost = "until nine tenths of it are lost",
    /// Nanoseconds of one reading of the counter, which were subtracted.
    ReadingCost = "cost of a reading, taken off",
    /// Nanoseconds by which the counter advances at once.
    CounterStep = "step of the counter",
    /// The speed of each block after the call, 1 being that without the call.
    SpeedAfterCall = "speed after the call",
    /// Nanoseconds of each block after the call.
    BlocksAfterCall = "time per block after the call",
    /// Nanoseconds of each block of trials without the call.
    BlocksWithoutCall = "time per block without the call",

    // `after_syscall`, counted in user mode.
    /// Cycles by which all blocks after the call took longer than those without the call.
    CyclesLost = "cycles lost after the call",
    /// Instructions in a block.
    InstructionsPerBlock = "instructions in a block",
    /// Cycles of one reading, which were subtracted.
    ReadingCycles = "cycles of a reading, taken off",
    /// The number of pairs of trials that were timed in cycles.
    PairsInCycles = "pairs of trials timed in cycles",
    /// Instructions per cycle of each block after the call.
    IpcAfterCall = "instructions per cycle after the call",
    /// Instructions per cycle of each block of trials without the call.
    IpcWithoutCall = "instructions per cycle without the call",
}

impl From<&str> for MetricKey {
    fn from(word: &str) -> Self {
        Self::ALL.iter().find(|key| key.as_str() == word).cloned().unwrap_or_else(|| Self::Other(word.into()))
    }
}

impl fmt::Display for MetricKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for MetricKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for MetricKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::from(String::deserialize(deserializer)?.as_str()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_again_by_its_word() {
        for key in MetricKey::ALL {
            let text = serde_json::to_string(key).unwrap();
            assert_eq!(text, format!("\"{key}\""));
            assert_eq!(serde_json::from_str::<MetricKey>(&text).unwrap(), *key, "two keys have one word");
        }
    }

    #[test]
    fn a_word_of_another_version_is_kept() {
        let key: MetricKey = serde_json::from_str("\"something \\\"new\\\"\"").unwrap();
        assert_eq!(key, MetricKey::Other("something \"new\"".into()));
        assert_eq!(serde_json::to_string(&key).unwrap(), "\"something \\\"new\\\"\"");
    }
}
