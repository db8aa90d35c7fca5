//! The turn in shared memory, a word for each of two tasks: what the handoffs without a channel hand over.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Turn;

/// The word of a task whose turn it is not.
pub(super) const NOT_YET: u32 = 0;
const TURN: u32 = 1;
const OVER: u32 = 2;

/// A cache line each: on two CPUs the store to one task's word must not take the other's along. 128 bytes, because x86
/// fetches lines in pairs (Intel optimization manual, "Spatial prefetcher") and some arm64 cores have lines of 128.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Word(AtomicU32);

/// One task's hold on both words.
#[derive(Debug)]
pub(super) struct Baton {
    words: Arc<[Word; 2]>,
    own: usize,
}

impl Baton {
    /// For the driver and for the partner.
    pub(super) fn pair() -> (Self, Self) {
        let words = Arc::<[Word; 2]>::default();
        (Self { words: Arc::clone(&words), own: 0 }, Self { words, own: 1 })
    }

    /// Gives the turn to the other task. Release: what this task did is seen by the one that finds it.
    #[inline]
    pub(super) fn pass(&self) {
        self.other().store(TURN, Ordering::Release);
    }

    /// Tells the other task that there will be no more turns.
    pub(super) fn drop_for_good(&self) {
        self.other().store(OVER, Ordering::Release);
    }

    /// Takes the turn if it has come.
    #[inline]
    pub(super) fn take(&self) -> Option<Turn> {
        // Acquire pairs with the Release of the other's store; resetting needs no order, since the other does not
        // store again before it has seen this task's next pass.
        match self.own().load(Ordering::Acquire) {
            NOT_YET => None,
            OVER => Some(Turn::Over),
            _ => {
                self.own().store(NOT_YET, Ordering::Relaxed);
                Some(Turn::Mine)
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
