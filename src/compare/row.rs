//! One row: a benchmark of two runs, what its ratio is, and what keeps it from being judged.

use crate::record::{BenchmarkLine, Measured};
use crate::stats::{
    Basis, CONFIDENCE, Contrast, Estimate, Ratio, RoundValues, Scatter, Verdict, interleaved_ratio, pair_ratios,
    probes_differ, ratio_interval, run_ratio_interval, unscreened,
};
use crate::terms::Doubt;

use super::host_scatter::ScatterSource;
use super::note::{Note, NoteKind, letters};
use super::side::{both_screened, disturbed, figure, measured, notes, probe_of_what_counts, probed_values};
use super::{ComparisonRow, RowRounds, SEED};

/// A ratio that differs by more than this from the quotient of the two figures gets a note that says why: 1 %.
const NOTEWORTHY: f64 = 0.01;

/// A row whose ratio is known and whose scatter between runs is not.
pub(super) struct Draft<'a> {
    run: usize,
    first: Vec<&'a BenchmarkLine>,
    other: Vec<&'a BenchmarkLine>,
    ratio: DraftRatio,
    notes: Vec<Note>,
}

enum DraftRatio {
    /// Rounds of two runs, first and other.
    BetweenRuns(RoundValues, RoundValues),
    /// Samples taken next to each other.
    BySamples(Ratio, Option<Contrast>),
    /// Rounds that were measured one after the other.
    ByRounds(Ratio, Option<Contrast>),
}

