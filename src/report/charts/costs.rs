//! The cost of an operation, by mechanism and placement.

use super::{ChartInput, basis, is_within_only, key, named};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Band, Dot, Dots, Figure};
use crate::report::run_view::BenchmarkView;
use crate::report::text;

/// Switches or calls per operation from which on a mechanism makes them at every operation or so.
const EVERY_TIME: f64 = 0.3;

/// The figure; `None` where nothing was measured.
pub(in crate::report) fn costs(input: ChartInput) -> Option<Figure> {
    let benchmarks = &input.apart_from_curves();
    if benchmarks.is_empty() {
        return None;
    }
    let (unit, quantity) = (input.unit(), input.quantity());
    let noun = text::noun(quantity);
    let order = "Sorted by the least figure of each mechanism; the table below is in alphabetical order.";
    Some(Figure {
        id: input.anchor("cost"),
        title: input.title(&format!("{} per {unit} by mechanism and placement", text::capitalised(noun))),
        subtitle: subtitle(benchmarks, unit),
        key: Some(key(benchmarks, 1).map_or_else(|| order.into(), |key| format!("{order} {key}"))),
        basis: basis(benchmarks.iter().copied()),
        picture: Box::new(Dots {
            axis: format!("{noun} per {unit}, 95 % interval"),
            quantity,
            bands: bands(benchmarks),
        }),
        csv: csv(benchmarks),
    })
}

/// A band for each mechanism and choice, the one with the least figure first.
fn bands(benchmarks: &[&BenchmarkView]) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    for benchmark in benchmarks {
        let dot = dot(benchmark);
        let detail = benchmark.chosen().map(str::to_string);
        match bands.iter_mut().find(|band| band.label == benchmark.name() && band.detail == detail) {
            Some(band) => band.rows.push(dot),
            None => bands.push(Band { label: benchmark.name().into(), detail, rows: vec![dot] }),
        }
    }
    let least = |band: &Band| band.rows.iter().map(|row| row.interval.estimate).fold(f64::INFINITY, f64::min);
    bands.sort_by(|a, b| least(a).total_cmp(&least(b)));
    bands
}

fn dot(benchmark: &BenchmarkView) -> Dot {
    Dot {
        label: benchmark.line().setting.placement.name().into(),
        series: benchmark.colour(),
        interval: benchmark.summary.per_op.interval,
        within_only: is_within_only(benchmark),
        mark: benchmark.mark().into(),
    }
}

/// What benchmarks that are ranked against each other have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Likeness<'a> {
    placement: &'a str,
    switches: bool,
    /// Unknown where no audit counted them.
    calls: Option<bool>,
}

impl Likeness<'_> {
    /// In words: `of the mechanisms that switch tasks`.
    fn described(&self) -> &'static str {
        match (self.switches, self.calls) {
            (true, _) => "that switch tasks",
            (false, Some(true)) => "that make system calls and switch no tasks",
            (false, Some(false)) => "that make no system calls",
            (false, None) => "that switch no tasks",
        }
    }
}

fn likeness<'a>(benchmark: &'a BenchmarkView) -> Likeness<'a> {
    Likeness {
        placement: benchmark.line().setting.placement.name(),
        switches: benchmark.switches() > EVERY_TIME,
        calls: benchmark.summary.calls.map(|calls| calls > EVERY_TIME),
    }
}

/// The least and the most of the largest set of like ones, and whether the data tell the least from the others; then
/// what the placement makes of a mechanism.
fn subtitle(benchmarks: &[&BenchmarkView], unit: &str) -> String {
    let comparable: Vec<&BenchmarkView> =
        benchmarks.iter().filter(|benchmark| benchmark.is_comparable()).copied().collect();
    let [first, ..] = comparable.as_slice() else {
        return "No figure is to be compared: an audit differs, or it is invalid.".into();
    };
    if comparable.len() == 1 {
        return format!("{} takes {} per {unit}.", named(first), first.formatted(first.per_op()));
    }
    let sentences = [ranking(&comparable, unit), by_placement(&comparable)];
    sentences.into_iter().flatten().collect::<Vec<_>>().join(" ")
}

