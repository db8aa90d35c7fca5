//! What a switch costs over the memory that its tasks use: the group `switch_working_set`, its baseline taken off.
//!
//! The baseline touches one set, which stays hot (`sets=one`), so that what is left of a handoff is the switch with all
//! that it costs the caches. What one task takes that uses the sets of all (`sets=every`), less the same baseline, is
//! drawn beside it: the share of the loss that comes of the amount of memory and not of switching.

use std::collections::BTreeSet;

use super::{ChartInput, basis, key, left_out};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Figure, LineSeries, Lines, Point};
use crate::report::run_view::BenchmarkView;
use crate::report::text;
use crate::terms::{Idle, Placement, Value};
use crate::units::Quantity;

const GROUP: &str = "switch_working_set";

/// What one task's memory is measured in on the axis.
const KIB: f64 = 1024.0;

/// A benchmark less its baseline.
struct Switch<'a> {
    benchmark: &'a BenchmarkView<'a>,
    base: &'a BenchmarkView<'a>,
    touch: u64,
}

impl Switch<'_> {
    fn nanos(&self) -> f64 {
        self.benchmark.per_op() - self.base.per_op()
    }

    /// The half width of the difference of independent figures: their own add up as standard deviations do.
    fn half_width(&self) -> f64 {
        self.benchmark.half_width().hypot(self.base.half_width())
    }
}

/// Switches that differ by the working set alone, by rising set.
struct SwitchSeries<'a> {
    /// By which curves are sorted: those of one task behind the others, then by the number of tasks.
    order: (bool, u64, String),
    points: Vec<Switch<'a>>,
}

impl SwitchSeries<'_> {
    /// The cost with nothing to touch: the direct one.
    fn direct(&self) -> Option<f64> {
        self.points.first().filter(|point| point.touch == 0).map(Switch::nanos)
    }

    fn largest(&self) -> Option<&Switch<'_>> {
        self.points.last()
    }

    /// Drops points that rest on a figure that is not to be compared; how many.
    fn keep_comparable(&mut self) -> usize {
        let all = self.points.len();
        self.points.retain(|point| point.benchmark.is_comparable() && point.base.is_comparable());
        all - self.points.len()
    }

    fn label(&self) -> &str {
        &self.order.2
    }

    fn climb(&self) -> f64 {
        self.largest().map_or(0.0, Switch::nanos) - self.direct().unwrap_or(0.0)
    }

    fn touches(&self) -> impl Iterator<Item = &Switch<'_>> {
        self.points.iter().filter(|point| point.touch > 0)
    }
}

/// One figure for each placement and mechanism of which working sets of several sizes were measured.
pub(in crate::report) fn switches(input: ChartInput) -> Vec<Figure> {
    if input.group != GROUP {
        return Vec::new();
    }
    let is_baseline = |benchmark: &BenchmarkView| benchmark.line().mechanism == benchmark.line().baseline;
    let mechanisms: BTreeSet<&str> =
        input.benchmarks.iter().filter(|benchmark| !is_baseline(benchmark)).map(|benchmark| benchmark.name()).collect();
    let each = |placement| mechanisms.iter().filter_map(move |mechanism| figure(input, placement, mechanism));
    Placement::ALL.into_iter().flat_map(each).collect()
}

