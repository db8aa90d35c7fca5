//! Pipelines: messages go from a source through a transform to a sink, in many pipelines at once.
//!
//! An operation is one message, from the source that makes it to the sink that checks it. A batch is a number of
//! messages for each pipeline. The driver, which is no stage, lets all sources begin; each sends its messages as fast
//! as its channel takes them; the batch ends when the last sink has the last message, by that sink's own reading of the
//! clock. The channels are empty before and after. Each message is counted, its number must be the next one of its
//! pipeline, and its contents must be what the source sent, to the last byte.
//!
//! Threads and tasks run the same three loops (`stage.rs`); mechanisms differ in the channel between them and in what
//! runs them. Threads: one for each stage, which the channel blocks. Tasks: one for each stage, on a runtime of one
//! thread or of one worker for each CPU.
//!
//! One message in 61 carries the time at which it was sent: the latency from source to sink is that of those. They are
//! also what unbounded channels are watched by: the sum of messages on their way, and a batch that has more of them
//! than `queued_mib` allows is ended with an error, before the kernel ends the process.

use std::sync::Arc;

use super::{
    Batch, Bound, Domain, Expectation, Failure, Group, Metric, MetricKey, Operation, Parameter, Parameters, Placement,
    Resources, Unsupported,
};
use crate::crew::{Calibration, CpuWork};
use crate::sys::peak_memory::MemoryPeak;
use crate::sys::timer::monotonic;
use crate::terms::ValueHistogram;
use crate::units::{Nanos, Quantity};

mod channel;
mod document;
mod inline;
mod kanal_async;
mod progress;
mod smol_channel;
mod stage;
mod tasks;
#[cfg(test)]
mod tests;
mod thread_crossbeam;
mod thread_flume;
mod thread_kanal;
mod thread_std;
mod threads;
mod tokio_mpsc;

use channel::Capacity;
use document::{Document, PipelineWork, SHORTEST};
use progress::{BatchProgress, QueueLimit};
use stage::Message;

/// The group `pipeline`, with the question that its mechanisms answer.
pub const GROUP: Group = Group {
    name: "pipeline",
    question: "What does a message cost through three stages, and when do many pipelines collapse?",
    measures: Quantity::Nanoseconds,
    queues: true,
};

const PIPELINES: Parameter = Parameter {
    name: "pipelines",
    meaning: "pipelines at once, each with a source and a transform of its own",
    domain: Domain::Number { default: 2, min: 1, max: 4096 },
};

const CAPACITY: Parameter = Parameter {
    name: "capacity",
    meaning: "messages that a channel holds; with 0 a send waits until the message is received",
    domain: Domain::Word { words: &["128", "0", "1", "16", UNBOUNDED] },
};
const UNBOUNDED: &str = "unbounded";

const SINK: Parameter = Parameter {
    name: "sink",
    meaning: "whether each pipeline has a sink of its own, or one takes the messages of all",
    domain: Domain::Word { words: &["each", ONE] },
};
const ONE: &str = "one";

const WORK: Parameter = Parameter {
    name: "work",
    meaning: "work of the transform: none, or to decode a document, change a field and encode it, by serde_json or by \
              simd-json",
    domain: Domain::Word { words: &["none", JSON, SIMD_JSON] },
};
const JSON: &str = "json";
const SIMD_JSON: &str = "simd_json";

const DOCUMENT: Parameter = Parameter {
    name: "document",
    meaning: "bytes of a document, which messages carry where there is work",
    domain: Domain::Number { default: 512, min: SHORTEST, max: 1 << 20 },
};

const SINK_US: Parameter = Parameter {
    name: "sink_us",
    meaning: "microseconds of computation that a sink does for each message",
    domain: Domain::Number { default: 0, min: 0, max: 1_000_000 },
};

const QUEUED: Parameter = Parameter {
    name: "queued_mib",
    meaning: "MiB of messages that unbounded channels may hold in all; a batch that needs more is ended",
    domain: Domain::Number { default: 256, min: 1, max: 1 << 20 },
};

