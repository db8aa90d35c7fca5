//! Whether values gather around one time or around several.

use serde::{Deserialize, Serialize};

use super::quantile::{mean_and_variance, median_of_sorted, sorted};

/// The times around which values gather.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Modes {
    /// How many there are, ≥ 1; the length of both lists.
    pub count: usize,
    /// The median of the values of each mode, ascending, in the values' unit.
    pub centres: Vec<f64>,
    /// The share of the values that belongs to each mode, in (0, 1], summing to 1.
    pub shares: Vec<f64>,
}

/// A valley between two modes is at most this high, as a share of the lower of the two peaks beside it.
///
/// Set by simulation so that one lognormal, normal, exponential or gamma mode is called one in at least 95 % of
/// experiments with 10 to 200 values (`tests` below, which print the figures).
const HIGHEST_SADDLE: f64 = 0.7;

/// With fewer values, two gaps of equal width are too likely by chance.
const FEWEST_VALUES: usize = 6;

/// One value is an outlier, however far away.
const FEWEST_MEMBERS: usize = 2;

/// A mode holds at least this share of the values: a few preempted samples are outliers, not a mode.
const SMALLEST_SHARE: f64 = 0.05;

/// Points at which the density is looked at; the step is then below the bandwidth for ranges up to 25
/// standard deviations of 10,000 values.
const GRID: usize = 256;

/// Finds the modes of `values` (samples of one round, or the medians of many), all greater than 0.
///
/// The density of the logarithms is estimated with a normal kernel and Silverman's bandwidth (B. W. Silverman, *Density
/// Estimation for Statistics and Data Analysis*, 1986, 3.4.2) with the standard deviation for the spread: it smooths
/// too much when there are several modes, so it errs towards calling them one. A valley separates two modes when it is
/// clearly lower than both peaks. Logarithms, because timing noise is skewed and modes differ by factors.
///
/// Told apart in the simulations: 5 µs from 30 µs with ten values or more, even when two of the ten are slow, and
/// mostly with six. Not told apart: modes closer than about four of their own standard deviations, and a mode of one
/// value. With fewer than six values the answer is one mode, because so few from one skewed mode often look like two.
///
/// `None` when `values` is empty or holds one that is not finite and greater than 0.
#[must_use]
pub fn modes(values: &[f64]) -> Option<Modes> {
    if !values.iter().all(|&value| value > 0.0) {
        return None;
    }
    let ordered = sorted(values)?;
    let logs: Vec<f64> = ordered.iter().map(|value| value.ln()).collect();
    let ends = Density::of(&logs).map_or_else(Vec::new, |density| density.separate(&logs));
    Some(describe(&ordered, &ends))
}

/// `ends` are the positions in `ordered` where a further mode begins.
fn describe(ordered: &[f64], ends: &[usize]) -> Modes {
    let starts = std::iter::once(0).chain(ends.iter().copied());
    let stops = ends.iter().copied().chain(std::iter::once(ordered.len()));
    let groups: Vec<&[f64]> = starts.zip(stops).map(|(from, to)| &ordered[from..to]).collect();
    Modes {
        count: groups.len(),
        centres: groups.iter().map(|group| median_of_sorted(group)).collect(),
        shares: groups.iter().map(|group| group.len() as f64 / ordered.len() as f64).collect(),
    }
}

struct Density {
    start: f64,
    step: f64,
    heights: Vec<f64>,
}

impl Density {
    /// The density of the ascending `logs`; `None` when they are too few or all equal.
    fn of(logs: &[f64]) -> Option<Self> {
        let (_, variance) = mean_and_variance(logs)?;
        if logs.len() < FEWEST_VALUES || variance <= 0.0 {
            return None;
        }
        let bandwidth = 0.9 * variance.sqrt() * (logs.len() as f64).powf(-0.2);
        let start = logs[0] - bandwidth;
        let step = (logs[logs.len() - 1] + bandwidth - start) / (GRID - 1) as f64;
        let heights = (0..GRID).map(|i| height(logs, start + step * i as f64, bandwidth)).collect();
        Some(Self { start, step, heights })
    }

    /// Where in `logs` a further mode begins.
    fn separate(&self, logs: &[f64]) -> Vec<usize> {
        let mut valleys = self.valleys();
        while let Some(weakest) = self.weakest(&valleys, logs) {
            valleys.remove(weakest);
        }
        valleys.into_iter().map(|valley| self.members_before(valley, logs)).collect()
    }

    fn valleys(&self) -> Vec<usize> {
        (1..GRID - 1)
            .filter(|&i| self.heights[i] < self.heights[i - 1] && self.heights[i] <= self.heights[i + 1])
            .collect()
    }

    /// The shallowest valley that separates nothing: too shallow, or with too few values on one side.
    fn weakest(&self, valleys: &[usize], logs: &[f64]) -> Option<usize> {
        let fewest = ((logs.len() as f64 * SMALLEST_SHARE).ceil() as usize).max(FEWEST_MEMBERS);
        let edges: Vec<usize> = [0].iter().chain(valleys).chain(&[GRID - 1]).copied().collect();
        let members = |from: usize, to: usize| {
            let stop = if to == GRID - 1 { logs.len() } else { self.members_before(to, logs) };
            stop - if from == 0 { 0 } else { self.members_before(from, logs) }
        };
        (0..valleys.len())
            .map(|i| {
                let (before, valley, after) = (edges[i], edges[i + 1], edges[i + 2]);
                let saddle = self.heights[valley] / self.peak(before, valley).min(self.peak(valley, after));
                let too_few = members(before, valley) < fewest || members(valley, after) < fewest;
                (i, saddle, too_few)
            })
            .filter(|&(_, saddle, too_few)| too_few || saddle > HIGHEST_SADDLE)
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .map(|(i, ..)| i)
    }

