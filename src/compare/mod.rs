//! Compares runs: for each benchmark the ratio to the first run's figure, and above the ratios what differs between the
//! machines and the builds. Pure functions over records and statistics.

mod difference;
mod format;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use crate::record::{BenchmarkLine, Measured, Outcome, Run};
use crate::stats::{
    Basis, CONFIDENCE, Estimate, ProbedValue, Ratio, RoundValues, Screening, Verdict, fastest_probe, interleaved_ratio,
    median, modes, probes_differ, ratio_interval, rounds_interval, screen, screen_pairs, unscreened,
};
use crate::units::{Quantity, some_were};

use difference::differing_cpus;
pub use difference::{Difference, differences};
pub use format::{bencher, csv, json, markdown, table};

/// The seed for resampling single rounds. Any value would do; a constant one makes results repeat.
const SEED: u64 = 0x5343;

/// A ratio that differs by more than this from the quotient of the two figures gets a note that says why: 1 %.
const NOTEWORTHY: f64 = 0.01;

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
    /// What may be said of the ratio.
    pub verdict: Verdict,
    /// Whether there is no verdict although the interval may allow one; a note says why.
    pub withheld: bool,
    /// What a reader must know about the ratio.
    pub notes: Vec<String>,
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
    /// The difference that was declared to matter.
    pub smallest_effect: f64,
    /// What differs between machines, builds and the CPUs that were used.
    pub differences: Vec<Difference>,
    /// The greatest effect first.
    pub rows: Vec<ComparisonRow>,
    /// What could not be compared.
    pub missing: Vec<MissingBenchmark>,
}

impl Comparison {
    /// The rows that are slower than the first run's by more than `share`, with the whole interval.
    pub fn regressions(&self, share: f64) -> impl Iterator<Item = &ComparisonRow> {
        let slower = move |row: &&ComparisonRow| Verdict::of(&row.ratio, share) == Verdict::Slower;
        self.rows.iter().filter(|row| !row.withheld).filter(slower)
    }
}

/// Compares every run with the first. `runs` are names and records.
pub fn compare(runs: &[(String, Run)], matching: &Matching, smallest_effect: f64) -> Comparison {
    let measured: Vec<BTreeMap<&str, Vec<&BenchmarkLine>>> = runs.iter().map(|(_, run)| by_id(run)).collect();
    let mut rows = Vec::new();
    let mut missing = Vec::new();
    if let Some((first, others)) = measured.split_first() {
        for (index, other) in others.iter().enumerate() {
            for (id, other_id) in pairs(first, other, matching) {
                let paired = matches!(matching, Matching::Pairs(_));
                rows.extend(row(&first[id], &other[other_id], index + 1, paired, smallest_effect));
            }
        }
        if *matching == Matching::Ids {
            missing = lacking(&measured);
        }
    }
    rows.sort_by(|a, b| effect(b).total_cmp(&effect(a)).then_with(|| (&a.id, a.run).cmp(&(&b.id, b.run))));
    let hosts_differ = differences(&runs.iter().filter_map(|(_, run)| run.hosts.first()).collect::<Vec<_>>());
    Comparison {
        runs: runs.iter().map(|(name, _)| name.clone()).collect(),
        smallest_effect,
        differences: hosts_differ.into_iter().chain(differing_cpus(runs)).collect(),
        rows,
        missing,
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

/// `None` when the samples allow no figure: a broken record is no fast benchmark.
fn row(
    first: &[&BenchmarkLine],
    other: &[&BenchmarkLine],
    run: usize,
    paired: bool,
    smallest_effect: f64,
) -> Option<ComparisonRow> {
    let (first, other) = if paired { in_step(first, other) } else { (first.to_vec(), other.to_vec()) };
    let interleaved = paired && first.iter().chain(&other).all(|line| line.was_interleaved());
    let by_neighbours = || interleaved_ratio(&probed_values(&other), &probed_values(&first), CONFIDENCE, SEED);
    let (ratio, of, unquiet) = match interleaved.then(by_neighbours).flatten() {
        Some(Estimate { interval, basis, .. }) => {
            (Ratio { interval, basis }, "samples taken next to each other", false)
        }
        None => {
            let screened = both_screened(&first, &other, paired);
            let unquiet = screened.is_none();
            // Better than no row, as long as nothing follows from it.
            let (a, b) =
                screened.unwrap_or_else(|| (unscreened(&probed_values(&first)), unscreened(&probed_values(&other))));
            let of = if paired { "each pair of rounds" } else { "every round to every round" };
            (ratio_interval(&b, &a, paired, CONFIDENCE, SEED)?, of, unquiet)
        }
    };
    let mut notes = Vec::new();
    for (name, lines) in [("first", &first), ("other", &other)] {
        notes.extend(warnings(lines).into_iter().map(|warning| format!("the {name}: {warning}")));
    }
    let slower_cpu = if paired { None } else { slower_cpu(&first, &other) };
    let void = [&first, &other].into_iter().any(|side| Measured::are_void(&measured(side).collect::<Vec<_>>()));
    if void {
        notes.push("void: the generator of the requests was late".into());
    }
    if unquiet {
        notes.push(
            "in no round was the CPU of both sides ever at its best: no verdict; more rounds, or longer ones".into(),
        );
    }
    if let Some(times) = slower_cpu {
        let (what, share) = if times > 1.0 { ("other's", times - 1.0) } else { ("first's", 1.0 / times - 1.0) };
        notes.push(format!(
            "the {what} CPU was {:.0} % slower even at its best: no verdict; --paired measures both in one go",
            share * 100.0
        ));
    }
    if ratio.basis == Basis::WithinRunOnly {
        let measured = first.len().min(other.len());
        let why = if measured > 1 { "counts, because the CPU was slow in the others" } else { "on a side" };
        notes.push(format!("one round {why}: no verdict, because the next process might reverse it"));
    }
    let withheld = void || unquiet || slower_cpu.is_some();
    let (id, other_id) = (first.first()?.id.clone(), other.first()?.id.clone());
    let (figure_a, figure_b) = (figure(&first)?, figure(&other)?);
    let quotient = figure_b.interval.estimate / figure_a.interval.estimate;
    if (quotient / ratio.interval.estimate).ln().abs() > NOTEWORTHY {
        notes.push(format!(
            "the ratio is the median of those of {of}, not the quotient of the two figures ({quotient:.3})"
        ));
    }
    Some(ComparisonRow {
        other_id: (other_id != id).then_some(other_id),
        id,
        unit: first.first()?.unit.name(),
        measures: first.first()?.measures,
        run,
        first: figure_a,
        other: figure_b,
        ratio,
        verdict: if withheld { Verdict::NoVerdict } else { Verdict::of(&ratio, smallest_effect) },
        withheld,
        notes,
    })
}

/// The time of the other side's fastest probe over that of the first, where both ran on the same CPUs and their highest
/// speeds differed.
fn slower_cpu(first: &[&BenchmarkLine], other: &[&BenchmarkLine]) -> Option<f64> {
    let (a, b) = (first.first()?, other.first()?);
    if a.host_id != b.host_id || a.setting.cpus != b.setting.cpus {
        return None;
    }
    // The shortest repetition of a probe, which does not depend on what ran before.
    let probes =
        |lines: &[&BenchmarkLine]| -> Vec<f64> { measured(lines).flat_map(Measured::shortest_probes).collect() };
    let (a, b) = (fastest_probe(&probes(first))?, fastest_probe(&probes(other))?);
    probes_differ(a, b).then_some(b / a)
}

/// The lines of the rounds that both sides have.
fn in_step<'a>(
    first: &[&'a BenchmarkLine],
    other: &[&'a BenchmarkLine],
) -> (Vec<&'a BenchmarkLine>, Vec<&'a BenchmarkLine>) {
    let partner = |line: &&'a BenchmarkLine| {
        let partner = other.iter().find(|other| other.round == line.round)?;
        Some((*line, *partner))
    };
    first.iter().filter_map(partner).unzip()
}

fn measured<'a>(lines: &'a [&BenchmarkLine]) -> impl Iterator<Item = &'a Measured> {
    lines.iter().filter_map(|line| match &line.outcome {
        Outcome::Measured(measured) => Some(&**measured),
        _ => None,
    })
}

