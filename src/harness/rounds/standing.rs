//! How far a run has come: what its record holds of each benchmark.

use std::collections::BTreeMap;
use std::time::Duration;

use super::Entry;
use crate::record::{BenchmarkLine, Outcome};
use crate::stats::{Estimate, rounds_interval};

/// A benchmark that failed this often is not asked again: a crash that is no accident would cost every round.
const MOST_FAILURES: usize = 2;

const CONFIDENCE: f64 = 0.95;

/// What is known of every benchmark of a run.
#[derive(Debug, Clone, Default)]
pub struct Standing {
    known: BTreeMap<(usize, String), Known>,
    spent: Duration,
}

#[derive(Debug, Clone, Default)]
struct Known {
    rounds: BTreeMap<u32, Vec<f64>>,
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
                samples = measured.samples.iter().map(|sample| sample.per_op()).collect();
                known.audited |= measured.audit.was_made();
            }
            Outcome::Unsupported(_) => known.unsupported = true,
            Outcome::Failed(_) => known.failures += 1,
        }
        known.rounds.insert(line.round, samples);
        if let Some(circumstances) = &line.circumstances {
            let took = Duration::from_millis(circumstances.took_ms);
            known.took.push(took);
            self.spent += took;
        }
    }

    fn of(&self, entry: &Entry) -> Option<&Known> {
        self.known.get(&(entry.side, entry.id.clone()))
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

    /// The figure of `entry` so far.
    pub fn estimate(&self, entry: &Entry) -> Option<Estimate> {
        let rounds: Vec<Vec<f64>> =
            self.of(entry)?.rounds.values().filter(|samples| !samples.is_empty()).cloned().collect();
        rounds_interval(&rounds, CONFIDENCE, 0)
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
