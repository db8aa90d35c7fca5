//! What a server has done, counted by its workers in memory that its processes share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::{Deserialize, Serialize};

use crate::sys::SysError;
use crate::sys::shared::Shared;

/// Workers that are told apart; further ones share the counters of these.
const WORKERS: usize = 128;
/// Counters of a worker: a cache line, so that no worker writes to the line of another.
const COUNTERS: usize = 8;

const WAKES: usize = 0;
const EVENTS: usize = 1;
const ANSWERED: usize = 2;
const ACCEPTED: usize = 3;
const CLOSED: usize = 4;
const PAUSES: usize = 5;
const REARMED: usize = 6;

/// The counters of all workers of a server.
#[derive(Debug, Clone)]
pub(super) struct Activity {
    counters: Arc<Shared<[AtomicU64; WORKERS * COUNTERS]>>,
    /// Connections that are served at once by workers that serve one each, and how many such workers there are.
    busy: Arc<Shared<AtomicU64>>,
    pool: u64,
}

/// One worker's view of it: a thread, a process, or an event loop.
#[derive(Debug, Clone)]
pub(super) struct ServerWorker {
    activity: Activity,
    number: usize,
    /// Whether the worker is counted as busy while it has a connection.
    counted: bool,
}

/// What a server has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ActivityCounts {
    /// Returns from a wait that brought something.
    pub wakes: u64,
    /// Events that these waits brought: ready descriptors, completions.
    pub events: u64,
    /// Requests that were answered.
    pub answered: u64,
    /// Connections that were accepted.
    pub accepted: u64,
    /// Connections that were closed.
    pub closed: u64,
    /// How often accepting paused because descriptors or memory had run out.
    pub pauses: u64,
    /// How often a receive of io_uring that had ended without buffers was armed again.
    pub rearmed: u64,
    /// Workers that have accepted a connection.
    pub workers: u64,
    /// Connections that the worker with most of them has accepted.
    pub most_accepted: u64,
}

impl ActivityCounts {
    /// What was done since `earlier`; the two that are no sums stay as they are.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            wakes: self.wakes - earlier.wakes,
            events: self.events - earlier.events,
            answered: self.answered - earlier.answered,
            accepted: self.accepted - earlier.accepted,
            closed: self.closed - earlier.closed,
            pauses: self.pauses - earlier.pauses,
            rearmed: self.rearmed - earlier.rearmed,
            ..self
        }
    }
}

impl Activity {
    /// Counters at 0, for a server whose workers serve a connection each and are `pool` in number; 0 where a worker
    /// serves any number.
    pub(super) fn new(pool: usize) -> Result<Self, SysError> {
        Ok(Self { counters: Arc::new(Shared::new()?), busy: Arc::new(Shared::new()?), pool: pool as u64 })
    }

    /// ServerWorker number `number`.
    pub(super) fn worker(&self, number: usize) -> ServerWorker {
        ServerWorker { activity: self.clone(), number: number % WORKERS, counted: self.pool > 0 }
    }

    fn all(&self, counter: usize) -> impl Iterator<Item = u64> {
        (0..WORKERS).map(move |worker| self.counters[worker * COUNTERS + counter].load(Ordering::Relaxed))
    }

    /// All workers together.
    pub(super) fn counts(&self) -> ActivityCounts {
        let sum = |counter| self.all(counter).sum();
        ActivityCounts {
            wakes: sum(WAKES),
            events: sum(EVENTS),
            answered: sum(ANSWERED),
            accepted: sum(ACCEPTED),
            closed: sum(CLOSED),
            pauses: sum(PAUSES),
            rearmed: sum(REARMED),
            workers: self.all(ACCEPTED).filter(|&accepted| accepted > 0).count() as u64,
            most_accepted: self.all(ACCEPTED).max().unwrap_or(0),
        }
    }
}

impl ServerWorker {
    #[inline]
    fn add(&self, counter: usize, many: u64) {
        // Relaxed: a count orders nothing.
        self.activity.counters[self.number * COUNTERS + counter].fetch_add(many, Ordering::Relaxed);
    }

    /// A wait has ended with so many events.
    #[inline]
    pub(super) fn woke(&self, events: usize) {
        self.add(WAKES, 1);
        self.add(EVENTS, events as u64);
    }

    /// A request was answered.
    #[inline]
    pub(super) fn answered(&self) {
        self.add(ANSWERED, 1);
    }

    /// Accepting pauses.
    pub(super) fn paused(&self) {
        self.add(PAUSES, 1);
    }

    /// A receive without buffers was armed again.
    pub(super) fn rearmed(&self) {
        self.add(REARMED, 1);
    }

    pub(super) fn accepted(&self) {
        self.add(ACCEPTED, 1);
        if self.counted {
            self.activity.busy.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(super) fn closed(&self) {
        self.add(CLOSED, 1);
        if self.counted {
            self.activity.busy.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Whether every worker of the pool has a connection, so that others may wait for one to end: then a connection is
    /// not kept open behind its answer.
    #[inline]
    pub(super) fn is_wanted_elsewhere(&self) -> bool {
        self.counted && self.activity.busy.load(Ordering::Relaxed) >= self.activity.pool
    }
}
