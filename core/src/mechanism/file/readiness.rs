//! Reads by an event loop that asks first whether the file is ready, and believes the answer.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::reading::{ReadMethod, Wave};
use super::source::BlockSource;
use crate::mechanism::{Failure, Metric, MetricKey};
use crate::sys::blocks::Blocks;
use crate::terms::ValueHistogram;
use crate::units::Quantity;

/// A way of asking.
pub(super) trait ReadinessCall {
    /// Whether the file is called ready at once.
    fn is_ready(&mut self) -> Result<bool, Failure>;
}

/// Asks, then reads.
pub(super) struct ReadinessReader<A> {
    ask: A,
    file: Arc<OwnedFd>,
    blocks: Blocks,
    asking: ValueHistogram,
    asked: u64,
    ready: u64,
}

impl<A: ReadinessCall> ReadinessReader<A> {
    /// Asks `ask` before each read from `source`.
    pub(super) fn new(source: &BlockSource, ask: A) -> Self {
        let (file, blocks) = (source.descriptor(), Blocks::new(source.block(), 1));
        Self { ask, file, blocks, asking: ValueHistogram::new(), asked: 0, ready: 0 }
    }
}

impl<A: ReadinessCall> ReadMethod for ReadinessReader<A> {
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

    fn metrics(&mut self) -> Vec<Metric> {
        let (asked, ready) = (std::mem::take(&mut self.asked), std::mem::take(&mut self.ready));
        if asked == 0 {
            return Vec::new();
        }
        let asking = Metric::latencies(MetricKey::ReadinessCall, std::mem::take(&mut self.asking));
        vec![asking, Metric::scalar(MetricKey::ReadyAtOnce, Quantity::Share, ready as f64 / asked as f64)]
    }
}
