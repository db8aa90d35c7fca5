//! Reads by an event loop that asks first whether the file is ready, and believes the answer.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reading::{Method, Wave};
use super::source::Source;
use crate::crew::Values;
use crate::mechanism::{Failure, Finding};
use crate::sys::blocks::Blocks;
use crate::units::Quantity;

/// A way of asking.
pub(super) trait Ask {
    /// Whether the file is called ready at once.
    fn is_ready(&mut self) -> Result<bool, Failure>;
}

/// Asks, then reads.
pub(super) struct Asking<A> {
    ask: A,
    file: Arc<OwnedFd>,
    blocks: Blocks,
    asking: Values,
    asked: u64,
    ready: u64,
}

impl<A: Ask> Asking<A> {
    /// Asks `ask` before each read from `source`.
    pub(super) fn new(source: &Source, ask: A) -> Self {
        let (file, blocks) = (source.descriptor(), Blocks::new(source.block(), 1));
        Self { ask, file, blocks, asking: Values::new(), asked: 0, ready: 0 }
    }
}

impl<A: Ask> Method for Asking<A> {
    #[inline]
    fn read(&mut self, offsets: &[u64], mut begun: Instant, _: &mut Vec<Duration>) -> Result<Wave, Failure> {
        for (number, &offset) in offsets.iter().enumerate() {
            self.asked += 1;
            self.ready += u64::from(self.ask.is_ready()?);
            let answered = Instant::now();
            // 584 years fit.
            self.asking.record((answered - begun).as_nanos() as u64);
            begun = answered;
            self.blocks.read(&self.file, number, offset)?;
        }
        Ok(Wave::blocking(begun))
    }

    fn first_word(&self, number: usize) -> u64 {
        self.blocks.first_word(number)
    }

    fn findings(&mut self) -> Vec<Finding> {
        let (asked, ready) = (std::mem::take(&mut self.asked), std::mem::take(&mut self.ready));
        if asked == 0 {
            return Vec::new();
        }
        let asking = Finding::latencies("asking whether it is ready", std::mem::take(&mut self.asking));
        vec![asking, Finding::figure("called ready at once", Quantity::Share, ready as f64 / asked as f64)]
    }
}
