//! Compares runs: for each benchmark the ratio to the first run's figure, and above the ratios what differs between the
//! machines and the builds. Pure functions over records and statistics.

mod compared_by;
mod data_formats;
mod difference;
mod format;
mod gate;
mod host_scatter;
mod many;
mod note;
mod overview;
mod plausibility;
mod row;
mod side;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::record::{BenchmarkLine, Outcome, Run};
use crate::stats::{CONFIDENCE, Contrast, Estimate, Ratio, Scatter, Verdict, holm, scatter_of_bulk};
use crate::units::Quantity;

pub use compared_by::ComparedBy;
pub use data_formats::{bencher, csv, github_action_benchmark, json};
use difference::differing_cpus;
pub use difference::{Difference, differences};
pub use format::{markdown, table};
pub use gate::{Gate, GateRow};
pub use host_scatter::{ScatterKnowledge, ScatterSource, StoredScatter};
pub use note::{Note, NoteKind};
pub use overview::{Inconclusive, Overview, RunOverview};
pub use plausibility::{VOID, void_the_impossible};
use row::Draft;

/// The seed for resampling single rounds. Any value would do; a constant one makes results repeat.
const SEED: u64 = 0x5343;

/// Which benchmarks of two runs belong together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Matching {
    /// Those with the same id. Rounds of different runs are independent of each other.
    Ids,
    /// These ids of the first and the second run, whose rounds of the same number were interleaved.
    Pairs(Vec<(String, String)>),
}

/// A benchmark of two runs.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ComparisonRow {
    /// The id in the first run.
    pub id: String,
    /// The id in the other run, where it differs.
    pub other_id: Option<String>,
    /// What one operation is.
    pub unit: &'static str,
    /// What was measured of each operation.
    pub measures: Quantity,
    /// The other run, by its number; the first one is 0.
    pub run: usize,
    /// The figure per operation in the first run.
    pub first: Estimate,
    /// The figure per operation in the other run.
    pub other: Estimate,
    /// The other figure over the first, with its interval.
    pub ratio: Ratio,
    /// What may be said of the ratio, were it the only one.
    pub verdict: Verdict,
    /// Whether the comparison is inconclusive although the interval may allow a verdict; a note says why.
    pub withheld: bool,
    /// Whether the two differ even when all rows are judged at once: at most one comparison in twenty between which
    /// nothing changed has such a row.
    pub beyond_doubt: bool,
    /// The probability of such a ratio by chance, adjusted for the number of rows that are judged; `None` where the
    /// row is not.
    pub probability: Option<f64>,
    /// The least effect, as a share, that would have been found beyond doubt in four of five comparisons.
    pub detectable: Option<f64>,
    /// The logarithm of the ratio with its error; `None` where the row is not judged.
    #[serde(skip)]
    pub contrast: Option<Contrast>,
    /// The scatter between two such runs that is in the interval, as a share; `None` for what was measured side by
    /// side.
    pub scatter: Option<f64>,
    /// From what that scatter is known.
    pub scatter_source: ScatterSource,
    /// The rounds of the first run and of the other.
    pub rounds: [RowRounds; 2],
    /// The letters of the notes.
    pub marks: String,
    /// What a reader must know about the ratio.
    pub notes: Vec<Note>,
}

/// The rounds of one side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RowRounds {
    /// That were measured.
    pub measured: usize,
    /// That were disturbed.
    pub disturbed: usize,
}

/// A benchmark that some of the runs lack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MissingBenchmark {
    /// The id.
    pub id: String,
    /// The runs that have it, by number.
    pub runs: Vec<usize>,
}

/// Runs against the first of them.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// The runs' names, in order.
    pub runs: Vec<String>,
    /// What each run was set to, where they are sides of a pair; empty otherwise.
    pub settings: Vec<String>,
    /// What they are compared by.
    pub by: ComparedBy,
    /// The difference that was declared to matter.
    pub smallest_effect: f64,
    /// Whether both sides were measured in one run.
    pub paired: bool,
    /// What differs between machines, builds and the CPUs that were used.
    pub differences: Vec<Difference>,
    /// All rows in a few numbers.
    pub overview: Overview,
    /// The greatest effect first.
    pub rows: Vec<ComparisonRow>,
    /// What could not be compared.
    pub missing: Vec<MissingBenchmark>,
}

impl Comparison {
    /// Whether a benchmark is slower in another run than in the first, by more than `share`.
    pub fn gate(&self, share: f64) -> Gate {
        Gate::new(self, share)
    }
}

/// Compares every run with the first, of hosts of which nothing is known but these runs. `runs` are names and records.
pub fn compare(runs: &[(String, Run)], matching: &Matching, smallest_effect: f64) -> Comparison {
    let compared: Vec<&Run> = runs.iter().map(|(_, run)| run).collect();
    compare_on(&ScatterKnowledge::new(&compared, &[], Vec::new()), runs, matching, smallest_effect)
}

