//! The three stages of a pipeline: what each does with a message, and the loop in which it does so.

use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;

use futures_lite::FutureExt;

use super::channel::MessageChannel;
use super::document::{Document, PipelineWork};
use super::progress::{BatchProgress, STAMPED};
use super::{Failure, PipelineShape};
use crate::crew::CpuWork;
use crate::crew::{Spawner, panic_text};
use crate::sys::timer::monotonic;

/// What goes through a pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Message {
    /// When its source sent it, in nanoseconds of `CLOCK_MONOTONIC`; 0 in all but one of [`STAMPED`].
    pub(super) sent: u64,
    /// Its number in its pipeline.
    pub(super) number: u64,
    /// The document; empty where stages do no work.
    pub(super) text: String,
    /// Its pipeline's number.
    pub(super) pipeline: u32,
    /// How many transforms it has been through.
    pub(super) transforms: u32,
}

/// Makes the messages of one pipeline.
#[derive(Debug)]
pub(super) struct SourceStage {
    pipeline: usize,
    number: u64,
    until_stamp: u64,
    documents: Arc<[Document]>,
    progress: Arc<BatchProgress>,
}

impl SourceStage {
    /// The source of `pipeline`.
    pub(super) fn new(shape: &PipelineShape, pipeline: usize, progress: &Arc<BatchProgress>) -> Self {
        let (documents, progress) = (Arc::clone(&shape.documents), Arc::clone(progress));
        Self { pipeline, number: 0, until_stamp: 0, documents, progress }
    }

    /// The next message.
    ///
    /// # Errors
    /// When unbounded channels hold more than they may.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Message, Failure> {
        let number = self.number;
        self.number += 1;
        let text = match document(&self.documents, self.pipeline, number) {
            // The copy that a program makes of what it has read, and that a parser may overwrite.
            Some(document) => document.text().to_owned(),
            None => String::new(),
        };
        let mut sent = 0;
        if self.until_stamp == 0 {
            self.until_stamp = STAMPED;
            self.progress.queue(self.pipeline)?;
            sent = monotonic().0;
        }
        self.until_stamp -= 1;
        Ok(Message { sent, number, text, pipeline: self.pipeline as u32, transforms: 0 })
    }
}

/// The document of a message: pipelines begin at different ones.
#[inline]
fn document(documents: &[Document], pipeline: usize, number: u64) -> Option<&Document> {
    // Without work there are none; two divisions a message were 10 of the 37 ns of `pipeline/inline`.
    if documents.is_empty() {
        return None;
    }
    documents.get((pipeline as u64 + number) as usize % documents.len())
}

/// What a transform does with a message.
///
/// # Errors
/// When its document is none.
#[inline]
pub(super) fn transform(work: PipelineWork, mut message: Message) -> Result<Message, Failure> {
    message.transforms += 1;
    if work != PipelineWork::None {
        // Not 0, which is there already.
        message.text = work.transform(message.text, message.number + 1)?;
    }
    Ok(message)
}

/// Counts and checks the messages of some pipelines.
#[derive(Debug)]
pub(super) struct SinkStage {
    sink: usize,
    /// The first of its pipelines.
    first: usize,
    /// By pipeline, the number of the next message.
    next: Vec<u64>,
    /// Messages of this batch that are still to come.
    left: u64,
    latencies: Vec<u64>,
    work: CpuWork,
    documents: Arc<[Document]>,
    progress: Arc<BatchProgress>,
}

impl SinkStage {
    /// The sink of `pipelines` from the one numbered `first` on; its own number is that as well.
    pub(super) fn new(shape: &PipelineShape, first: usize, pipelines: usize, progress: &Arc<BatchProgress>) -> Self {
        let (documents, progress) = (Arc::clone(&shape.documents), Arc::clone(progress));
        let (next, work) = (vec![0; pipelines], shape.sink_work);
        Self { sink: first, first, next, left: 0, latencies: Vec::new(), work, documents, progress }
    }

    /// Takes a message.
    ///
    /// # Errors
    /// When it is not the one that comes next, or not what its source sent.
    #[inline]
    pub(super) fn take(&mut self, message: &Message) -> Result<(), Failure> {
        let pipeline = message.pipeline as usize;
        let Some(next) = pipeline.checked_sub(self.first).and_then(|index| self.next.get_mut(index)) else {
            return Err(Failure::Corrupted(format!("a message of pipeline {pipeline} arrived at another one's sink")));
        };
        if message.number != *next || message.transforms != 1 {
            return Err(not_expected(message, *next));
        }
        *next += 1;
        let whole = match document(&self.documents, pipeline, message.number) {
            Some(document) => document.is_with(&message.text, message.number + 1),
            None => message.text.is_empty(),
        };
        if !whole {
            return Err(not_sent(message));
        }
        if message.sent != 0 {
            self.latencies.push(monotonic().0.saturating_sub(message.sent));
            self.progress.dequeue();
        }
        self.work.perform();
        if self.left == 0 {
            self.left = self.progress.messages() * self.next.len() as u64;
        }
        self.left -= 1;
        if self.left == 0 {
            self.progress.arrive(self.sink, &mut self.latencies);
        }
        Ok(())
    }

