//! How far the figures of one program on one host scatter from run to run.
//!
//! A host's state (which neighbours it has, where the kernel laid its pages, what else runs) lasts for minutes, and all
//! rounds of a run share it. So the rounds of two runs say how well each run's figure is known, and nothing of how far
//! the figure of the next run will lie from it. That scatter is estimated from runs between which nothing changed, or,
//! where there are none, from all ratios of two runs together.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::gamma::{digamma, inverse_trigamma, trigamma};
use super::quantile::{median, median_of_sorted, quantile, sorted};
use super::ratio::TrimmedSample;
use super::rounds::log_medians;
use super::student::{NORMAL, two_sided_t};

/// The variance from run to run of the logarithm of a figure, and how well it is known.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Scatter {
    /// Of one run, beyond what the rounds within it show: the standard deviation is about the share by which figures
    /// of two quiet runs of one program differ from their mean. At least 0.
    pub variance: f64,
    /// Degrees of freedom, more than 0.
    pub degrees: f64,
}

impl Scatter {
    /// What is assumed where nothing is known: 3 % from run to run. On a virtual machine with two CPUs and other load,
    /// half of the benchmarks scattered by less; so few degrees of freedom allow for one that scatters by some times as
    /// much.
    pub const ASSUMED: Self = Self { variance: 0.03 * 0.03, degrees: TAIL };

    /// Rounds that are independent of each other, whichever run they are of.
    pub const NONE: Self = Self { variance: 0.0, degrees: NORMAL };

    /// That of the difference of two runs which scatter alike. One estimate taken twice is known no better than once.
    #[must_use]
    pub fn of_two_runs(self) -> Self {
        Self { variance: 2.0 * self.variance, ..self }
    }

    /// That of a sum of two, known independently of each other (F. E. Satterthwaite, "An approximate distribution of
    /// estimates of variance components", Biometrics Bulletin 2, 1946).
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let variance = self.variance + other.variance;
        let squares = self.variance.powi(2) / self.degrees + other.variance.powi(2) / other.degrees;
        let degrees = if squares > 0.0 { variance * variance / squares } else { self.degrees.min(other.degrees) };
        Self { variance, degrees }
    }

    /// As a share: 0.03 for 3 %.
    #[must_use]
    pub fn deviation(self) -> f64 {
        self.variance.sqrt()
    }
}

/// The figure of one benchmark in one run, as far as the scatter from run to run needs it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RunFigure {
    /// The logarithm of the figure.
    pub log: f64,
    /// Its squared standard error, from the scatter of the rounds within the run.
    pub variance: f64,
    /// Degrees of freedom of `variance`.
    pub degrees: f64,
}

impl RunFigure {
    /// Of the samples of each round. `None` where a sample is not finite and greater than 0, and for a single round,
    /// which tells nothing of how rounds scatter.
    #[must_use]
    pub fn of(rounds: &[Vec<f64>]) -> Option<Self> {
        let logs = sorted(&log_medians(rounds)?)?;
        if logs.len() < 2 {
            return None;
        }
        let TrimmedSample { variance, degrees, .. } = TrimmedSample::of(&logs);
        Some(Self { log: median_of_sorted(&logs), variance, degrees })
    }
}

/// What runs of one program on one host show of its scatter, benchmark by benchmark.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Replication {
    benchmarks: BTreeMap<String, Squares>,
}

/// What is known of one benchmark.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Squares {
    /// Of the deviations of runs from their mean, summed.
    sum: f64,
    /// Of the standard errors within the runs, averaged with the weight of `degrees`.
    within: f64,
    /// Runs, less one for each mean.
    degrees: f64,
}

/// Fewer benchmarks than this say nothing of how benchmarks differ in their scatter.
const FEWEST_TO_POOL: usize = 5;

/// More runs than this many would be needed to see how much benchmarks differ in their scatter, so the pooled figure
/// never counts for more of them.
const MOST_PRIOR_DEGREES: f64 = 20.0;

/// The share of the fitted degrees of freedom that the pooled figure counts for. Variances that scatter lognormally
/// have more of both extremes than the fitted distribution: with all degrees and two runs a side, a gate over 99
/// benchmarks failed in 8 of 100 comparisons without a difference.
const PRIOR_SHARE: f64 = 0.5;

