//! The cost of a handoff for pairs of CPUs: what the distance between two CPUs is, as tasks feel it.

use super::Benchmark;
use crate::crew::{Failure, Idle, Placement, Policy, Seating};
use crate::mechanism::{Mechanism, Parameters};
use crate::stats::{Prng, median};
use crate::units::{CpuId, Nanos};

/// How long to look at each pair.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sampling {
    /// Visits to each pair, each with an instance of its own.
    pub rounds: u32,
    /// How long the sample of a visit takes, about.
    pub sample: Nanos,
    /// What idle CPUs do.
    pub idle: Idle,
    /// How the two tasks are scheduled.
    pub policy: Policy,
}

/// One pair, and the nanoseconds per operation that its samples took.
#[derive(Debug, Clone, PartialEq)]
pub struct Cell {
    /// Where the task sits that begins.
    pub first: CpuId,
    /// Where its partner sits.
    pub second: CpuId,
    /// One figure for each visit.
    pub samples: Vec<f64>,
}

impl Cell {
    /// The middle figure.
    pub fn median(&self) -> Option<f64> {
        median(&self.samples)
    }

    /// The least figure: what undisturbed hardware does.
    pub fn least(&self) -> Option<f64> {
        self.samples.iter().copied().min_by(f64::total_cmp)
    }
}

/// The pairs of `cpus`: each once, or in both orders; a CPU with itself where `mechanism` runs on one CPU.
pub fn pairs(mechanism: &dyn Mechanism, cpus: &[CpuId], ordered: bool) -> Vec<(CpuId, CpuId)> {
    let alone = mechanism.descriptor().fits(Placement::SameCpu);
    let all = cpus.iter().flat_map(|&a| cpus.iter().map(move |&b| (a, b)));
    all.filter(|(a, b)| a < b || (ordered && a > b) || (alone && a == b)).collect()
}

/// Measures every pair. Each round visits all of them in an order of its own, so that whatever changes with time falls
/// on all alike; `visited` is told after each visit how many are done.
///
/// # Errors
/// `Unsupported` when the mechanism cannot run here, or whatever went wrong.
pub fn matrix(
    mechanism: &'static dyn Mechanism,
    pairs: &[(CpuId, CpuId)],
    sampling: Sampling,
    mut visited: impl FnMut(usize),
) -> Result<Vec<Cell>, Failure> {
    let mut cells: Vec<Cell> =
        pairs.iter().map(|&(first, second)| Cell { first, second, samples: Vec::new() }).collect();
    // Any order but the same for all will do.
    let mut prng = Prng::seeded(0x6d61_7472);
    let mut order: Vec<usize> = (0..cells.len()).collect();
    let mut done = 0;
    for _ in 0..sampling.rounds {
        for end in (1..order.len()).rev() {
            order.swap(end, prng.index(end + 1));
        }
        for &index in &order {
            let cell = &mut cells[index];
            cell.samples.push(visit(mechanism, (cell.first, cell.second), sampling)?);
            done += 1;
            visited(done);
        }
    }
    Ok(cells)
}

/// Enough to learn how long one takes, where it takes longest.
const FIRST: u64 = 200;

fn visit(mechanism: &'static dyn Mechanism, pair: (CpuId, CpuId), sampling: Sampling) -> Result<f64, Failure> {
    let (a, b) = pair;
    let seating = match a == b {
        true => Seating::in_turn(Placement::SameCpu, &[a]),
        false => Seating::in_turn(Placement::OnePerCpu, &[a, b]),
    };
    let _idle = sampling.idle.hold(&seating.cpus())?;
    let parameters = Parameters::defaults(mechanism.descriptor());
    let benchmark = Benchmark { mechanism, parameters, seating, idle: sampling.idle, policy: sampling.policy };
    let mut driver = benchmark.start(|| Ok(()))?;
    let first = driver.run(benchmark.whole_laps(FIRST))?;
    let per_op = first.elapsed.per(first.ops).unwrap_or(1.0).max(1.0);
    let ops = (sampling.sample.0 as f64 / per_op) as u64;
    let batch = driver.run(benchmark.whole_laps(ops.max(FIRST)))?;
    driver.stop()?;
    batch.elapsed.per(batch.ops).ok_or(Failure::Miscounted { asked: ops, done: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism::find;

    #[test]
    fn a_pair_stands_once_or_in_both_orders_and_alone_where_that_makes_sense() {
        let cpus = [CpuId(0), CpuId(1), CpuId(2)];
        let (spin, futex) = (find("handoff/spin").unwrap(), find("handoff/futex").unwrap());
        assert_eq!(pairs(spin, &cpus, false).len(), 3);
        assert_eq!(pairs(spin, &cpus, true).len(), 6);
        assert_eq!(pairs(futex, &cpus, true).len(), 9);
    }

    #[test]
    fn every_pair_is_visited_in_every_round() {
        let futex = find("handoff/futex").unwrap();
        let cpus = crate::sys::affinity::allowed_cpus().unwrap();
        let sampling = Sampling { rounds: 2, sample: Nanos(100_000), idle: Idle::default(), policy: Policy::default() };
        let asked = pairs(futex, &cpus[..1], false);
        let cells = matrix(futex, &asked, sampling, |_| {}).unwrap();
        assert!(cells.iter().all(|cell| cell.samples.len() == 2 && cell.least() > Some(0.0)));
    }
}
