//! Views of a run for reports: by group, and by benchmark with all its rounds.

use std::collections::BTreeMap;

use super::pooling::pooled;
use super::summary::{DIFFERS, INVALID, by_id, screened};
use super::text::natural;
use super::{Summary, summarize};
use crate::record::{BenchmarkLine, Measured, Outcome, Run, Sample};
use crate::stats::median;
use crate::terms::{Metric, MetricKey};
use crate::units::Quantity;

/// What a report says about groups and mechanisms, which records name only.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Catalogue {
    /// Names of groups and their questions, in the order in which they are shown.
    pub groups: Vec<(String, String)>,
    /// Ids of mechanisms and what they isolate.
    pub mechanisms: Vec<(String, String)>,
}

impl Catalogue {
    /// The question of a group; its name when it is none of this version's.
    pub(super) fn question<'a>(&'a self, group: &'a str) -> &'a str {
        self.groups.iter().find(|(name, _)| name == group).map_or(group, |(_, question)| question)
    }

    /// What a mechanism isolates.
    pub(super) fn isolates(&self, mechanism: &str) -> Option<&str> {
        self.mechanisms.iter().find(|(id, _)| id == mechanism).map(|(_, isolates)| isolates.as_str())
    }
}

/// A run, sorted out.
#[derive(Debug)]
pub(super) struct RunView<'a> {
    /// `A`, `B` … where there are several.
    pub(super) name: String,
    /// The run.
    pub(super) run: &'a Run,
    /// What was measured, in the order in which it first stands in the record.
    pub(super) benchmarks: Vec<BenchmarkView<'a>>,
}

/// A benchmark that was measured, with all its rounds.
#[derive(Debug)]
pub(super) struct BenchmarkView<'a> {
    /// Its figures.
    pub(super) summary: Summary,
    /// Its rounds.
    pub(super) rounds: Vec<&'a Measured>,
    metrics: Vec<Metric>,
    counting: Vec<Vec<f64>>,
}

impl<'a> RunView<'a> {
    /// Sorts `run` out.
    pub(super) fn new(name: String, run: &'a Run) -> Self {
        let benchmarks = by_id(&run.benchmarks).iter().filter_map(|lines| BenchmarkView::new(lines)).collect();
        Self { name, run, benchmarks }
    }

    /// The benchmarks of a group, baseline first, then by mechanism and placement; without those of chosen pairs of
    /// CPUs, of which there are hundreds.
    pub(super) fn of_group(&self, group: &str) -> Vec<&BenchmarkView<'a>> {
        let mut benchmarks: Vec<&BenchmarkView> = self
            .benchmarks
            .iter()
            .filter(|benchmark| benchmark.group() == group && benchmark.line().pair().is_none())
            .collect();
        benchmarks.sort_by(|a, b| a.order().cmp(&b.order()));
        benchmarks
    }

    /// The benchmarks of a group on chosen pairs of CPUs.
    pub(super) fn pairs_of(&self, group: &str) -> Vec<&BenchmarkView<'a>> {
        self.benchmarks
            .iter()
            .filter(|benchmark| benchmark.group() == group && benchmark.line().pair().is_some())
            .collect()
    }

    /// The benchmarks in placements; those of chosen pairs of CPUs are the cells of a map.
    pub(super) fn in_placements(&self) -> impl Iterator<Item = &BenchmarkView<'a>> {
        self.benchmarks.iter().filter(|benchmark| benchmark.line().pair().is_none())
    }

    /// The most rounds that any benchmark in a placement has.
    pub(super) fn rounds(&self) -> usize {
        self.in_placements().map(|benchmark| benchmark.rounds.len()).max().unwrap_or(0)
    }

    /// The command lines of the processes that wrote the run, each once, as a user would type them.
    pub(super) fn commands(&self) -> Vec<String> {
        let mut commands = Vec::new();
        for host in &self.run.hosts {
            let command = command(&host.argv);
            if !commands.contains(&command) {
                commands.push(command);
            }
        }
        commands
    }

    /// Those of the commands that measured in placements; all where none says that it did.
    pub(super) fn commands_of_benchmarks(&self) -> Vec<String> {
        self.commands_where(|command| !is_matrix(command))
    }

    /// Those of the commands that measured chosen pairs of CPUs; all where none says that it did.
    pub(super) fn commands_of_maps(&self) -> Vec<String> {
        self.commands_where(is_matrix)
    }

    fn commands_where(&self, wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let all = self.commands();
        let some: Vec<String> = all.iter().filter(|command| wanted(command)).cloned().collect();
        if some.is_empty() { all } else { some }
    }

    /// Those of the commands that `group` came from.
    pub(super) fn commands_of(&self, group: &str) -> Vec<String> {
        let all = self.commands_of_benchmarks();
        let own = format!("--bench {group}");
        let of_group: Vec<String> = all.iter().filter(|command| command.contains(&own)).cloned().collect();
        // Only a bench target's command names its group; all others measure several.
        if of_group.is_empty() { all } else { of_group }
    }
}