impl Replication {
    /// Adds the figures of runs between which nothing changed. Runs of another program, or on another host, are added
    /// by another call.
    pub fn add(&mut self, benchmark: &str, runs: &[RunFigure]) {
        if runs.len() < 2 {
            return;
        }
        let count = runs.len() as f64;
        let mean = runs.iter().map(|run| run.log).sum::<f64>() / count;
        let known = self.benchmarks.entry(benchmark.into()).or_default();
        let within = runs.iter().map(|run| run.variance).sum::<f64>() / count;
        let degrees = known.degrees + count - 1.0;
        known.within = (known.within * known.degrees + within * (count - 1.0)) / degrees;
        known.sum += runs.iter().map(|run| (run.log - mean).powi(2)).sum::<f64>();
        known.degrees = degrees;
    }

    /// Whether there are benchmarks of which two degrees of freedom are known: three runs, or two and two. With one,
    /// a comparison of two runs would be judged by the very difference that it is about.
    #[must_use]
    pub fn is_enough(&self) -> bool {
        self.benchmarks.values().any(|known| known.degrees >= 2.0)
    }

    /// The scatter of `benchmark`, shrunk towards that of all (G. K. Smyth, "Linear models and empirical Bayes methods
    /// for assessing differential expression in microarray experiments", Statistical Applications in Genetics and
    /// Molecular Biology 3, 2004). One that is not among them has the pooled scatter. `None` where nothing is known.
    #[must_use]
    pub fn of(&self, benchmark: &str) -> Option<Scatter> {
        let own = self.benchmarks.get(benchmark).copied();
        let (variance, degrees) = match (self.pooled(), own) {
            (None, None) => return None,
            (None, Some(own)) => (own.sum / own.degrees, own.degrees),
            (Some(pooled), None) => (pooled.variance, pooled.degrees),
            (Some(pooled), Some(own)) => {
                let degrees = pooled.degrees + own.degrees;
                ((pooled.variance * pooled.degrees + own.sum) / degrees, degrees)
            }
        };
        let within = own.map_or_else(|| self.typical_within(), |own| own.within);
        Some(Scatter { variance: (variance - within).max(0.0), degrees })
    }

    /// The scatter that benchmarks have in common, errors within runs included: the parameters of the scaled inverse
    /// χ² distribution from which the variances of benchmarks may have been drawn, by the mean and the variance of
    /// their logarithms.
    fn pooled(&self) -> Option<Scatter> {
        let variances: Vec<f64> = self.benchmarks.values().map(|known| known.sum / known.degrees).collect();
        if variances.len() < FEWEST_TO_POOL {
            return None;
        }
        // Whole nanoseconds repeat, and a variance of 0 has no logarithm.
        let least = (median(&variances)? * 1e-4).max(1e-12);
        let halves: Vec<f64> = self.benchmarks.values().map(|known| known.degrees / 2.0).collect();
        let logs = variances.iter().zip(&halves).map(|(variance, half)| {
            let log = variance.max(least).ln();
            log - digamma(*half) + half.ln()
        });
        let logs: Vec<f64> = logs.collect();
        let count = logs.len() as f64;
        let mean = logs.iter().sum::<f64>() / count;
        let excess = logs.iter().map(|log| (log - mean).powi(2)).sum::<f64>() / (count - 1.0)
            - halves.iter().map(|half| trigamma(*half)).sum::<f64>() / count;
        let degrees = if excess > 0.0 { 2.0 * inverse_trigamma(excess) } else { f64::INFINITY };
        let variance = (mean + digamma(degrees.min(1e6) / 2.0) - (degrees.min(1e6) / 2.0).ln()).exp();
        Some(Scatter { variance, degrees: (degrees * PRIOR_SHARE).min(MOST_PRIOR_DEGREES) })
    }

    fn typical_within(&self) -> f64 {
        median(&self.benchmarks.values().map(|known| known.within).collect::<Vec<_>>()).unwrap_or(0.0)
    }

    /// How many benchmarks are known.
    #[must_use]
    pub fn benchmarks(&self) -> usize {
        self.benchmarks.len()
    }
}

/// Degrees of freedom of a scatter that is assumed.
const TAIL: f64 = 3.0;

/// How ratios may be spread, from the most alike of benchmarks to the most unlike, as degrees of freedom of Student's
/// t: where the variances of benchmarks scatter like an inverse χ² of so many degrees, ratios scatter like that.
const SPREADS: [f64; 6] = [TAIL, 2.5, 2.0, 1.5, 1.25, 1.0];

/// Below this many ratios their bulk tells too little.
const FEWEST_RATIOS: usize = 20;

