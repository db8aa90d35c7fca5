//! Benchmarks whose true figure is known, for checking the estimators.

use super::prng::Prng;
use super::quantile::median;
use super::screening::ProbedValue;

/// Samples a round: enough for a median, few enough for thousands of experiments.
const SAMPLES: usize = 9;

/// Scatter of the logarithm of a sample within its round.
const WITHIN: f64 = 0.03;

/// How rounds scatter around 10 µs.
#[derive(Debug, Clone, Copy)]
pub(super) enum RoundModel {
    /// Normal, 5 %.
    Normal,
    /// Lognormal, sigma 0.15.
    Lognormal,
    /// A floor and an exponential tail.
    Skewed,
    /// 10 or 30 µs, 2 % each; the share of slow rounds.
    Bimodal(f64),
}

impl RoundModel {
    /// The rounds of one experiment.
    pub(super) fn draw(self, count: usize, prng: &mut Prng) -> Vec<Vec<f64>> {
        (0..count).map(|_| self.round(prng)).collect()
    }

    /// The median of the distribution of round medians, by brute force: within 1 % of the scatter.
    pub(super) fn truth(self) -> f64 {
        let mut prng = Prng::seeded(20_001);
        let medians: Vec<f64> = (0..20_001).filter_map(|_| median(&self.round(&mut prng))).collect();
        median(&medians).unwrap()
    }

    fn round(self, prng: &mut Prng) -> Vec<f64> {
        let centre = match self {
            Self::Normal => 10.0 + 0.5 * normal(prng),
            Self::Lognormal => 10.0 * (0.15 * normal(prng)).exp(),
            Self::Skewed => 10.0 * (0.1 * exponential(prng)).exp(),
            Self::Bimodal(slow) => {
                let mode = if prng.unit() < slow { 30.0 } else { 10.0 };
                mode * (0.02 * normal(prng)).exp()
            }
        };
        (0..SAMPLES).map(|_| centre * (WITHIN * normal(prng)).exp()).collect()
    }
}

/// Samples a round beside which the speed probe was timed.
const PACED: usize = 40;

/// Rounds around 10 µs, 2 %, under a neighbour that is there for a stretch of each, from none of it to all, and slows
/// samples by a quarter. One look at the speed probe in ten misses it, and one in twenty is slow without it.
pub(super) fn disturbed(count: usize, prng: &mut Prng) -> Vec<Vec<ProbedValue>> {
    (0..count).map(|_| disturbed_round(prng)).collect()
}

fn disturbed_round(prng: &mut Prng) -> Vec<ProbedValue> {
    let (begins, lasts) = (prng.index(PACED), prng.index(PACED + 1));
    disturbed_during(begins, lasts, prng)
}

/// The same for two sides that take turns: the neighbour comes to both, and leaves one of them a sample earlier.
pub(super) fn disturbed_interleaved(count: usize, prng: &mut Prng) -> [Vec<Vec<ProbedValue>>; 2] {
    let mut sides = [Vec::new(), Vec::new()];
    for _ in 0..count {
        let (begins, lasts) = (prng.index(PACED), prng.index(PACED + 1));
        let shorter = lasts.saturating_sub(prng.index(2));
        sides[0].push(disturbed_during(begins, lasts, prng));
        sides[1].push(disturbed_during(begins, shorter, prng));
    }
    sides
}

fn disturbed_during(begins: usize, lasts: usize, prng: &mut Prng) -> Vec<ProbedValue> {
    let centre = 10.0 * (0.02 * normal(prng)).exp();
    let sample = |index: usize| {
        let slowed = (index + PACED - begins) % PACED < lasts;
        let seen = prng.unit() < if slowed { 0.9 } else { 0.05 };
        let value = centre * if slowed { 1.25 } else { 1.0 } * (WITHIN * normal(prng)).exp();
        let probe = if seen { 13.0 } else { 10.5 } * (0.01 * normal(prng)).exp();
        ProbedValue { value, probe: Some(probe) }
    };
    (0..PACED).map(sample).collect()
}

/// A standard normal value (G. E. P. Box and M. E. Muller, "A note on the generation of random normal deviates", 1958).
pub(super) fn normal(prng: &mut Prng) -> f64 {
    let radius = (2.0 * exponential(prng)).sqrt();
    radius * (2.0 * std::f64::consts::PI * prng.unit()).cos()
}

/// An exponential value of mean 1.
pub(super) fn exponential(prng: &mut Prng) -> f64 {
    -(1.0 - prng.unit()).ln()
}

/// `count` successive values of a stationary AR(1) process of variance 1.
pub(super) fn autocorrelated(count: usize, rho: f64, prng: &mut Prng) -> Vec<f64> {
    let fresh = (1.0 - rho * rho).sqrt();
    let mut value = normal(prng);
    (0..count)
        .map(|_| {
            value = rho * value + fresh * normal(prng);
            value
        })
        .collect()
}
