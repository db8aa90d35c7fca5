//! From a run to the figures of its report: each file selects the data of one kind of picture and says what it shows.

mod cost_part;
mod costs;
mod decomposition;
mod latencies;
mod old_chart;
mod over_time;
mod pace;
mod pairs;
mod parts;
mod pipelines;
mod recovery;
mod requests;
mod scaling;
mod scatter;
mod side_by_side;
mod submission;
mod switches;
mod threads_and_async;

pub(super) use cost_part::CostPartKind;
pub(super) use costs::costs;
pub(super) use decomposition::decomposition;
pub(super) use latencies::{latencies, p99_curves};
pub(super) use old_chart::old_chart;
pub(super) use over_time::over_time;
pub(super) use pace::pace;
pub(super) use pairs::{Map, pairs};
pub(super) use parts::added_up;
pub(super) use pipelines::pipelines;
pub(super) use recovery::recovery;
pub(super) use requests::requests;
pub(super) use scaling::scaling;
pub(super) use scatter::scatter;
pub(super) use side_by_side::{ratios, side_by_side};
pub(super) use submission::submission;
pub(super) use switches::switches;
pub(super) use threads_and_async::threads_and_async;

use super::run_view::{BenchmarkView, RunView};
use super::text;
use crate::stats::Basis;
use crate::units::Quantity;

/// A group's benchmarks in one run, and how its figures are called.
#[derive(Debug, Clone, Copy)]
pub(super) struct ChartInput<'a> {
    /// The group.
    pub(super) group: &'a str,
    /// The benchmarks, in their order.
    pub(super) benchmarks: &'a [&'a BenchmarkView<'a>],
    /// The run's name, where there are several.
    pub(super) run: Option<&'a str>,
}

impl<'a> ChartInput<'a> {
    /// The anchor of a figure: `cost-brigade`, `cost-brigade-a`.
    pub(super) fn anchor(&self, kind: &str) -> String {
        let of_run = self.run.map(|run| format!("-{}", text::slug(run))).unwrap_or_default();
        format!("{kind}-{}{of_run}", text::slug(self.group))
    }

    /// A title, with the run where there are several.
    pub(super) fn title(&self, text: &str) -> String {
        self.run.map_or_else(|| text.into(), |run| format!("{text}, run {run}"))
    }

    /// What was measured of each operation.
    fn quantity(&self) -> Quantity {
        quantity(self.benchmarks)
    }

    /// What one operation is called.
    fn unit(&self) -> &'static str {
        unit(self.benchmarks)
    }
}

fn unit(benchmarks: &[&BenchmarkView]) -> &'static str {
    benchmarks.first().map_or("operation", |benchmark| benchmark.line().unit.name())
}

fn quantity(benchmarks: &[&BenchmarkView]) -> Quantity {
    benchmarks.first().map_or(Quantity::default(), |benchmark| benchmark.quantity())
}

fn is_within_only(benchmark: &BenchmarkView) -> bool {
    benchmark.summary.per_op.basis == Basis::WithinRunOnly
}

/// A benchmark in a sentence: `thread unpinned`.
fn named(benchmark: &BenchmarkView) -> String {
    format!("{} {}", benchmark.name(), benchmark.detail())
}

/// How marks are read that do not say so themselves, as far as they occur.
fn key(benchmarks: &[&BenchmarkView], views: usize) -> Option<String> {
    let single = benchmarks.iter().any(|benchmark| is_within_only(benchmark));
    let mut key = Vec::new();
    if single {
        key.push(
            "Hollow dot, dashed line: one round only, so the interval does not include the scatter between \
                  processes.",
        );
    }
    if benchmarks.iter().any(|benchmark| !benchmark.is_known()) {
        key.push("A line without a cap at its end continues beyond the scale.");
    }
    let marks = marks(benchmarks);
    key.extend(marks.as_deref());
    if views > 1 {
        key.push("Letters are the runs, described at the top.");
    }
    (!key.is_empty()).then(|| key.join(" "))
}

/// What the marks of figures mean that are not to be compared; `None` where there are none.
fn marks(benchmarks: &[&BenchmarkView]) -> Option<String> {
    let mut marks = Vec::new();
    if benchmarks.iter().any(|benchmark| benchmark.summary.audit == "DIFFERS") {
        marks.push("†: the audit differs from what the mechanism states.");
    }
    if benchmarks.iter().any(|benchmark| benchmark.summary.invalid) {
        marks.push("‡: invalid, because the generator of the requests was late.");
    }
    (!marks.is_empty()).then(|| marks.join(" "))
}

/// What is not drawn because it is not to be compared, in a sentence; empty where everything is.
fn left_out(what: &str, count: usize) -> String {
    if count == 0 {
        return String::new();
    }
    let verb = if count == 1 { "is" } else { "are" };
    format!(" {} {verb} left out: an audit differs, or a figure is invalid.", text::count(count, what))
}

/// What the figures of `benchmarks` are, and over how many rounds.
pub(super) fn basis<'a>(benchmarks: impl IntoIterator<Item = &'a BenchmarkView<'a>>) -> String {
    let rounds = benchmarks.into_iter().map(|benchmark| benchmark.summary.per_op.rounds);
    let (least, most) = rounds.fold((usize::MAX, 0), |(least, most), rounds| (least.min(rounds), most.max(rounds)));
    match (least, most) {
        (_, 0) => String::new(),
        (1, 1) => "medians of one round with 95 % intervals of its samples".into(),
        (least, most) if least == most => format!("medians of {most} rounds with 95 % intervals"),
        (least, most) => format!("medians of {least} to {most} rounds with 95 % intervals"),
    }
}

/// The benchmarks of all runs in a group.
fn all_of_group<'a>(views: &'a [RunView<'a>], group: &str) -> Vec<&'a BenchmarkView<'a>> {
    views.iter().flat_map(|view| view.of_group(group)).collect()
}
