//! How a cost grows with a parameter, for each numeric parameter of which a run has several values.

use std::collections::BTreeMap;

use super::requests::cost_of_idle;
use super::{ChartInput, basis, marks};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Figure, LineSeries, Lines, Panels, Picture, Point};
use crate::report::run_view::BenchmarkView;
use crate::report::text;
use crate::stats::{CONFIDENCE, slope};
use crate::terms::{MetricKey, Value};
use crate::units::Quantity;

/// The memory that each task holds, as sweeps report it: all of it, and then by kind. A kind has the first key's name.
/// It is what all tasks hold over their number, so that with few tasks it is mostly what the first one costs.
const MEMORY: [&[MetricKey]; 5] = [
    &[MetricKey::MemoryPerTask],
    &[MetricKey::UserResidentPerTask],
    &[MetricKey::PageTablesPerTask],
    &[MetricKey::KernelStackPerTask],
    &[MetricKey::SlabPerTask, MetricKey::MachineSlabPerTask],
];

/// Amounts, and what was measured at each.
pub(super) type AmountPoints<'a> = Vec<(u64, &'a BenchmarkView<'a>)>;

/// A label, and its points.
pub(super) type AmountSeries<'a> = (String, AmountPoints<'a>);

/// The value of `parameter` in a benchmark, if it is a number.
fn amount(benchmark: &BenchmarkView, parameter: &str) -> Option<u64> {
    let value = benchmark.line().setting.parameters.iter().find(|(name, _)| *name == parameter)?.1;
    match value {
        Value::Number(amount) => Some(*amount),
        Value::Word(_) => None,
    }
}

impl<'a> ChartInput<'a> {
    /// The benchmarks without those that differ from another one by a number alone: as points of a curve they are
    /// told from one another, as rows of every picture they hide what else there is.
    pub(super) fn apart_from_curves(&self) -> Vec<&'a BenchmarkView<'a>> {
        let default = |benchmark: &BenchmarkView, parameter: &str| {
            self.benchmarks.iter().any(|other| {
                let (a, b) = (&benchmark.line().setting, &other.line().setting);
                other.line().mechanism == benchmark.line().mechanism
                    && (a.placement, a.idle) == (b.placement, b.idle)
                    && label(other, parameter) == label(benchmark, parameter)
                    && is_default(other, parameter)
            })
        };
        let on_a_curve = |benchmark: &&&BenchmarkView| {
            let chosen = benchmark.chosen().unwrap_or_default().split(',');
            let mut numbers =
                chosen.filter_map(|pair| pair.split('=').next()).filter(|name| amount(benchmark, name).is_some());
            numbers.any(|parameter| default(benchmark, parameter))
        };
        self.benchmarks.iter().filter(|benchmark| !on_a_curve(benchmark)).copied().collect()
    }
}

/// Ids name what differs from the default.
fn is_default(benchmark: &BenchmarkView, parameter: &str) -> bool {
    !benchmark.chosen().unwrap_or_default().split(',').any(|pair| pair.split('=').next() == Some(parameter))
}

/// One figure for each placement and number that takes several values there.
pub(in crate::report) fn scaling(input: ChartInput) -> Vec<Figure> {
    let figures = curves(input).into_iter();
    figures.map(|(parameter, placement, lines)| figure(input, parameter, placement, &lines)).collect()
}

/// The numbers that take several values in a placement, and the curves over each.
pub(super) fn curves<'a>(input: ChartInput<'a>) -> Vec<(&'a str, &'a str, Vec<AmountSeries<'a>>)> {
    let mut curves: BTreeMap<(&str, &str), BTreeMap<String, AmountPoints>> = BTreeMap::new();
    for benchmark in input.benchmarks {
        let setting = &benchmark.line().setting;
        for (name, value) in setting.parameters.iter() {
            let Value::Number(amount) = value else { continue };
            let curve = curves.entry((name, setting.placement.name())).or_default();
            curve.entry(label(benchmark, name)).or_default().push((*amount, benchmark));
        }
    }
    let several = curves.into_iter().filter_map(|((parameter, placement), lines)| {
        let lines: Vec<AmountSeries> = lines.into_iter().filter_map(curve).collect();
        (!lines.is_empty()).then_some((parameter, placement, lines))
    });
    several.collect()
}