/// The samples of one side that count, by round. A round of which no sample counts is empty.
fn screened(lines: &[&BenchmarkLine]) -> Screening {
    screen(&probed_values(lines))
}

fn probed_values(lines: &[&BenchmarkLine]) -> Vec<Vec<ProbedValue>> {
    let probed_values = |measured: &Measured| measured.probed_values().map(ProbedValue::from).collect();
    measured(lines).map(probed_values).collect()
}

/// The rounds of both sides that have samples which count; `None` where interleaved rounds have too few.
fn both_screened(
    first: &[&BenchmarkLine],
    other: &[&BenchmarkLine],
    side_by_side: bool,
) -> Option<(RoundValues, RoundValues)> {
    if side_by_side {
        return screen_pairs(&probed_values(first), &probed_values(other));
    }
    Some((screened(first).kept(), screened(other).kept()))
}

/// The figure of one benchmark; `None` when its samples allow none.
fn figure(lines: &[&BenchmarkLine]) -> Option<Estimate> {
    rounds_interval(&screened(lines).kept(), CONFIDENCE, SEED)
}

fn warnings(lines: &[&BenchmarkLine]) -> Vec<String> {
    let mut warnings = Vec::new();
    let medians: Vec<f64> = screened(lines).kept().iter().filter_map(|round| median(round)).collect();
    if let Some(modes) = modes(&medians).filter(|modes| modes.count > 1) {
        let centres = modes.centres.iter().zip(&modes.shares);
        let unit = lines.first().map_or("", |line| line.measures.unit());
        let centres = centres.map(|(centre, share)| format!("{centre:.0} {unit} in {:.0} %", share * 100.0));
        let centres = centres.collect::<Vec<_>>().join(", ");
        warnings.push(format!("{} modes ({centres}): the ratio is that of the commoner", modes.count));
    }
    if measured(lines).any(|measured| measured.audit.differences().next().is_some()) {
        warnings.push("its audit differs from what the mechanism says it does".into());
    }
    let disturbed = |line: &&&BenchmarkLine| line.conditions.as_ref().is_some_and(|c| !c.interference.is_empty());
    let disturbed = lines.iter().filter(disturbed).count();
    if disturbed > 0 {
        warnings.push(format!("{} disturbed", some_were(disturbed, lines.len(), "round")));
    }
    warnings
}
