//! Which samples a benchmark is judged by: those that were taken while the CPU ran at its highest speed.
//!
//! What slows a CPU from outside (another program on the core's other hardware thread, throttling) comes and goes
//! within tenths of seconds and is no property of the mechanism. The speed probe shows it: a fixed stretch of work that
//! is timed before and after each sample. The samples themselves never decide. To leave out samples because they are
//! slow would bias the figure; to leave them out because the probe was slow does not.

use super::quantile;

/// The value of one sample, with the speed probe that was timed beside it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ProbedValue {
    /// The sample's value, in the unit of the benchmark.
    pub value: f64,
    /// The time that the probe took, in nanoseconds; `None` when it was not timed.
    pub probe: Option<f64>,
}

impl From<(f64, Option<f64>)> for ProbedValue {
    fn from((value, probe): (f64, Option<f64>)) -> Self {
        Self { value, probe }
    }
}

/// The values of each round, by round.
pub type RoundValues = Vec<Vec<f64>>;

/// The samples that are left after screening.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Screening {
    /// The values that count, round by round. A round that has none was slowed from its beginning to its end.
    pub rounds: RoundValues,
    /// Which share of all samples was set aside.
    pub set_aside: f64,
}

impl Screening {
    /// The rounds that have values.
    pub fn kept(self) -> RoundValues {
        self.rounds.into_iter().filter(|round| !round.is_empty()).collect()
    }
}

/// The quantile of the probes' times that stands for the highest CPU speed. The shortest time would be an outlier, and
/// a twentieth of the samples is enough.
const BEST: f64 = 0.05;

/// A probe that took longer than this many times the fastest one was slowed. Undisturbed probes differ by 4 % (the step
/// from one reading of the kernel's path to the next); a busy program on the other hardware thread costs 20 to 40 %.
const SLOWER: f64 = 1.06;

/// What must be left of a round for it to count: a share of its samples, and a number of them. The first step at which
/// [`FEWEST_ROUNDS`] rounds do is taken. A round of which little is left was slowed most of the time, and what is left
/// of it scatters more.
const STEPS: [(f64, usize); 4] = [(0.2, 5), (0.1, 5), (0.0, 5), (0.0, 2)];

/// Fewer rounds than this tell little of how rounds scatter.
const FEWEST_ROUNDS: usize = 3;

/// The fewest values of which there is an interval.
const FEWEST_VALUES: usize = 2;

/// The time of a probe at the highest CPU speed among `probes`; `None` without any.
pub fn fastest_probe(probes: &[f64]) -> Option<f64> {
    quantile(probes, BEST)
}

/// Whether a CPU was slowed all the time in one of two runs, whose fastest probes took `a` and `b`.
pub fn probes_differ(a: f64, b: f64) -> bool {
    (a / b).max(b / a) > SLOWER
}

/// The share of `probes`, 0 to 1, that were slower than the fastest probe, `best`; 0 without any.
pub fn slowed_share(probes: &[f64], best: f64) -> f64 {
    let slowed = probes.iter().filter(|probe| **probe > SLOWER * best).count();
    slowed as f64 / probes.len().max(1) as f64
}

/// Screens the samples of one benchmark, all its rounds together. Samples without probes are all kept. Where few rounds
/// have samples that count, only those rounds are left, even if it is one: figures of slowed samples were 7 % off, in
/// the median over ninety benchmarks, whereas two figures of screened samples differed by 1.5 %. Where a single sample
/// would be left in all, of which there is no interval, all samples are kept.
pub fn screen(rounds: &[Vec<ProbedValue>]) -> Screening {
    screen_sides([rounds], None)
        .map_or_else(|| Screening { rounds: unscreened(rounds), set_aside: 0.0 }, |[screened]| screened)
}

/// Screens by a fastest probe that is known. `None` where too few samples are left for an interval.
pub(super) fn screen_against(rounds: &[Vec<ProbedValue>], best: f64) -> Option<Screening> {
    screen_sides([rounds], Some(best)).map(|[screened]| screened)
}