/// The ends of the largest set of like benchmarks. What does different things is not ranked.
fn ranking(benchmarks: &[&BenchmarkView], unit: &str) -> Option<String> {
    let defaults = benchmarks.iter().copied().filter(|benchmark| benchmark.chosen().is_none());
    let mut sets: Vec<(Likeness, Vec<&BenchmarkView>)> = Vec::new();
    for benchmark in defaults {
        let like = likeness(benchmark);
        match sets.iter_mut().find(|(known, _)| *known == like) {
            Some((_, set)) => set.push(benchmark),
            None => sets.push((like, vec![benchmark])),
        }
    }
    // Of several sets that are as large, the first.
    let (like, set) = sets.into_iter().rev().max_by_key(|(_, set)| set.len()).filter(|(_, set)| set.len() > 1)?;
    let by_cost = |a: &&&BenchmarkView, b: &&&BenchmarkView| a.per_op().total_cmp(&b.per_op());
    let (least, most) = (set.iter().min_by(by_cost)?, set.iter().max_by(by_cost)?);
    let high = least.summary.per_op.interval.high;
    let beside = set.iter().filter(|b| b.line().id != least.line().id && b.summary.per_op.interval.low <= high);
    let level = match beside.count() {
        0 => String::new(),
        others => format!(" ({} within its interval)", text::count(others, "other")),
    };
    Some(format!(
        "Of the {} {}, {}: {} takes least, {} per {unit}{level}, and {} most, {}.",
        set.len(),
        like.described(),
        like.placement,
        least.name(),
        least.formatted(least.per_op()),
        most.name(),
        most.formatted(most.per_op()),
    ))
}

/// The mechanism whose placements are furthest apart, where the data tell its ends apart.
fn by_placement(benchmarks: &[&BenchmarkView]) -> Option<String> {
    let mut widest: Option<(&BenchmarkView, &BenchmarkView)> = None;
    for low in benchmarks.iter().filter(|benchmark| benchmark.per_op() > 0.0) {
        for high in benchmarks.iter().filter(|other| {
            other.line().mechanism == low.line().mechanism
                && other.line().setting.parameters == low.line().setting.parameters
                && other.line().setting.idle == low.line().setting.idle
                && other.line().setting.policy == low.line().setting.policy
                && other.summary.per_op.interval.low > low.summary.per_op.interval.high
        }) {
            let ratio = |(low, high): (&BenchmarkView, &BenchmarkView)| high.per_op() / low.per_op();
            if widest.is_none_or(|known| ratio((low, high)) > ratio(known)) {
                widest = Some((low, high));
            }
        }
    }
    let (low, high) = widest?;
    Some(format!(
        "Where tasks run matters most for {}: {} {}, {} {}.",
        low.name(),
        low.formatted(low.per_op()),
        low.detail(),
        high.formatted(high.per_op()),
        high.detail(),
    ))
}

fn csv(benchmarks: &[&BenchmarkView]) -> String {
    let figure = text::column(super::quantity(benchmarks));
    let mut csv = Csv::new(&["id", "mechanism", "placement", figure, "low_95", "high_95", "rounds", "basis", "audit"]);
    for benchmark in benchmarks {
        let (line, per_op) = (benchmark.line(), &benchmark.summary.per_op);
        csv.row([
            line.id.clone(),
            line.mechanism.clone(),
            line.setting.placement.to_string(),
            number(per_op.interval.estimate),
            number(per_op.interval.low),
            number(per_op.interval.high),
            per_op.rounds.to_string(),
            format!("{:?}", per_op.basis),
            benchmark.summary.audit.into(),
        ]);
    }
    csv.into_text()
}