    fn peak(&self, from: usize, to: usize) -> f64 {
        self.heights[from..=to].iter().copied().fold(0.0, f64::max)
    }

    fn members_before(&self, valley: usize, logs: &[f64]) -> usize {
        let at = self.start + self.step * valley as f64;
        logs.partition_point(|&log| log < at)
    }
}

/// The kernel sum at `at`, unscaled: only ratios of heights matter. Values beyond six bandwidths add nothing.
fn height(logs: &[f64], at: f64, bandwidth: f64) -> f64 {
    let reach = 6.0 * bandwidth;
    let from = logs.partition_point(|&log| log < at - reach);
    logs[from..]
        .iter()
        .take_while(|&&log| log <= at + reach)
        .map(|log| (-0.5 * ((log - at) / bandwidth).powi(2)).exp())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::prng::Prng;
    use crate::stats::simulation::normal;
    use proptest::prelude::*;

    const EXPERIMENTS: usize = 300;

    fn share_called_one(n: usize, draw: impl Fn(&mut Prng) -> f64) -> f64 {
        let mut prng = Prng::seeded(n as u64);
        let ones = (0..EXPERIMENTS)
            .filter(|_| {
                let values: Vec<f64> = (0..n).map(|_| draw(&mut prng)).collect();
                modes(&values).unwrap().count == 1
            })
            .count();
        ones as f64 / EXPERIMENTS as f64
    }

    #[test]
    fn one_noisy_mode_is_called_one() {
        type Draw = fn(&mut Prng) -> f64;
        let shapes: [(&str, Draw); 4] = [
            ("normal, cv 5 %", |prng| 100.0 + 5.0 * normal(prng)),
            ("lognormal, sigma 0.5", |prng| (0.5 * normal(prng)).exp()),
            ("floor plus exponential", |prng| 10.0 - 3.0 * (1.0 - prng.unit()).ln()),
            ("gamma of shape 2", |prng| -((1.0 - prng.unit()) * (1.0 - prng.unit())).ln()),
        ];
        for (shape, draw) in shapes {
            for n in [10, 20, 50, 200] {
                let share = share_called_one(n, draw);
                println!("one mode, {shape}, {n} values: called one in {:.1} %", share * 100.0);
                assert!(share >= 0.95, "{shape} with {n} values: {share}");
            }
        }
    }

    #[test]
    fn two_separated_modes_are_found() {
        for (n, weight) in [(10, 0.5), (10, 0.3), (10, 0.2), (30, 0.15), (100, 0.2), (200, 0.5)] {
            let mut prng = Prng::seeded(n as u64);
            let found = (0..EXPERIMENTS)
                .filter(|_| {
                    let values: Vec<f64> = (0..n)
                        .map(|i| {
                            let centre = if (i as f64) < weight * n as f64 { 30e3 } else { 5e3 };
                            centre * (0.05 * normal(&mut prng)).exp()
                        })
                        .collect();
                    let got = modes(&values).unwrap();
                    got.count == 2
                        && (got.centres[0] / 5e3 - 1.0).abs() < 0.1
                        && (got.centres[1] / 30e3 - 1.0).abs() < 0.1
                        && (got.shares[1] - weight).abs() < 0.06
                })
                .count();
            println!("5 and 30 µs, {weight} of {n} values: found in {found} of {EXPERIMENTS}");
            assert!(found * 100 >= EXPERIMENTS * 98, "{found} of {EXPERIMENTS} with {n} values");
        }
    }

    #[test]
    fn three_modes_are_three() {
        let values: Vec<f64> = [5.0, 30.0, 180.0]
            .iter()
            .flat_map(|centre| (0..40).map(move |i| centre * (1.0 + 0.002 * f64::from(i))))
            .collect();
        let got = modes(&values).unwrap();
        assert_eq!(got.count, 3);
        assert!(got.shares.iter().all(|share| (share - 1.0 / 3.0).abs() < 1e-9));
    }

    #[test]
    fn too_little_to_tell_is_one_mode() {
        assert_eq!(modes(&[5.0]).unwrap().count, 1);
        assert_eq!(modes(&[5.0, 30.0, 31.0]).unwrap().count, 1);
        assert_eq!(modes(&[5.0; 20]).unwrap().count, 1);
        assert_eq!(modes(&[]), None);
        assert_eq!(modes(&[1.0, 0.0]), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]
        #[test]
        fn scale_and_order_do_not_matter(
            values in prop::collection::vec(1.0..1e4f64, 1..40), scale in 0.01..100.0f64,
        ) {
            let got = modes(&values).unwrap();
            prop_assert_eq!(got.centres.len(), got.count);
            prop_assert!((got.shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            prop_assert!(got.centres.is_sorted());
            let moved: Vec<f64> = values.iter().rev().map(|value| value * scale).collect();
            prop_assert_eq!(modes(&moved).unwrap().count, got.count);
        }
    }
}
