//! The report before it is set: what stands in it and in which order, for the page and for Markdown alike.

use super::figure::Figure;
use super::missing::{Gap, Trouble, differences, failures, gaps};
use super::study::{Bench, Catalogue, Study, groups};
use super::subject::{
    Subject, added_up, costs, decomposition, latencies, pairs, recovery, scaling, scatter, side_by_side, submission,
    switches, tails,
};
use super::{machine, text};
use crate::host::noise::{Warning, warnings};
use crate::record::{Outcome, Run};

/// A whole report.
#[derive(Debug)]
pub(super) struct Outline<'a> {
    /// The runs.
    pub(super) studies: Vec<Study<'a>>,
    /// What groups and mechanisms are about.
    pub(super) catalogue: &'a Catalogue,
    /// One for each group.
    pub(super) sections: Vec<Section>,
}

/// A group.
#[derive(Debug)]
pub(super) struct Section {
    /// Its name.
    pub(super) group: String,
    /// Its question.
    pub(super) question: String,
    /// Its figures, and the commands that each came from.
    pub(super) figures: Vec<(Figure, Vec<String>)>,
}

impl<'a> Outline<'a> {
    /// Sorts out `runs`.
    pub(super) fn new(runs: &'a [Run], catalogue: &'a Catalogue) -> Self {
        let several = runs.len() > 1;
        let name = |index: usize| if several { letter(index) } else { String::new() };
        let studies: Vec<Study> = runs.iter().enumerate().map(|(index, run)| Study::new(name(index), run)).collect();
        let section = |group: String| Section {
            question: catalogue.question(&group).into(),
            figures: figures(&group, &studies),
            group,
        };
        let sections = groups(&studies, catalogue).into_iter().map(section).collect();
        Self { sections, studies, catalogue }
    }

    /// What the report is about, in a line.
    pub(super) fn title(&self) -> String {
        match self.studies.as_slice() {
            [only] => match only.run.machines.first() {
                Some(machine) => machine::short(&machine.host),
                None => "a machine that the record does not describe".into(),
            },
            several => format!("{} runs side by side", several.len()),
        }
    }

    /// How many benchmarks rest on one round, and how many there are; without pairs of CPUs, which are measured once.
    pub(super) fn single_rounds(&self) -> (usize, usize) {
        let benches = || self.studies.iter().flat_map(|study| study.in_placements());
        (benches().filter(|bench| bench.summary.rests_on_one_round()).count(), benches().count())
    }

    /// The warning that goes with single rounds, where there are any.
    pub(super) fn single_rounds_warning(&self) -> Option<String> {
        let what = match self.single_rounds() {
            (0, _) => return None,
            (single, all) if single == all => "Every benchmark rests on one round".into(),
            (1, all) => format!("1 of {all} benchmarks rests on one round"),
            (single, all) => format!("{single} of {all} benchmarks rest on one round"),
        };
        Some(format!("{what}: the interval holds within that process only, and leaves out how far processes differ."))
    }

    /// What would tell how far processes differ: a command and what it does. Where one of several rounds counts, asking
    /// for five would be no help.
    pub(super) fn single_rounds_remedy(&self) -> (&'static str, &'static str) {
        let mut benches = self.studies.iter().flat_map(|study| study.in_placements());
        if benches.any(|bench| bench.summary.rests_on_one_round() && bench.summary.rounds > 1) {
            return (
                "switchcost run --strict",
                "tries rounds again in which the CPU was slow; more rounds help as well.",
            );
        }
        ("switchcost run --rounds 5", "measures that.")
    }

    /// All figures.
    pub(super) fn figures(&self) -> impl Iterator<Item = &Figure> {
        self.sections.iter().flat_map(|section| section.figures.iter().map(|(figure, _)| figure))
    }
}

