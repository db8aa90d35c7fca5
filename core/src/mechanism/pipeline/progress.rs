//! How a batch begins and ends: what the driver and the stages of all pipelines share.
//!
//! Everything here happens once in a batch, or with one message in [`STAMPED`], and works for threads and for tasks:
//! a wait is a future, which a thread blocks on and a task awaits.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crossbeam::utils::CachePadded;

use super::{Failure, Message, PipelineShape};
use crate::sys::timer::monotonic;
use crate::units::Nanos;

/// One message in so many carries the time at which it was sent, and is counted as so many queued ones. A prime, so
/// that it keeps in step with no capacity; and so many that two looks at the clock are a nanosecond a message.
pub(super) const STAMPED: u64 = 61;

/// The number of a batch that will not come.
const OVER: u64 = u64::MAX;

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What the driver and the stages share.
#[derive(Debug)]
pub(super) struct BatchProgress {
    /// The batch that sources may begin.
    batch: AtomicU64,
    /// Messages of each pipeline in it.
    messages: AtomicU64,
    /// By pipeline, how to wake a source that waits for the next batch.
    sources: Box<[Mutex<Option<Waker>>]>,
    /// Sinks that have not all of the batch.
    sinks_left: AtomicUsize,
    /// When a sink had the last message of the batch.
    end: AtomicU64,
    /// Stages that have begun to run, and those that have not ended.
    started: AtomicUsize,
    alive: AtomicUsize,
    broken: AtomicBool,
    /// How to wake the driver.
    driver: Mutex<Option<Waker>>,
    /// By pipeline, what its source had sent when it ended.
    sent: Box<[AtomicU64]>,
    /// By sink, the latencies of the batch.
    latencies: Box<[Mutex<Vec<u64>>]>,
    /// On a line of its own: stages write it all the time, and look at the other fields meanwhile.
    queued: CachePadded<QueuedMessages>,
    limit: QueueLimit,
}

/// Messages on their way, in all pipelines together.
#[derive(Debug, Default)]
struct QueuedMessages {
    now: AtomicU64,
    most: AtomicU64,
}

/// The most that unbounded channels may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct QueueLimit {
    /// Messages in all channels together; `u64::MAX` where capacities bound them.
    pub(super) messages: u64,
    /// The same as it was chosen, in MiB.
    pub(super) mib: u64,
}

impl BatchProgress {
    /// For the pipelines of `shape`.
    pub(super) fn new(shape: &PipelineShape) -> Self {
        let (pipelines, sinks) = (shape.pipelines, shape.sinks());
        Self {
            batch: AtomicU64::new(0),
            messages: AtomicU64::new(0),
            sources: (0..pipelines).map(|_| Mutex::default()).collect(),
            sinks_left: AtomicUsize::new(0),
            end: AtomicU64::new(0),
            started: AtomicUsize::new(0),
            alive: AtomicUsize::new(0),
            broken: AtomicBool::new(false),
            driver: Mutex::default(),
            sent: (0..pipelines).map(|_| AtomicU64::new(0)).collect(),
            latencies: (0..sinks).map(|_| Mutex::default()).collect(),
            queued: CachePadded::default(),
            limit: shape.limit(),
        }
    }

    /// The driver: lets every source send `messages`.
    pub(super) fn begin(&self, messages: u64) {
        self.sinks_left.store(self.latencies.len(), Ordering::Relaxed);
        self.messages.store(messages, Ordering::Relaxed);
        // Release publishes the two above to the sources, and through their messages to the sinks.
        self.batch.fetch_add(1, Ordering::Release);
        self.wake_sources();
    }

    /// The driver: tells the sources that there will be no more batches.
    pub(super) fn close(&self) {
        self.batch.store(OVER, Ordering::Release);
        self.wake_sources();
    }

    fn wake_sources(&self) {
        for source in &self.sources {
            // Not inside the lock: the source takes it when it runs.
            let waker = lock(source).take();
            waker.into_iter().for_each(Waker::wake);
        }
    }

    /// A source: waits for a batch after `last`, and becomes it; the messages to send, `None` when there are no more
    /// batches.
    pub(super) async fn next_batch(&self, pipeline: usize, last: &mut u64) -> Option<u64> {
        let next = poll_fn(|context| {
            let mut waker = lock(&self.sources[pipeline]);
            // Under the lock: the driver changes the number before it takes the lock to look for a waker.
            let batch = self.batch.load(Ordering::Acquire);
            if batch != *last {
                return Poll::Ready(batch);
            }
            *waker = Some(context.waker().clone());
            Poll::Pending
        });
        *last = next.await;
        (*last != OVER).then(|| self.messages())
    }

    /// Messages of each pipeline in this batch.
    pub(super) fn messages(&self) -> u64 {
        self.messages.load(Ordering::Relaxed)
    }