/// What pipelines over channels can vary.
const OF_THREADS: &[Parameter] = &[PIPELINES, CAPACITY, SINK, WORK, DOCUMENT, SINK_US, QUEUED];

/// What all pipelines of an instance have in common.
#[derive(Debug, Clone)]
struct PipelineShape {
    pipelines: usize,
    capacity: Capacity,
    one_sink: bool,
    work: PipelineWork,
    sink_work: CpuWork,
    /// None where there is no work.
    documents: Arc<[Document]>,
    queued_mib: u64,
}

impl Capacity {
    fn of(parameters: &Parameters) -> Self {
        // Every other word is a number, as a test checks.
        parameters.word(CAPACITY.name).parse().map_or(Self::Unbounded, Self::Bounded)
    }
}

impl PipelineWork {
    fn of(parameters: &Parameters) -> Self {
        match parameters.word(WORK.name) {
            JSON => Self::Json,
            SIMD_JSON => Self::SimdJson,
            _ => Self::None,
        }
    }
}

impl PipelineShape {
    /// Of pipelines over channels.
    fn of(parameters: &Parameters) -> Self {
        Self {
            capacity: Capacity::of(parameters),
            one_sink: parameters.word(SINK.name) == ONE,
            queued_mib: parameters.number(QUEUED.name),
            ..Self::without_channels(parameters)
        }
    }

    /// Of stages that one thread performs one after the other.
    fn without_channels(parameters: &Parameters) -> Self {
        let work = PipelineWork::of(parameters);
        let documents = match work {
            PipelineWork::None => Vec::new(),
            PipelineWork::Json | PipelineWork::SimdJson => Document::all(parameters.size(DOCUMENT.name)),
        };
        let nanos = Nanos(parameters.number(SINK_US.name) * 1000);
        Self {
            pipelines: parameters.size(PIPELINES.name),
            capacity: Capacity::Bounded(0),
            one_sink: true,
            work,
            // Calibrating takes its time.
            sink_work: if nanos.0 == 0 { CpuWork::nothing() } else { Calibration::measured().work(nanos) },
            documents: documents.into(),
            queued_mib: 0,
        }
    }

    fn sinks(&self) -> usize {
        if self.one_sink { 1 } else { self.pipelines }
    }

    /// Sources, transforms and sinks.
    fn stages(&self) -> usize {
        2 * self.pipelines + self.sinks()
    }

    /// Bytes of a document; 0 without work.
    fn document(&self) -> usize {
        self.documents.first().map_or(0, |document| document.text().len())
    }

    fn limit(&self) -> QueueLimit {
        match self.capacity {
            Capacity::Bounded(_) => QueueLimit::none(),
            Capacity::Unbounded => QueueLimit::of(self.queued_mib, self.document()),
        }
    }
}

/// What runs the stages, as the driver sees it.
trait StageRunner {
    /// Waits, on the driver's thread, for a future that the stages complete.
    fn block_on<T>(&self, future: impl Future<Output = T>) -> T;
}

/// The driver's part. Made before the first stage runs; dropping it ends all of them, without losing a message.
struct PipelineDriver<R: StageRunner> {
    progress: Arc<BatchProgress>,
    runner: R,
    totals: BatchTotals,
}

impl<R: StageRunner> PipelineDriver<R> {
    fn new(shape: &PipelineShape, progress: &Arc<BatchProgress>, runner: R) -> Self {
        Self { progress: Arc::clone(progress), runner, totals: BatchTotals::new(shape) }
    }
}

impl<R: StageRunner> Operation for PipelineDriver<R> {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        let messages = ops / self.totals.pipelines;
        let peak = self.totals.watched_memory().then(MemoryPeak::begin);
        let start = monotonic();
        self.progress.begin(messages);
        let end = self.runner.block_on(self.progress.finished())?;
        self.totals.add(&self.progress, messages, Nanos(end.0.saturating_sub(start.0)), peak)
    }

    fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        Ok(self.totals.take_metrics(&self.progress))
    }
}

