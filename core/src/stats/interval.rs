//! An estimate with the range that the data support.

use serde::{Deserialize, Serialize};

/// A confidence interval around an estimate: `low ≤ estimate ≤ high`, all finite and in one unit.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The lower end, included.
    pub low: f64,
    /// The best single value.
    pub estimate: f64,
    /// The upper end, included.
    pub high: f64,
    /// The nominal share of repetitions of the whole procedure whose interval holds the true value, in (0, 1).
    pub confidence: f64,
}

impl Interval {
    /// Whether `value` is among the values that the data support.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// Whether the data speak against `value`. A NaN is excluded by nothing and contained in nothing.
    #[must_use]
    pub fn excludes(&self, value: f64) -> bool {
        value < self.low || value > self.high
    }

    /// Half the width over the estimate's magnitude: 0.01 reads "± 1 %". `None` when the estimate is 0.
    #[must_use]
    pub fn relative_half_width(&self) -> Option<f64> {
        (self.estimate != 0.0).then(|| (self.high - self.low) / 2.0 / self.estimate.abs())
    }

    /// A value that is known.
    #[must_use]
    pub fn exactly(value: f64, confidence: f64) -> Self {
        Self { low: value, estimate: value, high: value, confidence }
    }

    /// `factor` times it; a negative factor turns it round.
    #[must_use]
    pub fn scaled(self, factor: f64) -> Self {
        let (a, b) = (self.low * factor, self.high * factor);
        Self { low: a.min(b), estimate: self.estimate * factor, high: a.max(b), confidence: self.confidence }
    }

    /// What is left of `value` when it is taken away.
    #[must_use]
    pub fn taken_from(self, value: f64) -> Self {
        let Self { low, estimate, high, confidence } = self;
        Self { low: value - high, estimate: value - estimate, high: value - low, confidence }
    }

    /// The product with another figure whose error has nothing to do with this one's. Each error is carried through the
    /// product alone, and both are added as squares (G. Y. Zou and A. Donner, "Construction of confidence limits about
    /// effect measures", Statistics in Medicine 27, 2008).
    #[must_use]
    pub fn times(self, other: Self) -> Self {
        let estimate = self.estimate * other.estimate;
        let (a, b) = (self.scaled(other.estimate), other.scaled(self.estimate));
        let low = estimate - (estimate - a.low).hypot(estimate - b.low);
        let high = estimate + (a.high - estimate).hypot(b.high - estimate);
        Self { low, estimate, high, confidence: self.confidence.min(other.confidence) }
    }

    /// The same with a further independent error of `reach` to either side.
    #[must_use]
    pub fn widened_by(self, reach: f64) -> Self {
        let Self { low, estimate, high, confidence } = self;
        Self {
            low: estimate - (estimate - low).hypot(reach),
            estimate,
            high: estimate + (high - estimate).hypot(reach),
            confidence,
        }
    }

    /// The interval of `f(value)` for an increasing `f`.
    pub(super) fn map(self, f: impl Fn(f64) -> f64) -> Self {
        Self { low: f(self.low), estimate: f(self.estimate), high: f(self.high), confidence: self.confidence }
    }

    /// The same interval, stretched where needed to hold `low..=high`.
    pub(super) fn stretched_to(self, low: f64, high: f64) -> Self {
        Self { low: self.low.min(low), high: self.high.max(high), ..self }
    }
}

/// A confidence level that means something: strictly between 0 and 1.
pub(super) fn is_level(confidence: f64) -> bool {
    confidence > 0.0 && confidence < 1.0
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEN: Interval = Interval { low: 9.0, estimate: 10.0, high: 12.0, confidence: 0.95 };

    #[test]
    fn ends_are_inside() {
        assert!(TEN.contains(9.0) && TEN.contains(12.0) && !TEN.contains(12.1));
        assert!(TEN.excludes(8.9) && !TEN.excludes(9.0));
        assert!(!TEN.excludes(f64::NAN) && !TEN.contains(f64::NAN));
    }

    #[test]
    fn half_width_is_relative_to_the_estimate() {
        assert_eq!(TEN.relative_half_width(), Some(0.15));
        assert_eq!(Interval { estimate: 0.0, ..TEN }.relative_half_width(), None);
    }

    #[test]
    fn arithmetic_carries_both_ends_and_the_sign() {
        let turned = TEN.scaled(-2.0);
        assert_eq!((turned.low, turned.estimate, turned.high), (-24.0, -20.0, -18.0));
        let rest = TEN.taken_from(100.0);
        assert_eq!((rest.low, rest.estimate, rest.high), (88.0, 90.0, 91.0));
        let wide = TEN.widened_by(0.0);
        assert_eq!(wide, TEN);
        let wide = Interval { low: 6.0, high: 14.0, ..TEN }.widened_by(3.0);
        assert_eq!((wide.low, wide.high), (5.0, 15.0));
    }

    #[test]
    fn errors_of_a_product_are_added_as_squares() {
        // 10 ± 3 times 2 ± 0.4: errors of 6 and 4 come to the root of 52.
        let (ten, two) =
            (Interval { low: 7.0, high: 13.0, ..TEN }, Interval { low: 1.6, estimate: 2.0, high: 2.4, ..TEN });
        let product = ten.times(two);
        assert_eq!(product.estimate, 20.0);
        assert!((product.high - 20.0 - 52f64.sqrt()).abs() < 1e-9 && (20.0 - product.low - 52f64.sqrt()).abs() < 1e-9);
        // Of a negative factor the upper end is the less certain count's lower one.
        let loss = Interval { low: 8.0, high: 20.0, ..TEN }.times(Interval::exactly(-1.0, 0.95));
        assert_eq!((loss.low, loss.estimate, loss.high), (-20.0, -10.0, -8.0));
        assert_eq!(TEN.times(Interval::exactly(1.0, 0.95)), TEN);
    }

    #[test]
    fn survives_a_round_trip_through_json() {
        let text = serde_json::to_string(&TEN).unwrap();
        assert_eq!(serde_json::from_str::<Interval>(&text).unwrap(), TEN);
    }
}
