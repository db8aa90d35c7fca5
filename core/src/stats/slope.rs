//! What one more of something costs, from figures at several amounts of it.

use serde::{Deserialize, Serialize};

use super::interval::{Interval, is_level};
use super::quantile::{median, median_of_sorted, sorted};
use super::ranks::inversions_depth;

/// A line through points.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Slope {
    /// y per x, in their units: bytes per task, nanoseconds per task.
    pub slope: Interval,
    /// What remains at x = 0, in y's unit: the median of y − slope · x.
    pub intercept: f64,
}

/// Fewer points than this give no 95 % interval: the smallest two-sided level of four points is 2 / 4! = 8.3 %.
const FEWEST_POINTS: usize = 5;

/// The slope of y over x from `(x, y)` points: the median of the slopes of all pairs of points (Theil–Sen), which a
/// disturbed point or two do not move.
///
/// The interval is made of the same slopes at the ranks that Kendall's distribution gives (P. K. Sen, "Estimates of the
/// regression coefficient based on Kendall's tau", JASA 63, 1968). It is exact for independent errors of any one
/// distribution, and needs no resampling: resampled pairs of five points are too often fewer than three points.
///
/// Several y at one x (rounds) are first replaced by their median, because one x alone has no slope.
///
/// `None` with fewer than five different x, with too few of them for `confidence` (five reach 98.3 %), with a
/// coordinate that is not finite, or with a `confidence` outside (0, 1).
#[must_use]
pub fn slope(points: &[(f64, f64)], confidence: f64) -> Option<Slope> {
    if !points.iter().all(|(x, y)| x.is_finite() && y.is_finite()) || !is_level(confidence) {
        return None;
    }
    let line = one_y_per_x(points);
    let depth = inversions_depth(line.len(), confidence);
    if line.len() < FEWEST_POINTS || depth == 0 {
        return None;
    }
    let slopes = sorted(&slopes_of_pairs(&line))?;
    let slope = Interval {
        low: slopes[depth - 1],
        estimate: median_of_sorted(&slopes),
        high: slopes[slopes.len() - depth],
        confidence,
    };
    let residuals: Vec<f64> = line.iter().map(|(x, y)| y - slope.estimate * x).collect();
    Some(Slope { slope, intercept: median(&residuals)? })
}

/// One point for every different x, ascending.
fn one_y_per_x(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let mut ordered = points.to_vec();
    ordered.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
    ordered
        .chunk_by(|a, b| a.0 == b.0)
        .filter_map(|same| {
            let ys: Vec<f64> = same.iter().map(|point| point.1).collect();
            median(&ys).map(|y| (same[0].0, y))
        })
        .collect()
}

fn slopes_of_pairs(line: &[(f64, f64)]) -> Vec<f64> {
    line.iter().enumerate().flat_map(|(i, a)| line[i + 1..].iter().map(move |b| (b.1 - a.1) / (b.0 - a.0))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::prng::Prng;
    use crate::stats::simulation::normal;
    use proptest::prelude::*;

    #[test]
    fn agrees_with_the_textbook() {
        // Sen's data (1968). Of the 21 slopes the 5th and the 17th bound 1 − 2 · 174 / 5040 = 93.1 %: 174 of the 7!
        // orders of seven points have at most four inversions.
        let points = [(1.0, 9.0), (2.0, 15.0), (3.0, 19.0), (4.0, 20.0), (10.0, 45.0), (12.0, 55.0), (18.0, 78.0)];
        let got = slope(&points, 0.93).unwrap();
        assert_eq!(got.slope.estimate, 4.0);
        assert_eq!(got.slope.low, 30.0 / 8.0);
        assert_eq!(got.slope.high, 46.0 / 11.0);
    }

    #[test]
    fn one_broken_point_does_not_move_it() {
        let mut points: Vec<(f64, f64)> = (1..=9).map(|x| (f64::from(x), 100.0 + 3.0 * f64::from(x))).collect();
        points[4].1 = 1e6;
        let got = slope(&points, 0.95).unwrap();
        assert_eq!(got.slope.estimate, 3.0);
        assert_eq!(got.intercept, 100.0);
    }

    #[test]
    fn needs_five_different_amounts() {
        let four: Vec<(f64, f64)> = (0..20).map(|i| (f64::from(i % 4), f64::from(i))).collect();
        assert_eq!(slope(&four, 0.95), None);
        let five: Vec<(f64, f64)> = (0..20).map(|i| (f64::from(i % 5), f64::from(i))).collect();
        assert!(slope(&five, 0.95).is_some());
        assert_eq!(slope(&five, 0.99), None);
        assert_eq!(slope(&[(f64::NAN, 1.0)], 0.95), None);
    }

    #[test]
    fn keeps_its_coverage_with_five_and_ten_points() {
        for n in [5, 10] {
            let mut prng = Prng::seeded(n);
            let experiments = 2_000;
            let hits = (0..experiments)
                .filter(|_| {
                    let points: Vec<(f64, f64)> = (0..n)
                        .map(|i| (2f64.powi(i as i32), 7.0 * 2f64.powi(i as i32) + 5.0 * normal(&mut prng)))
                        .collect();
                    slope(&points, 0.95).unwrap().slope.contains(7.0)
                })
                .count();
            let coverage = hits as f64 / f64::from(experiments);
            println!("slope over {n} points: coverage {coverage:.3}");
            assert!(coverage >= 0.94, "{coverage}");
        }
    }

    proptest! {
        #[test]
        fn follows_scale_and_ignores_order(ys in prop::collection::vec(-1e3..1e3f64, 5..12), scale in 0.01..100.0f64) {
            let points: Vec<(f64, f64)> = ys.iter().enumerate().map(|(x, &y)| (x as f64, y)).collect();
            let got = slope(&points, 0.95).unwrap().slope;
            prop_assert!(got.contains(got.estimate));
            let moved: Vec<(f64, f64)> = points.iter().rev().map(|&(x, y)| (x, y * scale)).collect();
            let other = slope(&moved, 0.95).unwrap().slope;
            prop_assert!((other.estimate - got.estimate * scale).abs() <= 1e-9 * scale * 1e3);
        }
    }
}
