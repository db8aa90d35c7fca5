//! The state of a run: what its record holds of each benchmark so far.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::PlanEntry;
use crate::record::{BenchmarkLine, Outcome};
use crate::stats::{
    CONFIDENCE, Precision, ProbedValue, fastest_probe, interleaved_ratio, ratio_interval, rounds_interval, screen,
    screen_pairs, slowed_share,
};
use crate::units::CpuId;

/// A benchmark that failed this often is not asked again: a crash that is no accident would cost every round.
const MOST_FAILURES: usize = 2;

/// What is known of every benchmark of a run.
#[derive(Debug, Clone, Default)]
pub struct RunState {
    known: BTreeMap<(usize, String), BenchmarkState>,
    /// By the CPUs that a benchmark was confined to.
    fastest_probes: BTreeMap<Vec<CpuId>, f64>,
    spent: Duration,
}

#[derive(Debug, Clone, Default)]
struct BenchmarkState {
    rounds: BTreeMap<u32, Vec<ProbedValue>>,
    /// Whether the samples of a round that was measured were not interleaved with those of the other side.
    not_interleaved: bool,
    /// The rounds whose line says that its samples were not interleaved with those of the other side.
    sequential_in: BTreeSet<u32>,
    failures: usize,
    unsupported: bool,
    audited: bool,
    took: Vec<Duration>,
}

impl RunState {
    /// Learns from a line of the record of `side`.
    pub fn add(&mut self, side: usize, line: &BenchmarkLine) {
        let known = self.known.entry((side, line.id.clone())).or_default();
        let mut samples = Vec::new();
        match &line.outcome {
            Outcome::Measured(measured) => {
                samples = measured.probed_values().map(ProbedValue::from).collect();
                known.audited |= measured.audit.was_made();
                let probes: Vec<f64> = measured.shortest_probes().collect();
                if let Some(probe) = fastest_probe(&probes) {
                    let best = self.fastest_probes.entry(line.setting.cpus.clone()).or_insert(probe);
                    *best = best.min(probe);
                }
            }
            Outcome::Unsupported(_) => known.unsupported = true,
            Outcome::Failed(_) => known.failures += 1,
        }
        known.rounds.insert(line.round, samples);
        if !line.was_interleaved() {
            known.sequential_in.insert(line.round);
        }
        known.not_interleaved |= matches!(line.outcome, Outcome::Measured(_)) && !line.was_interleaved();
        if let Some(conditions) = &line.conditions {
            let took = Duration::from_millis(conditions.took_ms);
            known.took.push(took);
            self.spent = self.spent.saturating_add(took);
        }
    }

    fn of(&self, entry: &PlanEntry) -> Option<&BenchmarkState> {
        self.known.get(&(entry.side, entry.id.clone()))
    }

    /// Which share of the samples of `line` was taken while its CPU ran slower than at its best in this run.
    pub fn slowed(&self, line: &BenchmarkLine) -> f64 {
        let Outcome::Measured(measured) = &line.outcome else { return 0.0 };
        let probes: Vec<f64> = measured.shortest_probes().collect();
        // The line itself counts, too: what is measured first on its CPUs has nothing else to be judged by.
        let known = [self.fastest_probes.get(&line.setting.cpus).copied(), fastest_probe(&probes)];
        known.into_iter().flatten().min_by(f64::total_cmp).map_or(0.0, |best| slowed_share(&probes, best))
    }

    /// Whether the record has an answer for `entry` in `round`, also when the answer is that it failed.
    pub fn has(&self, entry: &PlanEntry, round: u32) -> bool {
        self.of(entry).is_some_and(|known| known.rounds.contains_key(&round))
    }

    /// Whether nothing more is asked of `entry`: it cannot run here, or has failed too often.
    pub fn is_given_up(&self, entry: &PlanEntry) -> bool {
        self.of(entry).is_some_and(|known| known.unsupported || known.failures >= MOST_FAILURES)
    }

    /// Whether there is a round in which both sides have an answer and neither was interleaved.
    pub(super) fn were_sequential(&self, a: &PlanEntry, b: &PlanEntry) -> bool {
        self.of(a).zip(self.of(b)).is_some_and(|(a, b)| !a.sequential_in.is_disjoint(&b.sequential_in))
    }

    /// Whether `entry` was audited.
    pub fn is_audited(&self, entry: &PlanEntry) -> bool {
        self.of(entry).is_some_and(|known| known.audited)
    }

    /// In how many rounds `entry` was measured.
    pub fn rounds(&self, entry: &PlanEntry) -> u32 {
        let measured = |known: &BenchmarkState| known.rounds.values().filter(|samples| !samples.is_empty()).count();
        self.of(entry).map_or(0, |known| u32::try_from(measured(known)).unwrap_or(u32::MAX))
    }

    /// How well the figure of `entry` is known so far.
    pub fn precision(&self, entry: &PlanEntry) -> Option<Precision> {
        let rounds: Vec<Vec<ProbedValue>> =
            self.of(entry)?.rounds.values().filter(|samples| !samples.is_empty()).cloned().collect();
        rounds_interval(&screen(&rounds).kept(), CONFIDENCE, 0).map(Precision::from)
    }

    /// How well the ratio of `b` to `a`, measured side by side, is known so far.
    pub fn precision_of_ratio(&self, a: &PlanEntry, b: &PlanEntry) -> Option<Precision> {
        let (a, b) = (self.of(a)?, self.of(b)?);
        let interleaved = !a.not_interleaved && !b.not_interleaved;
        let (a, b) = (&a.rounds, &b.rounds);
        let both = a.iter().filter_map(|(round, samples)| Some((samples.clone(), b.get(round)?.clone())));
        let measured = both.filter(|(a, b)| !a.is_empty() && !b.is_empty());
        let (a, b): (Vec<Vec<ProbedValue>>, Vec<Vec<ProbedValue>>) = measured.unzip();
        if let Some(estimate) = interleaved_ratio(&b, &a, CONFIDENCE, 0).filter(|_| interleaved) {
            return Some(estimate.into());
        }
        let (a, b) = screen_pairs(&a, &b)?;
        ratio_interval(&b, &a, true, CONFIDENCE, 0).map(|ratio| Precision::of_pairs(ratio, a.len()))
    }

    /// How long `entry` takes in a round, when it was measured before: the longest of the times, because a budget that
    /// is kept matters more than one that is used up.
    pub fn takes(&self, entry: &PlanEntry) -> Option<Duration> {
        self.of(entry)?.took.iter().max().copied()
    }

    /// The time that all of it took so far.
    pub fn spent(&self) -> Duration {
        self.spent
    }
}
