//! What a pipeline wants of a library's channel, and the pipelines that are built of it.

use std::sync::Arc;

use super::progress::BatchProgress;
use super::stage::{SinkStage, SourceStage, Stage, StageContext};
use super::{Message, PipelineShape, Unsupported};
use crate::mechanism::{Crew, Parameters};

/// How much a channel holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Capacity {
    /// So many messages; with 0 a send waits until the message is received.
    Bounded(usize),
    /// As much as there is memory.
    Unbounded,
}

/// A library's channel, with several senders and one receiver. Sending and receiving are futures; where the library
/// blocks the calling thread, they are ready when they are first polled, by a thread that has nothing else to do. So
/// threads and tasks run the same stages, and differ in the channel and in what runs them.
pub(super) trait MessageChannel: 'static {
    /// What a stage sends into.
    type Sender: Clone + Send + 'static;
    /// What a stage receives from.
    type Receiver: Send + 'static;

    /// A channel of its own.
    fn open(capacity: Capacity) -> (Self::Sender, Self::Receiver);

    /// Sends; false when the receiver is gone.
    fn send(sender: &mut Self::Sender, message: Message) -> impl Future<Output = bool> + Send;

    /// Waits for a message; `None` when all senders are gone and nothing is left.
    fn receive(receiver: &mut Self::Receiver) -> impl Future<Output = Option<Message>> + Send;
}

/// Whether a channel without rendezvous can be had with these parameters.
///
/// # Errors
/// With capacity 0.
pub(super) fn without_rendezvous(parameters: &Parameters, library: &str) -> Result<(), Unsupported> {
    if Capacity::of(parameters) != Capacity::Bounded(0) {
        return Ok(());
    }
    Err(Unsupported::new(
        "a channel with rendezvous, for capacity=0",
        format!("the smallest channel of {library} holds a message"),
        "capacity=1, or a mechanism that has rendezvous: pipeline/kanal_async, pipeline/thread_*",
    ))
}

/// The stages of all pipelines, connected by channels of `C`. None of them runs yet.
pub(super) fn connect<C: MessageChannel>(
    shape: &PipelineShape,
    progress: &Arc<BatchProgress>,
    crew: &Crew,
) -> Vec<Stage> {
    let spawner = crew.spawner();
    let context = |stage: &str, pipeline| StageContext::new(stage, pipeline, progress, &spawner);
    let mut shared = shape.one_sink.then(|| C::open(shape.capacity));
    let mut stages = Vec::with_capacity(shape.stages());
    for pipeline in 0..shape.pipelines {
        let (out, transform_in) = C::open(shape.capacity);
        let (transform_out, sink_in) = match &shared {
            Some((sender, _)) => (sender.clone(), None),
            None => {
                let (sender, receiver) = C::open(shape.capacity);
                (sender, Some(receiver))
            }
        };
        let source = SourceStage::new(shape, pipeline, progress);
        stages.push(Stage::source::<C>(source, out, context("source", Some(pipeline))));
        let ends = (transform_in, transform_out);
        stages.push(Stage::transform::<C>(shape.work, ends, context("transform", Some(pipeline))));
        if let Some(receiver) = sink_in {
            let sink = SinkStage::new(shape, pipeline, 1, progress);
            stages.push(Stage::sink::<C>(sink, receiver, context("sink", Some(pipeline))));
        }
    }
    // The sender that was copied for each transform is dropped here: the sink ends when the last copy is gone.
    if let Some((_, receiver)) = shared.take() {
        let sink = SinkStage::new(shape, 0, shape.pipelines, progress);
        stages.push(Stage::sink::<C>(sink, receiver, context("sink", None)));
    }
    stages
}
