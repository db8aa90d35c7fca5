//! The cost of a handoff for pairs of CPUs: the distance of two CPUs, measured in time.

use super::bare_sample::measured;
use super::criterion_adapter::line;
use super::interference::NoiseProbe;
use super::limit_check::INSTANCES_OF_A_SWEEP;
use super::{BareSample, Benchmark, PlannedBenchmark, now_ms, unsupported};
use crate::crew::{Failure, IdleGuard};
use crate::mechanism::Mechanism;
use crate::record::{AuditRecord, BenchmarkLine, CountedSamples, Noise, Outcome};
use crate::stats::Prng;
use crate::terms::{Parameters, Placement, Setting};
use crate::units::{CpuId, Nanos};

/// How long each pair is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MatrixSampling {
    /// Visits to each pair, each with an instance of its own.
    pub rounds: u32,
    /// How long the sample of a visit takes, about.
    pub sample: Nanos,
}

/// The pairs of `cpus`: each once, or in both orders; a CPU with itself where `mechanism` runs on one CPU with these
/// parameters.
pub fn pairs(mechanism: &dyn Mechanism, parameters: &Parameters, cpus: &[CpuId], ordered: bool) -> Vec<(CpuId, CpuId)> {
    let alone = mechanism.tasks(parameters).fit(Placement::SameCpu);
    let all = cpus.iter().flat_map(|&a| cpus.iter().map(move |&b| (a, b)));
    all.filter(|(a, b)| a < b || (ordered && a > b) || (alone && a == b)).collect()
}

/// Measures every pair in `setting`, whose placement and CPUs are those of the pair, and says of each what a record
/// keeps. Each round visits all of them in an order of its own, so that a change of the machine over time affects all
/// pairs alike. `visited` receives after each visit how many are
/// done, and says whether to go on; pairs that were not visited by then are left out. A pair that fails does not affect
/// the others.
///
/// # Errors
/// `Unsupported` when the mechanism cannot run here.
pub fn matrix(
    mechanism: &'static dyn Mechanism,
    setting: &Setting,
    pairs: &[(CpuId, CpuId)],
    sampling: MatrixSampling,
    host_id: &str,
    mut visited: impl FnMut(usize) -> bool,
) -> Result<Vec<BenchmarkLine>, Failure> {
    let (started_ms, noise_probe) = (now_ms(), NoiseProbe::begin());
    let mut cells: Vec<PairSession> = pairs.iter().map(|&pair| PairSession::new(mechanism, pair, setting)).collect();
    // Any order but the same for all will do.
    let mut prng = Prng::seeded(0x6d61_7472);
    let mut order: Vec<usize> = (0..cells.len()).collect();
    let mut done = 0;
    'rounds: for _ in 0..sampling.rounds {
        for end in (1..order.len()).rev() {
            order.swap(end, prng.index(end + 1));
        }
        for &index in &order {
            let went_on = match cells[index].visit(sampling.sample) {
                // Its tasks may still be at it, beside all that follows.
                Err(Failure::TimedOut { .. }) => false,
                // What it cannot do for one pair it cannot do for any.
                Err(failure) if done == 0 && !matches!(failure, Failure::Affinity(_)) => {
                    if let Some(reason) = unsupported::refused(&failure) {
                        return Err(reason.into());
                    }
                    true
                }
                Ok(()) | Err(_) => true,
            };
            done += 1;
            if !visited(done) || !went_on {
                break 'rounds;
            }
        }
    }
    // The visits of all pairs are mixed, so this is what disturbed each of them.
    let noise = noise_probe.end();
    Ok(cells.into_iter().filter_map(|cell| cell.line(host_id, started_ms, &noise)).collect())
}

/// Enough to learn how long one takes, where it takes longest.
const FIRST: u64 = 200;

/// A pair, and its visits.
#[derive(Debug)]
struct PairSession {
    pair: (CpuId, CpuId),
    benchmark: Benchmark,
    taken: Vec<BareSample>,
    failed: Option<Outcome>,
}

impl PairSession {
    fn new(mechanism: &'static dyn Mechanism, pair: (CpuId, CpuId), setting: &Setting) -> Self {
        let (a, b) = pair;
        let (placement, cpus) = if a == b { (Placement::SameCpu, vec![a]) } else { (Placement::OnePerCpu, vec![a, b]) };
        let setting = Setting { placement, cpus, ..setting.clone() };
        let benchmark = Benchmark { mechanism, setting };
        Self { pair, benchmark, taken: Vec::new(), failed: None }
    }

    /// Takes a sample of about this length, unless the pair has failed before. What failed is kept, too.
    fn visit(&mut self, length: Nanos) -> Result<(), Failure> {
        if self.failed.is_some() {
            return Ok(());
        }
        let taken = self.sample(length).inspect_err(|failure| {
            self.failed = Some(unsupported::outcome(failure.clone(), &self.benchmark, INSTANCES_OF_A_SWEEP));
        })?;
        self.taken.push(taken);
        Ok(())
    }