/// The scatter from run to run by which half of all ratios lie as far from 1 as they do. `ratios` are, for each
/// benchmark that two runs have in common, the logarithm of the ratio and its squared standard error within the runs.
///
/// It rests on this: where at most a fifth of the benchmarks really differ, four of five ratios show chance alone. Half
/// of their distances says how far ratios scatter, four fifths how unlike benchmarks are in that, which is told as
/// degrees of freedom; what really differs moves neither far. The distances are those from 1 and not from the median
/// ratio: what shifts all ratios at once by up to a quarter, a state of the host does as easily as a change of the
/// program, and two runs cannot tell which. A greater shift counts for as much. `None` with fewer than 20 ratios.
#[must_use]
pub fn scatter_of_bulk(ratios: &[(f64, f64)]) -> Option<Scatter> {
    if ratios.len() < FEWEST_RATIOS || !ratios.iter().all(|(log, variance)| log.is_finite() && variance.is_finite()) {
        return None;
    }
    let shift = median(&ratios.iter().map(|(log, _)| *log).collect::<Vec<_>>())?;
    let beyond = shift - shift.clamp(-MOST_SHIFT, MOST_SHIFT);
    let ratios: &[(f64, f64)] = &ratios.iter().map(|(log, variance)| (log - beyond, *variance)).collect::<Vec<_>>();
    let fitted = |degrees: f64| {
        let variance = variance_of_half(ratios, two_sided_t(0.5, degrees));
        (Scatter { variance, degrees }, standardized(ratios, variance, 0.8) <= two_sided_t(0.8, degrees))
    };
    let fits = SPREADS.into_iter().map(fitted).find(|(_, fits)| *fits);
    let both = fits.map_or_else(|| fitted(SPREADS[SPREADS.len() - 1]).0, |(scatter, _)| scatter);
    // Half of it is the scatter of one run.
    Some(Scatter { variance: (both.variance / 2.0).max(LEAST), ..both })
}

/// The logarithm of the greatest shift of all ratios that may be a state of the host: 1.25. What slows everything by
/// more shows in speed probes or in the time that other programs used.
const MOST_SHIFT: f64 = 0.223;

/// The variance between the runs with which half of all distances are at most `want` standard errors.
fn variance_of_half(ratios: &[(f64, f64)], want: f64) -> f64 {
    let widest = ratios.iter().map(|(log, _)| log.powi(2)).fold(0.0, f64::max) / want.powi(2);
    let (mut low, mut high) = (0.0, widest);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if standardized(ratios, middle, 0.5) > want {
            low = middle;
        } else {
            high = middle;
        }
    }
    high
}

/// The quantile `p` of the distances from 1, in standard errors when the runs add `between` to the variance.
fn standardized(ratios: &[(f64, f64)], between: f64, p: f64) -> f64 {
    let distances = ratios.iter().map(|(log, within)| log.abs() / (within + between).sqrt().max(f64::MIN_POSITIVE));
    quantile(&distances.collect::<Vec<_>>(), p).unwrap_or(0.0)
}