impl<'a> BenchmarkView<'a> {
    fn new(lines: &[&'a BenchmarkLine]) -> Option<Self> {
        let measured = lines.iter().filter_map(|line| match &line.outcome {
            Outcome::Measured(measured) => Some(&**measured),
            _ => None,
        });
        let rounds: Vec<&Measured> = measured.collect();
        let counting = screened(&rounds).rounds;
        Some(Self { summary: summarize(lines)?, rounds, metrics: pooled(lines), counting })
    }

    /// What does not vary between its rounds.
    pub(super) fn line(&self) -> &BenchmarkLine {
        &self.summary.line
    }

    /// What it found out over its rounds.
    pub(super) fn metrics(&self) -> &[Metric] {
        &self.metrics
    }

    /// The part of the id before the slash.
    pub(super) fn group(&self) -> &str {
        self.line().mechanism.split('/').next().unwrap_or_default()
    }

    /// The part of the mechanism's id behind the slash.
    pub(super) fn name(&self) -> &str {
        self.line().mechanism.split_once('/').map_or(self.line().mechanism.as_str(), |(_, name)| name)
    }

    /// What stands behind the placement in the id: what differs from the defaults.
    pub(super) fn chosen(&self) -> Option<&str> {
        self.line().id.splitn(4, '/').nth(3)
    }

    /// The placement, and what was chosen, as far as it is not the default.
    pub(super) fn detail(&self) -> String {
        let placement = self.line().setting.placement.name();
        self.chosen().map_or_else(|| placement.into(), |chosen| format!("{placement}, {chosen}"))
    }

    /// What was measured of each operation.
    pub(super) fn quantity(&self) -> Quantity {
        self.line().measures
    }

    /// One of its figures, in words.
    pub(super) fn formatted(&self, value: f64) -> String {
        super::text::amount(self.quantity(), value)
    }

    /// What an operation comes to, in what the benchmark measures.
    pub(super) fn per_op(&self) -> f64 {
        self.summary.per_op.interval.estimate
    }

    /// Half the width of the interval, in what the benchmark measures.
    pub(super) fn half_width(&self) -> f64 {
        (self.summary.per_op.interval.high - self.summary.per_op.interval.low) / 2.0
    }

    /// What marks its figures where they are not to be compared: the audit differs, or they are invalid. Else empty.
    pub(super) fn mark(&self) -> &'static str {
        match (self.summary.audit == "DIFFERS", self.summary.invalid) {
            (false, false) => "",
            (true, false) => DIFFERS,
            (false, true) => INVALID,
            (true, true) => "† ‡",
        }
    }

    /// Whether its figures may be compared.
    pub(super) fn is_comparable(&self) -> bool {
        self.mark().is_empty()
    }

    /// Whether the ends of its interval say anything.
    pub(super) fn is_known(&self) -> bool {
        let half = self.summary.per_op.interval.relative_half_width();
        half.is_some_and(|half| half <= super::text::HARDLY_KNOWN)
    }

    /// Context switches per operation, of either kind.
    pub(super) fn switches(&self) -> f64 {
        self.summary.voluntary + self.summary.involuntary
    }

    /// What an operation came to in each bare sample, round by round.
    pub(super) fn samples(&self) -> Vec<Vec<f64>> {
        let of_round = |round: &&Measured| round.samples.iter().map(|sample: &Sample| sample.per_op()).collect();
        self.rounds.iter().map(of_round).collect()
    }

    /// Those of the samples that its figure is made of, round by round; a round that does not count has none.
    pub(super) fn counting(&self) -> &[Vec<f64>] {
        &self.counting
    }

    /// System calls per operation by name, averaged over the rounds in which they were counted.
    pub(super) fn calls(&self) -> BTreeMap<&str, f64> {
        let counted: Vec<_> = self.rounds.iter().filter(|round| round.audit.calls_per_op().is_some()).collect();
        let mut calls: BTreeMap<&str, f64> = BTreeMap::new();
        for (name, rate) in counted.iter().flat_map(|round| &round.audit.calls) {
            *calls.entry(name).or_default() += rate / counted.len() as f64;
        }
        calls
    }