impl Study<'_> {
    /// The run in a few words: ` A` where it has a name.
    pub(super) fn suffix(&self) -> String {
        if self.name.is_empty() { String::new() } else { format!(", run {}", self.name) }
    }

    /// The part of an anchor or a file name that tells this run's from the others'.
    pub(super) fn anchor(&self, kind: &str) -> String {
        if self.name.is_empty() { kind.into() } else { format!("{kind}-{}", text::slug(&self.name)) }
    }

    /// The run's own gaps, failures and audit differences.
    pub(super) fn gaps(&self) -> Vec<Gap> {
        gaps(self)
    }

    /// Benchmarks that should have run and did not.
    pub(super) fn failures(&self) -> Vec<Trouble> {
        failures(self)
    }

    /// What audits found otherwise than descriptors say.
    pub(super) fn differences(&self) -> Vec<Trouble> {
        differences(self)
    }

    /// What makes the machine noisy, as found when the run began.
    pub(super) fn warnings(&self) -> Vec<Warning> {
        self.run.machines.first().map(|machine| warnings(&machine.host, &machine.moment)).unwrap_or_default()
    }

    /// How many benchmarks cannot run on the machine.
    pub(super) fn unsupported(&self) -> usize {
        let mut ids: Vec<&str> = self
            .run
            .benchmarks
            .iter()
            .filter(|line| matches!(line.outcome, Outcome::Unsupported(_)) && line.pair().is_none())
            .map(|line| line.id.as_str())
            .collect();
        ids.sort_unstable();
        ids.dedup();
        ids.len()
    }

    /// How many benchmarks have this verdict of the audit, at whichever attempt.
    pub(super) fn audited(&self, verdict: &str) -> usize {
        self.in_placements().filter(|bench| bench.summary.audit.split(' ').next() == Some(verdict)).count()
    }

    /// How many benchmarks nobody asked an audit for.
    pub(super) fn not_audited(&self) -> usize {
        let asked_for = |bench: &&Bench| bench.rounds.iter().any(|round| round.audit.was_made());
        self.in_placements().filter(|bench| !asked_for(bench)).count()
    }

    /// Processor, kernel and the time of the run.
    pub(super) fn described(&self) -> String {
        match self.run.machines.first() {
            Some(machine) => format!("{}, {}", machine::short(&machine.host), machine::when(machine.started_ms)),
            None => "a machine that the record does not describe".into(),
        }
    }
}

fn figures(group: &str, studies: &[Study]) -> Vec<(Figure, Vec<String>)> {
    let mut figures = Vec::new();
    let several = studies.len() > 1;
    if several {
        let mut commands: Vec<String> = studies.iter().flat_map(|study| study.commands_of(group)).collect();
        commands.dedup();
        figures.extend(side_by_side(group, studies).map(|figure| (figure, commands)));
    }
    for study in studies {
        let benches: Vec<&Bench> = study.of_group(group);
        let run = several.then_some(study.name.as_str());
        let subject = Subject { group, benches: &benches, run };
        // Side by side shows the same dots.
        let costs = if several { None } else { costs(subject) };
        let switches = switches(subject);
        // The same curves before the subtraction would hide what is left of them after it.
        let scaling = if switches.is_empty() { scaling(subject) } else { Vec::new() };
        let of_study = costs
            .into_iter()
            .chain(decomposition(subject))
            .chain(latencies(subject))
            .chain(switches)
            .chain(submission(subject))
            .chain(scaling)
            .chain(tails(subject))
            .chain(recovery(subject))
            .chain(scatter(subject));
        figures.extend(of_study.map(|figure| (figure, study.commands_of(group))));
        let maps = pairs(Subject { benches: &study.pairs_of(group), ..subject });
        figures.extend(maps.into_iter().map(|figure| (figure, study.commands_of_maps())));
        if group == "handoff" {
            let title = subject.title("Where the time of a handoff between CPUs goes");
            let figure = added_up(study, &title, subject.anchor("added-up"));
            figures.extend(figure.map(|figure| (figure, study.commands_of_benchmarks())));
        }
    }
    figures
}

/// `A` to `Z`, then `A2` and so on.
fn letter(index: usize) -> String {
    let letter = char::from(b'A' + (index % 26) as u8);
    if index < 26 { letter.into() } else { format!("{letter}{}", index / 26 + 1) }
}
