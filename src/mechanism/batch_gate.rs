//! Shifts: how a task that does not block while it works sleeps between batches.
//!
//! A task that spins or yields its CPU would go on doing so while the driver waits for its next batch, and take a CPU
//! from whatever is measured meanwhile: the other instance of the same benchmark, first of all.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Failure;
use crate::sys::futex::{FutexScope, wait, wake};

const RESTING: u32 = 0;
const ON: u32 = 1;
const OVER: u32 = 2;

const GONE: u32 = 0;
const HERE: u32 = 1;

/// Calls of a batch with one shift: the driver wakes the partner and waits twice, each time once more where a wake
/// comes early; the partner tells twice and sleeps.
pub(super) const CALLS: f64 = 8.0;

/// What the driver and one partner share.
#[derive(Debug, Default)]
pub(super) struct BatchGate {
    state: AtomicU32,
    at_work: AtomicU32,
}

impl BatchGate {
    /// The partner sleeps until a shift begins; false when there will be none.
    pub(super) fn await_next(&self) -> Result<bool, Failure> {
        loop {
            match self.state.load(Ordering::Acquire) {
                RESTING => wait(&self.state, RESTING, FutexScope::Private, None)?,
                ON => {
                    self.tell(HERE)?;
                    return Ok(true);
                }
                _ => return Ok(false),
            }
        }
    }

    /// Whether the shift goes on, for partners that learn it from nothing else.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ON
    }

    /// The partner's last act in a shift.
    pub(super) fn leave(&self) -> Result<(), Failure> {
        self.tell(GONE)
    }

    fn tell(&self, whether: u32) -> Result<(), Failure> {
        self.at_work.store(whether, Ordering::Release);
        wake(&self.at_work, 1, FutexScope::Private)?;
        Ok(())
    }

    /// Waits in the kernel even when the answer is there already, so that each batch makes the same calls.
    fn await_release(&self, whether: u32) -> Result<(), Failure> {
        loop {
            wait(&self.at_work, 1 - whether, FutexScope::Private, None)?;
            if self.at_work.load(Ordering::Acquire) == whether {
                return Ok(());
            }
        }
    }
}

/// The driver's hold: dropping it ends all shifts.
#[derive(Debug)]
pub(super) struct GateOwner(pub(super) Arc<BatchGate>);

impl GateOwner {
    /// Begins a shift and returns when the partner is at work.
    pub(super) fn begin(&self) -> Result<(), Failure> {
        self.0.state.store(ON, Ordering::Release);
        wake(&self.0.state, 1, FutexScope::Private)?;
        self.0.await_release(HERE)
    }

    /// Ends the shift; the partner learns it when it next looks.
    pub(super) fn close(&self) {
        self.0.state.store(RESTING, Ordering::Release);
    }

    /// Returns when the partner has left: only then may the next shift begin, which it would take for the last one.
    pub(super) fn await_gone(&self) -> Result<(), Failure> {
        self.0.await_release(GONE)
    }
}

impl Drop for GateOwner {
    fn drop(&mut self) {
        self.0.state.store(OVER, Ordering::Release);
        // Waking a word nobody waits on is harmless, and there is nobody to tell of a failure.
        let _ = wake(&self.0.state, 1, FutexScope::Private);
    }
}