    /// Whether everything that was sent has arrived, once the sources have ended.
    ///
    /// # Errors
    /// When it has not.
    pub(super) fn check_all(&self) -> Result<(), Failure> {
        for (pipeline, arrived) in (self.first..).zip(&self.next) {
            let sent = self.progress.sent(pipeline);
            if sent != *arrived {
                return Err(Failure::Corrupted(format!(
                    "pipeline {pipeline}: {sent} messages were sent, and {arrived} had arrived at the end"
                )));
            }
        }
        Ok(())
    }
}

#[cold]
fn not_expected(message: &Message, next: u64) -> Failure {
    let Message { pipeline, number, transforms, .. } = message;
    Failure::Corrupted(format!(
        "pipeline {pipeline}: message {number} arrived, through {transforms} transforms; message {next} through 1 was \
         to come"
    ))
}

#[cold]
fn not_sent(message: &Message) -> Failure {
    let Message { pipeline, number, text, .. } = message;
    Failure::Corrupted(format!("pipeline {pipeline}: message {number} is not what was sent: `{text}`"))
}

/// A stage as something to run: by a thread of its own, or as a task.
pub(super) struct Stage(pub(super) Pin<Box<dyn Future<Output = ()> + Send>>);

impl Stage {
    /// Sends the messages of every batch.
    pub(super) fn source<C: MessageChannel>(
        mut source: SourceStage,
        mut out: C::Sender,
        context: StageContext,
    ) -> Self {
        Self(Box::pin(async move { context.watch(send_all::<C>(&mut source, &mut out)).await }))
    }

    /// Passes every message on.
    pub(super) fn transform<C: MessageChannel>(
        work: PipelineWork,
        (mut messages, mut out): (C::Receiver, C::Sender),
        context: StageContext,
    ) -> Self {
        Self(Box::pin(async move { context.watch(pass_on::<C>(work, &mut messages, &mut out)).await }))
    }

    /// Takes every message.
    pub(super) fn sink<C: MessageChannel>(
        mut sink: SinkStage,
        mut messages: C::Receiver,
        context: StageContext,
    ) -> Self {
        Self(Box::pin(async move { context.watch(take_all::<C>(&mut sink, &mut messages)).await }))
    }
}

async fn send_all<C: MessageChannel>(source: &mut SourceStage, out: &mut C::Sender) -> Result<(), Failure> {
    let mut last = 0;
    let progress = Arc::clone(&source.progress);
    while let Some(messages) = progress.next_batch(source.pipeline, &mut last).await {
        for _ in 0..messages {
            let message = source.next()?;
            if !C::send(out, message).await {
                progress.break_off();
                return Ok(());
            }
        }
    }
    progress.note_sent(source.pipeline, source.number);
    Ok(())
}

async fn pass_on<C: MessageChannel>(
    work: PipelineWork,
    messages: &mut C::Receiver,
    out: &mut C::Sender,
) -> Result<(), Failure> {
    while let Some(message) = C::receive(messages).await {
        if !C::send(out, transform(work, message)?).await {
            // A sink that cannot go on has said so.
            return Ok(());
        }
    }
    Ok(())
}

async fn take_all<C: MessageChannel>(sink: &mut SinkStage, messages: &mut C::Receiver) -> Result<(), Failure> {
    while let Some(message) = C::receive(messages).await {
        sink.take(&message)?;
        if sink.progress.is_broken() {
            return Ok(());
        }
    }
    // Where a stage broke off the rest is missing, for a reason that the crew knows.
    if sink.progress.is_broken() { Ok(()) } else { sink.check_all() }
}

/// Whose stage it is, and where it reports how it ended. Dropping it says that the stage has ended.
pub(super) struct StageContext {
    name: String,
    progress: Arc<BatchProgress>,
    spawner: Spawner,
}

impl StageContext {
    /// For the `stage` of a pipeline, or of all.
    pub(super) fn new(stage: &str, pipeline: Option<usize>, progress: &Arc<BatchProgress>, spawner: &Spawner) -> Self {
        let of = pipeline.map_or_else(|| "all pipelines'".into(), |number| format!("pipeline {number}'s"));
        progress.add_stage();
        Self { name: format!("{of} {stage}"), progress: Arc::clone(progress), spawner: spawner.clone() }
    }

    /// Runs the stage's loop, which borrows its ends of channels: they are dropped after its failure is reported, so
    /// that a neighbour that ends for want of them is not taken for the one that failed.
    async fn watch(&self, stage: impl Future<Output = Result<(), Failure>>) {
        self.progress.start_stage();
        let failure = match AssertUnwindSafe(stage).catch_unwind().await {
            Ok(Ok(())) => return,
            Ok(Err(limit @ Failure::Limit { .. })) => limit,
            Ok(Err(failure)) => Failure::Ended { task: self.name.clone(), reason: failure.to_string() },
            Err(panic) => Failure::Ended { task: self.name.clone(), reason: panic_text(&*panic) },
        };
        // The crew keeps it; what is returned is the same.
        let _ = self.spawner.report(failure);
        self.progress.break_off();
    }
}

impl Drop for StageContext {
    fn drop(&mut self) {
        self.progress.end_stage();
    }
}
