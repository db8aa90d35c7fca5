//! By how much two figures differ, and with which error: what is tested where many benchmarks are judged at once.

use serde::{Deserialize, Serialize};

use super::interval::{Interval, is_level};
use super::quantile::{mean_and_variance, median};
use super::ratio::{Ratio, ratio_interval, welch};
use super::rounds::{Basis, log_medians, median_variance};
use super::run_scatter::Scatter;
use super::student::{outside_probability, two_sided_t};

/// The logarithm of a ratio of two figures, with its standard error.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Contrast {
    /// The natural logarithm of the ratio.
    pub log: f64,
    /// Its standard error, at least 0.
    pub error: f64,
    /// Degrees of freedom of `error`, more than 0.
    pub degrees: f64,
}

/// The chance with which an effect of the size that [`Contrast::detectable`] gives is found.
const POWER: f64 = 0.8;

impl Contrast {
    /// The probability of such a ratio, or a greater one, if the true one were 1 + `share`.
    #[must_use]
    pub fn probability_beyond(&self, share: f64) -> f64 {
        self.above(self.log - share.ln_1p())
    }

    /// The probability of a ratio that is so far from 1, either way, if the true one were 1 + `share` or 1 over that.
    #[must_use]
    pub fn probability_outside(&self, share: f64) -> f64 {
        let (distance, edge) = (self.log.abs(), share.ln_1p());
        (self.above(distance - edge) + self.above(distance + edge)).min(1.0)
    }

    /// P(T · error > `distance`).
    fn above(&self, distance: f64) -> f64 {
        if self.error <= 0.0 {
            return if distance > 0.0 { 0.0 } else { 1.0 };
        }
        let tail = outside_probability((distance / self.error).abs(), self.degrees) / 2.0;
        if distance > 0.0 { tail } else { 1.0 - tail }
    }

    /// The smallest true effect, as a share, that a test of "beyond `share`" at `level` finds in four of five cases.
    #[must_use]
    pub fn detectable(&self, share: f64, level: f64) -> f64 {
        let quantile = |tail: f64| two_sided_t(1.0 - 2.0 * tail, self.degrees);
        (share.ln_1p() + (quantile(level) + quantile(1.0 - POWER)) * self.error).exp_m1()
    }

    /// By how much the ratio of two runs differs from 1, of rounds that are independent, when runs scatter by
    /// `scatter`, both together. `None` for a single round a side.
    #[must_use]
    pub fn between_runs(a: &[Vec<f64>], b: &[Vec<f64>], scatter: Scatter) -> Option<Self> {
        let (logs_a, logs_b) = (log_medians(a)?, log_medians(b)?);
        if logs_a.len() < 2 || logs_b.len() < 2 {
            return None;
        }
        let within = welch(&logs_a, &logs_b)?;
        let log = median(&logs_a.iter().flat_map(|a| logs_b.iter().map(move |b| a - b)).collect::<Vec<_>>())?;
        let both = within.plus(scatter);
        // What is known of the scatter between runs limits how far the tails may be trusted, be its share ever so
        // small.
        Some(Self { log, error: both.deviation(), degrees: both.degrees.min(scatter.degrees) })
    }

    /// The same of rounds of which each has a ratio of its own, measured side by side. `None` for a single round.
    #[must_use]
    pub fn of_pairs(ratios: &[Vec<f64>]) -> Option<Self> {
        let logs = log_medians(ratios)?;
        let (_, variance) = mean_and_variance(&logs)?;
        let error = (variance * median_variance(logs.len())).sqrt();
        Some(Self { log: median(&logs)?, error, degrees: (logs.len() - 1) as f64 })
    }
}

