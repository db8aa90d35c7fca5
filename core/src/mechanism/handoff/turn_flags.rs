//! The turn in shared memory, a word for each of two tasks: what the handoffs without a channel hand over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Command;

/// The word of a task whose turn it is not.
pub(super) const NOT_YET: u32 = 0;
/// The word of a task whose turn it is.
pub(super) const TURN: u32 = 1;
const STOP: u32 = 2;
const PAUSE: u32 = 3;
const PARKED: u32 = 4;

/// A cache line each: on two CPUs the store to one task's word must not take the other's along. 128 bytes, because x86
/// fetches lines in pairs (Intel optimization manual, "Spatial prefetcher") and some arm64 cores have lines of 128.
#[derive(Debug, Default)]
#[repr(align(128))]
struct PaddedFlag(AtomicU32);

/// One task's hold on both words.
#[derive(Debug)]
pub(super) struct TurnFlags {
    words: Arc<[PaddedFlag; 2]>,
    own: usize,
}

impl TurnFlags {
    /// For the driver and for the partner.
    pub(super) fn pair() -> (Self, Self) {
        let words = Arc::<[PaddedFlag; 2]>::default();
        (Self { words: Arc::clone(&words), own: 0 }, Self { words, own: 1 })
    }

    /// Gives the turn to the other task. Release: what this task did is seen by the one that finds it.
    #[inline]
    pub(super) fn pass(&self) {
        self.other().store(TURN, Ordering::Release);
    }

    /// As [`pass`](Self::pass); true when the other task has gone to sleep and must be woken.
    #[inline]
    pub(super) fn pass_to_sleeper(&self) -> bool {
        self.other().swap(TURN, Ordering::AcqRel) == PARKED
    }

    /// Says that this task goes to sleep until its word differs from what is returned; `None` when the turn came
    /// meanwhile.
    #[inline]
    pub(super) fn park(&self) -> Option<u32> {
        // The turn is taken by `try_take`, so failing needs no order.
        self.own().compare_exchange(NOT_YET, PARKED, Ordering::Relaxed, Ordering::Relaxed).is_ok().then_some(PARKED)
    }

    /// Tells the other task that there will be no turns until the next batch.
    pub(super) fn pause_other(&self) {
        self.other().store(PAUSE, Ordering::Release);
    }

    /// Tells the other task that there will be no more turns.
    pub(super) fn stop_other(&self) {
        self.other().store(STOP, Ordering::Release);
    }

    /// What this task is to do, if its word says so by now; `None` while the turn has not come. Never blocks.
    #[inline]
    pub(super) fn try_take(&self) -> Option<Command> {
        // Acquire pairs with the Release of the other's store; resetting needs no order, since the other does not
        // store again before it has seen this task's next pass.
        match self.own().load(Ordering::Acquire) {
            NOT_YET => None,
            PARKED => None,
            STOP => Some(Command::Stop),
            PAUSE => {
                self.own().store(NOT_YET, Ordering::Relaxed);
                Some(Command::Pause)
            }
            _ => {
                self.own().store(NOT_YET, Ordering::Relaxed);
                Some(Command::Go)
            }
        }
    }

    /// The word this task waits on.
    pub(super) fn own(&self) -> &AtomicU32 {
        &self.words[self.own].0
    }

    /// The word the other task waits on.
    pub(super) fn other(&self) -> &AtomicU32 {
        &self.words[1 - self.own].0
    }
}
