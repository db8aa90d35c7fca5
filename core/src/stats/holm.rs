//! Many tests at once: the chance of a single false alarm among all of them.

/// The probabilities of S. Holm's step-down procedure ("A simple sequentially rejective multiple test procedure",
/// Scandinavian Journal of Statistics 6, 1979), in the order of `probabilities`, which are those of single tests.
///
/// Rejecting what is at most 5 % here rejects any true hypothesis in at most 5 % of all such families, whatever the
/// dependence between the tests. That matters: all benchmarks of a run share the state of its host.
#[must_use]
pub fn holm(probabilities: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..probabilities.len()).collect();
    order.sort_by(|a, b| probabilities[*a].total_cmp(&probabilities[*b]));
    let mut adjusted = vec![1.0; probabilities.len()];
    let mut least = 0.0_f64;
    for (rank, index) in order.into_iter().enumerate() {
        let further = (probabilities.len() - rank) as f64;
        least = least.max((further * probabilities[index]).min(1.0));
        adjusted[index] = least;
    }
    adjusted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_textbook() {
        // R: p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm").
        let adjusted = holm(&[0.01, 0.04, 0.03, 0.005]);
        for (got, want) in adjusted.iter().zip([0.03, 0.06, 0.06, 0.02]) {
            assert!((got - want).abs() < 1e-12, "{adjusted:?}");
        }
    }

    #[test]
    fn a_single_test_stays_what_it_is_and_none_is_above_one() {
        assert_eq!(holm(&[0.2]), [0.2]);
        assert_eq!(holm(&[0.9, 0.8, 0.7]), [1.0, 1.0, 1.0]);
        assert!(holm(&[]).is_empty());
    }
}
