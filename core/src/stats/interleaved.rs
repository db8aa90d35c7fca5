//! The ratio of two sides whose samples were interleaved: each was taken next to one of the other side.
//!
//! What slows a machine for longer than a turn slows both samples of such a pair and cancels in their ratio (a pair of
//! samples as the block: R. A. Fisher, *The Design of Experiments*, 1935). So a pair is left out only when one side
//! alone was slowed. An example is a ring of 500 threads, 69 rounds in an hour of heavy interference, one side with 39
//! dependent steps more (1.1 % by their own time). The ratios of screened samples had a median of 1.023 and scattered
//! by 4.6 % (1.48 times the median distance from it), the ratios of pairs 1.014 and 1.3 %.

use super::rounds::{Estimate, rounds_interval};
use super::screening::{ProbedValue, Screening, fastest_probe, screen_against};

/// The ratio `a` / `b` of sides whose rounds of the same number were interleaved. The ratio of a round is the median of
/// the ratios of its pairs; the estimate and its interval are those of [`rounds_interval`] over the rounds.
///
/// `seed` matters for single rounds only. `None` where fewer than two pairs are left, and where a sample is not finite
/// and greater than 0.
#[must_use]
pub fn interleaved_ratio(
    a: &[Vec<ProbedValue>],
    b: &[Vec<ProbedValue>],
    confidence: f64,
    seed: u64,
) -> Option<Estimate> {
    rounds_interval(&pair_ratios(a, b)?.kept(), confidence, seed)
}

/// The ratios of the pairs in which the CPU was slowed equally on both sides, each compared with its own fastest probe.
///
/// `None` where fewer than two pairs are left.
#[must_use]
pub fn pair_ratios(a: &[Vec<ProbedValue>], b: &[Vec<ProbedValue>]) -> Option<Screening> {
    let (best_a, best_b) = (best_of(a), best_of(b));
    let rounds: Vec<Vec<ProbedValue>> = a
        .iter()
        .zip(b)
        .map(|(a, b)| {
            let longer = a.len().max(b.len());
            // A turn is one sample of Criterion's, which either side may have split into more portions than the other.
            let beside = |side: &[ProbedValue], place: usize| side[place * side.len() / longer];
            let places = if a.is_empty() || b.is_empty() { 0..0 } else { 0..longer };
            places.map(|place| ratio(beside(a, place), best_a, beside(b, place), best_b)).collect()
        })
        .collect();
    screen_against(&rounds, ALIKE)
}

/// The quotient of the slow-downs of two sides that were slowed equally.
const ALIKE: f64 = 1.0;

/// The ratio of a pair. Its probe is the quotient of the two sides' slow-downs, the larger over the smaller: 1 where
/// both sides were slowed equally.
fn ratio(a: ProbedValue, best_a: Option<f64>, b: ProbedValue, best_b: Option<f64>) -> ProbedValue {
    let slow = |side: ProbedValue, best: Option<f64>| Some(side.probe? / best?);
    let unlike = slow(a, best_a).zip(slow(b, best_b)).map(|(a, b)| (a / b).max(b / a));
    ProbedValue { value: a.value / b.value, probe: unlike }
}

fn best_of(side: &[Vec<ProbedValue>]) -> Option<f64> {
    fastest_probe(&side.iter().flatten().filter_map(|sample| sample.probe).collect::<Vec<f64>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(samples: &[(f64, f64)]) -> Vec<ProbedValue> {
        samples.iter().map(|&(value, probe)| ProbedValue { value, probe: Some(probe) }).collect()
    }

    /// A neighbour for the second half of every round.
    fn slowed(value: f64, samples: usize) -> Vec<ProbedValue> {
        round(
            &(0..samples)
                .map(|at| if 2 * at < samples { (value, 10.0) } else { (1.4 * value, 13.0) })
                .collect::<Vec<_>>(),
        )
    }

    #[test]
    fn what_slows_both_falls_out_and_nothing_is_set_aside() {
        let (a, b) = (vec![slowed(105.0, 20); 3], vec![slowed(100.0, 20); 3]);
        let screened = pair_ratios(&a, &b).unwrap();
        assert_eq!((screened.set_aside, screened.rounds[0].len()), (0.0, 20));
        let ratio = interleaved_ratio(&a, &b, 0.95, 1).unwrap();
        assert!((ratio.interval.low - 1.05).abs() < 1e-9 && (ratio.interval.high - 1.05).abs() < 1e-9, "{ratio:?}");
    }

    #[test]
    fn what_slows_one_side_alone_is_set_aside() {
        let mut a = vec![slowed(105.0, 20); 3];
        for sample in a.iter_mut().flat_map(|round| round.iter_mut().take(6)) {
            *sample = ProbedValue { value: 200.0, probe: Some(13.0) };
        }
        let screened = pair_ratios(&a, &vec![slowed(100.0, 20); 3]).unwrap();
        assert_eq!(screened.rounds[0].len(), 14);
        assert!(screened.rounds.iter().flatten().all(|ratio| (ratio - 1.05).abs() < 1e-9), "{screened:?}");
    }

    #[test]
    fn sides_that_were_never_alike_have_no_ratio() {
        let steady = |value, probe| round(&[(value, probe); 20]);
        let (a, b) = ([steady(100.0, 10.0), steady(130.0, 13.0)], [steady(130.0, 13.0), steady(100.0, 10.0)]);
        assert_eq!(interleaved_ratio(&a, &b, 0.95, 1), None);
    }

    #[test]
    fn sides_of_more_portions_are_laid_beside_each_other() {
        let screened = pair_ratios(&[slowed(100.0, 20)], &[slowed(50.0, 10)]).unwrap();
        assert_eq!(screened.rounds, [vec![2.0; 20]]);
    }

    #[test]
    fn sides_without_samples_have_no_ratio() {
        assert_eq!(interleaved_ratio(&[], &[], 0.95, 1), None);
        assert_eq!(interleaved_ratio(&[vec![]], &[slowed(1.0, 4)], 0.95, 1), None);
        assert_eq!(interleaved_ratio(&[slowed(1.0, 4)], &[round(&[(0.0, 10.0); 4])], 0.95, 1), None);
    }
}
