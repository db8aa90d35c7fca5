//! Which samples a benchmark is judged by: those that were taken while the CPU ran as fast as it did at its best.
//!
//! What slows a CPU from outside (a neighbour on the core's other hardware thread, throttling) comes and goes within
//! tenths of seconds and is no property of the mechanism. It is told by a fixed stretch of work that is timed before and
//! after each sample, never by the samples themselves: leaving out samples because they are slow would bias the figure,
//! leaving them out because something else was slow does not.

use super::quantile;

/// One sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Paced {
    /// What was measured.
    pub value: f64,
    /// How long the fixed stretch of work took beside it; `None` when it was not timed.
    pub pace: Option<f64>,
}

/// What is left of the rounds.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Screened {
    /// The values that count, round by round. A round that has none was slowed from its beginning to its end.
    pub rounds: Vec<Vec<f64>>,
    /// Which share of all samples was set aside.
    pub set_aside: f64,
}

impl Screened {
    /// The rounds that have values.
    pub fn kept(self) -> Vec<Vec<f64>> {
        self.rounds.into_iter().filter(|round| !round.is_empty()).collect()
    }
}

/// The shortest stretch would be a lucky one, and a twentieth of the samples is enough to know the best pace from.
const BEST: f64 = 0.05;

/// Between undisturbed stretches lie 4 % (the step from one reading of the kernel's path to the next), and a busy
/// neighbour costs 20 to 40 %.
const SLOWER: f64 = 1.06;

/// A round's median needs some samples to be one.
const FEWEST_SAMPLES: usize = 5;

/// Fewer rounds than this tell little of how rounds scatter; then slowed ones are better than none.
const FEWEST_ROUNDS: usize = 3;

/// The best pace among `paces`; `None` without any.
pub fn best_pace(paces: &[f64]) -> Option<f64> {
    quantile(paces, BEST)
}

/// Which share of `paces` was slower than `best`; 0 without any.
pub fn slowed_share(paces: &[f64], best: f64) -> f64 {
    let slowed = paces.iter().filter(|pace| **pace > SLOWER * best).count();
    slowed as f64 / paces.len().max(1) as f64
}

/// Screens the samples of one benchmark, all its rounds together. Where too little would be left, or nothing was timed
/// beside the samples, everything is kept.
pub fn at_best_pace(rounds: &[Vec<Paced>]) -> Screened {
    let whole = || rounds.iter().map(|round| round.iter().map(|sample| sample.value).collect()).collect();
    let paces: Vec<f64> = rounds.iter().flatten().filter_map(|sample| sample.pace).collect();
    let all: usize = rounds.iter().map(Vec::len).sum();
    let unscreened = Screened { rounds: whole(), set_aside: 0.0 };
    let Some(best) = best_pace(&paces).filter(|_| paces.len() == all) else { return unscreened };
    let quiet = |round: &Vec<Paced>| {
        let kept: Vec<f64> =
            round.iter().filter(|sample| sample.pace <= Some(SLOWER * best)).map(|sample| sample.value).collect();
        // Criterion's shortest rounds have ten samples, its `--quick` ones fewer.
        if kept.len() >= FEWEST_SAMPLES.min(round.len()) { kept } else { Vec::new() }
    };
    let kept: Vec<Vec<f64>> = rounds.iter().map(quiet).collect();
    let left = kept.iter().filter(|round| !round.is_empty()).count();
    let asked = rounds.iter().filter(|round| !round.is_empty()).count();
    if left < FEWEST_ROUNDS.min(asked) {
        return unscreened;
    }
    let samples: usize = kept.iter().map(Vec::len).sum();
    Screened { rounds: kept, set_aside: (all - samples) as f64 / all.max(1) as f64 }
}

