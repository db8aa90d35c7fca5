//! All rows of a comparison in a few numbers, and in a few lines.

use std::collections::BTreeSet;

use serde::Serialize;

use super::host_scatter::ScatterSource;
use super::note::NoteKind;
use super::{Comparison, ComparisonRow};
use crate::record::{BenchmarkLine, Outcome, Run};
use crate::stats::{Verdict, median, quantiles};
use crate::terms::Doubt;

/// All rows of a comparison in a few numbers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overview {
    /// How many rows there are.
    pub rows: usize,
    /// How many differ beyond doubt.
    pub beyond_doubt: usize,
    /// How many differ by their own interval, and not beyond doubt: some do by chance.
    pub suspected: usize,
    /// How many are equal.
    pub equal: usize,
    /// How many are inconclusive, by reason; the sum is that of all.
    pub inconclusive: Vec<Inconclusive>,
    /// The least effect, as a share, that would have been found beyond doubt in half of the rows that were judged.
    pub detectable: Option<f64>,
    /// Each run.
    pub runs: Vec<RunOverview>,
}

/// Rows that are inconclusive for one reason.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inconclusive {
    /// The letter of the note that says why; `None` where the interval supports neither.
    pub mark: Option<char>,
    /// How many rows.
    pub rows: usize,
}

/// A run in a comparison.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RunOverview {
    /// Its name.
    pub name: String,
    /// Rounds of benchmarks that were measured.
    pub rounds: usize,
    /// Those of them that were disturbed.
    pub disturbed: usize,
    /// The median ratio to the first run, and the quartiles below and above it; `None` for the first run.
    pub ratios: Option<[f64; 3]>,
    /// The scatter between it and the first run, as a share, of half of the rows.
    pub scatter: Option<f64>,
    /// From what it is known; of several sources the weakest.
    pub scatter_source: Option<ScatterSource>,
}

impl Overview {
    pub(super) fn new(names: &[String], runs: &[(String, Run)], rows: &[ComparisonRow]) -> Self {
        let count = |of: &dyn Fn(&ComparisonRow) -> bool| rows.iter().filter(|row| of(row)).count();
        let reason = |row: &ComparisonRow| row.notes.iter().map(|note| note.kind).find(|kind| kind.withholds());
        let open = |row: &ComparisonRow| row.verdict == Verdict::NoVerdict;
        let reasons = NoteKind::ALL.into_iter().filter(|kind| kind.withholds()).map(Some).chain([None]);
        let inconclusive = reasons.map(|kind| Inconclusive {
            mark: kind.map(NoteKind::letter),
            rows: count(&|row| open(row) && reason(row) == kind),
        });
        let detectable: Vec<f64> = rows.iter().filter_map(|row| Some(row.detectable?.min(f64::MAX))).collect();
        Self {
            rows: rows.len(),
            beyond_doubt: count(&|row| row.beyond_doubt),
            suspected: count(&is_suspected),
            equal: count(&|row| row.verdict == Verdict::Equivalent),
            inconclusive: inconclusive.filter(|inconclusive| inconclusive.rows > 0).collect(),
            detectable: median(&detectable),
            runs: names
                .iter()
                .zip(runs)
                .enumerate()
                .map(|(index, (name, (_, run)))| of_run(index, name, run, rows))
                .collect(),
        }
    }

    /// How many rows are inconclusive.
    pub fn all_inconclusive(&self) -> usize {
        self.inconclusive.iter().map(|inconclusive| inconclusive.rows).sum()
    }
}

/// Whether the row's own interval shows a difference, and all rows together do not.
pub(super) fn is_suspected(row: &ComparisonRow) -> bool {
    matches!(row.verdict, Verdict::Faster | Verdict::Slower) && !row.beyond_doubt
}

fn of_run(index: usize, name: &str, run: &Run, rows: &[ComparisonRow]) -> RunOverview {
    let compared: BTreeSet<&str> = rows
        .iter()
        .flat_map(|row| {
            if index == 0 { [Some(row.id.as_str()), None] } else { [Some(row.id.as_str()), row.other_id.as_deref()] }
        })
        .flatten()
        .collect();
    let measured: Vec<&BenchmarkLine> = run
        .benchmarks
        .iter()
        .filter(|line| matches!(line.outcome, Outcome::Measured(_)) && compared.contains(line.id.as_str()))
        .collect();
    let own: Vec<&ComparisonRow> = rows.iter().filter(|row| row.run == index).collect();
    let ratios: Vec<f64> = own.iter().map(|row| row.ratio.interval.estimate).collect();
    let quartiles = quantiles(&ratios, &[0.25, 0.5, 0.75]).map(|all| [all[0], all[1], all[2]]);
    RunOverview {
        name: name.into(),
        rounds: measured.len(),
        disturbed: super::side::disturbed(&measured),
        ratios: quartiles,
        scatter: median(&own.iter().filter_map(|row| row.scatter).collect::<Vec<_>>()),
        scatter_source: own.iter().map(|row| row.scatter_source).max(),
    }
}

/// How many benchmarks are named where the rest is counted only.
const NAMED: usize = 5;

