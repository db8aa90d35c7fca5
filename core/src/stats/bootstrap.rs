//! What one round alone can say: a moving-block bootstrap of its median.

use super::interval::{Interval, is_level};
use super::prng::Prng;
use super::quantile::{median_of_sorted, quantile_of_sorted, sorted};
use super::student::{NORMAL, outside_probability, two_sided_t};

/// Enough for the 2.5 % quantile to be the 25th value; the interval's Monte-Carlo error is then a few per cent of its
/// width (B. Efron and R. J. Tibshirani, *An Introduction to the Bootstrap*, 1993, 19.3).
const RESAMPLES: usize = 1_000;

/// The interval of the median of one round's `samples`, in their unit and in the order they were taken.
///
/// It speaks about **this run only**: were the same process to go on sampling, its median would lie there. It says
/// nothing about the next process, whose addresses, placement and other load differ; [`super::rounds_interval`] does.
///
/// Neighbouring samples share the state of caches, clocks and the scheduler, so resampling them one by one would claim
/// more information than there is. Blocks are resampled instead (H. R. Künsch, "The jackknife and the bootstrap for
/// general stationary observations", Annals of Statistics 17, 1989), as long as the samples' own correlation demands.
/// A drift over the whole round is beyond any block; it shows as disagreement between rounds.
///
/// `None` with fewer than two samples, samples that are not finite, or a `confidence` outside (0, 1).
#[must_use]
pub fn samples_interval(samples: &[f64], confidence: f64, seed: u64) -> Option<Interval> {
    if samples.len() < 2 || !is_level(confidence) {
        return None;
    }
    let estimate = median_of_sorted(&sorted(samples)?);
    let block = block_length(samples);
    let mut prng = Prng::seeded(seed);
    let mut medians: Vec<f64> = (0..RESAMPLES).map(|_| resampled_median(samples, block, &mut prng)).collect();
    medians.sort_unstable_by(f64::total_cmp);
    let tail = expanded_tail(confidence, samples.len().div_ceil(block));
    let interval = Interval {
        low: quantile_of_sorted(&medians, tail),
        estimate,
        high: quantile_of_sorted(&medians, 1.0 - tail),
        confidence,
    };
    Some(interval.stretched_to(estimate, estimate))
}

fn resampled_median(samples: &[f64], block: usize, prng: &mut Prng) -> f64 {
    let n = samples.len();
    let mut resample = Vec::with_capacity(n + block);
    while resample.len() < n {
        let start = prng.index(n - block + 1);
        resample.extend_from_slice(&samples[start..start + block]);
    }
    resample.truncate(n);
    let middle = n / 2;
    let (below, &mut upper, _) = resample.select_nth_unstable_by(middle, f64::total_cmp);
    if n % 2 == 1 {
        return upper;
    }
    let lower = below.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    f64::midpoint(lower, upper)
}

/// The tail to cut off so that a percentile interval from `blocks` independent blocks keeps its confidence: resampling
/// leaves out the factor (n − 1) / n of the variance and Student's allowance for not knowing it (T. C. Hesterberg,
/// "What teachers should know about the bootstrap", The American Statistician 69(4), 2015, 5.3).
fn expanded_tail(confidence: f64, blocks: usize) -> f64 {
    let n = blocks.max(2) as f64;
    let reach = (n / (n - 1.0)).sqrt() * two_sided_t(confidence, n - 1.0);
    outside_probability(reach, NORMAL) / 2.0
}

/// The block length that suits an AR(1) process with the observed correlation ρ: (√6 ρ / (1 − ρ²))^⅔ n^⅓
/// (E. Carlstein, "The use of subseries values for estimating the variance of a general statistic from a stationary
/// sequence", Annals of Statistics 14, 1986), at most a quarter of the round so that blocks remain to be drawn.
fn block_length(samples: &[f64]) -> usize {
    let rho = rank_correlation(samples).clamp(0.0, 0.99);
    let strength = 6f64.sqrt() * rho / (1.0 - rho * rho);
    let ideal = strength.powf(2.0 / 3.0) * (samples.len() as f64).cbrt();
    (ideal.ceil() as usize).clamp(1, (samples.len() / 4).max(1))
}

/// Lag-1 correlation of the samples' ranks: one preempted sample cannot hide the correlation of all others, as it
/// would in the raw values.
fn rank_correlation(samples: &[f64]) -> f64 {
    let centred = centred_ranks(samples);
    let products: f64 = centred.windows(2).map(|pair| pair[0] * pair[1]).sum();
    let squares: f64 = centred.iter().map(|rank| rank * rank).sum();
    if squares > 0.0 { products / squares } else { 0.0 }
}

/// Every sample's rank minus the mean rank; equal samples share the mean of their ranks.
fn centred_ranks(samples: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..samples.len()).collect();
    order.sort_unstable_by(|&i, &j| samples[i].total_cmp(&samples[j]));
    let mean = (samples.len() - 1) as f64 / 2.0;
    let mut ranks = vec![0.0; samples.len()];
    let mut below = 0;
    for tied in order.chunk_by(|&i, &j| samples[i] == samples[j]) {
        let shared = below as f64 + (tied.len() - 1) as f64 / 2.0;
        for &i in tied {
            ranks[i] = shared - mean;
        }
        below += tied.len();
    }
    ranks
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_same_seed_gives_the_same_interval() {
        let samples: Vec<f64> = (0..40).map(|i| f64::from((i * 37) % 41)).collect();
        let first = samples_interval(&samples, 0.95, 1);
        assert!(first.is_some());
        assert_eq!(first, samples_interval(&samples, 0.95, 1));
    }

    #[test]
    fn correlated_samples_get_longer_blocks() {
        let alternating: Vec<f64> = (0..64).map(|i| f64::from(i % 2)).collect();
        let drifting: Vec<f64> = (0..64).map(f64::from).collect();
        assert_eq!(block_length(&alternating), 1);
        assert_eq!(block_length(&drifting), 16);
    }

    #[test]
    fn nonsense_has_no_interval() {
        assert_eq!(samples_interval(&[], 0.95, 0), None);
        assert_eq!(samples_interval(&[1.0], 0.95, 0), None);
        assert_eq!(samples_interval(&[1.0, f64::NAN], 0.95, 0), None);
        assert_eq!(samples_interval(&[1.0, 2.0], 1.0, 0), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]
        #[test]
        fn holds_its_estimate_and_follows_the_scale(
            samples in prop::collection::vec(1.0..1e6f64, 2..40), scale in 0.001..1000.0f64,
        ) {
            let interval = samples_interval(&samples, 0.95, 3).unwrap();
            prop_assert!(interval.contains(interval.estimate));
            let scaled: Vec<f64> = samples.iter().map(|v| v * scale).collect();
            let other = samples_interval(&scaled, 0.95, 3).unwrap();
            prop_assert!((other.low / scale / interval.low - 1.0).abs() < 1e-9);
            prop_assert!((other.high / scale / interval.high - 1.0).abs() < 1e-9);
        }
    }
}