/// The mechanism, and what else differs from the defaults.
fn label(benchmark: &BenchmarkView, varied: &str) -> String {
    let others = benchmark
        .chosen()
        .unwrap_or_default()
        .split(',')
        .filter(|pair| !pair.is_empty() && pair.split('=').next() != Some(varied));
    let others: Vec<&str> = others.collect();
    if others.is_empty() { benchmark.name().into() } else { format!("{} {}", benchmark.name(), others.join(",")) }
}

/// By rising amount; one amount is no curve.
fn curve<'a>((label, mut points): AmountSeries<'a>) -> Option<AmountSeries<'a>> {
    points.sort_by_key(|(amount, _)| *amount);
    points.dedup_by_key(|(amount, _)| *amount);
    (points.len() > 1).then_some((label, points))
}

fn figure(input: ChartInput, parameter: &str, placement: &str, lines: &[AmountSeries]) -> Figure {
    let (unit, quantity) = (input.unit(), input.quantity());
    let noun = text::noun(quantity);
    let point = |(amount, benchmark): &(u64, &BenchmarkView)| {
        let interval = benchmark.summary.per_op.interval;
        let mark = benchmark.mark().into();
        Point { low: interval.low, high: interval.high, mark, ..Point::at(*amount as f64, interval.estimate) }
    };
    let line = |(label, points): &AmountSeries| LineSeries {
        label: label.clone(),
        points: points.iter().map(point).collect(),
    };
    let times = Lines {
        across: parameter.into(),
        upwards: format!("{noun} per {unit}"),
        quantity,
        marks: true,
        over_time: false,
        level: None,
        lines: lines.iter().map(line).collect(),
    };
    let memory = memory(parameter, lines);
    let (what, picture): (String, Box<dyn Picture>) = match memory {
        None => (format!("{} per {unit}", text::capitalised(noun)), Box::new(times)),
        Some(memory) => (
            format!("Time per {unit} and memory of all tasks"),
            Box::new(Panels { pictures: vec![Box::new(times), Box::new(memory)] }),
        ),
    };
    Figure {
        id: input.anchor(&format!("scaling-{}-{}", text::slug(parameter), text::slug(placement))),
        title: input.title(&format!("{what} over {parameter}, {placement}")),
        subtitle: subtitles(parameter, unit, lines),
        key: marks(&benchmarks(lines).collect::<Vec<_>>()),
        basis: basis(benchmarks(lines)),
        picture,
        csv: csv(parameter, lines),
    }
}

fn subtitles(parameter: &str, unit: &str, lines: &[AmountSeries]) -> String {
    let told = [subtitle(parameter, unit, lines), memory_per_task(lines), cost_of_idle(parameter, lines)];
    told.into_iter().filter(|sentence| !sentence.is_empty()).collect::<Vec<_>>().join(" ")
}

/// The benchmarks of all curves.
fn benchmarks<'a>(lines: &[AmountSeries<'a>]) -> impl Iterator<Item = &'a BenchmarkView<'a>> {
    lines.iter().flat_map(|(_, points)| points).map(|(_, benchmark)| *benchmark)
}

/// What all tasks hold at each amount, where that was found out: by kind of one curve, in all of several.
fn memory(parameter: &str, lines: &[AmountSeries]) -> Option<Lines> {
    let [all, kinds @ ..] = &MEMORY;
    let line = |label: String, keys: &[MetricKey], points: &AmountPoints| {
        let points: Vec<Point> = held(keys, points).into_iter().map(|(x, y)| Point::at(x, y)).collect();
        (!points.is_empty()).then_some(LineSeries { label, points })
    };
    let short = |keys: &[MetricKey]| keys[0].as_str().trim_end_matches(" per task").to_string();
    let lines: Vec<LineSeries> = match lines {
        [(_, points)] => {
            let kinds = kinds.iter().filter_map(|kind| line(short(kind), kind, points));
            line("all memory".into(), all, points).into_iter().chain(kinds).collect()
        }
        several => several.iter().filter_map(|(label, points)| line(label.clone(), all, points)).collect(),
    };
    let upwards = "memory of all tasks".into();
    let (quantity, across) = (Quantity::Bytes, parameter.into());
    (!lines.is_empty()).then_some(Lines {
        across,
        upwards,
        quantity,
        marks: true,
        over_time: false,
        level: None,
        lines,
    })
}

