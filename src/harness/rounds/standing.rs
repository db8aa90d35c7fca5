//! How far a run has come: what its record holds of each benchmark.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Entry;
use crate::record::{BenchmarkLine, Outcome};
use crate::stats::{
    CONFIDENCE, Paced, Precision, at_best_pace, best_pace, pairs_at_best_pace, ratio_in_turns, ratio_interval,
    rounds_interval, slowed_share,
};
use crate::units::CpuId;

/// A benchmark that failed this often is not asked again: a crash that is no accident would cost every round.
const MOST_FAILURES: usize = 2;

/// What is known of every benchmark of a run.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    known: BTreeMap<(usize, String), Known>,
    /// By the CPUs that a benchmark was confined to.
    best_paces: BTreeMap<Vec<CpuId>, f64>,
    spent: Duration,
}

#[derive(Debug, Clone, Default)]
struct Known {
    rounds: BTreeMap<u32, Vec<Paced>>,
    /// Whether the samples of a round that was measured were not taken in turns with those of the other side.
    apart: bool,
    failures: usize,
    unsupported: bool,
    audited: bool,
    took: Vec<Duration>,
}

impl Standing {
    /// Learns from a line of the record of `side`.
    pub fn add(&mut self, side: usize, line: &BenchmarkLine) {
        let known = self.known.entry((side, line.id.clone())).or_default();
        let mut samples = Vec::new();
        match &line.outcome {
            Outcome::Measured(measured) => {
                samples = measured.paced().map(Paced::from).collect();
                known.audited |= measured.audit.was_made();
                let paces: Vec<f64> = measured.paces.iter().map(|pace| pace.0 as f64).collect();
                if let Some(pace) = best_pace(&paces) {
                    let best = self.best_paces.entry(line.setting.cpus.clone()).or_insert(pace);
                    *best = best.min(pace);
                }
            }
            Outcome::Unsupported(_) => known.unsupported = true,
            Outcome::Failed(_) => known.failures += 1,
        }
        known.rounds.insert(line.round, samples);
        known.apart |= matches!(line.outcome, Outcome::Measured(_)) && !line.was_in_turns();
        if let Some(circumstances) = &line.circumstances {
            let took = Duration::from_millis(circumstances.took_ms);
            known.took.push(took);
            self.spent = self.spent.saturating_add(took);
        }
    }

    fn of(&self, entry: &Entry) -> Option<&Known> {
        self.known.get(&(entry.side, entry.id.clone()))
    }

    /// Which share of the samples of `line` was taken while its CPU ran slower than at its best in this run.
    pub fn slowed(&self, line: &BenchmarkLine) -> f64 {
        let Outcome::Measured(measured) = &line.outcome else { return 0.0 };
        let paces: Vec<f64> = measured.paces.iter().map(|pace| pace.0 as f64).collect();
        // The line itself counts, too: what is measured first on its CPUs has nothing else to be judged by.
        let known = [self.best_paces.get(&line.setting.cpus).copied(), best_pace(&paces)];
        known.into_iter().flatten().min_by(f64::total_cmp).map_or(0.0, |best| slowed_share(&paces, best))
    }

    /// Whether the record has an answer for `entry` in `round`, be it that it failed.
    pub fn has(&self, entry: &Entry, round: u32) -> bool {
        self.of(entry).is_some_and(|known| known.rounds.contains_key(&round))
    }

    /// Whether nothing more is asked of `entry`: it cannot run here, or has failed too often.
    pub fn is_over(&self, entry: &Entry) -> bool {
        self.of(entry).is_some_and(|known| known.unsupported || known.failures >= MOST_FAILURES)
    }

    /// Whether `entry` was audited.
    pub fn is_audited(&self, entry: &Entry) -> bool {
        self.of(entry).is_some_and(|known| known.audited)
    }

    /// In how many rounds `entry` was measured.
    pub fn rounds(&self, entry: &Entry) -> u32 {
        let measured = |known: &Known| known.rounds.values().filter(|samples| !samples.is_empty()).count();
        self.of(entry).map_or(0, |known| u32::try_from(measured(known)).unwrap_or(u32::MAX))
    }

    /// How well the figure of `entry` is known so far.
    pub fn precision(&self, entry: &Entry) -> Option<Precision> {
        let rounds: Vec<Vec<Paced>> =
            self.of(entry)?.rounds.values().filter(|samples| !samples.is_empty()).cloned().collect();
        rounds_interval(&at_best_pace(&rounds).kept(), CONFIDENCE, 0).map(Precision::from)
    }

    /// How well the ratio of `b` to `a`, measured side by side, is known so far.
    pub fn precision_of_ratio(&self, a: &Entry, b: &Entry) -> Option<Precision> {
        let (a, b) = (self.of(a)?, self.of(b)?);
        let in_turns = !a.apart && !b.apart;
        let (a, b) = (&a.rounds, &b.rounds);
        let both = a.iter().filter_map(|(round, samples)| Some((samples.clone(), b.get(round)?.clone())));
        let measured = both.filter(|(a, b)| !a.is_empty() && !b.is_empty());
        let (a, b): (Vec<Vec<Paced>>, Vec<Vec<Paced>>) = measured.unzip();
        if let Some(estimate) = ratio_in_turns(&b, &a, CONFIDENCE, 0).filter(|_| in_turns) {
            return Some(estimate.into());
        }
        let (a, b) = pairs_at_best_pace(&a, &b)?;
        ratio_interval(&b, &a, true, CONFIDENCE, 0).map(|ratio| Precision::of_pairs(ratio, a.len()))
    }

    /// How long `entry` takes in a round, when it was measured before: the longest of the times, because a budget that
    /// is kept matters more than one that is used up.
    pub fn takes(&self, entry: &Entry) -> Option<Duration> {
        self.of(entry)?.took.iter().max().copied()
    }

    /// The time that all of it took so far.
    pub fn spent(&self) -> Duration {
        self.spent
    }
}