/// The ratio `a` / `b` of two runs: the interval of [`ratio_interval`] for independent rounds, widened to that of
/// Student's t for the scatter between runs, `scatter`, and that of the rounds together.
///
/// `None` where [`ratio_interval`] is.
#[must_use]
pub fn run_ratio_interval(
    a: &[Vec<f64>],
    b: &[Vec<f64>],
    scatter: Scatter,
    confidence: f64,
    seed: u64,
) -> Option<Ratio> {
    if !is_level(confidence) {
        return None;
    }
    let Ratio { interval, basis } = ratio_interval(a, b, false, confidence, seed)?;
    let log = interval.map(f64::ln);
    let widened = match Contrast::between_runs(a, b, scatter) {
        Some(Contrast { error, degrees, .. }) => {
            let reach = two_sided_t(confidence, degrees) * error;
            log.stretched_to(log.estimate - reach, log.estimate + reach)
        }
        None => {
            // Of a single round its own interval is known, and is added by the squares of the distances.
            let reach = two_sided_t(confidence, scatter.degrees) * scatter.deviation();
            let (low, high) = ((log.estimate - log.low).hypot(reach), (log.high - log.estimate).hypot(reach));
            Interval { low: log.estimate - low, high: log.estimate + high, ..log }
        }
    };
    debug_assert!(basis == Basis::WithinRunOnly || widened.low <= log.low);
    Some(Ratio { interval: widened.map(f64::exp), basis })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(medians: &[f64]) -> Vec<Vec<f64>> {
        medians.iter().map(|&median| vec![median]).collect()
    }

    const TENTH: Contrast = Contrast { log: 0.1, error: 0.05, degrees: 4.0 };

    #[test]
    fn probabilities_are_those_of_the_tables() {
        // t = 2 with 4 degrees: 0.1161 both sides.
        assert!((TENTH.probability_outside(0.0) - 0.116_117).abs() < 1e-5);
        assert!((TENTH.probability_beyond(0.0) - 0.058_058).abs() < 1e-5);
        assert!((TENTH.probability_beyond(0.1_f64.exp_m1()) - 0.5).abs() < 1e-9);
        assert!(TENTH.probability_beyond(0.5) > 0.9);
        let faster = Contrast { log: -0.1, ..TENTH };
        assert!((faster.probability_outside(0.01) - TENTH.probability_outside(0.01)).abs() < 1e-12);
        assert!(faster.probability_beyond(0.0) > 0.9);
        let sure = Contrast { error: 0.0, ..TENTH };
        assert_eq!((sure.probability_beyond(0.05), sure.probability_beyond(0.2)), (0.0, 1.0));
    }

    #[test]
    fn what_is_detectable_is_found_in_four_of_five_cases() {
        let mut prng = crate::stats::Prng::seeded(4);
        let known = Contrast { log: 0.0, error: 0.05, degrees: 1e6 };
        let effect = known.detectable(0.02, 0.001);
        let found = (0..4000).filter(|_| {
            let log = effect.ln_1p() + 0.05 * crate::stats::simulation::normal(&mut prng);
            Contrast { log, ..known }.probability_beyond(0.02) <= 0.001
        });
        let share = found.count() as f64 / 4000.0;
        assert!((share - 0.8).abs() < 0.02, "{share}");
    }

    #[test]
    fn the_scatter_between_runs_widens_what_the_rounds_say() {
        let (a, b) = (rounds(&[1.10, 1.11, 1.09]), rounds(&[1.0, 1.01, 0.99]));
        let at = |variance| run_ratio_interval(&a, &b, Scatter { variance, degrees: 5.0 }, 0.95, 0).unwrap().interval;
        let plain = ratio_interval(&a, &b, false, 0.95, 0).unwrap().interval;
        assert!(at(0.0).low <= plain.low && plain.low - at(0.0).low < 0.01, "{:?} {plain:?}", at(0.0));
        assert!(at(0.0).excludes(1.0) && !at(0.01).excludes(1.0));
        // 2.5706 standard errors of 0.1 and a little.
        let reach = (at(0.01).high / at(0.01).estimate).ln();
        assert!(reach > 0.257 && reach < 0.27, "{reach}");
        let single = |variance| {
            let one = [vec![1.0, 1.01, 1.02, 0.99, 1.0]];
            run_ratio_interval(&a, &one, Scatter { variance, degrees: 5.0 }, 0.95, 0).unwrap()
        };
        assert!(single(0.01).interval.low < single(0.0).interval.low);
        assert_eq!(single(0.01).basis, Basis::WithinRunOnly);
        assert_eq!(run_ratio_interval(&a, &b, Scatter::NONE, 1.5, 0), None);
    }

    #[test]
    fn pairs_have_the_error_of_their_median() {
        let contrast = Contrast::of_pairs(&rounds(&[1.0, 1.1, 1.21])).unwrap();
        assert!((contrast.log - 1.1_f64.ln()).abs() < 1e-12);
        // The logarithms are a tenth or so apart, and the median of three has 0.4487 of their variance.
        assert!((contrast.error - 1.1_f64.ln() * 0.4487_f64.sqrt()).abs() < 1e-9, "{contrast:?}");
        assert_eq!(Contrast::of_pairs(&rounds(&[1.0])), None);
    }
}
