//! The contents of a report and their order, the same for the page and for Markdown.

use super::charts::{
    ChartInput, added_up, costs, decomposition, latencies, old_chart, over_time, p99_curves, pace, pairs, pipelines,
    ratios, recovery, requests, scaling, scatter, side_by_side, submission, switches, threads_and_async,
};
use super::figure::Figure;
use super::missing::{Gap, Problem, differences, failures, gaps};
use super::run_view::{BenchmarkView, Catalogue, RunView, groups};
use super::{host, text};
use crate::compare::{Comparison, Matching, compare};
use crate::record::{BenchmarkLine, Outcome, Run};
use crate::terms::Shortfall;
use crate::terms::noise::warnings;

/// A whole report.
#[derive(Debug)]
pub(super) struct Report<'a> {
    /// The runs.
    pub(super) views: Vec<RunView<'a>>,
    /// What groups and mechanisms are about.
    pub(super) catalogue: &'a Catalogue,
    /// One for each group.
    pub(super) sections: Vec<Section>,
    /// How fast the CPUs were meanwhile, of several runs.
    pub(super) pace: Option<Figure>,
}

/// Differences that do not matter, as `switchcost compare` takes them unless told otherwise: 1 %.
const SMALLEST_EFFECT: f64 = 0.01;

/// Runs up to which each has figures, ratios and tables of its own on the page: those of more would bury what is asked
/// of many, how the hosts compare.
const FEW: usize = 3;

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

impl<'a> Report<'a> {
    /// Sorts out `runs`.
    pub(super) fn new(runs: &'a [Run], catalogue: &'a Catalogue) -> Self {
        let several = runs.len() > 1;
        let name = |index: usize| if several { letter(index) } else { String::new() };
        let views: Vec<RunView> = runs.iter().enumerate().map(|(index, run)| RunView::new(name(index), run)).collect();
        let comparison = (several && views.len() <= FEW).then(|| compared(&views));
        let section = |group: String| Section {
            question: catalogue.question(&group).into(),
            figures: figures(&group, &views, comparison.as_ref()),
            group,
        };
        let sections = groups(&views, catalogue).into_iter().map(section).collect();
        let pace = if several && views.len() <= FEW { pace(&views) } else { None };
        Self { sections, pace, views, catalogue }
    }

    /// Whether there are so many runs that each is a line of a table, and its own tables are folded.
    pub(super) fn has_many(&self) -> bool {
        self.views.len() > FEW
    }

    /// What the report is about, in a line.
    pub(super) fn title(&self) -> String {
        match self.views.as_slice() {
            [only] => match only.run.hosts.first() {
                Some(host) => host::short(&host.host),
                None => "a machine that the record does not describe".into(),
            },
            several => format!("{} runs side by side", several.len()),
        }
    }

    /// How many benchmarks rest on one round, and how many there are; without pairs of CPUs, which are measured once.
    pub(super) fn single_rounds(&self) -> (usize, usize) {
        let benchmarks = || self.views.iter().flat_map(|view| view.in_placements());
        (benchmarks().filter(|benchmark| benchmark.summary.rests_on_one_round()).count(), benchmarks().count())
    }

    /// The warning that goes with single rounds, where there are any.
    pub(super) fn single_rounds_warning(&self) -> Option<String> {
        let what = match self.single_rounds() {
            (0, _) => return None,
            (single, all) if single == all => "Every benchmark rests on one round".into(),
            (1, all) => format!("1 of {all} benchmarks rests on one round"),
            (single, all) => format!("{single} of {all} benchmarks rest on one round"),
        };
        Some(format!(
            "{what}: its interval holds for that process only, and does not include the scatter between \
                      processes."
        ))
    }

    /// What would tell how far processes differ: a command and what it does. Where one of several rounds counts, asking
    /// for five would be no help.
    pub(super) fn single_rounds_remedy(&self) -> (&'static str, &'static str) {
        let mut benchmarks = self.views.iter().flat_map(|view| view.in_placements());
        if benchmarks.any(|benchmark| benchmark.summary.rests_on_one_round() && benchmark.summary.rounds > 1) {
            return ("switchcost run --strict", "repeats rounds in which the CPU was slow; more rounds help as well.");
        }
        ("switchcost run --rounds 5", "measures that.")
    }

    /// All figures.
    pub(super) fn figures(&self) -> impl Iterator<Item = &Figure> {
        let of_groups = self.sections.iter().flat_map(|section| section.figures.iter().map(|(figure, _)| figure));
        of_groups.chain(&self.pace)
    }

    /// The machines and the days, in a line, for the foot of a picture.
    pub(super) fn source(&self) -> String {
        let described = |view: &RunView| {
            let name = if view.name.is_empty() { String::new() } else { format!("{}: ", view.name) };
            format!("{name}{}", view.described())
        };
        self.views.iter().map(described).collect::<Vec<_>>().join("; ")
    }
}

