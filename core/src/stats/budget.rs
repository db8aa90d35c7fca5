//! How many rounds a wanted precision will take.

use super::interval::Interval;
use super::ratio::Ratio;
use super::rounds::{Basis, Estimate, median_variance};
use super::student::two_sided_t;

/// How well a figure or a ratio is known.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Precision {
    /// Where it lies.
    pub interval: Interval,
    /// What the interval rests on.
    pub basis: Basis,
    /// The rounds, or pairs of rounds, that it is made of; ≥ 1.
    pub rounds: usize,
}

impl From<Estimate> for Precision {
    fn from(figure: Estimate) -> Self {
        Self { interval: figure.interval, basis: figure.basis, rounds: figure.rounds }
    }
}

impl Precision {
    /// That of a ratio over this many `pairs` of rounds.
    pub fn of_pairs(ratio: Ratio, pairs: usize) -> Self {
        Self { interval: ratio.interval, basis: ratio.basis, rounds: pairs }
    }
}

/// What is left to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// The interval is as narrow as wanted.
    Reached,
    /// About this many further rounds, ≥ 1.
    Further(usize),
    /// The cap will be met before the target is.
    BeyondCap,
}

/// Estimates how many rounds must follow for the relative half-width to fall to `target` (0.01 for ± 1 %), with at most
/// `cap` rounds in all.
///
/// The rounds to come are taken to scatter like those so far, so the half-width follows t · √v, where t is Student's
/// quantile and v the variance of the median of that many rounds. The forecast is as rough as the scatter's own
/// estimate (a factor of two either way from three rounds), so ask again after every round. For skewed or bimodal
/// rounds it errs either way until both modes have been seen in their shares.
///
/// `None` when the scatter between rounds is unknown (one round), or `target` is not greater than 0.
#[must_use]
pub fn further_rounds(known: &Precision, target: f64, cap: usize) -> Option<Budget> {
    if known.basis == Basis::WithinRunOnly || known.rounds < 2 || target.is_nan() || target <= 0.0 {
        return None;
    }
    let now = known.interval.relative_half_width()?;
    if now <= target {
        return Some(Budget::Reached);
    }
    let confidence = known.interval.confidence;
    let wanted = expected_width(known.rounds, confidence) * target / now;
    let enough = (known.rounds + 1..=cap).find(|&rounds| expected_width(rounds, confidence) <= wanted);
    Some(enough.map_or(Budget::BeyondCap, |rounds| Budget::Further(rounds - known.rounds)))
}

/// The expected half-width after `rounds` ≥ 2, in standard deviations between rounds.
fn expected_width(rounds: usize, confidence: f64) -> f64 {
    two_sided_t(confidence, (rounds - 1) as f64) * median_variance(rounds).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::interval::Interval;

    fn known(rounds: usize, half_width: f64) -> Precision {
        Precision {
            interval: Interval {
                low: 100.0 * (1.0 - half_width),
                estimate: 100.0,
                high: 100.0 * (1.0 + half_width),
                confidence: 0.95,
            },
            basis: Basis::FewRounds,
            rounds,
        }
    }

    #[test]
    fn precision_grows_with_the_root_of_the_rounds() {
        let Some(Budget::Further(more)) = further_rounds(&known(40, 0.02), 0.01, 1_000) else {
            panic!("40 rounds and a halved width are within the cap");
        };
        assert!((110..=125).contains(&more), "{more}");
    }

    #[test]
    fn few_rounds_gain_more_than_the_root() {
        assert_eq!(further_rounds(&known(3, 0.05), 0.03, 100), Some(Budget::Further(2)));
    }

    #[test]
    fn what_is_reached_or_out_of_reach_is_said() {
        assert_eq!(further_rounds(&known(5, 0.009), 0.01, 100), Some(Budget::Reached));
        assert_eq!(further_rounds(&known(5, 0.5), 0.001, 100), Some(Budget::BeyondCap));
        assert_eq!(further_rounds(&known(5, 0.5), 0.0, 100), None);
        let single = Precision { basis: Basis::WithinRunOnly, ..known(1, 0.5) };
        assert_eq!(further_rounds(&single, 0.01, 100), None);
    }

    #[test]
    fn every_round_is_expected_to_help() {
        let widths: Vec<f64> = (2..60).map(|rounds| expected_width(rounds, 0.95)).collect();
        assert!(widths.is_sorted_by(|a, b| a > b), "{widths:?}");
    }
}
