//! Whether the intervals keep what they promise, by experiments with a known truth.
//!
//! A nominal 95 % must be at least 92 % of 1,000 experiments each (their own error is 0.7 points), and two lists from
//! one distribution may be called different in at most 7 %. Code that is not optimised makes 300 of each, whose own
//! error is 1.3 points, and allows for 1.3 points more; `cargo test --release --lib coverage` makes them all. Every
//! draw is seeded: a second run gives the same figures. Run with `--nocapture` to see them.

use super::prng::Prng;
use super::quantile::{median_of_sorted, quantile_of_sorted, sorted};
use super::simulation::{RoundModel, autocorrelated, disturbed, disturbed_interleaved, normal};
use super::{
    Basis, Interval, Verdict, interleaved_ratio, median, ratio_interval, rounds_interval, samples_interval, screen,
    screen_pairs,
};

const MODELS: [RoundModel; 4] =
    [RoundModel::Normal, RoundModel::Lognormal, RoundModel::Skewed, RoundModel::Bimodal(0.3)];
const EXPERIMENTS: u64 = if cfg!(debug_assertions) { 300 } else { 1_000 };
/// What the error of fewer experiments is allowed for.
const ERROR: f64 = if cfg!(debug_assertions) { 0.013 } else { 0.0 };

fn share(experiments: u64, mut holds: impl FnMut(u64) -> bool) -> f64 {
    (0..experiments).filter(|&seed| holds(seed)).count() as f64 / experiments as f64
}

#[test]
fn figures_keep_their_coverage_with_few_rounds() {
    for model in MODELS {
        let truth = model.truth();
        for rounds in [3, 5, 10] {
            let mut prng = Prng::seeded(rounds as u64);
            let coverage = share(EXPERIMENTS, |seed| {
                let estimate = rounds_interval(&model.draw(rounds, &mut prng), 0.95, seed).unwrap();
                estimate.interval.contains(truth)
            });
            println!("{model:?}, {rounds} rounds: coverage {coverage:.3}");
            assert!(coverage >= 0.92 - ERROR, "{model:?} with {rounds} rounds: {coverage}");
        }
    }
}

/// Setting samples and rounds aside, by a pace that is not always right, keeps the promise, too.
#[test]
fn screened_figures_keep_their_coverage() {
    for rounds in [3, 5, 10] {
        let mut prng = Prng::seeded(rounds as u64);
        let coverage = share(EXPERIMENTS, |seed| {
            let kept = screen(&disturbed(rounds, &mut prng)).kept();
            rounds_interval(&kept, 0.95, seed).is_some_and(|estimate| estimate.interval.contains(10.0))
        });
        let alarms = share(EXPERIMENTS, |seed| {
            let pairs = screen_pairs(&disturbed(rounds, &mut prng), &disturbed(rounds, &mut prng));
            let ratio = pairs.and_then(|(a, b)| ratio_interval(&a, &b, true, 0.95, seed));
            ratio.is_some_and(|ratio| ratio.basis != Basis::WithinRunOnly && ratio.interval.excludes(1.0))
        });
        let unscreened = share(EXPERIMENTS / 4, |seed| {
            let all: Vec<Vec<f64>> = disturbed(rounds, &mut prng)
                .iter()
                .map(|round| round.iter().map(|sample| sample.value).collect())
                .collect();
            rounds_interval(&all, 0.95, seed).is_some_and(|estimate| estimate.interval.contains(10.0))
        });
        let interleaved = share(EXPERIMENTS, |seed| {
            let [a, b] = disturbed_interleaved(rounds, &mut prng);
            interleaved_ratio(&a, &b, 0.95, seed).is_some_and(|ratio| ratio.interval.excludes(1.0))
        });
        println!("in turns, {rounds} rounds: alarms {interleaved:.3}");
        assert!(interleaved <= 0.07 + ERROR, "{rounds} rounds in turns: {interleaved}");
        println!("screened, {rounds} rounds: coverage {coverage:.3} ({unscreened:.3} without), alarms {alarms:.3}");
        assert!(coverage >= 0.92 - ERROR && alarms <= 0.07 + ERROR, "{rounds} rounds: {coverage}, {alarms}");
    }
}

/// What three rounds cannot know, as `rounds_interval` documents.
#[test]
fn a_mode_that_no_round_has_shown_costs_coverage() {
    let model = RoundModel::Bimodal(0.45);
    let truth = model.truth();
    for (rounds, least) in [(3, 0.83), (5, 0.92), (10, 0.92)] {
        let mut prng = Prng::seeded(rounds as u64);
        let coverage = share(EXPERIMENTS, |seed| {
            let estimate = rounds_interval(&model.draw(rounds, &mut prng), 0.95, seed).unwrap();
            estimate.interval.contains(truth)
        });
        println!("{model:?}, {rounds} rounds: coverage {coverage:.3}");
        assert!(coverage >= least - ERROR, "{rounds} rounds: {coverage}");
    }
}

#[test]
fn the_usual_bootstrap_would_not() {
    for model in MODELS {
        let truth = model.truth();
        for rounds in [3, 5, 10] {
            let mut prng = Prng::seeded(rounds as u64);
            let coverage = share(EXPERIMENTS / 4, |seed| {
                hierarchical_percentile(&model.draw(rounds, &mut prng), seed).contains(truth)
            });
            println!("{model:?}, {rounds} rounds: percentile bootstrap covers {coverage:.3}");
            assert!(rounds > 3 || coverage < 0.92, "the reason not to use it is gone: {coverage}");
        }
    }
}

