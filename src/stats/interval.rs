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
    fn survives_a_round_trip_through_json() {
        let text = serde_json::to_string(&TEN).unwrap();
        assert_eq!(serde_json::from_str::<Interval>(&text).unwrap(), TEN);
    }
}
