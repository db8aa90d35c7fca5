//! The gate: whether anything became slower by more than a share, with a bound on its false alarms over all benchmarks.

use serde::Serialize;

use super::{Comparison, ComparisonRow};
use crate::stats::{CONFIDENCE, Interval, Verdict, holm, median};

/// What a gate found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Gate {
    /// The share by which a benchmark may become slower.
    pub share: f64,
    /// The benchmarks that became slower by more, when all are judged at once (S. Holm, 1979): of comparisons between
    /// which nothing changed at most one in twenty has any.
    pub regressed: Vec<GateRow>,
    /// The benchmarks whose estimate is slower by more, and of which it is not certain.
    pub suspects: Vec<GateRow>,
    /// How many benchmarks could be judged.
    pub judged: usize,
    /// How many could not.
    pub inconclusive: usize,
    /// The true effect, as a share, that the gate would have found in four of five comparisons: in half of the
    /// benchmarks that it judged.
    pub detectable: Option<f64>,
}

/// A benchmark that the gate names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GateRow {
    /// The id in the first run.
    pub id: String,
    /// The id in the other run.
    pub other_id: String,
    /// The other run, by its number.
    pub run: usize,
    /// The ratio.
    pub ratio: Interval,
    /// Why it was not judged; empty where it was.
    pub marks: String,
}

impl GateRow {
    fn of(row: &ComparisonRow) -> Self {
        Self {
            id: row.id.clone(),
            other_id: row.other_id.clone().unwrap_or_else(|| row.id.clone()),
            run: row.run,
            ratio: row.ratio.interval,
            marks: if row.contrast.is_some() { String::new() } else { row.marks.clone() },
        }
    }
}

impl Gate {
    pub(super) fn new(comparison: &Comparison, share: f64) -> Self {
        let judged: Vec<_> = comparison.rows.iter().filter_map(|row| Some((row, row.contrast?))).collect();
        let single: Vec<f64> = judged.iter().map(|(_, contrast)| contrast.probability_beyond(share)).collect();
        let adjusted = holm(&single);
        let mut gate = Self {
            share,
            regressed: Vec::new(),
            suspects: Vec::new(),
            judged: judged.len(),
            inconclusive: comparison.rows.len() - judged.len(),
            detectable: None,
        };
        for ((row, _), probability) in judged.iter().zip(adjusted) {
            // Both must show it: the interval, which has the ranks of the rounds in it, and the test.
            let slower = Verdict::of(&row.ratio, share) == Verdict::Slower;
            if slower && probability <= 1.0 - CONFIDENCE {
                gate.regressed.push(GateRow::of(row));
            } else if row.ratio.interval.estimate > 1.0 + share {
                gate.suspects.push(GateRow::of(row));
            }
        }
        let unjudged = comparison.rows.iter().filter(|row| row.contrast.is_none());
        gate.suspects.extend(unjudged.filter(|row| row.ratio.interval.estimate > 1.0 + share).map(GateRow::of));
        let level = (1.0 - CONFIDENCE) / judged.len().max(1) as f64;
        let detectable = judged.iter().map(|(_, contrast)| contrast.detectable(share, level).min(f64::MAX));
        gate.detectable = median(&detectable.collect::<Vec<_>>());
        gate
    }
}
