//! Comparisons of runs on simulated hosts whose state lasts for a whole run: how often something is called different
//! that is not, and how often what is slower is found. Run with `--nocapture` to see the figures.

use std::collections::BTreeMap;

use super::prng::Prng;
use super::simulation::normal;
use super::{CONFIDENCE, Contrast, Replication, RunFigure, Scatter, holm, run_ratio_interval, scatter_of_bulk};

/// A host, and how runs on it differ though nothing changed.
#[derive(Debug, Clone, Copy)]
struct SimulatedHost {
    benchmarks: usize,
    rounds: usize,
    /// Scatter of rounds within a run.
    within: f64,
    /// Scatter from run to run of half of the benchmarks.
    between: f64,
    /// How benchmarks differ in that: the standard deviation of its logarithm.
    unlike: f64,
    /// Scatter from run to run of all benchmarks together.
    shared: f64,
}

/// Like the virtual machine on which a program differed from itself in 13 of 99 intervals.
const HOST: SimulatedHost =
    SimulatedHost { benchmarks: 99, rounds: 3, within: 0.02, between: 0.02, unlike: 0.7, shared: 0.0 };

type Rounds = Vec<Vec<f64>>;

impl SimulatedHost {
    /// The scatter from run to run of each benchmark, which the host keeps.
    fn scatters(&self, prng: &mut Prng) -> Vec<f64> {
        (0..self.benchmarks).map(|_| self.between * (self.unlike * normal(prng)).exp()).collect()
    }

    /// The rounds of every benchmark in one run, of which the first `slower` take 1 + `effect` times as long.
    fn run(&self, scatters: &[f64], (slower, effect): (usize, f64), prng: &mut Prng) -> Vec<Rounds> {
        let state = self.shared * normal(prng);
        let of = |(benchmark, scatter): (usize, &f64)| {
            let effect = if benchmark < slower { effect.ln_1p() } else { 0.0 };
            let figure = 10.0 * (state + effect + scatter * normal(prng)).exp();
            (0..self.rounds).map(|_| vec![figure * (self.within * normal(prng)).exp()]).collect()
        };
        scatters.iter().enumerate().map(of).collect()
    }
}

/// What is known of the scatter from run to run.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Knowledge {
    /// So many runs of each program; the figures compared are those of the first of each.
    Replicates(usize),
    Bulk,
    /// Nothing, so that rounds pass for independent, as they did before.
    Nothing,
}

/// The contrasts, and which of the intervals exclude 1, of a comparison of two runs, one with an effect.
fn compared(
    host: SimulatedHost,
    known: Knowledge,
    effect: (usize, f64),
    prng: &mut Prng,
) -> (Vec<Contrast>, Vec<bool>) {
    let scatters = host.scatters(prng);
    let (first, other) = (host.run(&scatters, (0, 0.0), prng), host.run(&scatters, effect, prng));
    let of_bulk = || {
        let ratios = first.iter().zip(&other).map(|(a, b)| {
            let contrast = Contrast::between_runs(b, a, Scatter::NONE).unwrap();
            (contrast.log, contrast.error.powi(2))
        });
        scatter_of_bulk(&ratios.collect::<Vec<_>>()).unwrap()
    };
    let scatter: BTreeMap<usize, Scatter> = match known {
        Knowledge::Nothing => BTreeMap::new(),
        Knowledge::Bulk => {
            let of_bulk = of_bulk();
            (0..host.benchmarks).map(|benchmark| (benchmark, of_bulk)).collect()
        }
        Knowledge::Replicates(runs) => {
            let mut replication = Replication::default();
            for (compared, effect) in [(&first, (0, 0.0)), (&other, effect)] {
                let further: Vec<_> = (1..runs).map(|_| host.run(&scatters, effect, prng)).collect();
                for benchmark in 0..host.benchmarks {
                    let all = std::iter::once(compared).chain(&further);
                    let figures: Vec<_> = all.map(|run| RunFigure::of(&run[benchmark]).unwrap()).collect();
                    replication.add(&benchmark.to_string(), &figures);
                }
            }
            (0..host.benchmarks).map(|benchmark| (benchmark, replication.of(&benchmark.to_string()).unwrap())).collect()
        }
    };
    let none = Scatter::NONE;
    let rows = first.iter().zip(&other).enumerate().map(|(benchmark, (a, b))| {
        let scatter = scatter.get(&benchmark).map_or(none, |scatter| scatter.of_two_runs());
        let interval = run_ratio_interval(b, a, scatter, CONFIDENCE, 0).unwrap().interval;
        (Contrast::between_runs(b, a, scatter).unwrap(), interval.excludes(1.0))
    });
    rows.unzip()
}