fn figure(input: ChartInput, placement: Placement, mechanism: &str) -> Option<Figure> {
    let mut curves: Vec<SwitchSeries> = Vec::new();
    let here = |benchmark: &&&BenchmarkView| {
        let setting = &benchmark.line().setting;
        (setting.placement, setting.idle) == (placement, Idle::Default)
            && (benchmark.name() == mechanism || uses_every_set(benchmark))
    };
    for benchmark in input.benchmarks.iter().filter(here) {
        let Some(base) = base(benchmark, input.benchmarks) else { continue };
        let switch = Switch { benchmark, base, touch: amount(benchmark, "touch").unwrap_or(0) };
        let order = (uses_every_set(benchmark), amount(benchmark, "tasks").unwrap_or(0), label(benchmark));
        match curves.iter_mut().find(|curve| curve.order == order) {
            Some(curve) => curve.points.push(switch),
            None => curves.push(SwitchSeries { order, points: vec![switch] }),
        }
    }
    curves.sort_by(|a, b| a.order.cmp(&b.order));
    for curve in &mut curves {
        curve.points.sort_by_key(|point| point.touch);
    }
    let invalid: usize = curves.iter_mut().map(SwitchSeries::keep_comparable).sum();
    curves.retain(|curve| curve.touches().count() > 1);
    // Those of one task are there for comparison.
    if curves.iter().all(|curve| curve.order.0) {
        return None;
    }
    let all = || curves.iter().flat_map(|curve| &curve.points);
    let drawn = PointSet::of(all());
    Some(Figure {
        id: input.anchor(&format!("switch-{}-{}", text::slug(mechanism), text::slug(placement.name()))),
        title: input.title(&format!("What a switch costs over the working set of each {mechanism}, {placement}")),
        subtitle: subtitle(&curves),
        key: Some(
            formatted(
                &all().map(|point| point.benchmark).collect::<Vec<_>>(),
                all().filter(|p| !drawn.shows(p)).count(),
            ) + &left_out("point", invalid),
        ),
        basis: basis(all().map(|point| point.benchmark)),
        picture: Box::new(Lines {
            across: "KiB that each task touches per turn".into(),
            upwards: "time per switch".into(),
            quantity: Quantity::Nanoseconds,
            marks: true,
            over_time: false,
            level: None,
            lines: curves.iter().map(|curve| line(curve, drawn)).filter(|line| !line.points.is_empty()).collect(),
        }),
        csv: csv(&curves),
    })
}

/// Which points a picture has. Costs of microseconds and of milliseconds are told apart on a logarithmic axis alone, on
/// which there is no 0 and nothing that reaches below it.
#[derive(Debug, Clone, Copy, PartialEq)]
enum PointSet {
    /// All: what is clearly negative must be seen, and takes a linear axis.
    All,
    /// Those that are told from 0.
    Positive,
}

impl PointSet {
    fn of<'a>(mut points: impl Iterator<Item = &'a Switch<'a>>) -> Self {
        if points.any(|point| point.nanos() + point.half_width() < 0.0) { Self::All } else { Self::Positive }
    }

    fn shows(self, point: &Switch) -> bool {
        // Nothing to touch has no place on the other axis, which is logarithmic; the sentence and the data have it.
        point.touch > 0 && (self == Self::All || point.nanos() > point.half_width())
    }
}

/// How the curves are read, and how many points are not drawn.
fn formatted(measured: &[&BenchmarkView], left_out: usize) -> String {
    let reading = "A handoff less the same pipe calls and memory accesses by one task with one hot working set, which \
                   is what lat_ctx and Li, Ding and Shen subtract. \u{201c}One task\u{201d} uses the working sets of \
                   all tasks in turn, without any switch.";
    let left_out = match left_out {
        0 => String::new(),
        some => {
            format!(" {} with a working set of 0, or not told from 0, in the data only.", text::count(some, "point"))
        }
    };
    let marks = key(measured, 1).map_or_else(String::new, |key| format!(" {key}"));
    format!("{reading}{left_out}{marks}")
}

/// Whether this is what is subtracted from all others.
fn is_hot(benchmark: &BenchmarkView) -> bool {
    benchmark.line().mechanism == benchmark.line().baseline && !uses_every_set(benchmark)
}

fn uses_every_set(benchmark: &BenchmarkView) -> bool {
    let every = Value::Word("every".into());
    benchmark.line().setting.parameters.iter().any(|(name, value)| name == "sets" && *value == every)
}

