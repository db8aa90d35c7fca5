//! A gate that a task which does not block while it works sleeps at between batches.
//!
//! A task that spins or yields its CPU would go on doing so while the driver waits for its next batch, and take a CPU
//! from what is measured meanwhile, such as the other instance of the same benchmark.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Failure;
use crate::sys::futex::{FutexScope, wait, wake};

const RESTING: u32 = 0;
const ON: u32 = 1;
const OVER: u32 = 2;

const GONE: u32 = 0;
const HERE: u32 = 1;

/// Calls that one opening of the gate adds to a batch: the driver wakes the partner and waits twice, each time once
/// more where a wake comes early; the partner wakes the driver twice and sleeps.
pub(super) const CALLS: f64 = 8.0;

/// The state that the driver and one partner share.
#[derive(Debug, Default)]
pub(super) struct BatchGate {
    state: AtomicU32,
    at_work: AtomicU32,
}

impl BatchGate {
    /// Makes the partner sleep until the gate opens; false when it will not open again.
    pub(super) fn await_next(&self) -> Result<bool, Failure> {
        loop {
            match self.state.load(Ordering::Acquire) {
                RESTING => wait(&self.state, RESTING, FutexScope::Private, None)?,
                ON => {
                    self.set_at_work(HERE)?;
                    return Ok(true);
                }
                _ => return Ok(false),
            }
        }
    }

    /// Whether the gate is open, for partners that learn it from nothing else.
    #[inline]
    pub(super) fn is_on(&self) -> bool {
        self.state.load(Ordering::Relaxed) == ON
    }

    /// Tells the driver that the partner has stopped working. The partner calls it last, after the gate was closed.
    pub(super) fn leave(&self) -> Result<(), Failure> {
        self.set_at_work(GONE)
    }

    fn set_at_work(&self, whether: u32) -> Result<(), Failure> {
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

/// The driver's side of the gate. Dropping it tells the partner to end.
#[derive(Debug)]
pub(super) struct GateOwner(pub(super) Arc<BatchGate>);

impl GateOwner {
    /// Opens the gate and returns when the partner is at work.
    pub(super) fn begin(&self) -> Result<(), Failure> {
        self.0.state.store(ON, Ordering::Release);
        wake(&self.0.state, 1, FutexScope::Private)?;
        self.0.await_release(HERE)
    }

    /// Closes the gate. The partner sees it at its next look.
    pub(super) fn close(&self) {
        self.0.state.store(RESTING, Ordering::Release);
    }

    /// Returns when the partner has stopped working. Only then may the gate open again: the partner would take the next
    /// opening for the last one.
    pub(super) fn await_gone(&self) -> Result<(), Failure> {
        self.0.await_release(GONE)
    }
}

impl Drop for GateOwner {
    fn drop(&mut self) {
        self.0.state.store(OVER, Ordering::Release);
        // A wake without a waiter is harmless, and a drop cannot report a failure.
        let _ = wake(&self.0.state, 1, FutexScope::Private);
    }
}