/// Compares every run with the first. `known` says how far runs scatter on their hosts.
pub fn compare_on(
    known: &ScatterKnowledge,
    runs: &[(String, Run)],
    matching: &Matching,
    smallest_effect: f64,
) -> Comparison {
    let measured: Vec<BTreeMap<&str, Vec<&BenchmarkLine>>> = runs.iter().map(|(_, run)| by_id(run)).collect();
    let paired = matches!(matching, Matching::Pairs(_));
    let mut drafts = Vec::new();
    let mut missing = Vec::new();
    if let Some((first, others)) = measured.split_first() {
        for (index, other) in others.iter().enumerate() {
            for (id, other_id) in pairs(first, other, matching) {
                drafts.extend(Draft::new(&first[id], &other[other_id], index + 1, paired));
            }
        }
        if *matching == Matching::Ids {
            missing = lacking(&measured);
        }
    }
    let all_ratios = all_ratios(&drafts);
    let row = |draft: Draft| {
        let all_ratios = all_ratios.get(&draft.run()).copied();
        let scatter = known.of(draft.hosts(), draft.id(), all_ratios);
        draft.row(scatter, smallest_effect)
    };
    let mut rows: Vec<ComparisonRow> = drafts.into_iter().filter_map(row).collect();
    judge_together(&mut rows, smallest_effect);
    rows.sort_by(|a, b| effect(b).total_cmp(&effect(a)).then_with(|| (&a.id, a.run).cmp(&(&b.id, b.run))));
    let hosts_differ = differences(&runs.iter().filter_map(|(_, run)| run.hosts.first()).collect::<Vec<_>>());
    let names: Vec<String> = runs.iter().map(|(name, _)| name.clone()).collect();
    Comparison {
        overview: Overview::new(&names, runs, &rows),
        runs: names,
        settings: Vec::new(),
        by: ComparedBy::default(),
        smallest_effect,
        paired,
        differences: hosts_differ.into_iter().chain(differing_cpus(runs)).collect(),
        rows,
        missing,
    }
}

/// The scatter between the first run and each other, by all their ratios together, where both ran on one host.
fn all_ratios(drafts: &[Draft]) -> BTreeMap<usize, Scatter> {
    let mut ratios: BTreeMap<usize, Vec<(f64, f64)>> = BTreeMap::new();
    for draft in drafts.iter().filter(|draft| draft.hosts()[0] == draft.hosts()[1]) {
        ratios.entry(draft.run()).or_default().extend(draft.within());
    }
    ratios.into_iter().filter_map(|(run, ratios)| Some((run, scatter_of_bulk(&ratios)?))).collect()
}

/// Says which rows differ when all that can be judged are judged at once.
fn judge_together(rows: &mut [ComparisonRow], smallest_effect: f64) {
    let judged: Vec<(usize, Contrast)> =
        rows.iter().enumerate().filter_map(|(index, row)| Some((index, row.contrast?))).collect();
    let single: Vec<f64> = judged.iter().map(|(_, contrast)| contrast.probability_outside(smallest_effect)).collect();
    let level = (1.0 - CONFIDENCE) / 2.0 / judged.len().max(1) as f64;
    for ((index, contrast), probability) in judged.iter().zip(holm(&single)) {
        let row = &mut rows[*index];
        let differs = matches!(row.verdict, Verdict::Faster | Verdict::Slower);
        row.beyond_doubt = differs && probability <= 1.0 - CONFIDENCE;
        row.probability = Some(probability);
        row.detectable = Some(contrast.detectable(smallest_effect, level));
    }
}

/// A factor of two either way is the same effect.
fn effect(row: &ComparisonRow) -> f64 {
    row.ratio.interval.estimate.ln().abs()
}

fn by_id(run: &Run) -> BTreeMap<&str, Vec<&BenchmarkLine>> {
    let mut lines: BTreeMap<&str, Vec<&BenchmarkLine>> = BTreeMap::new();
    for line in run.benchmarks.iter().filter(|line| matches!(line.outcome, Outcome::Measured(_))) {
        lines.entry(&line.id).or_default().push(line);
    }
    for lines in lines.values_mut() {
        lines.sort_by_key(|line| line.round);
    }
    lines
}

fn pairs<'a>(
    first: &BTreeMap<&'a str, Vec<&'a BenchmarkLine>>,
    other: &BTreeMap<&'a str, Vec<&'a BenchmarkLine>>,
    matching: &Matching,
) -> Vec<(&'a str, &'a str)> {
    let key = |lines: &BTreeMap<&'a str, Vec<&'a BenchmarkLine>>, id: &str| lines.get_key_value(id).map(|(k, _)| *k);
    match matching {
        Matching::Ids => first.keys().filter_map(|id| Some((*id, key(other, id)?))).collect(),
        Matching::Pairs(pairs) => pairs.iter().filter_map(|(a, b)| Some((key(first, a)?, key(other, b)?))).collect(),
    }
}

fn lacking(measured: &[BTreeMap<&str, Vec<&BenchmarkLine>>]) -> Vec<MissingBenchmark> {
    let all: BTreeSet<&str> = measured.iter().flat_map(|lines| lines.keys().copied()).collect();
    let having = |id: &str| (0..measured.len()).filter(|&run| measured[run].contains_key(id)).collect::<Vec<_>>();
    all.into_iter()
        .map(|id| MissingBenchmark { id: id.into(), runs: having(id) })
        .filter(|missing| missing.runs.len() < measured.len())
        .collect()
}