impl RunView<'_> {
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
    pub(super) fn failures(&self) -> Vec<Problem> {
        failures(self)
    }

    /// What audits found otherwise than descriptors say.
    pub(super) fn differences(&self) -> Vec<Problem> {
        differences(self)
    }

    /// What makes the machine noisy, as found when the run began.
    pub(super) fn warnings(&self) -> Vec<Shortfall> {
        self.run.hosts.first().map(|host| warnings(&host.host, &host.moment)).unwrap_or_default()
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
        self.in_placements().filter(|benchmark| benchmark.summary.audit.split(' ').next() == Some(verdict)).count()
    }

    /// How many benchmarks were measured without an audit, by `--no-audit`.
    pub(super) fn not_audited(&self) -> usize {
        let asked_for = |benchmark: &&BenchmarkView| benchmark.rounds.iter().any(|round| round.audit.was_made());
        self.in_placements().filter(|benchmark| !asked_for(benchmark)).count()
    }

    /// Processor, kernel and the time of the run.
    pub(super) fn described(&self) -> String {
        match self.run.hosts.first() {
            Some(host) => format!("{}, {}", host::short(&host.host), host::when(host.started_ms)),
            None => "a machine that the record does not describe".into(),
        }
    }
}

/// Every run against the first, as `switchcost compare` does it.
fn compared(views: &[RunView]) -> Comparison {
    let runs: Vec<(String, Run)> = views.iter().map(|view| (view.name.clone(), view.run.clone())).collect();
    compare(&runs, &matching(views), SMALLEST_EFFECT)
}

/// Two runs whose rounds were measured in turns are sides of one comparison: where no id is in both, the benchmarks of
/// one mechanism and placement belong together, or those of one mechanism alone.
fn matching(views: &[RunView]) -> Matching {
    let [a, b] = views else { return Matching::Ids };
    let alternated = |view: &RunView| view.run.benchmarks.iter().any(|line| line.was_interleaved());
    if !alternated(a) || !alternated(b) {
        return Matching::Ids;
    }
    let partner = |benchmark: &BenchmarkView| -> Option<(String, String)> {
        let others = || b.benchmarks.iter().map(BenchmarkView::line);
        let line = benchmark.line();
        let same_id = others().find(|other| other.id == line.id);
        let alike = |other: &&BenchmarkLine| other.mechanism == line.mechanism;
        let placed = |other: &&BenchmarkLine| alike(other) && other.setting.placement == line.setting.placement;
        let only =
            |found: Vec<&BenchmarkLine>| if let [only] = found.as_slice() { Some(only.id.clone()) } else { None };
        let other = same_id.map(|other| other.id.clone());
        let other = other.or_else(|| only(others().filter(placed).collect()));
        Some((line.id.clone(), other.or_else(|| only(others().filter(alike).collect()))?))
    };
    Matching::Pairs(a.benchmarks.iter().filter_map(partner).collect())
}

fn figures(group: &str, views: &[RunView], comparison: Option<&Comparison>) -> Vec<(Figure, Vec<String>)> {
    let mut figures = Vec::new();
    let several = views.len() > 1;
    if several {
        let mut commands: Vec<String> = views.iter().flat_map(|view| view.commands_of(group)).collect();
        commands.dedup();
        if let Some(comparison) = comparison.filter(|_| views.len() <= FEW) {
            let ratios = (1..views.len()).filter_map(|index| ratios(group, views, index, comparison));
            figures.extend(ratios.map(|figure| (figure, commands.clone())));
        }
        figures.extend(side_by_side(group, views).map(|figure| (figure, commands.clone())));
        figures.extend(over_time(group, views).into_iter().map(|figure| (figure, commands.clone())));
    }
    if views.len() > FEW {
        return figures;
    }
    for view in views {
        let benchmarks: Vec<&BenchmarkView> = view.of_group(group);
        let run = several.then_some(view.name.as_str());
        let input = ChartInput { group, benchmarks: &benchmarks, run };
        // Side by side shows the same dots.
        let costs = if several { None } else { costs(input) };
        let switches = switches(input);
        // Of pipelines these show a curve for each capacity and work in one picture, and their latencies.
        let pipelines = pipelines(input);
        let has_own_curves = !pipelines.is_empty();
        let unless_own =
            |figures: fn(ChartInput) -> Vec<Figure>| if has_own_curves { Vec::new() } else { figures(input) };
        // The same curves before the subtraction would hide what is left of them after it.
        let scaling = if switches.is_empty() { unless_own(scaling) } else { Vec::new() };
        let slide = if group == "brigade" { threads_and_async(input) } else { None };
        if group == "handoff" {
            let title = input.title("What a handoff between CPUs is made of");
            let figure = added_up(view, &title, input.anchor("parts-between-cpus"));
            figures.extend(figure.map(|figure| (figure, view.commands_of_benchmarks())));
        }
        let of_run = slide
            .into_iter()
            .chain(costs)
            .chain(pipelines)
            .chain(decomposition(input))
            .chain(unless_own(latencies))
            .chain(switches)
            .chain(submission(input))
            .chain(scaling)
            .chain(requests(input))
            .chain(old_chart(input))
            .chain(unless_own(p99_curves))
            .chain(recovery(input))
            .chain(scatter(input));
        figures.extend(of_run.map(|figure| (figure, view.commands_of(group))));
        let maps = pairs(ChartInput { benchmarks: &view.pairs_of(group), ..input });
        figures.extend(maps.into_iter().map(|figure| (figure, view.commands_of_maps())));
    }
    figures
}

/// `A` to `Z`, then `A2` and so on.
fn letter(index: usize) -> String {
    let letter = char::from(b'A' + (index % 26) as u8);
    if index < 26 { letter.into() } else { format!("{letter}{}", index / 26 + 1) }
}
