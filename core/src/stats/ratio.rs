//! How many times one benchmark takes what another takes.

use serde::{Deserialize, Serialize};

use super::interval::{Interval, is_level};
use super::quantile::{median_of_sorted, sorted};
use super::ranks::rank_sum_depth;
use super::rounds::{Basis, location, log_medians, rounds_interval};
use super::run_scatter::Scatter;
use super::student::two_sided_t;

/// A ratio of two figures with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Ratio {
    /// The ratio, a pure number greater than 0.
    pub interval: Interval,
    /// What the interval rests on.
    pub basis: Basis,
}

/// The ratio `a` / `b`; every list holds the samples of one round, all greater than 0 and in one unit.
///
/// `paired` says that round i of `a` ran next to round i of `b`, so that both saw the same machine in the same state.
/// The estimate is then the median of the rounds' ratios, with the interval of [`rounds_interval`].
///
/// Unpaired lists may differ in length. The estimate is the median of all ratios of a round of `a` to a round of `b`
/// (J. L. Hodges and E. L. Lehmann, "Estimates of location based on rank tests", Annals of Mathematical Statistics 34,
/// 1963). The interval is the hull of two that fail in different ways, so that "different" needs both:
///
/// - ranks (Mann–Whitney, inverted): exact for two lists of one shape, whatever it is, modes and tails included, but
///   too narrow when the shorter list scatters much more than the longer one;
/// - trimmed means with separate variances (K. K. Yuen, "The two-sample trimmed t for unequal population variances",
///   Biometrika 61, 1974; Welch's t where there is nothing to trim): allows for unequal scatter, but not for modes.
///
/// With too few rounds for ranks (below four a side for 95 %) the whole range of ratios takes their place, labelled
/// [`Basis::FewRounds`]. With one round on a side the interval is made of what each side has (G. Y. Zou and A. Donner,
/// "Construction of confidence limits about effect measures", Statistics in Medicine 27, 2008) and labelled
/// [`Basis::WithinRunOnly`]: no verdict follows from it.
///
/// `seed` matters for single rounds only. `None` where [`rounds_interval`] is `None` for a side, and when `paired`
/// lists differ in length.
#[must_use]
pub fn ratio_interval(a: &[Vec<f64>], b: &[Vec<f64>], paired: bool, confidence: f64, seed: u64) -> Option<Ratio> {
    let (logs_a, logs_b) = (log_medians(a)?, log_medians(b)?);
    if !is_level(confidence) || (paired && a.len() != b.len()) {
        return None;
    }
    let (interval, basis) = if a.len() == 1 || b.len() == 1 {
        (from_single_rounds(a, b, confidence, seed)?, Basis::WithinRunOnly)
    } else if paired {
        let differences: Vec<f64> = logs_a.iter().zip(&logs_b).map(|(a, b)| a - b).collect();
        location(&differences, confidence)?
    } else {
        shift(&logs_a, &logs_b, confidence)?
    };
    Some(Ratio { interval: interval.map(f64::exp), basis })
}

/// By how much the values of `a` lie above those of `b`; one value of each round, in one unit, of either sign.
///
/// `paired` says that round i of `a` ran next to round i of `b`; lists that differ in length are taken as unpaired.
/// Estimates and intervals are made as in [`ratio_interval`], without its logarithms. `None` with fewer than two values
/// on a side, for values that are not finite, and for a confidence outside (0, 1).
#[must_use]
pub fn difference_interval(a: &[f64], b: &[f64], paired: bool, confidence: f64) -> Option<Interval> {
    let usable = |values: &[f64]| values.len() >= 2 && values.iter().all(|value| value.is_finite());
    if !usable(a) || !usable(b) || !is_level(confidence) {
        return None;
    }
    let (interval, _) = if paired && a.len() == b.len() {
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        location(&differences, confidence)?
    } else {
        shift(a, b, confidence)?
    };
    Some(interval)
}

/// The difference of the logarithms of two figures whose own intervals are known.
fn from_single_rounds(a: &[Vec<f64>], b: &[Vec<f64>], confidence: f64, seed: u64) -> Option<Interval> {
    let log_interval = |rounds: &[Vec<f64>], seed| {
        rounds_interval(rounds, confidence, seed).map(|estimate| estimate.interval.map(f64::ln))
    };
    // Different seeds: with one, equal lists would be resampled alike and their errors would be correlated.
    let (a, b) = (log_interval(a, seed)?, log_interval(b, seed.wrapping_add(1))?);
    let estimate = a.estimate - b.estimate;
    Some(Interval {
        low: estimate - (a.estimate - a.low).hypot(b.high - b.estimate),
        estimate,
        high: estimate + (a.high - a.estimate).hypot(b.estimate - b.low),
        confidence,
    })
}