/// Amounts, and the bytes that all tasks hold.
fn held(keys: &[MetricKey], points: &AmountPoints) -> Vec<(f64, f64)> {
    let point =
        |(amount, benchmark): &(u64, &BenchmarkView)| Some((*amount as f64, benchmark.figure(keys)? * *amount as f64));
    points.iter().filter_map(point).collect()
}

/// What each further task holds: the slope, as what the first task needs once is no part of it. Nothing where no curve
/// has enough points for one.
fn memory_per_task(lines: &[AmountSeries]) -> String {
    let told = |(label, points): &AmountSeries| {
        let slope = slope(&held(MEMORY[0], points), CONFIDENCE)?.slope;
        let [estimate, low, high] = [slope.estimate, slope.low, slope.high].map(|n| text::amount(Quantity::Bytes, n));
        Some(format!("with {label} {estimate} ({low} to {high})"))
    };
    let each: Vec<String> = lines.iter().filter_map(told).collect();
    if each.is_empty() { String::new() } else { format!("Each further task holds {}.", text::list(&each)) }
}

/// The points of a curve that may be compared.
fn comparable<'a>((label, points): &AmountSeries<'a>) -> Option<AmountSeries<'a>> {
    let points: AmountPoints = points.iter().copied().filter(|(_, benchmark)| benchmark.is_comparable()).collect();
    (points.len() > 1).then(|| (label.clone(), points))
}

/// The curve that climbs most.
fn subtitle(parameter: &str, unit: &str, lines: &[AmountSeries]) -> String {
    let lines: Vec<AmountSeries> = lines.iter().filter_map(comparable).collect();
    let climb = |points: &[(u64, &BenchmarkView)]| match (points.first(), points.last()) {
        (Some((_, first)), Some((_, last))) => last.per_op() / first.per_op(),
        _ => 1.0,
    };
    let steepest = lines.iter().max_by(|a, b| climb(&a.1).total_cmp(&climb(&b.1)));
    let Some((label, points)) = steepest else { return String::new() };
    let ((from, first), (to, last)) = (points[0], points[points.len() - 1]);
    let change = format!("{} to {}", first.formatted(first.per_op()), last.formatted(last.per_op()));
    let factor = climb(points);
    let verb = match lines.len() {
        1 => "",
        _ if factor > 1.0 => " climbs most",
        _ => " falls least",
    };
    format!("{label}{verb}: from {from} to {to} {parameter} a {unit} goes from {change}, {}.", text::times(factor))
}

fn csv(parameter: &str, lines: &[AmountSeries]) -> String {
    let quantity = benchmarks(lines).map(|benchmark| benchmark.quantity()).next();
    let figure = text::column(quantity.unwrap_or_default());
    let reported = |keys: &&[MetricKey]| benchmarks(lines).any(|benchmark| benchmark.figure(keys).is_some());
    let kinds: Vec<&[MetricKey]> = MEMORY.iter().copied().filter(reported).collect();
    let mut header = vec!["curve", parameter, figure, "low_95", "high_95", "id"];
    header.extend(kinds.iter().map(|keys| keys[0].as_str()));
    let mut csv = Csv::new(&header);
    for (label, points) in lines {
        for (amount, benchmark) in points {
            let interval = benchmark.summary.per_op.interval;
            let figures = [interval.estimate, interval.low, interval.high].map(number);
            let start = [label.clone(), amount.to_string()];
            let memory = kinds.iter().map(|keys| benchmark.figure(keys).map_or_else(String::new, number));
            csv.row(start.into_iter().chain(figures).chain([benchmark.line().id.clone()]).chain(memory));
        }
    }
    csv.into_text()
}