impl<'a> Draft<'a> {
    /// `None` when the samples allow no figure: a broken record is no fast benchmark.
    pub(super) fn new(
        first: &[&'a BenchmarkLine],
        other: &[&'a BenchmarkLine],
        run: usize,
        paired: bool,
    ) -> Option<Self> {
        let (first, other) = if paired { in_step(first, other) } else { (first.to_vec(), other.to_vec()) };
        figure(&first).zip(figure(&other))?;
        let mut kept_notes = Vec::new();
        let interleaved = paired && first.iter().chain(&other).all(|line| line.was_interleaved());
        let by_neighbours = || interleaved_ratio(&probed_values(&other), &probed_values(&first), CONFIDENCE, SEED);
        let ratio = match interleaved.then(by_neighbours).flatten() {
            Some(Estimate { interval, basis, .. }) => {
                let rounds = pair_ratios(&probed_values(&other), &probed_values(&first))?.kept();
                DraftRatio::BySamples(Ratio { interval, basis }, Contrast::of_pairs(&rounds))
            }
            None => {
                let screened = both_screened(&first, &other, paired);
                if screened.is_none() {
                    let text = format!(
                        "in no round was the CPU of both sides ever at its best: {}; more rounds, or longer ones",
                        Doubt::Inconclusive.word()
                    );
                    kept_notes.push(Note::new(NoteKind::NeverBothQuiet, text));
                }
                // Better than no row, as long as nothing follows from it.
                let all = || (unscreened(&probed_values(&first)), unscreened(&probed_values(&other)));
                let (a, b) = screened.unwrap_or_else(all);
                if paired {
                    let ratios: Vec<Vec<f64>> = b.iter().zip(&a).filter_map(|(b, a)| quotient(b, a)).collect();
                    let ratio = ratio_interval(&b, &a, true, CONFIDENCE, SEED)?;
                    DraftRatio::ByRounds(ratio, Contrast::of_pairs(&ratios))
                } else {
                    DraftRatio::BetweenRuns(a, b)
                }
            }
        };
        let mut draft = Self { run, first, other, ratio, notes: Vec::new() };
        draft.notes = draft.all_notes(paired);
        draft.notes.extend(kept_notes);
        Some(draft)
    }

    fn all_notes(&self, paired: bool) -> Vec<Note> {
        let mut all = Vec::new();
        let word = Doubt::Inconclusive.word();
        let sides = [("first", &self.first), ("other", &self.other)];
        for (name, lines) in sides {
            all.extend(notes(lines, name));
            if Measured::are_void(&measured(lines).collect::<Vec<_>>()) {
                let text = format!("the {name} is {}: the generator of the requests was late", Doubt::Invalid.word());
                all.push(Note::new(NoteKind::Invalid, text));
            }
            // What is measured side by side is disturbed on both sides alike.
            if !paired && !lines.is_empty() && disturbed(lines) == lines.len() {
                let text = format!("the {name}: every round was {}: {word}", Doubt::Disturbed.word());
                all.push(Note::new(NoteKind::NeverQuiet, text));
            }
        }
        if let Some(times) = self.slower_cpu().filter(|_| !paired) {
            let (what, share) = if times > 1.0 { ("other's", times - 1.0) } else { ("first's", 1.0 / times - 1.0) };
            let text = format!(
                "the {what} CPU was {:.0} % slower even at its best: {word}; --paired measures both in one go",
                share * 100.0
            );
            all.push(Note::new(NoteKind::OtherSpeed, text));
        }
        all
    }

    /// The time of the other side's speed probes over that of the first, of the samples that count, where both ran on
    /// the same CPUs and their speeds differed.
    fn slower_cpu(&self) -> Option<f64> {
        let (a, b) = (self.first.first()?, self.other.first()?);
        if a.host_id != b.host_id || a.setting.cpus != b.setting.cpus {
            return None;
        }
        let (a, b) = (probe_of_what_counts(&self.first)?, probe_of_what_counts(&self.other)?);
        probes_differ(a, b).then_some(b / a)
    }

    /// The logarithm of the ratio and its squared error within the runs, where the row can be judged.
    pub(super) fn within(&self) -> Option<(f64, f64)> {
        let DraftRatio::BetweenRuns(a, b) = &self.ratio else { return None };
        if self.notes.iter().any(|note| note.kind.withholds()) {
            return None;
        }
        let contrast = Contrast::between_runs(b, a, Scatter::NONE)?;
        Some((contrast.log, contrast.error.powi(2)))
    }

    pub(super) fn run(&self) -> usize {
        self.run
    }

    /// The hosts of both sides.
    pub(super) fn hosts(&self) -> [&'a str; 2] {
        [&self.first, &self.other].map(|lines| lines.first().map_or("", |line| line.host_id.as_str()))
    }

    pub(super) fn id(&self) -> &'a str {
        self.first.first().map_or("", |line| line.id.as_str())
    }

    /// The row, when runs scatter by `between`.
    pub(super) fn row(self, between: (Scatter, ScatterSource), smallest_effect: f64) -> Option<ComparisonRow> {
        let (mut notes, mut scatter) = (self.notes, (None, ScatterSource::SideBySide));
        let (ratio, contrast, of) = match self.ratio {
            DraftRatio::BetweenRuns(a, b) => {
                scatter = (Some(between.0.deviation()), between.1);
                let contrast = Contrast::between_runs(&b, &a, between.0);
                (run_ratio_interval(&b, &a, between.0, CONFIDENCE, SEED)?, contrast, "every round to every round")
            }
            DraftRatio::BySamples(ratio, contrast) => (ratio, contrast, "samples taken next to each other"),
            DraftRatio::ByRounds(ratio, contrast) => (ratio, contrast, "each pair of rounds"),
        };
        if ratio.basis == Basis::WithinRunOnly {
            let measured = self.first.len().min(self.other.len());
            let why = if measured > 1 { "counts, because the CPU was slow in the others" } else { "on a side" };
            let text =
                format!("one round {why}: {}, because the next process might reverse it", Doubt::Inconclusive.word());
            notes.push(Note::new(NoteKind::OneRound, text));
        }
        let withheld = notes.iter().any(|note| note.kind.withholds());
        let (first, other) = (figure(&self.first)?, figure(&self.other)?);
        let quotient = other.interval.estimate / first.interval.estimate;
        if (quotient / ratio.interval.estimate).ln().abs() > NOTEWORTHY {
            let text = format!(
                "the ratio is the median of those of {of}, not the quotient of the two figures ({quotient:.3})"
            );
            notes.push(Note::new(NoteKind::NotTheQuotient, text));
        }
        notes.sort_by_key(|note| note.kind);
        let (of_first, of_other) = (self.first.first()?, self.other.first()?);
        let rounds = |lines: &[&BenchmarkLine]| RowRounds { measured: lines.len(), disturbed: disturbed(lines) };
        Some(ComparisonRow {
            other_id: (of_other.id != of_first.id).then(|| of_other.id.clone()),
            id: of_first.id.clone(),
            unit: of_first.unit.name(),
            measures: of_first.measures,
            run: self.run,
            first,
            other,
            ratio,
            verdict: if withheld { Verdict::NoVerdict } else { Verdict::of(&ratio, smallest_effect) },
            withheld,
            beyond_doubt: false,
            probability: None,
            detectable: None,
            contrast: contrast.filter(|_| !withheld),
            scatter: scatter.0,
            scatter_source: scatter.1,
            rounds: [rounds(&self.first), rounds(&self.other)],
            marks: letters(&notes),
            notes,
        })
    }
}

fn quotient(b: &[f64], a: &[f64]) -> Option<Vec<f64>> {
    Some(vec![crate::stats::median(b)? / crate::stats::median(a)?])
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