/// By how much the values of `a` lie above those of `b`; at least two each.
fn shift(a: &[f64], b: &[f64], confidence: f64) -> Option<(Interval, Basis)> {
    let differences: Vec<f64> = a.iter().flat_map(|a| b.iter().map(move |b| a - b)).collect();
    let ordered = sorted(&differences)?;
    let depth = rank_sum_depth(a.len(), b.len(), confidence);
    let edge = depth.max(1);
    let by_ranks = Interval {
        low: ordered[edge - 1],
        estimate: median_of_sorted(&ordered),
        high: ordered[ordered.len() - edge],
        confidence,
    };
    let (low, high) = trimmed_t(&sorted(a)?, &sorted(b)?, confidence);
    let basis = if depth > 0 { Basis::Ranks } else { Basis::FewRounds };
    Some((by_ranks.stretched_to(low, high), basis))
}

/// Yuen's interval of the difference of trimmed means of two sorted lists.
fn trimmed_t(a: &[f64], b: &[f64], confidence: f64) -> (f64, f64) {
    let (a, b) = (TrimmedSample::of(a), TrimmedSample::of(b));
    let both = a.error().plus(b.error());
    let difference = a.mean - b.mean;
    if both.variance == 0.0 {
        return (difference, difference);
    }
    let reach = two_sided_t(confidence, both.degrees) * both.deviation();
    (difference - reach, difference + reach)
}

/// The error within two runs of the difference of their figures, from the logarithms of their rounds' medians.
pub(super) fn welch(a: &[f64], b: &[f64]) -> Option<Scatter> {
    Some(TrimmedSample::of(&sorted(a)?).error().plus(TrimmedSample::of(&sorted(b)?).error()))
}

/// A trimmed mean with its error.
pub(super) struct TrimmedSample {
    mean: f64,
    /// Squared standard error of the mean.
    pub(super) variance: f64,
    pub(super) degrees: f64,
}

impl TrimmedSample {
    fn error(&self) -> Scatter {
        Scatter { variance: self.variance, degrees: self.degrees }
    }

    /// Of at least two sorted values.
    pub(super) fn of(ordered: &[f64]) -> Self {
        let n = ordered.len();
        let cut = n / TRIM_ONE_IN;
        let kept = &ordered[cut..n - cut];
        let mean = kept.iter().sum::<f64>() / kept.len() as f64;
        let winsorized: Vec<f64> = ordered.iter().map(|v| v.clamp(kept[0], kept[kept.len() - 1])).collect();
        let winsorized_mean = winsorized.iter().sum::<f64>() / n as f64;
        let squares: f64 = winsorized.iter().map(|v| (v - winsorized_mean).powi(2)).sum();
        let degrees = (kept.len() - 1) as f64;
        Self { mean, variance: squares / (kept.len() as f64 * degrees), degrees }
    }
}