    /// A sample of about this length, with an instance of its own.
    fn sample(&self, length: Nanos) -> Result<BareSample, Failure> {
        let benchmark = &self.benchmark;
        let _idle = IdleGuard::hold(benchmark.setting.idle, &benchmark.setting.cpus)?;
        let mut driver = benchmark.start(|| Ok(()))?;
        let first = driver.run(benchmark.whole_laps(FIRST))?;
        let per_op = first.amount.per(first.ops).unwrap_or(1.0).max(1.0);
        let ops = benchmark.whole_laps(((length.0 as f64 / per_op) as u64).max(FIRST));
        let (before, used) = (driver.probe_speed()?, driver.usage()?);
        let batch = driver.run(ops)?;
        let usage = driver.usage()?.since(used);
        let after = driver.probe_speed()?;
        driver.stop()?;
        Ok(BareSample::new(batch, usage, before, after))
    }

    /// What came of it; nothing where it was not visited.
    fn line(self, host_id: &str, started_ms: u64, noise: &Noise) -> Option<BenchmarkLine> {
        let id = self.id();
        let outcome = match self.failed {
            Some(outcome) => outcome,
            None if self.taken.is_empty() => return None,
            None => {
                let (counted, audit) = (CountedSamples::default(), AuditRecord::default());
                Outcome::Measured(Box::new(measured(&self.taken, counted, Vec::new(), audit, noise.clone())))
            }
        };
        Some(BenchmarkLine { id, ..line(&PlannedBenchmark::Ready(self.benchmark), 0, host_id, started_ms, outcome) })
    }

    /// The benchmark's id with the CPUs, which the placement does not tell.
    fn id(&self) -> String {
        BenchmarkLine::id_with(&self.benchmark.id(), &BenchmarkLine::named_cpus(self.pair))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::Choice;
    use crate::mechanism::find;
    use crate::terms::Idle;

    const SHORT: Nanos = Nanos(100_000);

    fn usual(mechanism: &dyn Mechanism) -> Setting {
        Choice::default().setting_of(mechanism).unwrap()
    }

    #[test]
    fn a_pair_stands_once_or_in_both_orders_and_alone_where_that_makes_sense() {
        let cpus = [CpuId(0), CpuId(1), CpuId(2)];
        let (spin, futex) = (find("handoff/spin").unwrap(), find("handoff/futex").unwrap());
        let pairs = |of, ordered| pairs(of, &usual(of).parameters, &cpus, ordered).len();
        assert_eq!((pairs(spin, false), pairs(spin, true), pairs(futex, true)), (3, 6, 9));
    }

    #[test]
    fn every_pair_is_visited_in_every_round() {
        let futex = find("handoff/futex").unwrap();
        let cpus = crate::sys::affinity::allowed_cpus().unwrap();
        let sampling = MatrixSampling { rounds: 2, sample: SHORT };
        let asked = pairs(futex, &usual(futex).parameters, &cpus[..1], false);
        let lines = matrix(futex, &usual(futex), &asked, sampling, "m", |_| true).unwrap();
        assert_eq!(lines.iter().map(BenchmarkLine::pair).collect::<Vec<_>>(), [Some((cpus[0], cpus[0]))]);
        let Outcome::Measured(measured) = &lines[0].outcome else { panic!("{:?}", lines[0].outcome) };
        assert_eq!(measured.samples.len(), 2);
        assert!(measured.samples.iter().all(|sample| sample.ops.0 >= FIRST && sample.amount.0 > 0));
    }

    #[test]
    fn what_was_visited_before_it_was_stopped_is_kept() {
        let futex = find("handoff/futex").unwrap();
        let cpu = crate::sys::affinity::allowed_cpus().unwrap()[0];
        let sampling = MatrixSampling { rounds: 5, sample: SHORT };
        let lines = matrix(futex, &usual(futex), &[(cpu, cpu)], sampling, "m", |done| done < 2).unwrap();
        let Outcome::Measured(measured) = &lines[0].outcome else { panic!("{:?}", lines[0].outcome) };
        assert_eq!(measured.samples.len(), 2);
    }

    #[test]
    fn a_pair_that_cannot_be_had_costs_itself() {
        // No machine has such a CPU, so that its task cannot be confined to it.
        let (futex, beyond) = (find("handoff/futex").unwrap(), CpuId(1023));
        let cpu = crate::sys::affinity::allowed_cpus().unwrap()[0];
        let sampling = MatrixSampling { rounds: 2, sample: SHORT };
        let lines = matrix(futex, &usual(futex), &[(cpu, cpu), (cpu, beyond)], sampling, "m", |_| true).unwrap();
        assert!(matches!(lines[0].outcome, Outcome::Measured(_)));
        assert!(matches!(lines[1].outcome, Outcome::Unsupported(_)), "{:?}", lines[1].outcome);
    }

    #[test]
    fn ids_name_the_cpus_behind_everything_else_that_was_chosen() {
        let futex = find("handoff/futex").unwrap();
        let id = |pair, idle| PairSession::new(futex, pair, &Setting { idle, ..usual(futex) }).id();
        assert_eq!(id((CpuId(1), CpuId(0)), Idle::Default), "handoff/futex/one-per-cpu/cpus=1+0");
        assert_eq!(id((CpuId(3), CpuId(3)), Idle::Poll), "handoff/futex/same-cpu/idle=poll,cpus=3+3");
    }
}