/// The share of intervals that exclude 1, and of comparisons of which any benchmark is called slower by more than
/// `share`.
fn false_alarms(host: SimulatedHost, known: Knowledge, share: f64, experiments: usize) -> (f64, f64) {
    let mut prng = Prng::seeded(13);
    let (mut outside, mut failed) = (0, 0);
    for _ in 0..experiments {
        let (contrasts, excluded) = compared(host, known, (0, 0.0), &mut prng);
        outside += excluded.iter().filter(|excluded| **excluded).count();
        failed += usize::from(slower(&contrasts, share).contains(&true));
    }
    (outside as f64 / (experiments * host.benchmarks) as f64, failed as f64 / experiments as f64)
}

fn slower(contrasts: &[Contrast], share: f64) -> Vec<bool> {
    let tests: Vec<f64> = contrasts.iter().map(|contrast| contrast.probability_beyond(share)).collect();
    holm(&tests).into_iter().map(|probability| probability <= 1.0 - CONFIDENCE).collect()
}

/// Which share of what is 10 % slower, two benchmarks in each comparison, intervals show, and gates over all.
fn found(host: SimulatedHost, known: Knowledge, experiments: usize) -> (f64, f64) {
    let mut prng = Prng::seeded(14);
    let (mut shown, mut gated) = (0, 0);
    for _ in 0..experiments {
        let (contrasts, excluded) = compared(host, known, (2, 0.1), &mut prng);
        shown += excluded[..2].iter().filter(|excluded| **excluded).count();
        gated += slower(&contrasts, 0.0)[..2].iter().filter(|found| **found).count();
    }
    (shown as f64 / (2 * experiments) as f64, gated as f64 / (2 * experiments) as f64)
}

/// The rows of the table in `docs/method/comparisons.md`.
#[test]
fn intervals_and_gates_keep_their_promise_on_hosts_whose_state_lasts_for_a_run() {
    let quiet = SimulatedHost { between: 0.005, ..HOST };
    let alike = SimulatedHost { unlike: 0.0, ..HOST };
    let unlike = SimulatedHost { unlike: 1.0, ..HOST };
    let shared = SimulatedHost { shared: 0.02, ..HOST };
    let hosts = [("quiet", quiet), ("alike", alike), ("usual", HOST), ("unlike", unlike), ("shared", shared)];
    for (name, host) in hosts {
        for known in [Knowledge::Bulk, Knowledge::Replicates(2), Knowledge::Replicates(3)] {
            let (outside, failed) = false_alarms(host, known, 0.0, experiments());
            println!("{name}, {known:?}: {outside:.3} of the intervals exclude 1, {failed:.3} of the gates fail");
            assert!(outside <= 0.055, "{name}, {known:?}: {outside}");
            // One of twelve is within what chance allows where 5 % is true, three are not.
            assert!(failed <= 0.17, "{name}, {known:?}: {failed}");
        }
    }
    // A gate that asks for 5 % has fewer, because what it asks for is beyond what nothing shows.
    let (_, failed) = false_alarms(unlike, Knowledge::Bulk, 0.05, experiments());
    assert!(failed <= 0.05, "{failed}");
}

#[test]
fn rounds_alone_do_not_keep_it() {
    let (outside, failed) = false_alarms(HOST, Knowledge::Nothing, 0.0, experiments());
    println!("as if rounds were independent: {outside:.3} of the intervals exclude 1, {failed:.3} of the gates fail");
    assert!(outside > 0.12 && failed > 0.2, "{outside}, {failed}");
}

#[test]
fn what_is_slower_is_found_the_sooner_the_more_is_known() {
    let quiet = SimulatedHost { between: 0.005, ..HOST };
    for (name, host, least) in [("quiet", quiet, [0.6, 0.75, 0.75]), ("usual", HOST, [0.04, 0.25, 0.25])] {
        for (known, least) in
            [Knowledge::Bulk, Knowledge::Replicates(2), Knowledge::Replicates(3)].into_iter().zip(least)
        {
            let (shown, gated) = found(host, known, experiments());
            println!("{name}, {known:?}: 10 % is shown by {shown:.2} of the intervals and {gated:.2} of the gates");
            assert!(shown >= least, "{name}, {known:?}: {shown}");
        }
    }
}

/// Enough to tell 5 % of the intervals from 10 %. `SWITCHCOST_EXPERIMENTS=400` gives the figures of the method.
fn experiments() -> usize {
    std::env::var("SWITCHCOST_EXPERIMENTS").ok().and_then(|count| count.parse().ok()).unwrap_or(12)
}