/// One disturbed round in ten a side must not decide; with fewer than ten nothing is trimmed.
const TRIM_ONE_IN: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rounds(medians: &[f64]) -> Vec<Vec<f64>> {
        medians.iter().map(|&median| vec![median]).collect()
    }

    #[test]
    fn a_difference_is_in_the_unit_of_its_values_and_pairs_share_their_disturbance() {
        let (slow, fast) = ([10.0, 11.0, 14.0, 12.0, 10.5], [7.1, 7.9, 11.0, 9.1, 7.5]);
        let apart = difference_interval(&slow, &fast, false, 0.95).unwrap();
        let paired = difference_interval(&slow, &fast, true, 0.95).unwrap();
        assert!((paired.estimate - 3.0).abs() < 0.11 && paired.low > 2.8 && paired.high < 3.2, "{paired:?}");
        assert!(apart.low < 1.0 && apart.contains(3.0), "{apart:?}");
        let back = difference_interval(&fast, &slow, true, 0.95).unwrap();
        assert!((back.estimate + paired.estimate).abs() < 1e-9 && back.high < 0.0);
    }

    #[test]
    fn a_difference_of_too_little_is_none() {
        assert!(difference_interval(&[1.0], &[1.0, 2.0], false, 0.95).is_none());
        assert!(difference_interval(&[1.0, f64::NAN], &[1.0, 2.0], false, 0.95).is_none());
        assert!(difference_interval(&[1.0, 2.0], &[1.0, 2.0], true, 1.0).is_none());
    }

    #[test]
    fn welch_agrees_with_the_textbook() {
        // Equal variances of 2.5 in two lists of five: a standard error of 1, 8 degrees of freedom, t = 2.3060.
        let (low, high) = trimmed_t(&[1.0, 2.0, 3.0, 4.0, 5.0], &[3.0, 4.0, 5.0, 6.0, 7.0], 0.95);
        assert!((low + 2.0 + 2.3060).abs() < 1e-4, "{low}");
        assert!((high + 2.0 - 2.3060).abs() < 1e-4, "{high}");
    }

    #[test]
    fn welch_counts_fewer_degrees_for_unequal_scatter() {
        // Squared standard errors 5/12 with 3 and 2 with 4 degrees: 5.52 together, between t(5) and t(6).
        let (low, high) = trimmed_t(&[1.0, 2.0, 3.0, 4.0], &[2.0, 4.0, 6.0, 8.0, 10.0], 0.95);
        let t = (high - low) / 2.0 / (29.0f64 / 12.0).sqrt();
        assert!(t > 2.446_91 && t < 2.570_58, "{t}");
    }

    #[test]
    fn one_wild_round_in_ten_is_trimmed() {
        let calm: Vec<f64> = (0..10).map(|i| f64::from(i) / 100.0).collect();
        let mut wild = calm.clone();
        wild[9] = 50.0;
        let (low, high) = trimmed_t(&wild, &calm, 0.95);
        assert!(low > -0.1 && high < 0.1, "{low} {high}");
    }

    #[test]
    fn pairs_cancel_what_both_sides_share() {
        let b = rounds(&[5.0, 30.0, 6.0, 28.0, 5.5]);
        let a = rounds(&[5.5, 33.1, 6.6, 30.7, 6.06]);
        let paired = ratio_interval(&a, &b, true, 0.95, 0).unwrap().interval;
        assert!(paired.excludes(1.0) && paired.contains(1.1), "{paired:?}");
        let unpaired = ratio_interval(&a, &b, false, 0.95, 0).unwrap().interval;
        assert!(unpaired.contains(1.0), "{unpaired:?}");
    }

    #[test]
    fn the_basis_says_what_there_was() {
        let basis = |a: &[f64], b: &[f64]| ratio_interval(&rounds(a), &rounds(b), false, 0.95, 0).map(|r| r.basis);
        assert_eq!(basis(&[1.0, 2.0, 3.0], &[1.0, 2.0, 3.0]), Some(Basis::FewRounds));
        assert_eq!(basis(&[1.0, 2.0, 3.0, 4.0], &[1.0, 2.0, 3.0, 4.0]), Some(Basis::Ranks));
        assert_eq!(basis(&[1.0], &[1.0, 2.0]), None);
        let single = vec![vec![1.0, 1.1, 1.2, 0.9]];
        let ratio = ratio_interval(&single, &rounds(&[1.0, 2.0]), false, 0.95, 0).unwrap();
        assert_eq!(ratio.basis, Basis::WithinRunOnly);
    }

    #[test]
    fn beside_a_side_without_scatter_a_single_round_keeps_its_own_interval() {
        let scattered = [vec![3.0, 3.1, 3.3, 4.0, 3.2, 6.0, 3.05]];
        let constant = [vec![2.0; 7]];
        let own = rounds_interval(&scattered, 0.95, 0).unwrap().interval;
        assert!(own.low < own.estimate && own.estimate < own.high, "{own:?}");
        let close = |got: f64, want: f64| assert!((got / want - 1.0).abs() < 1e-9, "{got} for {want}");
        let above = ratio_interval(&scattered, &constant, false, 0.95, 0).unwrap().interval;
        close(above.low, own.low / 2.0);
        close(above.estimate, own.estimate / 2.0);
        close(above.high, own.high / 2.0);
        // The second side is resampled with the next seed.
        let own = rounds_interval(&scattered, 0.95, 1).unwrap().interval;
        let below = ratio_interval(&constant, &scattered, false, 0.95, 0).unwrap().interval;
        close(below.low, 2.0 / own.high);
        close(below.estimate, 2.0 / own.estimate);
        close(below.high, 2.0 / own.low);
    }

    #[test]
    fn what_cannot_be_compared_is_none() {
        assert_eq!(ratio_interval(&rounds(&[1.0, 2.0]), &rounds(&[1.0]), true, 0.95, 0), None);
        assert_eq!(ratio_interval(&[], &rounds(&[1.0]), false, 0.95, 0), None);
        assert_eq!(ratio_interval(&rounds(&[1.0, -1.0]), &rounds(&[1.0, 2.0]), false, 0.95, 0), None);
        assert_eq!(ratio_interval(&rounds(&[1.0, 2.0]), &rounds(&[1.0, 2.0]), false, 0.0, 0), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]
        #[test]
        fn holds_its_estimate_and_inverts(
            a in prop::collection::vec(1.0..1e4f64, 2..12), b in prop::collection::vec(1.0..1e4f64, 2..12),
            scale in 0.01..100.0f64,
        ) {
            let got = ratio_interval(&rounds(&a), &rounds(&b), false, 0.95, 0).unwrap().interval;
            prop_assert!(got.contains(got.estimate));
            let inverse = ratio_interval(&rounds(&b), &rounds(&a), false, 0.95, 0).unwrap().interval;
            prop_assert!((got.low * inverse.high - 1.0).abs() < 1e-9);
            prop_assert!((got.estimate * inverse.estimate - 1.0).abs() < 1e-9);
            let scaled: Vec<f64> = a.iter().rev().map(|value| value * scale).collect();
            let other = ratio_interval(&rounds(&scaled), &rounds(&b), false, 0.95, 0).unwrap().interval;
            prop_assert!((other.high / scale / got.high - 1.0).abs() < 1e-9);
        }
    }
}