/// Screens two sides, each by its own fastest probe. Rounds of the same number belong together, and those are kept of
/// which both sides have values that count. `None` where too few are left for a ratio with an interval.
pub fn screen_pairs(a: &[Vec<ProbedValue>], b: &[Vec<ProbedValue>]) -> Option<(RoundValues, RoundValues)> {
    let pairs = a.len().min(b.len());
    let [a, b] = screen_sides([&a[..pairs], &b[..pairs]], None)?;
    Some((a.kept(), b.kept()))
}

/// The values of all samples, whatever the speed probe beside them.
pub fn unscreened(rounds: &[Vec<ProbedValue>]) -> RoundValues {
    rounds.iter().map(|round| round.iter().map(|sample| sample.value).collect()).collect()
}

/// Screens sides of equally many rounds by one rule: a round counts on all of them or on none. `None` where a side has
/// too few values left.
fn screen_sides<const SIDES: usize>(
    sides: [&[Vec<ProbedValue>]; SIDES],
    best: Option<f64>,
) -> Option<[Screening; SIDES]> {
    let left = sides.map(|side| screen_side(side, best));
    let rounds = sides.first().map_or(0, |rounds| rounds.len());
    let enough = |of: usize, kept: usize, (share, fewest): (f64, usize)| {
        // Criterion's shortest rounds have ten samples, its `--quick` ones fewer.
        kept >= ((of as f64 * share) as usize).max(fewest).min(of).max(1)
    };
    let counts = |round: usize, step: (f64, usize)| {
        sides.iter().zip(&left).all(|(side, left)| enough(side[round].len(), left[round].len(), step))
    };
    let at = |step: (f64, usize)| (0..rounds).filter(|&round| counts(round, step)).collect::<Vec<_>>();
    let asked = (0..rounds).filter(|&round| sides.iter().all(|side| !side[round].is_empty())).count();
    let chosen = STEPS.iter().map(|step| at(*step)).find(|chosen| chosen.len() >= FEWEST_ROUNDS.min(asked));
    let chosen = chosen.unwrap_or_else(|| at((0.0, 1)));
    let values = |left: &Vec<Vec<f64>>| chosen.iter().map(|&round| left[round].len()).sum::<usize>();
    if left.iter().any(|left| values(left) < FEWEST_VALUES) {
        return None;
    }
    let mut sides = sides.iter();
    Some(left.map(|left| {
        let all: usize = sides.next().map_or(0, |side| side.iter().map(Vec::len).sum());
        let of = |(round, values): (usize, Vec<f64>)| if chosen.contains(&round) { values } else { Vec::new() };
        let rounds: Vec<Vec<f64>> = left.into_iter().enumerate().map(of).collect();
        let kept: usize = rounds.iter().map(Vec::len).sum();
        Screening { rounds, set_aside: (all - kept) as f64 / all.max(1) as f64 }
    }))
}