impl<R: StageRunner> Drop for PipelineDriver<R> {
    fn drop(&mut self) {
        self.progress.close();
        self.runner.block_on(self.progress.ended());
    }
}

/// What the batches since metrics were last taken came to.
struct BatchTotals {
    pipelines: u64,
    /// Bytes of a document; 0 without work.
    document: u64,
    unbounded: bool,
    latencies: ValueHistogram,
    messages: u64,
    time: Nanos,
    /// The most memory that a batch took, and what all batches so far have kept of it.
    peak: Option<u64>,
    kept: i64,
}

impl BatchTotals {
    fn new(shape: &PipelineShape) -> Self {
        Self {
            pipelines: shape.pipelines as u64,
            document: shape.document() as u64,
            unbounded: shape.capacity == Capacity::Unbounded,
            latencies: ValueHistogram::new(),
            messages: 0,
            time: Nanos(0),
            peak: None,
            kept: 0,
        }
    }

    fn watched_memory(&self) -> bool {
        self.unbounded
    }

    /// A batch of so many messages in each pipeline is done.
    fn add(
        &mut self,
        progress: &BatchProgress,
        messages: u64,
        time: Nanos,
        peak: Option<Option<MemoryPeak>>,
    ) -> Result<Batch, Failure> {
        if let Some(taken) = peak.flatten().and_then(MemoryPeak::end) {
            // Another instance of this process may hold memory as well; what this one kept so far is its own.
            let most = self.kept.saturating_add_unsigned(taken.most).max(0).unsigned_abs();
            self.peak = self.peak.max(Some(most));
            self.kept = self.kept.saturating_add(taken.kept);
        }
        progress.take_latencies(|nanos| self.latencies.record(nanos));
        let ops = messages * self.pipelines;
        // No batch takes no time.
        let time = time.max(Nanos(1));
        self.messages += ops;
        self.time = Nanos(self.time.0 + time.0);
        Ok(Batch::lasting(std::time::Duration::from_nanos(time.0), ops))
    }

    fn take_metrics(&mut self, progress: &BatchProgress) -> Vec<Metric> {
        let latencies = std::mem::take(&mut self.latencies);
        let (messages, time) = (std::mem::take(&mut self.messages), std::mem::replace(&mut self.time, Nanos(0)));
        let most_queued = progress.take_most_queued();
        let mut metrics = Vec::new();
        if latencies.count() > 0 {
            metrics.push(Metric::latencies(MetricKey::SourceToSink, latencies));
        }
        if self.document > 0 && time.0 > 0 {
            let rate = (messages * self.document) as f64 / (time.0 as f64 / 1e9);
            metrics.push(Metric::scalar(MetricKey::DocumentBytesPerSecond, Quantity::Bytes, rate));
        }
        if self.unbounded {
            metrics.push(Metric::scalar(MetricKey::MostQueued, Quantity::Number, most_queued as f64));
            let peak = self.peak.take().map(|peak| peak as f64);
            metrics.extend(peak.map(|peak| Metric::scalar(MetricKey::PeakMemory, Quantity::Bytes, peak)));
        }
        metrics
    }
}

/// So many messages of each pipeline that a lap of the default number fills channels of the default capacity, and an
/// audit sees what happens then. Channels of a few messages are full at once, and documents are worked on for longer
/// than channels are waited for.
fn messages_per_lap(parameters: &Parameters) -> u64 {
    messages_through(Capacity::of(parameters), parameters)
}

fn messages_through(capacity: Capacity, parameters: &Parameters) -> u64 {
    const FEW: usize = 16;
    let pipelines = parameters.number(PIPELINES.name);
    let messages: u64 = match (PipelineWork::of(parameters), capacity) {
        (PipelineWork::None, Capacity::Bounded(capacity)) if capacity <= FEW => 128,
        (PipelineWork::None, _) => 1024,
        (PipelineWork::Json | PipelineWork::SimdJson, _) => 64,
    };
    pipelines * messages.div_ceil(pipelines)
}