fn amount(benchmark: &BenchmarkView, parameter: &str) -> Option<u64> {
    match benchmark.line().setting.parameters.iter().find(|(name, _)| *name == parameter)?.1 {
        Value::Number(amount) => Some(*amount),
        Value::Word(_) => None,
    }
}

/// `process, 8 tasks`, and what else was chosen.
fn label(benchmark: &BenchmarkView) -> String {
    let tasks = amount(benchmark, "tasks").unwrap_or(0);
    let who = if uses_every_set(benchmark) {
        format!("one task, {tasks} sets")
    } else {
        format!("{}, {tasks} tasks", benchmark.name())
    };
    let named = ["tasks=", "touch=", "sets="];
    let others = benchmark.chosen().unwrap_or_default().split(',');
    let others = others.filter(|pair| !pair.is_empty() && !named.iter().any(|name| pair.starts_with(name)));
    others.fold(who, |label, pair| format!("{label}, {pair}"))
}

/// The same touching by one task with one set: in the same placement, or on one CPU where it fits no other.
fn base<'a>(benchmark: &BenchmarkView, all: &[&'a BenchmarkView<'a>]) -> Option<&'a BenchmarkView<'a>> {
    let (line, mine) = (benchmark.line(), &benchmark.line().setting);
    let in_placement = |placement: Placement| {
        all.iter().copied().find(|other| {
            let theirs = &other.line().setting;
            let agrees = |(name, value): (&str, &Value)| {
                name == "sets" || theirs.parameters.iter().any(|(other, same)| other == name && same == value)
            };
            other.line().mechanism == line.baseline
                && is_hot(other)
                && (theirs.placement, theirs.idle) == (placement, Idle::Default)
                && theirs.policy == mine.policy
                && mine.parameters.iter().all(agrees)
        })
    };
    in_placement(mine.placement).or_else(|| in_placement(Placement::SameCpu))
}

fn line(curve: &SwitchSeries, drawn: PointSet) -> LineSeries {
    let point = |switch: &Switch| {
        let (nanos, half_width) = (switch.nanos(), switch.half_width());
        Point { low: nanos - half_width, high: nanos + half_width, ..Point::at(switch.touch as f64 / KIB, nanos) }
    };
    let points = curve.points.iter().filter(|switch| drawn.shows(switch)).map(point).collect();
    LineSeries { label: curve.label().into(), points }
}

/// The curve of the mechanism that climbs most: its direct cost, and what is added.
fn subtitle(curves: &[SwitchSeries]) -> String {
    let switching = curves.iter().filter(|curve| !curve.order.0);
    let Some(curve) = switching.max_by(|a, b| a.climb().total_cmp(&b.climb())) else { return String::new() };
    let Some(largest) = curve.largest() else { return String::new() };
    let size = format!("{} KiB", text::plain(largest.touch as f64 / KIB));
    let whole = format!("{}: with {size} each a switch costs {}", curve.label(), text::nanos(largest.nanos()));
    match curve.direct() {
        None => format!("{whole}."),
        Some(direct) => format!(
            "{whole}, with a working set of 0 {}: the difference, {}, is the cost of the caches.",
            text::nanos(direct),
            text::nanos(largest.nanos() - direct)
        ),
    }
}

fn csv(curves: &[SwitchSeries]) -> String {
    let mut csv =
        Csv::new(&["curve", "touch_bytes", "ns_per_switch", "low_95", "high_95", "beyond_direct_ns", "id", "less"]);
    for curve in curves {
        for point in &curve.points {
            let (nanos, half_width) = (point.nanos(), point.half_width());
            csv.row([
                curve.label().into(),
                point.touch.to_string(),
                number(nanos),
                number(nanos - half_width),
                number(nanos + half_width),
                curve.direct().map(|direct| number(nanos - direct)).unwrap_or_default(),
                point.benchmark.line().id.clone(),
                point.base.line().id.clone(),
            ]);
        }
    }
    csv.into_text()
}
