//! One benchmark in one run: what counts of it, and in which state the machine was.

use crate::record::{BenchmarkLine, Measured, Outcome};
use crate::stats::{
    CONFIDENCE, Estimate, ProbedValue, RoundValues, Screening, median, modes, rounds_interval, screen, screen_pairs,
};
use crate::terms::Doubt;
use crate::units::some_were;

use super::SEED;
use super::note::{Note, NoteKind};

/// The lines of one benchmark in one run, by round.
pub(super) type BenchmarkLines<'a> = [&'a BenchmarkLine];

/// The rounds that were measured.
pub(super) fn measured<'a>(lines: &'a BenchmarkLines<'a>) -> impl Iterator<Item = &'a Measured> {
    lines.iter().filter_map(|line| match &line.outcome {
        Outcome::Measured(measured) => Some(&**measured),
        _ => None,
    })
}

/// The samples that count, by round. A round of which no sample counts is empty.
pub(super) fn screened(lines: &BenchmarkLines) -> Screening {
    screen(&probed_values(lines))
}

/// All samples, each with the speed probe beside it.
pub(super) fn probed_values(lines: &BenchmarkLines) -> Vec<Vec<ProbedValue>> {
    let probed_values = |measured: &Measured| measured.probed_values().map(ProbedValue::from).collect();
    measured(lines).map(probed_values).collect()
}

/// The rounds of both sides that have samples which count; `None` where paired rounds have too few.
pub(super) fn both_screened(
    first: &BenchmarkLines,
    other: &BenchmarkLines,
    paired: bool,
) -> Option<(RoundValues, RoundValues)> {
    if paired {
        return screen_pairs(&probed_values(first), &probed_values(other));
    }
    Some((screened(first).kept(), screened(other).kept()))
}

/// The figure of the benchmark; `None` when its samples allow none.
pub(super) fn figure(lines: &BenchmarkLines) -> Option<Estimate> {
    rounds_interval(&screened(lines).kept(), CONFIDENCE, SEED)
}

/// How many rounds were disturbed.
pub(super) fn disturbed(lines: &BenchmarkLines) -> usize {
    let disturbed = |line: &&&BenchmarkLine| line.conditions.as_ref().is_some_and(|c| !c.interference.is_empty());
    lines.iter().filter(disturbed).count()
}

/// The speed of the CPU during the samples that count: the median of the shortest stretches of their probes, which do
/// not depend on what ran before. `None` where a sample has no probe.
pub(super) fn probe_of_what_counts(lines: &BenchmarkLines) -> Option<f64> {
    // Which samples count depends on their longest stretches alone, whatever their values are.
    let probed = |measured: &Measured| -> Option<Vec<ProbedValue>> {
        let of = |sample: &crate::record::Sample| {
            let probe = sample.probe?;
            Some(ProbedValue { value: probe.min.0 as f64, probe: Some(probe.max.0 as f64) })
        };
        measured.samples.iter().map(of).collect()
    };
    let rounds: Option<Vec<Vec<ProbedValue>>> = measured(lines).map(probed).collect();
    median(&screen(&rounds?).rounds.concat())
}

/// What a reader must know of one side, which is called `name`.
pub(super) fn notes(lines: &BenchmarkLines, name: &str) -> Vec<Note> {
    let mut notes = Vec::new();
    let medians: Vec<f64> = screened(lines).kept().iter().filter_map(|round| median(round)).collect();
    if let Some(modes) = modes(&medians).filter(|modes| modes.count > 1) {
        let centres = modes.centres.iter().zip(&modes.shares);
        let unit = lines.first().map_or("", |line| line.measures.unit());
        let centres = centres.map(|(centre, share)| format!("{centre:.0} {unit} in {:.0} %", share * 100.0));
        let centres = centres.collect::<Vec<_>>().join(", ");
        let text = format!("the {name}: {} modes ({centres}): the ratio is that of the commoner", modes.count);
        notes.push(Note::new(NoteKind::Modes, text));
    }
    if measured(lines).any(|measured| measured.audit.differences().next().is_some()) {
        let text = format!("the {name}: its audit differs from what the mechanism says it does");
        notes.push(Note::new(NoteKind::AuditDiffers, text));
    }
    let (disturbed, all, word) = (disturbed(lines), lines.len(), Doubt::Disturbed.word());
    if disturbed > 0 {
        let text = format!("the {name}: {} {word}", some_were(disturbed, all, "round"));
        notes.push(Note::new(NoteKind::Disturbed, text));
    }
    notes
}