    /// Each counted event per operation, averaged over the rounds that have it, and whether it is an estimate.
    pub(super) fn events(&self) -> BTreeMap<&str, (f64, bool)> {
        let mut sums: BTreeMap<&str, (f64, usize, bool)> = BTreeMap::new();
        for counter in self.rounds.iter().flat_map(|round| &round.counted.counters) {
            let sum = sums.entry(&counter.event).or_default();
            *sum = (sum.0 + counter.per_op, sum.1 + 1, sum.2 || counter.estimated);
        }
        sums.into_iter().map(|(event, (sum, rounds, estimated))| (event, (sum / rounds as f64, estimated))).collect()
    }

    /// The number that it found out under any of `keys`: the median of its rounds.
    pub(super) fn figure(&self, keys: &[MetricKey]) -> Option<f64> {
        let of = |metric: &Metric| match metric {
            Metric::Scalar(figure) if keys.contains(&figure.of) => Some(figure.value),
            _ => None,
        };
        let values = self.rounds.iter().filter_map(|round| round.metrics.iter().find_map(of));
        median(&values.collect::<Vec<f64>>())
    }

    /// The series that its placement is drawn in.
    pub(super) fn colour(&self) -> usize {
        use crate::terms::Placement;
        Placement::ALL.iter().position(|placement| *placement == self.line().setting.placement).unwrap_or(0)
    }

    fn order(&self) -> (bool, &str, usize, Vec<(&str, u64)>) {
        let line = self.line();
        (line.mechanism != line.baseline, &line.mechanism, self.colour(), natural(&line.id))
    }
}

/// The groups that any of `views` has something of: the catalogue's first, unknown ones after them.
pub(super) fn groups(views: &[RunView], catalogue: &Catalogue) -> Vec<String> {
    let group = |line: &BenchmarkLine| line.mechanism.split('/').next().unwrap_or_default().to_string();
    let present: Vec<String> = views.iter().flat_map(|view| &view.run.benchmarks).map(group).collect();
    let known = catalogue.groups.iter().map(|(name, _)| name.clone()).filter(|name| present.contains(name));
    let mut groups: Vec<String> = known.collect();
    for name in present {
        if !groups.contains(&name) {
            groups.push(name);
        }
    }
    groups
}

/// Whether a command measures chosen pairs of CPUs.
fn is_matrix(command: &str) -> bool {
    command.split(' ').nth(1) == Some("matrix")
}

/// A command line as a user would type it. Cargo runs bench targets by a path with a hash in it and adds `--benchmark`.
fn command(argv: &[String]) -> String {
    let mut words = argv.iter();
    let Some(path) = words.next() else { return String::new() };
    let program = path.rsplit('/').next().unwrap_or(path);
    let rest: Vec<String> = words.filter(|word| *word != "--bench").map(|word| quoted(word)).collect();
    let rest = rest.join(" ");
    let command = match program.rsplit_once('-') {
        Some((target, hash)) if hash.len() == 16 && hash.chars().all(|c| c.is_ascii_hexdigit()) => {
            let separator = if rest.is_empty() { "" } else { " --" };
            // The target that cargo runs when none is named.
            let target = if target == "all" { String::new() } else { format!(" --bench {target}") };
            format!("cargo bench{target}{separator} {rest}")
        }
        // Whatever its file was called.
        _ => format!("switchcost {rest}"),
    };
    command.trim().into()
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:+%@".contains(c);
    if !word.is_empty() && word.chars().all(plain) { word.into() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_read_as_they_are_typed() {
        let argv = |words: &[&str]| words.iter().map(|word| (*word).to_string()).collect::<Vec<_>>();
        let benchmark = argv(&["target/release/deps/handoff-0123456789abcdef", "--bench", "futex|pipe", "--quick"]);
        assert_eq!(command(&benchmark), "cargo bench --bench handoff -- 'futex|pipe' --quick");
        let bare = argv(&["/x/deps/handoff-0123456789abcdef", "--bench"]);
        assert_eq!(command(&bare), "cargo bench --bench handoff");
        let all = argv(&["all-0123456789abcdef", "--bench", "--quick"]);
        assert_eq!(command(&all), "cargo bench -- --quick");
        assert_eq!(command(&argv(&["/usr/bin/switchcost", "run", "--rounds", "5"])), "switchcost run --rounds 5");
        assert_eq!(command(&argv(&["./old-build", "matrix"])), "switchcost matrix");
        assert_eq!(command(&[]), "");
    }
}