/// The values whose probe shows the CPU at its highest speed; all values where one of them has no probe.
fn screen_side(rounds: &[Vec<ProbedValue>], best: Option<f64>) -> RoundValues {
    let probes: Vec<f64> = rounds.iter().flatten().filter_map(|sample| sample.probe).collect();
    let timed = probes.len() == rounds.iter().map(Vec::len).sum::<usize>();
    let limit = best.or_else(|| fastest_probe(&probes)).filter(|_| timed).map(|best| SLOWER * best);
    let quiet = |sample: &&ProbedValue| limit.is_none() || sample.probe <= limit;
    rounds.iter().map(|round| round.iter().filter(quiet).map(|sample| sample.value).collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stats::{Prng, median};

    #[test]
    fn of_a_pair_with_one_slowed_side_neither_is_kept() {
        let (a, b) = screen_pairs(&rounds(&[0, 20, 0, 0, 0]), &rounds(&[0, 0, 0, 18, 2])).unwrap();
        // The fourth has two samples on one side, and there are three without it.
        assert_eq!((a.len(), b.iter().map(Vec::len).collect::<Vec<_>>()), (3, vec![20, 20, 18]));
    }

    fn round(values: &[(f64, f64)]) -> Vec<ProbedValue> {
        values.iter().map(|&(value, probe)| ProbedValue { value, probe: Some(probe) }).collect()
    }

    /// Twenty samples, the first `slowed` of them under a busy neighbour.
    fn rounds(slowed: &[usize]) -> Vec<Vec<ProbedValue>> {
        let of = |&slowed: &usize| {
            let sample = |index: usize| if index < slowed { (130.0, 12.5) } else { (100.0, 10.0) };
            round(&(0..20).map(sample).collect::<Vec<_>>())
        };
        slowed.iter().map(of).collect()
    }

    fn lengths(slowed: &[usize]) -> Vec<usize> {
        let screened = screen(&rounds(slowed));
        assert!(screened.rounds.iter().flatten().all(|value| *value == 100.0), "{slowed:?}");
        screened.rounds.iter().map(Vec::len).collect()
    }

    #[test]
    fn samples_beside_slow_stretches_are_set_aside_and_rounds_without_others() {
        assert_eq!(lengths(&[0, 12, 20, 15]), [20, 8, 0, 5]);
        assert_eq!(screen(&rounds(&[0, 12, 20, 15])).set_aside, 47.0 / 80.0);
    }

    #[test]
    fn a_round_of_which_little_is_left_counts_where_there_are_not_three_better_ones() {
        // Of twenty samples a fifth is four and five are wanted, so that the shares are tried in longer rounds below.
        assert_eq!(lengths(&[0, 0, 0, 16]), [20, 20, 20, 0]);
        assert_eq!(lengths(&[0, 0, 18, 19]), [20, 20, 2, 0]);
        assert_eq!(lengths(&[20, 20, 19, 0]), [0, 0, 1, 20], "two rounds are better than slowed ones");
        let long = |left: &[usize]| {
            let of = |&left: &usize| {
                let sample = |index: usize| if index < left { (100.0, 10.0) } else { (130.0, 12.5) };
                round(&(0..100).map(sample).collect::<Vec<_>>())
            };
            let screened = screen(&left.iter().map(of).collect::<Vec<_>>());
            screened.rounds.iter().map(Vec::len).collect::<Vec<_>>()
        };
        assert_eq!(long(&[100, 20, 20, 19, 5]), [100, 20, 20, 0, 0]);
        assert_eq!(long(&[100, 20, 10, 9, 5]), [100, 20, 10, 0, 0]);
        assert_eq!(long(&[100, 20, 9, 5, 4]), [100, 20, 9, 5, 0]);
    }

    #[test]
    fn sides_that_were_never_quiet_in_the_same_round_are_no_pair() {
        assert_eq!(screen_pairs(&rounds(&[0, 20, 20]), &rounds(&[20, 0, 20])), None);
        assert_eq!(screen_pairs(&rounds(&[19, 0]), &rounds(&[0, 20])), None, "nor is one sample a side");
        assert!(screen_pairs(&rounds(&[18, 0]), &rounds(&[0, 20])).is_some());
    }

    #[test]
    fn a_single_value_is_too_little() {
        let three = round(&[(100.0, 10.0), (130.0, 12.5), (131.0, 12.6)]);
        let screened = screen(std::slice::from_ref(&three));
        assert_eq!((screened.rounds[0].len(), screened.set_aside), (3, 0.0));
        let two = [three, round(&[(101.0, 10.1), (129.0, 12.4)])];
        assert_eq!(screen(&two).rounds, [[100.0], [101.0]]);
    }

    #[test]
    fn everything_is_kept_where_nothing_was_slower_or_nothing_was_timed() {
        assert_eq!(screen(&rounds(&[20, 20, 20])).set_aside, 0.0, "the pace was the same all the time");
        let untimed = vec![vec![ProbedValue { value: 1.0, probe: None }; 10]; 3];
        assert_eq!(screen(&untimed), Screening { rounds: vec![vec![1.0; 10]; 3], set_aside: 0.0 });
        assert_eq!(screen(&[]), Screening::default());
    }

    #[test]
    fn slow_samples_alone_are_no_reason() {
        let slow = round(&(0..20).map(|index| (if index < 10 { 130.0 } else { 100.0 }, 10.0)).collect::<Vec<_>>());
        assert_eq!(screen(&[slow.clone(), slow.clone(), slow]).set_aside, 0.0);
    }

    /// They may be the mechanism's own: a second mode, a wait for a disk.
    #[test]
    fn samples_ten_times_slower_at_an_even_pace_stay() {
        let values = |slower: f64| (0..20).map(move |index| if index % 5 == 4 { 100.0 * slower } else { 100.0 });
        for slower in [0.1, 10.0, 1000.0] {
            // Paces that differ by less than a neighbour makes them differ.
            let paced = values(slower).enumerate().map(|(index, value)| (value, 10.0 + 0.05 * (index % 3) as f64));
            let round = round(&paced.collect::<Vec<_>>());
            let all = vec![values(slower).collect::<Vec<_>>(); 3];
            let rounds = [round.clone(), round.clone(), round];
            assert_eq!(screen(&rounds), Screening { rounds: all.clone(), set_aside: 0.0 }, "{slower}");
            let other = [vec![ProbedValue { value: 1.0, probe: Some(3.0) }; 20], vec![], vec![]];
            assert_eq!(screen_against(&rounds, 10.0).map(Screening::kept), Some(all.clone()), "{slower}");
            let (kept, _) = screen_pairs(&rounds[..1], &other[..1]).unwrap();
            assert_eq!(kept, all[..1], "{slower}");
        }
    }

    /// Whatever the samples are, the speed probes alone say which are set aside.
    #[test]
    fn which_samples_are_set_aside_does_not_depend_on_them() {
        let mut random = Prng::seeded(11);
        for _ in 0..200 {
            let probes: Vec<Vec<f64>> =
                (0..4).map(|_| (0..20).map(|_| 10.0 + 3.0 * random.unit().powi(2)).collect()).collect();
            let mut number = 0.0;
            let mut at = |value: &mut dyn FnMut(f64) -> f64| -> Vec<Vec<ProbedValue>> {
                let sample = |probe: &f64| {
                    number += 1.0;
                    ProbedValue { value: value(number), probe: Some(*probe) }
                };
                let mut sample = sample;
                probes.iter().map(|round| round.iter().map(&mut sample).collect()).collect()
            };
            let (rising, wild) = (at(&mut |number| number), at(&mut |_| 1.0 + 1e6 * random.unit().powi(9)));
            let lengths =
                |rounds: &[Vec<ProbedValue>]| -> Vec<usize> { screen(rounds).rounds.iter().map(Vec::len).collect() };
            assert_eq!(lengths(&rising), lengths(&wild));
        }
    }

    /// A neighbour that comes and goes for a third of the time, whole seconds long: the medians of what is kept scatter
    /// as they would without it.
    #[test]
    fn a_neighbour_that_comes_and_goes_leaves_no_trace() {
        let mut random = Prng::seeded(7);
        let rounds: Vec<Vec<ProbedValue>> = (0..10)
            .map(|_| {
                let begins = random.index(60);
                let sample = |index: usize, jitter: f64| {
                    let slowed = (begins..begins + 20).contains(&index);
                    ProbedValue {
                        value: if slowed { 135.0 } else { 100.0 } + jitter,
                        probe: Some(if slowed { 12.5 } else { 10.0 } + jitter / 10.0),
                    }
                };
                (0..40).map(|index| sample(index, random.unit())).collect()
            })
            .collect();
        let screened = screen(&rounds);
        for kept in screened.rounds.iter().filter(|round| !round.is_empty()) {
            assert!((median(kept).unwrap() - 100.5).abs() < 0.5, "{kept:?}");
        }
    }
}
