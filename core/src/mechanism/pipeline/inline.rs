//! One thread performs all three stages of each message, one after the other: what a message costs when nothing waits
//! for anything. The baseline of the group.
//!
//! Timed: making a message, the transform, the checks of the sink. Not timed: making the documents.
//! Distortions: a message is in the caches of the CPU that has just made it, and without work it may never leave its
//! registers; other CPUs stay idle.

use std::sync::Arc;

use smol::future::block_on;

use super::progress::BatchProgress;
use super::stage::{SinkStage, SourceStage, transform};
use super::{
    BatchTotals, DOCUMENT, PIPELINES, PipelineShape, PipelineWork, SINK_US, WORK, channel::Capacity, messages_through,
};
use crate::mechanism::{
    Batch, Bound, Crew, Descriptor, Expectation, Failure, Mechanism, Metric, Operation, Parameters, Resources, Tasks,
    Unit, register,
};
use crate::sys::timer::monotonic;
use crate::units::Nanos;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "pipeline/inline",
    isolates: "all three stages in one thread, without a channel: the work of a message alone",
    unit: Unit::Message,
    tasks: Tasks::OneThread,
    parameters: &[PIPELINES, WORK, DOCUMENT, SINK_US],
    baseline: "pipeline/inline",
    requirements: &[],
    source: "docs.rs/serde_json, docs.rs/simd-json",
    lap: |parameters| messages_through(Capacity::Unbounded, parameters),
    resources: |_| Resources { descriptors: 8, threads: 1, processes: 0 },
    // Nothing, but for an allocator that asks for memory once for many documents.
    expects: |_, _| Expectation::nothing().others(Bound::AtMost(0.01)),
};

struct Inline;

register!(Inline);

impl Mechanism for Inline {
    fn descriptor(&self) -> &'static Descriptor {
        &DESCRIPTOR
    }

    fn set_up(&self, parameters: &Parameters, _: &mut Crew) -> Result<Box<dyn Operation>, Failure> {
        let shape = PipelineShape::without_channels(parameters);
        let progress = Arc::new(BatchProgress::new(&shape));
        let sources = (0..shape.pipelines).map(|pipeline| SourceStage::new(&shape, pipeline, &progress)).collect();
        let sink = SinkStage::new(&shape, 0, shape.pipelines, &progress);
        Ok(Box::new(AllStages { sources, work: shape.work, sink, totals: BatchTotals::new(&shape), progress }))
    }
}

/// The stages of all pipelines, which take turns.
struct AllStages {
    sources: Vec<SourceStage>,
    work: PipelineWork,
    sink: SinkStage,
    totals: BatchTotals,
    progress: Arc<BatchProgress>,
}

impl Operation for AllStages {
    fn run(&mut self, ops: u64) -> Result<Batch, Failure> {
        let messages = ops / self.sources.len() as u64;
        let start = monotonic();
        self.progress.begin(messages);
        for _ in 0..messages {
            for source in &mut self.sources {
                self.sink.take(&transform(self.work, source.next()?)?)?;
            }
        }
        // The sink has said so: nothing is waited for.
        let end = block_on(self.progress.finished())?;
        self.totals.add(&self.progress, messages, Nanos(end.0.saturating_sub(start.0)), None)
    }

    fn metrics(&mut self) -> Result<Vec<Metric>, Failure> {
        Ok(self.totals.take_metrics(&self.progress))
    }
}