/// Rounds drawn with replacement, samples drawn with replacement within them, percentiles of the median of medians.
fn hierarchical_percentile(rounds: &[Vec<f64>], seed: u64) -> Interval {
    let mut prng = Prng::seeded(seed);
    let mut resampled = || {
        let medians: Vec<f64> = (0..rounds.len())
            .map(|_| {
                let round = &rounds[prng.index(rounds.len())];
                let samples: Vec<f64> = round.iter().map(|_| round[prng.index(round.len())]).collect();
                median(&samples).unwrap()
            })
            .collect();
        median(&medians).unwrap()
    };
    let figures = sorted(&(0..150).map(|_| resampled()).collect::<Vec<f64>>()).unwrap();
    Interval {
        low: quantile_of_sorted(&figures, 0.025),
        estimate: median_of_sorted(&figures),
        high: quantile_of_sorted(&figures, 0.975),
        confidence: 0.95,
    }
}

#[test]
fn a_benchmark_does_not_differ_from_itself() {
    for model in [MODELS.as_slice(), &[RoundModel::Bimodal(0.45)]].concat() {
        for (first, second) in [(3, 3), (4, 4), (5, 5), (10, 10), (3, 10)] {
            let mut prng = Prng::seeded(first as u64);
            let mut paired_alarms = 0;
            let alarms = share(EXPERIMENTS, |seed| {
                let (a, b) = (model.draw(first, &mut prng), model.draw(second, &mut prng));
                if first == second {
                    let paired = ratio_interval(&a, &b, true, 0.95, seed).unwrap();
                    paired_alarms += u64::from(paired.interval.excludes(1.0));
                }
                ratio_interval(&a, &b, false, 0.95, seed).unwrap().interval.excludes(1.0)
            });
            let paired_alarms = paired_alarms as f64 / EXPERIMENTS as f64;
            println!("{model:?}, {first} against {second}: alarms {alarms:.3}, paired {paired_alarms:.3}");
            assert!(alarms <= 0.07 + ERROR && paired_alarms <= 0.07 + ERROR, "{model:?}, {first} against {second}");
        }
    }
}

#[test]
fn ratios_keep_their_coverage() {
    const TRUE_RATIO: f64 = 1.3;
    for model in MODELS {
        for (first, second) in [(3, 3), (5, 5), (10, 10), (5, 8)] {
            let mut prng = Prng::seeded(first as u64);
            let coverage = share(EXPERIMENTS / 2, |seed| {
                let slower = model
                    .draw(first, &mut prng)
                    .iter()
                    .map(|round| round.iter().map(|sample| sample * TRUE_RATIO).collect())
                    .collect::<Vec<Vec<f64>>>();
                let ratio = ratio_interval(&slower, &model.draw(second, &mut prng), false, 0.95, seed).unwrap();
                ratio.interval.contains(TRUE_RATIO)
            });
            println!("{model:?}, ratio of {first} to {second}: coverage {coverage:.3}");
            assert!(coverage >= 0.92 - ERROR, "{model:?} with {first} and {second}: {coverage}");
        }
    }
}

/// One side pinned, the other not: the case in which ranks alone alarm in up to one of eight experiments.
#[test]
fn unequal_scatter_raises_no_alarm() {
    for (first, second) in [(3, 3), (5, 5), (10, 10), (4, 10), (10, 4)] {
        let mut prng = Prng::seeded(first as u64);
        let mut draw = |count: usize, sigma: f64| -> Vec<Vec<f64>> {
            (0..count).map(|_| vec![(sigma * normal(&mut prng)).exp()]).collect()
        };
        let alarms = share(EXPERIMENTS, |seed| {
            let ratio = ratio_interval(&draw(first, 0.08), &draw(second, 0.01), false, 0.95, seed).unwrap();
            ratio.interval.excludes(1.0)
        });
        println!("8 % scatter against 1 %, {first} against {second}: alarms {alarms:.3}");
        assert!(alarms <= 0.07 + ERROR, "{first} against {second}: {alarms}");
    }
}

#[test]
fn five_percent_is_found_with_ten_pinned_rounds() {
    let mut prng = Prng::seeded(10);
    let mut draw =
        |centre: f64| -> Vec<Vec<f64>> { (0..10).map(|_| vec![centre * (0.01 * normal(&mut prng)).exp()]).collect() };
    let mut found = [0; 2];
    for seed in 0..100 {
        let (slower, faster) = (draw(1.05), draw(1.0));
        for paired in [false, true] {
            let ratio = ratio_interval(&slower, &faster, paired, 0.95, seed).unwrap();
            found[usize::from(paired)] += u32::from(Verdict::of(&ratio, 0.01) == Verdict::Slower);
        }
    }
    println!("5 % slower, 1 % scatter, 10 rounds: found {found:?} of 100 (unpaired, paired)");
    assert!(found.iter().all(|&times| times >= 98), "{found:?}");
}

#[test]
fn one_round_keeps_its_coverage_in_spite_of_correlation() {
    for (rho, least) in [(0.0, 0.92), (0.3, 0.89), (0.6, 0.88)] {
        let mut prng = Prng::seeded(100);
        let coverage = share(200, |seed| {
            let samples = autocorrelated(100, rho, &mut prng);
            samples_interval(&samples, 0.95, seed).unwrap().contains(0.0)
        });
        println!("one round of 100 samples, lag-1 correlation {rho}: coverage {coverage:.3}");
        assert!(coverage >= least, "{rho}: {coverage}");
    }
}
