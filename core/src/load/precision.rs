//! How well a run knows its 99th percentile.
//!
//! Response times are not independent: those that wait for one stall are long together, and ten of them say no more
//! than one about how often stalls come. So the run is cut into blocks of time, and the share of long responses is
//! compared from block to block: its variance over blocks (a ratio of sums over clusters: W. G. Cochran, *Sampling
//! Techniques*, 3rd edition, 1977, section 6.3) tells how far the percentile's own level may be off, and the quantiles
//! at the two levels are the ends of its interval (R. S. Woodruff, "Confidence intervals for medians and other position
//! measures", Journal of the American Statistical Association 47, 1952).

use crate::stats::{CONFIDENCE, Interval};
use crate::terms::ValueHistogram;

/// How many blocks there are at most; when there are more, two become one.
const MOST_BLOCKS: usize = 64;

/// Fewer say nothing about how blocks differ.
const LEAST_BLOCKS: usize = 16;

/// Student's factor for 95 % and 31 degrees of freedom: there are 32 to 64 blocks after the first second.
const FACTOR: f64 = 2.04;

/// The length of the first blocks, in nanoseconds.
const FIRST_WIDTH: u64 = 50_000_000;

/// Bins in each doubling of the value: 2.2 % wide.
const BINS_PER_DOUBLING: usize = 32;

const LEVEL: f64 = 0.99;

/// How many values of which size each block of time has.
#[derive(Debug, Clone)]
pub(super) struct TailBlocks {
    width: u64,
    blocks: Vec<Box<[u32]>>,
}

impl Default for TailBlocks {
    fn default() -> Self {
        Self { width: FIRST_WIDTH, blocks: Vec::new() }
    }
}

fn bin(value: u64) -> usize {
    let value = value.max(BINS_PER_DOUBLING as u64);
    let doublings = value.ilog2() as usize;
    let within = (value >> (doublings - BINS_PER_DOUBLING.ilog2() as usize)) as usize - BINS_PER_DOUBLING;
    doublings * BINS_PER_DOUBLING + within
}

const BINS: usize = 64 * BINS_PER_DOUBLING;

impl TailBlocks {
    /// Enters a value of a request that was due so many nanoseconds after the beginning.
    pub(super) fn record(&mut self, at: u64, value: u64) {
        while at / self.width >= MOST_BLOCKS as u64 {
            self.merge();
        }
        let block = (at / self.width) as usize;
        while self.blocks.len() <= block {
            self.blocks.push(vec![0; BINS].into());
        }
        self.blocks[block][bin(value)] += 1;
    }

    fn merge(&mut self) {
        let pairs = std::mem::take(&mut self.blocks);
        let mut pairs = pairs.into_iter();
        while let Some(mut first) = pairs.next() {
            for (sum, more) in first.iter_mut().zip(pairs.next().iter().flat_map(|second| second.iter())) {
                *sum += more;
            }
            self.blocks.push(first);
        }
        self.width *= 2;
    }

    /// The 99th percentile of `values`, which hold what was entered here, with its 95 % interval; `None` where there
    /// are too few values or blocks to tell.
    pub(super) fn p99(&self, values: &ValueHistogram) -> Option<Interval> {
        let count = values.count() as f64;
        // Ten beyond the percentile: fewer are a list, not a share.
        if self.blocks.len() < LEAST_BLOCKS || count * (1.0 - LEVEL) < 10.0 {
            return None;
        }
        let estimate = values.quantile(LEVEL);
        let with_tail = [bin(estimate) + 1, bin(estimate)].into_iter().find_map(|least| {
            let above: Vec<(f64, f64)> = self.blocks.iter().map(|block| tail(block, least)).collect();
            let share = above.iter().map(|block| block.0).sum::<f64>() / above.iter().map(|block| block.1).sum::<f64>();
            (share > 0.0 && share < 1.0).then_some((above, share))
        });
        let Some((above, share)) = with_tail else {
            // All are within one bin.
            let (low, high, estimate) = (values.min() as f64, values.max() as f64, estimate as f64);
            return Some(Interval { low, estimate, high, confidence: CONFIDENCE });
        };
        let total: f64 = above.iter().map(|block| block.1).sum();
        let blocks = above.len() as f64;
        let squares: f64 = above.iter().map(|(long, all)| (long - share * all).powi(2)).sum();
        let between = (blocks / (blocks - 1.0) * squares).sqrt() / total;
        // The bins are not the percentile's own: the error is that of a share of this size.
        let scale = (LEVEL * (1.0 - LEVEL) / (share * (1.0 - share))).sqrt();
        let independent = (LEVEL * (1.0 - LEVEL) / count).sqrt();
        let off = FACTOR * (between * scale).max(independent);
        let at = |level: f64| values.quantile(level.clamp(0.0, 1.0)) as f64;
        let estimate = estimate as f64;
        let (low, high) = (at(LEVEL - off).min(estimate), at(LEVEL + off).max(estimate));
        Some(Interval { low, estimate, high, confidence: CONFIDENCE })
    }
}