    /// A sink has all of the batch; takes its latencies.
    pub(super) fn arrive(&self, sink: usize, latencies: &mut Vec<u64>) {
        self.end.fetch_max(monotonic().0, Ordering::Relaxed);
        lock(&self.latencies[sink]).append(latencies);
        if self.sinks_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.wake_driver();
        }
    }

    /// A stage begins to run.
    pub(super) fn start_stage(&self) {
        self.started.fetch_add(1, Ordering::Release);
        self.wake_driver();
    }

    /// A stage is made, and will be ended.
    pub(super) fn add_stage(&self) {
        self.alive.fetch_add(1, Ordering::Relaxed);
    }

    /// A stage has ended.
    pub(super) fn end_stage(&self) {
        self.alive.fetch_sub(1, Ordering::Release);
        self.wake_driver();
    }

    /// A stage cannot go on: the driver must not wait for the batch.
    pub(super) fn break_off(&self) {
        self.broken.store(true, Ordering::Release);
        self.wake_driver();
    }

    /// Whether a stage could not go on. Others stop then: a slow sink would take minutes for what is queued.
    #[inline]
    pub(super) fn is_broken(&self) -> bool {
        self.broken.load(Ordering::Acquire)
    }

    fn wake_driver(&self) {
        let waker = lock(&self.driver).take();
        waker.into_iter().for_each(Waker::wake);
    }

    async fn wait(&self, done: impl Fn() -> bool) {
        poll_fn(|context| {
            let mut driver = lock(&self.driver);
            if done() {
                return Poll::Ready(());
            }
            *driver = Some(context.waker().clone());
            Poll::Pending
        })
        .await;
    }

    /// The driver: waits until every sink has all of the batch; when the last one had it.
    pub(super) async fn finished(&self) -> Result<Nanos, Failure> {
        self.wait(|| self.is_broken() || self.sinks_left.load(Ordering::Acquire) == 0).await;
        if self.is_broken() {
            // The crew knows which one, and why.
            return Err(Failure::Corrupted("a stage of a pipeline ended".into()));
        }
        Ok(Nanos(self.end.load(Ordering::Relaxed)))
    }

    /// The driver: waits until `stages` stages run.
    pub(super) async fn started(&self, stages: usize) {
        self.wait(|| self.started.load(Ordering::Acquire) >= stages).await;
    }

    /// The driver: waits until all stages have ended.
    pub(super) async fn ended(&self) {
        self.wait(|| self.alive.load(Ordering::Acquire) == 0).await;
    }

    /// A source that ends has sent so many.
    pub(super) fn note_sent(&self, pipeline: usize, sent: u64) {
        self.sent[pipeline].store(sent, Ordering::Release);
    }

    /// What the source of `pipeline` had sent when it ended.
    pub(super) fn sent(&self, pipeline: usize) -> u64 {
        self.sent[pipeline].load(Ordering::Acquire)
    }

    /// A source sends a stamped message, which stands for [`STAMPED`].
    ///
    /// # Errors
    /// When unbounded channels hold more than they may.
    pub(super) fn queue(&self, pipeline: usize) -> Result<(), Failure> {
        let queued = self.queued.now.fetch_add(STAMPED, Ordering::Relaxed) + STAMPED;
        self.queued.most.fetch_max(queued, Ordering::Relaxed);
        if queued <= self.limit.messages {
            return Ok(());
        }
        let what =
            format!("messages in unbounded channels: {queued}, the last from the source of pipeline {pipeline},");
        let limit = format!("more than queued_mib={} allows", self.limit.mib);
        let remedy = "a sink is slower than its source: choose a capacity, shorter batches, or a larger queued_mib";
        Err(Failure::Limit { what, limit, remedy })
    }

    /// A sink has a stamped message.
    pub(super) fn dequeue(&self) {
        self.queued.now.fetch_sub(STAMPED, Ordering::Relaxed);
    }

    /// The driver, between batches: adds the latencies of the batch to `values`.
    pub(super) fn take_latencies(&self, mut add: impl FnMut(u64)) {
        for sink in &self.latencies {
            lock(sink).drain(..).for_each(&mut add);
        }
    }

    /// Messages that have been on their way at once so far.
    #[cfg(test)]
    pub(super) fn sent_so_far(&self) -> u64 {
        self.queued.most.load(Ordering::Relaxed)
    }

    /// The most messages that were on their way at once, since this was last asked.
    pub(super) fn take_most_queued(&self) -> u64 {
        self.queued.most.swap(0, Ordering::Relaxed)
    }
}

impl QueueLimit {
    /// Messages of `document` bytes besides their own.
    pub(super) fn of(mib: u64, document: usize) -> Self {
        let bytes = size_of::<Message>() + document;
        Self { messages: (mib << 20) / bytes as u64, mib }
    }

    /// No limit but that of the channels' capacities.
    pub(super) fn none() -> Self {
        Self { messages: u64::MAX, mib: u64::MAX }
    }
}