/// Calls that a batch of unbounded channels makes to read its peak of memory: files of /proc opened, read, written and
/// closed, before and after.
const PEAK_CALLS: f64 = 40.0;

/// Source, transform and sink: as many threads has a pipeline at most.
const STAGES: f64 = 3.0;

/// Calls by which a thread that allocates for the first time makes a heap of its own: it maps twice as much as it
/// needs, cuts off both ends to align it, and makes the first pages writable (`new_heap` in malloc/arena.c of glibc).
const HEAP_CALLS: f64 = 4.0;

/// What messages do wherever they go: nothing, but for an allocator that asks the kernel for memory. Documents and
/// unbounded queues make it do so page by page (mprotect(2) in the heaps of threads, malloc(3)), until channels are
/// full and freed memory is used again.
fn moved(parameters: &Parameters) -> Expectation {
    let unbounded = parameters.word(CAPACITY.name) == UNBOUNDED;
    let others = match PipelineWork::of(parameters) {
        PipelineWork::None if unbounded => Bound::AtMost(0.1),
        PipelineWork::None => Bound::AtMost(0.02),
        PipelineWork::Json | PipelineWork::SimdJson => Bound::AtMost(1.0),
    };
    let per_batch = if unbounded { PEAK_CALLS } else { 0.0 };
    let heaps = HEAP_CALLS * STAGES * parameters.number(PIPELINES.name) as f64;
    Expectation::nothing().others(others).per_batch(Expectation::OTHER_CALLS, per_batch + heaps)
}

/// What a message does where stages wait in the kernel: how often they do is up to the capacity, to which of them runs
/// first, and to how often a library looks again before it sleeps.
fn woken(parameters: &Parameters, placement: Placement) -> Expectation {
    let calls = moved(parameters)
        .call("futex:wait", Bound::Depends)
        .call("futex:wake", Bound::Depends)
        // Those that look again let others run meanwhile.
        .call("sched_yield", Bound::Depends);
    // Each message crosses two channels. At each crossing its sender may wait for room, its receiver for the message.
    let crossings = 4.0;
    let most = match placement {
        Placement::SameCpu => Bound::AtMost(crossings),
        // On several CPUs they also meet at locks, of channels and of the allocator.
        _ => Bound::AtMost(2.0 * crossings),
    };
    calls.voluntary(most).wakeups(most)
}

/// As [`woken`], for channels whose ends meet without a lock that is held for long: with capacity 0 the one that comes
/// first to a crossing waits, and the other finds it there.
fn met(parameters: &Parameters, placement: Placement) -> Expectation {
    let meets = Capacity::of(parameters) == Capacity::Bounded(0);
    if !meets || PipelineWork::of(parameters) != PipelineWork::None {
        return woken(parameters, placement);
    }
    // A stage that is preempted while it holds the channel's lock makes the other one wait for that too.
    let once_each = Bound::AtMost(2.1);
    moved(parameters)
        .call("futex:wait", once_each)
        .call("futex:wake", once_each)
        .call("sched_yield", Bound::Depends)
        // The driver wakes the sources, which wake the transforms, and the last sink wakes the driver.
        .per_batch("futex:wait", EDGE_CALLS * parameters.number(PIPELINES.name) as f64)
        .per_batch("futex:wake", EDGE_CALLS * parameters.number(PIPELINES.name) as f64)
        .voluntary(once_each)
        .wakeups(once_each)
}

/// Waits and wakes of each pipeline by which a batch begins and ends.
const EDGE_CALLS: f64 = 4.0;

/// A thread for each stage.
fn resources_of_threads(parameters: &Parameters) -> Resources {
    let pipelines = parameters.number(PIPELINES.name);
    let sinks = if parameters.word(SINK.name) == ONE { 1 } else { pipelines };
    Resources { descriptors: 8, threads: 1 + 2 * pipelines + sinks, processes: 0 }
}