/// How many values of a block lie in bin `least` or above, and how many there are.
fn tail(block: &[u32], least: usize) -> (f64, f64) {
    let sum = |bins: &[u32]| bins.iter().map(|&count| f64::from(count)).sum::<f64>();
    (sum(&block[least.min(block.len())..]), sum(block))
}

/// How far the interval reaches from the estimate, as a share of it: the farther end.
pub(super) fn half_width(interval: &Interval) -> f64 {
    (interval.high - interval.estimate).max(interval.estimate - interval.low) / interval.estimate
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Prng;

    fn fed(values: impl Iterator<Item = (u64, u64)>) -> (TailBlocks, ValueHistogram) {
        let (mut blocks, mut histogram) = (TailBlocks::default(), ValueHistogram::new());
        for (at, value) in values {
            blocks.record(at, value);
            histogram.record(value);
        }
        (blocks, histogram)
    }

    #[test]
    fn bins_rise_with_the_value_and_are_narrow() {
        let mut last = 0;
        for value in (0..4000).chain([1 << 40, u64::MAX]) {
            let bin = bin(value);
            assert!(bin >= last && bin < BINS, "{value}");
            last = bin;
        }
        assert!(bin(1_000_000) < bin(1_033_000) && bin(1_000_000) + 2 >= bin(1_033_000));
    }

    /// Of intervals for independent values, about 95 % hold the true percentile.
    #[test]
    fn intervals_hold_the_percentile_as_often_as_they_say() {
        let mut prng = Prng::seeded(5);
        // Exponential with the mean 1 ms: the 99th percentile is ln(100) ms.
        let truth = 100f64.ln() * 1e6;
        let mut holds = 0;
        for _ in 0..80 {
            let drawn = (0..4000).map(|index| (index * 1_000_000, ((1.0 - prng.unit()).ln() * -1e6) as u64));
            let (blocks, values) = fed(drawn.collect::<Vec<_>>().into_iter());
            let interval = blocks.p99(&values).unwrap();
            holds += u32::from(interval.low <= truth * 1.001 && truth * 0.999 <= interval.high);
        }
        assert!((72..=80).contains(&holds), "{holds} of 80");
    }

    #[test]
    fn values_that_are_long_together_tell_less_than_values_that_are_long_apart() {
        let width = |together: bool| {
            let mut prng = Prng::seeded(3);
            let mut drawn = |index: u64| {
                let among = if together { (index / 100).is_multiple_of(50) } else { prng.index(50) == 0 };
                let spread = -(1.0 - prng.unit()).ln();
                (index * 1_000_000, ((if among { 5e7 } else { 1e6 }) * spread) as u64)
            };
            let (blocks, values) = fed((0..20_000).map(&mut drawn).collect::<Vec<_>>().into_iter());
            half_width(&blocks.p99(&values).unwrap())
        };
        let (apart, together) = (width(false), width(true));
        assert!(together > 1.5 * apart, "{apart} apart, {together} together");
    }

    #[test]
    fn what_is_too_little_is_no_interval() {
        let (blocks, values) = fed((0..900).map(|index| (index * 1_000_000, 1000 + index)));
        assert!(blocks.p99(&values).is_none(), "nine beyond it");
        let (blocks, values) = fed((0..20_000).map(|index| (index * 10_000, 1000 + index)));
        assert!(blocks.p99(&values).is_none(), "four blocks");
        let (blocks, values) = fed((0..20_000).map(|index| (index * 1_000_000, 5000)));
        assert!(half_width(&blocks.p99(&values).unwrap()) < 0.001, "all alike");
    }

    #[test]
    fn long_runs_have_as_many_blocks_as_short_ones() {
        let (blocks, values) = fed((0..100_000).map(|index| (index * 36_000_000, 1000 + index)));
        assert!((LEAST_BLOCKS..=MOST_BLOCKS).contains(&blocks.blocks.len()), "{}", blocks.blocks.len());
        assert!(blocks.p99(&values).is_some());
    }
}
