//! Order statistics and spread of a list of numbers.
//!
//! Every function here is total: an empty list, or one that holds a NaN or an infinity, has no such figure and
//! gives `None`. A broken sample must not turn into a plausible number.

/// The values in ascending order, or `None` when there are none or one of them is not finite.
pub(super) fn sorted(values: &[f64]) -> Option<Vec<f64>> {
    if values.is_empty() || !values.iter().all(|v| v.is_finite()) {
        return None;
    }
    let mut ordered = values.to_vec();
    ordered.sort_unstable_by(f64::total_cmp);
    Some(ordered)
}

/// The quantile of an already sorted, non-empty list; `p` in [0, 1].
pub(super) fn quantile_of_sorted(ordered: &[f64], p: f64) -> f64 {
    let position = p * (ordered.len() - 1) as f64;
    let below = position.floor() as usize;
    let above = position.ceil() as usize;
    let weight = position - below as f64;
    let (low, high) = (ordered[below], ordered[above]);
    // This form and the clamp keep quantiles monotone in `p` under rounding; the weighted mean of both does not.
    (low + (high - low) * weight).min(high)
}

/// The median of an already sorted, non-empty list.
pub(super) fn median_of_sorted(ordered: &[f64]) -> f64 {
    quantile_of_sorted(ordered, 0.5)
}

/// The sample quantile at `p` in [0, 1], in the unit of `values`.
///
/// Type 7 of R. J. Hyndman and Y. Fan, "Sample quantiles in statistical packages", The American Statistician
/// 50(4), 1996: linear interpolation between order statistics, `p = 0` the minimum, `p = 1` the maximum (the
/// default of R and NumPy, so that figures can be checked there).
///
/// `None` when `values` is empty or not finite, or `p` is outside [0, 1].
#[must_use]
pub fn quantile(values: &[f64], p: f64) -> Option<f64> {
    quantiles(values, &[p]).map(|all| all[0])
}

/// [`quantile`] at several probabilities for the price of one sort, in the order asked for.
#[must_use]
pub fn quantiles(values: &[f64], probabilities: &[f64]) -> Option<Vec<f64>> {
    if !probabilities.iter().all(|p| (0.0..=1.0).contains(p)) {
        return None;
    }
    let ordered = sorted(values)?;
    Some(probabilities.iter().map(|&p| quantile_of_sorted(&ordered, p)).collect())
}

/// The median, in the unit of `values`: the middle value, or the mean of the two middle ones.
///
/// `None` when `values` is empty or not finite.
#[must_use]
pub fn median(values: &[f64]) -> Option<f64> {
    quantile(values, 0.5)
}

/// The sample standard deviation (divisor n − 1) over the mean's magnitude: a pure number ≥ 0.
///
/// `None` with fewer than two values, values that are not finite, or a mean of zero.
#[must_use]
pub fn coefficient_of_variation(values: &[f64]) -> Option<f64> {
    let (mean, variance) = mean_and_variance(values)?;
    (mean != 0.0).then(|| variance.sqrt() / mean.abs())
}

/// The mean and the sample variance (divisor n − 1) of at least two finite values.
pub(super) fn mean_and_variance(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < 2 || !values.iter().all(|v| v.is_finite()) {
        return None;
    }
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares: f64 = values.iter().map(|v| (v - mean).powi(2)).sum();
    Some((mean, squares / (n - 1.0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn quantiles_agree_with_type_7() {
        // R: quantile(c(1, 2, 3, 4), c(0, .1, .25, .5, .75, 1), type = 7)
        let got = quantiles(&[4.0, 1.0, 3.0, 2.0], &[0.0, 0.1, 0.25, 0.5, 0.75, 1.0]).unwrap();
        for (got, want) in got.iter().zip([1.0, 1.3, 1.75, 2.5, 3.25, 4.0]) {
            assert!((got - want).abs() < 1e-12, "{got} instead of {want}");
        }
    }

    #[test]
    fn spread_agrees_with_the_textbook() {
        let cv = coefficient_of_variation(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]).unwrap();
        assert!((cv - (32.0f64 / 7.0).sqrt() / 5.0).abs() < 1e-12);
    }

    #[test]
    fn what_cannot_be_computed_is_none() {
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[1.0, f64::NAN]), None);
        assert_eq!(median(&[f64::INFINITY]), None);
        assert_eq!(quantile(&[1.0], 1.5), None);
        assert_eq!(coefficient_of_variation(&[1.0]), None);
        assert_eq!(coefficient_of_variation(&[-1.0, 1.0]), None);
    }

    proptest! {
        #[test]
        fn quantiles_are_monotone_and_inside_the_range(
            values in prop::collection::vec(-1e9..1e9f64, 1..60), p in 0.0..1.0f64, q in 0.0..1.0f64,
        ) {
            let got = quantiles(&values, &[0.0, p.min(q), p.max(q), 1.0]).unwrap();
            prop_assert!(got.is_sorted(), "{got:?}");
        }

        #[test]
        fn figures_follow_the_scale(
            values in prop::collection::vec(1.0..1e6f64, 2..60), scale in 0.001..1000.0f64,
        ) {
            let scaled: Vec<f64> = values.iter().map(|v| v * scale).collect();
            let close = |got: f64, want: f64| (got - want).abs() <= 1e-9 * want.abs().max(1e-6);
            prop_assert!(close(median(&scaled).unwrap(), median(&values).unwrap() * scale));
            let cv = coefficient_of_variation(&values).unwrap();
            prop_assert!((coefficient_of_variation(&scaled).unwrap() - cv).abs() < 1e-9);
        }

        #[test]
        fn the_order_of_the_values_does_not_matter(values in prop::collection::vec(-1e6..1e6f64, 1..60)) {
            let mut reversed = values.clone();
            reversed.reverse();
            prop_assert_eq!(median(&values), median(&reversed));
        }
    }
}
