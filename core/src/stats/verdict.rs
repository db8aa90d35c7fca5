//! What may be said about a ratio of times.

use serde::{Deserialize, Serialize};

use super::ratio::Ratio;
use super::rounds::Basis;

/// What a ratio of times allows to be said about its numerator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It takes less time, by more than the smallest effect of interest.
    Faster,
    /// It takes more time, by more than the smallest effect of interest.
    Slower,
    /// The two differ by less than the smallest effect of interest, if at all.
    #[serde(rename = "equal")]
    Equivalent,
    /// The data support more than one of these. Not the same as [`Verdict::Equivalent`]: more rounds may decide.
    #[serde(rename = "inconclusive")]
    NoVerdict,
}

impl Verdict {
    /// Judges a ratio of times by its whole interval, never by its estimate.
    ///
    /// `smallest_effect` is the difference that matters, as a share: 0.01 for 1 %. Ratios from 1 / 1.01 to 1.01 then
    /// count as equal. An interval inside that band is equivalence (two one-sided tests: D. J. Schuirmann, Journal of
    /// Pharmacokinetics and Biopharmaceutics 15, 1987), one wholly outside it is a difference, one that crosses an
    /// edge or 1 from outside supports neither. 0 asks for any difference at all; nothing is equivalent then.
    ///
    /// A ratio that is [`Basis::WithinRunOnly`] gets no verdict, because a second process might reverse it. Nor is
    /// there one when `smallest_effect` is negative or not finite.
    #[must_use]
    pub fn of(ratio: &Ratio, smallest_effect: f64) -> Self {
        let judgeable = smallest_effect >= 0.0 && smallest_effect.is_finite();
        if !judgeable || ratio.basis == Basis::WithinRunOnly {
            return Self::NoVerdict;
        }
        let (low, high) = (ratio.interval.low, ratio.interval.high);
        let above = 1.0 + smallest_effect;
        let below = 1.0 / above;
        if high < below {
            Self::Faster
        } else if low > above {
            Self::Slower
        } else if below < low && high < above {
            Self::Equivalent
        } else {
            Self::NoVerdict
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::interval::Interval;

    fn verdict(low: f64, high: f64, smallest_effect: f64) -> Verdict {
        let interval = Interval { low, estimate: f64::midpoint(low, high), high, confidence: 0.95 };
        let basis = Basis::Ranks;
        Verdict::of(&Ratio { interval, basis }, smallest_effect)
    }

    #[test]
    fn the_whole_interval_decides() {
        assert_eq!(verdict(0.90, 0.95, 0.01), Verdict::Faster);
        assert_eq!(verdict(1.05, 1.10, 0.01), Verdict::Slower);
        assert_eq!(verdict(0.995, 1.004, 0.01), Verdict::Equivalent);
        assert_eq!(verdict(0.97, 1.02, 0.01), Verdict::NoVerdict);
        assert_eq!(verdict(1.002, 1.05, 0.01), Verdict::NoVerdict);
        assert_eq!(verdict(0.97, 0.995, 0.01), Verdict::NoVerdict);
    }

    #[test]
    fn without_a_smallest_effect_any_difference_counts() {
        assert_eq!(verdict(1.001, 1.002, 0.0), Verdict::Slower);
        assert_eq!(verdict(1.0, 1.0, 0.0), Verdict::NoVerdict);
        assert_eq!(verdict(0.5, 0.6, f64::NAN), Verdict::NoVerdict);
        assert_eq!(verdict(0.5, 0.6, -0.1), Verdict::NoVerdict);
    }

    #[test]
    fn an_interval_that_touches_the_edge_is_not_equivalence() {
        assert_eq!(verdict(0.5, 1.1, 1.0), Verdict::NoVerdict);
        assert_eq!(verdict(0.9, 2.0, 1.0), Verdict::NoVerdict);
        assert_eq!(verdict(0.51, 1.99, 1.0), Verdict::Equivalent);
    }

    #[test]
    fn one_round_decides_nothing() {
        let interval = Interval { low: 0.1, estimate: 0.2, high: 0.3, confidence: 0.95 };
        let basis = Basis::WithinRunOnly;
        assert_eq!(Verdict::of(&Ratio { interval, basis }, 0.01), Verdict::NoVerdict);
    }
}
