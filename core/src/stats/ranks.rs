//! How deep an interval made of order statistics may start, for three exact null distributions.
//!
//! Each statistic counts the ordered values that lie below the true one. The interval from the `depth`-th smallest
//! to the `depth`-th largest value misses when that count is below `depth` in either tail, so the depth is the number
//! of counts 0, 1, 2 … whose probabilities together fit into one tail. Depth 0 says that even the whole range of the
//! values is narrower than the confidence asks for: there are too few of them.

use super::student::{NORMAL, two_sided_t};

/// Depth among `n` independent values around their median: the sign test, exact for every continuous distribution
/// (W. J. Conover, *Practical Nonparametric Statistics*, 3.2).
pub(super) fn sign_depth(n: usize, confidence: f64) -> usize {
    depth(sign_probabilities(n), confidence)
}

/// P(k of `n` values lie below the median), k = 0, 1, 2 …
fn sign_probabilities(n: usize) -> impl Iterator<Item = f64> {
    let mut ln_probability = -(n as f64) * std::f64::consts::LN_2;
    (0..n).map(move |k| {
        let probability = ln_probability.exp();
        ln_probability += ((n - k) as f64 / (k + 1) as f64).ln();
        probability
    })
}

/// How far an interval from the `depth`-th order statistics may move inwards, in units of the step to the next ones, so
/// that its coverage is `confidence` and not the next higher one that whole steps allow; in [0, 1).
///
/// T. P. Hettmansperger and S. J. Sheather, "Confidence intervals based on interpolated order statistics", Statistics &
/// Probability Letters 4, 1986: nearly free of the distribution.
pub(super) fn sign_weight(n: usize, depth: usize, confidence: f64) -> f64 {
    let mass: Vec<f64> = sign_probabilities(n).take(depth + 1).collect();
    let at_depth = 1.0 - 2.0 * mass[..depth].iter().sum::<f64>();
    let next_step = 2.0 * mass[depth];
    let surplus = (at_depth - confidence) / next_step;
    let (n, depth) = (n as f64, depth as f64);
    (n - depth) * surplus / (depth + (n - 2.0 * depth) * surplus)
}

/// Depth among the `n` · `m` differences of two independent lists: the Mann–Whitney–Wilcoxon distribution, exact when
/// both lists differ by a shift alone (E. L. Lehmann, *Nonparametrics*, 2.6). Counting as in H. B. Mann and
/// D. R. Whitney, Annals of Mathematical Statistics 18, 1947: the generating function is a Gaussian binomial.
pub(super) fn rank_sum_depth(n: usize, m: usize, confidence: f64) -> usize {
    /// When even the smaller list is longer, counting costs more than it tells: the normal limit is within 1 %.
    const EXACT_UP_TO: usize = 50;
    let (n, m) = (n.min(m), n.max(m));
    let pairs = n * m;
    if n > EXACT_UP_TO {
        let deviation = (pairs as f64 * (n + m + 1) as f64 / 12.0).sqrt();
        let reach = two_sided_t(confidence, NORMAL) * deviation;
        return (pairs as f64 / 2.0 - reach).max(0.0).floor() as usize;
    }
    let half = pairs / 2;
    let mut counts = vec![0.0; half + 1];
    counts[0] = 1.0;
    let mut arrangements = 1.0;
    for i in 1..=n {
        for u in (m + i..=half).rev() {
            counts[u] -= counts[u - m - i];
        }
        for u in i..=half {
            counts[u] += counts[u - i];
        }
        arrangements *= (m + i) as f64 / i as f64;
    }
    depth(counts.into_iter().map(|count| count / arrangements), confidence)
}

/// Depth among the n(n − 1)/2 slopes between `n` points: Kendall's distribution of the number of inversions
/// (P. K. Sen, "Estimates of the regression coefficient based on Kendall's tau", JASA 63, 1968).
pub(super) fn inversions_depth(n: usize, confidence: f64) -> usize {
    let half = n * n.saturating_sub(1) / 4;
    let mut probabilities = vec![0.0; half + 1];
    probabilities[0] = 1.0;
    for i in 2..=n {
        let previous = probabilities.clone();
        let mut window = 0.0;
        for (k, probability) in probabilities.iter_mut().enumerate() {
            window += previous[k] - if k >= i { previous[k - i] } else { 0.0 };
            *probability = window / i as f64;
        }
    }
    depth(probabilities.into_iter(), confidence)
}

fn depth(probabilities: impl Iterator<Item = f64>, confidence: f64) -> usize {
    let tail = (1.0 - confidence) / 2.0;
    probabilities
        .scan(0.0, |sum, probability| {
            *sum += probability;
            Some(*sum)
        })
        .take_while(|&sum| sum <= tail)
        .count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sign_test_needs_six_values_for_95_percent() {
        let depths: Vec<usize> = [5, 6, 8, 9, 10, 20].iter().map(|&n| sign_depth(n, 0.95)).collect();
        assert_eq!(depths, [0, 1, 1, 2, 2, 6]);
    }

    #[test]
    fn rank_sum_agrees_with_the_printed_table() {
        // Two-sided 5 % critical values of U are 0, 2, 5, 23 and 3; the depth is one more.
        let table = [(4, 4, 1), (5, 5, 3), (6, 6, 6), (10, 10, 24), (4, 7, 4)];
        for (n, m, want) in table {
            assert_eq!(rank_sum_depth(n, m, 0.95), want, "{n} and {m}");
            assert_eq!(rank_sum_depth(m, n, 0.95), want, "{m} and {n}");
        }
        assert_eq!(rank_sum_depth(3, 3, 0.95), 0);
        assert_eq!(rank_sum_depth(3, 4, 0.95), 0);
        assert_eq!(rank_sum_depth(3, 5, 0.95), 1);
    }

    #[test]
    fn the_normal_limit_takes_over_smoothly() {
        let (exact, limit) = (rank_sum_depth(50, 50, 0.95), rank_sum_depth(51, 51, 0.95));
        assert!(limit > exact && limit - exact < 60, "{exact}, then {limit}");
    }

    #[test]
    fn kendall_agrees_with_the_printed_table() {
        // Two-sided 5 % critical values of S: n = 5: 10, n = 8: 18, n = 10: 23. Inversions are (pairs − S) / 2.
        assert_eq!(inversions_depth(4, 0.95), 0);
        assert_eq!(inversions_depth(5, 0.95), 1);
        assert_eq!(inversions_depth(8, 0.95), 6);
        assert_eq!(inversions_depth(10, 0.95), 12);
    }
}