/// Screens two sides whose rounds with the same place belong together, each by its own best pace, and keeps the rounds of
/// which both have values that count.
pub fn pairs_at_best_pace(a: &[Vec<Paced>], b: &[Vec<Paced>]) -> (Vec<Vec<f64>>, Vec<Vec<f64>>) {
    let (a, b) = (at_best_pace(a), at_best_pace(b));
    a.rounds.into_iter().zip(b.rounds).filter(|(a, b)| !a.is_empty() && !b.is_empty()).unzip()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Prng, median};

    #[test]
    fn of_a_pair_with_one_slowed_side_neither_is_kept() {
        let (a, b) = pairs_at_best_pace(&rounds(&[0, 20, 0, 0, 0]), &rounds(&[0, 0, 0, 18, 2]));
        assert_eq!((a.len(), b.iter().map(Vec::len).collect::<Vec<_>>()), (3, vec![20, 20, 18]));
    }

    fn round(values: &[(f64, f64)]) -> Vec<Paced> {
        values.iter().map(|&(value, pace)| Paced { value, pace: Some(pace) }).collect()
    }

    /// Twenty samples, the first `slowed` of them under a busy neighbour.
    fn rounds(slowed: &[usize]) -> Vec<Vec<Paced>> {
        let of = |&slowed: &usize| {
            let sample = |index: usize| if index < slowed { (130.0, 12.5) } else { (100.0, 10.0) };
            round(&(0..20).map(sample).collect::<Vec<_>>())
        };
        slowed.iter().map(of).collect()
    }

    #[test]
    fn samples_beside_slow_stretches_are_set_aside_and_rounds_without_others() {
        let screened = at_best_pace(&rounds(&[0, 12, 20, 15]));
        let lengths: Vec<usize> = screened.rounds.iter().map(Vec::len).collect();
        assert_eq!(lengths, [20, 8, 0, 5]);
        assert!(screened.rounds.iter().flatten().all(|value| *value == 100.0));
        assert_eq!(screened.set_aside, 47.0 / 80.0);
    }

    #[test]
    fn everything_is_kept_where_too_little_would_be_left_or_nothing_was_timed() {
        assert_eq!(at_best_pace(&rounds(&[20, 20, 18, 0])).set_aside, 0.0, "one round of four is no sample of rounds");
        assert_eq!(at_best_pace(&rounds(&[20, 20, 20])).set_aside, 0.0, "the pace was the same all the time");
        let untimed = vec![vec![Paced { value: 1.0, pace: None }; 10]; 3];
        assert_eq!(at_best_pace(&untimed), Screened { rounds: vec![vec![1.0; 10]; 3], set_aside: 0.0 });
        assert_eq!(at_best_pace(&[]), Screened::default());
    }

    #[test]
    fn slow_samples_alone_are_no_reason() {
        let slow = round(&(0..20).map(|index| (if index < 10 { 130.0 } else { 100.0 }, 10.0)).collect::<Vec<_>>());
        assert_eq!(at_best_pace(&[slow.clone(), slow.clone(), slow]).set_aside, 0.0);
    }

    /// A neighbour that comes and goes for a third of the time, whole seconds long: the medians of what is kept scatter
    /// as they would without it.
    #[test]
    fn a_neighbour_that_comes_and_goes_leaves_no_trace() {
        let mut random = Prng::seeded(7);
        let rounds: Vec<Vec<Paced>> = (0..10)
            .map(|_| {
                let begins = random.index(60);
                let sample = |index: usize, jitter: f64| {
                    let slowed = (begins..begins + 20).contains(&index);
                    Paced {
                        value: if slowed { 135.0 } else { 100.0 } + jitter,
                        pace: Some(if slowed { 12.5 } else { 10.0 } + jitter / 10.0),
                    }
                };
                (0..40).map(|index| sample(index, random.unit())).collect()
            })
            .collect();
        let screened = at_best_pace(&rounds);
        for kept in screened.rounds.iter().filter(|round| !round.is_empty()) {
            assert!((median(kept).unwrap() - 100.5).abs() < 0.5, "{kept:?}");
        }
    }
}