/// The overview as people read it: what stands between the header and the rows.
pub(super) fn lines(comparison: &Comparison, letter: impl Fn(usize) -> String) -> Vec<String> {
    let overview = &comparison.overview;
    let mut lines = vec![told_apart(comparison)];
    lines.extend(suspected(comparison));
    for (index, run) in overview.runs.iter().enumerate() {
        if let Some([low, middle, high]) = run.ratios {
            let of = format!("{} / {}", letter(index), letter(0));
            lines.push(format!("ratios {of}: median {middle:.3}, half of them from {low:.3} to {high:.3}"));
        }
    }
    let share = |run: &super::RunOverview| 100.0 * run.disturbed as f64 / run.rounds.max(1) as f64;
    let disturbed = overview.runs.iter().enumerate();
    let disturbed: Vec<String> =
        disturbed.map(|(index, run)| format!("{:.0} % of {}'s", share(run), letter(index))).collect();
    lines.push(format!("{} rounds: {}", Doubt::Disturbed.word(), disturbed.join(", ")));
    lines.extend(scatter(comparison, &letter));
    if let Some(detectable) = overview.detectable {
        lines.push(format!(
            "in half of the benchmarks, a difference of {} would have been found beyond doubt (in 4 of 5 such \
             comparisons)",
            effect(detectable)
        ));
    }
    lines.extend(inconclusive(comparison));
    lines.extend(advice(comparison).into_iter().map(|advice| format!("what to do: {advice}")));
    lines
}

/// `12 %`, or that it would have to be huge.
pub(super) fn effect(share: f64) -> String {
    if share > 10.0 {
        "more than 10 times".into()
    } else {
        format!("{:.*} %", usize::from(share < 0.0995), share * 100.0)
    }
}

fn told_apart(comparison: &Comparison) -> String {
    let overview = &comparison.overview;
    let all = overview.rows;
    let differ: Vec<String> = comparison.rows.iter().filter(|row| row.beyond_doubt).map(named).collect();
    match differ.len() {
        0 => format!("beyond doubt, none of {all} differs"),
        some => format!("beyond doubt, {some} of {all} differ: {}", first_of(&differ)),
    }
}

fn named(row: &ComparisonRow) -> String {
    let word = super::format::word(row.verdict, row.measures);
    format!("{} {word} ({:.3})", row.id, row.ratio.interval.estimate)
}

fn first_of(names: &[String]) -> String {
    let more = names.len().saturating_sub(NAMED);
    let named = names[..names.len() - more].join(", ");
    if more > 0 { format!("{named} and {more} more") } else { named }
}

fn suspected(comparison: &Comparison) -> Option<String> {
    let suspected: Vec<String> = comparison.rows.iter().filter(|row| is_suspected(row)).map(named).collect();
    if suspected.is_empty() {
        return None;
    }
    let judged = comparison.rows.iter().filter(|row| row.contrast.is_some()).count();
    let chance = if judged >= 10 {
        format!(" (of {judged} intervals at 95 %, {} exclude the true value by chance)", (judged as f64 / 20.0).round())
    } else {
        String::new()
    };
    Some(format!("perhaps {}{chance}: {}", suspected.len(), first_of(&suspected)))
}

fn scatter(comparison: &Comparison, letter: &impl Fn(usize) -> String) -> Vec<String> {
    let of = |(index, run): (usize, &RunOverview)| {
        let (share, source) = (run.scatter?, run.scatter_source?);
        let from = match source {
            ScatterSource::SideBySide => return None,
            ScatterSource::Replicates => "from several runs of one program on the host",
            ScatterSource::Stored => "from runs of one program on the host that were compared before",
            ScatterSource::AllRatios => "from all ratios together, since few benchmarks can really differ",
            ScatterSource::Assumed => "ASSUMED: nothing is known of the host but these runs",
        };
        let runs =
            if comparison.runs.len() > 2 { format!(" {} and {}", letter(0), letter(index)) } else { String::new() };
        Some(format!("scatter between runs{runs}, in the intervals: {:.1} %, {from}", share * 100.0))
    };
    comparison.overview.runs.iter().enumerate().filter_map(of).collect()
}

fn inconclusive(comparison: &Comparison) -> Option<String> {
    let overview = &comparison.overview;
    if overview.inconclusive.is_empty() {
        return None;
    }
    let reasons = overview.inconclusive.iter().map(|reason| match reason.mark {
        Some(mark) => format!("{} {mark}", reason.rows),
        None => format!("{} by their interval", reason.rows),
    });
    Some(format!(
        "{}: {} of {}: {}",
        Doubt::Inconclusive.word(),
        overview.all_inconclusive(),
        overview.rows,
        reasons.collect::<Vec<_>>().join(", ")
    ))
}

/// What would settle what is open.
fn advice(comparison: &Comparison) -> Vec<String> {
    let overview = &comparison.overview;
    let has = |kind: NoteKind| overview.inconclusive.iter().any(|reason| reason.mark == Some(kind.letter()));
    let mut advice: Vec<String> = Vec::new();
    if has(NoteKind::NeverQuiet) {
        advice.push("measure again while nothing else runs; --strict repeats disturbed rounds".into());
    }
    if has(NoteKind::OtherSpeed) || has(NoteKind::NeverBothQuiet) {
        advice.push("compare --paired alternates between both sides, so that what slows the CPU slows both".into());
    }
    if has(NoteKind::OneRound) {
        advice.push("more rounds: --rounds 5".into());
    }
    if overview.suspected > 0 && !comparison.paired {
        advice.push("--fail-on-regression 5% --confirm measures what may be slower again, alternating".into());
    }
    let weak = |run: &RunOverview| run.scatter_source >= Some(ScatterSource::AllRatios);
    let undecided = overview.inconclusive.iter().any(|reason| reason.mark.is_none());
    if undecided && overview.runs.iter().any(weak) {
        advice.push("compare with --scatter RUN… (three runs of one program on this host or more), or --paired".into());
    } else if undecided && comparison.paired {
        advice.push("more rounds: --rounds 20, or --until 1%".into());
    }
    advice
}
