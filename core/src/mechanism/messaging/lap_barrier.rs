//! How a lap begins and ends: words that the driver, the senders and the receivers share, threads or processes.

use std::sync::atomic::{AtomicU32, Ordering};

use crate::mechanism::Failure;
use crate::sys::futex::{FutexScope, wait, wake};
use crate::sys::shared::Shared;

/// There will be no more laps.
const OVER: u32 = u32::MAX;
/// A task ended in the middle of things.
const BROKEN: u32 = u32::MAX;

/// 128 bytes for each word, as much as processors fetch together.
const APART: usize = 32;

/// The words: the lap that senders may begin, the receivers that have not all of it, and the lap that is finished.
#[derive(Debug)]
pub(super) struct LapBarrier(Shared<[[AtomicU32; APART]; 3]>);

impl LapBarrier {
    pub(super) fn new() -> Result<Self, Failure> {
        Ok(Self(Shared::new()?))
    }

    fn lap(&self) -> &AtomicU32 {
        &self.0[0][0]
    }

    fn receiving(&self) -> &AtomicU32 {
        &self.0[1][0]
    }

    fn finished(&self) -> &AtomicU32 {
        &self.0[2][0]
    }

    /// The driver: releases all senders and returns when `receivers` have all of the lap.
    pub(super) fn run_lap(&self, lap: u32, receivers: usize) -> Result<(), Failure> {
        // Release of the lap's word publishes the number of receivers.
        self.receiving().store(receivers as u32, Ordering::Relaxed);
        self.lap().store(lap, Ordering::Release);
        wake(self.lap(), u32::MAX, FutexScope::Shared)?;
        loop {
            match self.finished().load(Ordering::Acquire) {
                BROKEN => return Err(Failure::Corrupted("a sender or a receiver ended".into())),
                finished if finished == lap => return Ok(()),
                before => wait(self.finished(), before, FutexScope::Shared, None)?,
            }
        }
    }

    /// A sender: sleeps until there is a lap after `last`; `None` when there will be none.
    pub(super) fn await_lap(&self, last: u32) -> Result<Option<u32>, Failure> {
        loop {
            wait(self.lap(), last, FutexScope::Shared, None)?;
            match self.lap().load(Ordering::Acquire) {
                OVER => return Ok(None),
                lap if lap != last => return Ok(Some(lap)),
                _ => {}
            }
        }
    }

    /// A receiver has all of `lap`; the last one tells the driver.
    pub(super) fn arrive(&self, lap: u32) -> Result<(), Failure> {
        if self.receiving().fetch_sub(1, Ordering::AcqRel) == 1 {
            // A track that broke stays broken.
            let _ = self.finished().compare_exchange(lap - 1, lap, Ordering::Release, Ordering::Relaxed);
            wake(self.finished(), 1, FutexScope::Shared)?;
        }
        Ok(())
    }

    /// Tells the senders that there will be no more laps.
    pub(super) fn close(&self) {
        self.lap().store(OVER, Ordering::Release);
        // A wake without a waiter is harmless, and a drop cannot report a failure.
        let _ = wake(self.lap(), u32::MAX, FutexScope::Shared);
    }
}

/// A sender or a receiver. When it ends before the driver has closed the track, the driver must not wait for it.
#[derive(Debug)]
pub(super) struct LapGuard<'a>(pub(super) &'a LapBarrier);

impl Drop for LapGuard<'_> {
    fn drop(&mut self) {
        self.0.finished().store(BROKEN, Ordering::Release);
        let _ = wake(self.0.finished(), 1, FutexScope::Shared);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    #[test]
    fn a_lap_ends_with_the_last_receiver() {
        let barrier = Arc::new(LapBarrier::new().unwrap());
        let receivers: Vec<_> = (0..3)
            .map(|_| {
                let barrier = Arc::clone(&barrier);
                std::thread::spawn(move || {
                    let mut last = 0;
                    while let Some(lap) = barrier.await_lap(last).unwrap() {
                        last = lap;
                        barrier.arrive(lap).unwrap();
                    }
                    last
                })
            })
            .collect();
        for lap in 1..=100 {
            barrier.run_lap(lap, 3).unwrap();
        }
        barrier.close();
        assert!(receivers.into_iter().all(|receiver| receiver.join().unwrap() == 100));
    }

    #[test]
    fn a_task_that_ends_early_ends_the_lap() {
        let barrier = Arc::new(LapBarrier::new().unwrap());
        let other = Arc::clone(&barrier);
        let early = std::thread::spawn(move || {
            let _member = LapGuard(&other);
            other.await_lap(0).unwrap();
        });
        let failure = barrier.run_lap(1, 2).unwrap_err().to_string();
        assert!(failure.contains("ended"), "{failure}");
        early.join().unwrap();
        barrier.arrive(1).unwrap();
        barrier.arrive(1).unwrap();
        assert!(barrier.run_lap(1, 2).is_err(), "what broke stays broken");
    }
}