/// The least scatter from run to run that a pool of ratios is believed to show: 0.3 %.
const LEAST: f64 = 0.003 * 0.003;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::Prng;
    use crate::stats::simulation::normal;

    fn figures(logs: &[f64]) -> Vec<RunFigure> {
        logs.iter().map(|log| RunFigure { log: *log, variance: 0.0, degrees: 2.0 }).collect()
    }

    #[test]
    fn few_benchmarks_have_their_own_variance() {
        let mut replication = Replication::default();
        replication.add("a", &figures(&[0.0, 0.02, 0.04]));
        replication.add("a", &figures(&[1.0, 1.02]));
        let scatter = replication.of("a").unwrap();
        // Squares of 2 · 0.02² and 2 · 0.01² with two degrees and one.
        assert!((scatter.variance - 0.001 / 3.0).abs() < 1e-12 && scatter.degrees == 3.0, "{scatter:?}");
        assert_eq!(replication.of("b"), None);
        replication.add("c", &figures(&[1.0]));
        assert_eq!(replication.benchmarks(), 1, "one run shows no scatter");
    }

    #[test]
    fn one_degree_of_freedom_is_the_difference_itself_and_not_enough() {
        let mut replication = Replication::default();
        replication.add("a", &figures(&[0.0, 0.02]));
        assert!(!replication.is_enough());
        replication.add("a", &figures(&[0.0, 0.02]));
        assert!(replication.is_enough());
    }

    #[test]
    fn what_scatters_within_the_runs_is_counted_once() {
        let mut replication = Replication::default();
        let noisy = |log| RunFigure { log, variance: 1e-4, degrees: 2.0 };
        replication.add("a", &[0.0, 0.02, 0.04].map(noisy));
        assert!((replication.of("a").unwrap().variance - 3e-4).abs() < 1e-12);
        let wild = |log| RunFigure { log, variance: 1.0, degrees: 2.0 };
        replication.add("b", &[0.0, 0.02, 0.04].map(wild));
        assert_eq!(replication.of("b").unwrap().variance, 0.0);
    }

    #[test]
    fn the_pool_finds_the_scatter_of_benchmarks_that_are_alike_and_draws_extremes_to_it() {
        let mut prng = Prng::seeded(3);
        let mut replication = Replication::default();
        for benchmark in 0..60 {
            let logs: Vec<f64> = (0..3).map(|_| 0.02 * normal(&mut prng)).collect();
            replication.add(&benchmark.to_string(), &figures(&logs));
        }
        replication.add("still", &figures(&[0.5, 0.5, 0.5]));
        replication.add("wild", &figures(&[0.0, 0.3, 0.6]));
        let (still, wild) = (replication.of("still").unwrap(), replication.of("wild").unwrap());
        assert!(still.deviation() > 0.005 && still.deviation() < 0.03, "{still:?}");
        assert!(wild.deviation() > 0.1 && wild.deviation() < 0.3, "{wild:?}");
        let unknown = replication.of("unknown").unwrap();
        assert!(unknown.deviation() > 0.01 && unknown.deviation() < 0.03 && unknown.degrees < still.degrees);
    }

    /// Ratios of benchmarks of which some differ by a factor of three.
    fn ratios(scatter: f64, differing: usize) -> Vec<(f64, f64)> {
        let mut prng = Prng::seeded(9);
        let log = |at: usize, prng: &mut Prng| scatter * normal(prng) + if at < differing { 1.1 } else { 0.0 };
        (0..100).map(|at| (log(at, &mut prng), 1e-6)).collect()
    }

    #[test]
    fn a_few_that_differ_do_not_move_the_bulk() {
        let (none, some) = (scatter_of_bulk(&ratios(0.03, 0)).unwrap(), scatter_of_bulk(&ratios(0.03, 15)).unwrap());
        for scatter in [none, some] {
            let ratio = scatter.of_two_runs().deviation() / 0.03;
            assert!(ratio > 0.6 && ratio < 1.4, "{scatter:?}");
        }
        assert_eq!(none.degrees, 3.0);
        let more = scatter_of_bulk(&ratios(0.03, 30)).unwrap();
        assert!(more.degrees < none.degrees, "so many that differ look like benchmarks that are unlike: {more:?}");
    }

    #[test]
    fn what_shifts_all_ratios_may_be_the_host_up_to_a_quarter() {
        let shifted = |by: f64| -> Vec<(f64, f64)> { ratios(0.01, 0).iter().map(|(log, v)| (log + by, *v)).collect() };
        let deviation = |by| scatter_of_bulk(&shifted(by)).unwrap().of_two_runs().deviation();
        assert!(deviation(0.1) > 0.1 && deviation(0.1) < 0.2, "{}", deviation(0.1));
        assert!(deviation(2.3) > 0.2 && deviation(2.3) < 0.4, "{}", deviation(2.3));
        assert!((deviation(-2.3) / deviation(2.3) - 1.0).abs() < 0.1);
    }

    #[test]
    fn too_few_ratios_and_broken_ones_tell_nothing() {
        assert_eq!(scatter_of_bulk(&ratios(0.01, 0)[..19]), None);
        assert_eq!(scatter_of_bulk(&vec![(f64::NAN, 0.0); 30]), None);
        assert_eq!(scatter_of_bulk(&[(0.0, 0.0); 30]).unwrap().variance, LEAST);
    }

    #[test]
    fn an_estimate_taken_twice_is_known_no_better() {
        let one = Scatter { variance: 0.01, degrees: 4.0 };
        assert_eq!(one.of_two_runs(), Scatter { variance: 0.02, degrees: 4.0 });
        assert_eq!(one.plus(one), Scatter { variance: 0.02, degrees: 8.0 });
        assert_eq!(one.plus(Scatter::NONE).variance, 0.01);
    }
}
