//! How the figures of one host went over several runs.

use crate::record::Run;
use crate::report::csv::{Csv, number};
use crate::report::figure::{Figure, LineSeries, Lines, Point};
use crate::report::run_view::{BenchmarkView, RunView};
use crate::report::text;
use crate::units::Quantity;

/// Runs from which on there is a line.
const FEWEST: usize = 3;

/// Curves that are told apart.
const MOST_CURVES: usize = 6;

const DAY_MS: f64 = 86_400_000.0;

/// A figure for each host with three runs or more: every figure over that of its first run. Of many benchmarks, those
/// that moved most.
pub(in crate::report) fn over_time(group: &str, views: &[RunView]) -> Vec<Figure> {
    let mut hosts: Vec<(&str, Vec<&RunView>)> = Vec::new();
    for view in views {
        let Some(host) = view.run.hosts.first() else { continue };
        match hosts.iter_mut().find(|(id, _)| *id == host.id) {
            Some((_, runs)) => runs.push(view),
            None => hosts.push((&host.id, vec![view])),
        }
    }
    hosts
        .into_iter()
        .filter(|(_, runs)| runs.len() >= FEWEST)
        .filter_map(|(id, runs)| figure(group, id, runs))
        .collect()
}

fn began(run: &Run) -> u64 {
    run.hosts.first().map_or(0, |host| host.started_ms)
}

fn figure(group: &str, host: &str, mut runs: Vec<&RunView>) -> Option<Figure> {
    runs.sort_by_key(|view| began(view.run));
    let first = began(runs.first()?.run);
    let mut curves: Vec<LineSeries> = Vec::new();
    for benchmark in runs.first()?.of_group(group) {
        let id = benchmark.line().id.as_str();
        let unit = benchmark.per_op();
        let find = |view: &&&RunView| view.benchmarks.iter().any(|other| other.line().id == id);
        let points: Vec<Point> = runs.iter().filter(find).filter_map(|view| point(view, id, unit, first)).collect();
        if points.len() >= FEWEST && unit > 0.0 {
            curves.push(LineSeries { label: format!("{}, {}", benchmark.name(), benchmark.detail()), points });
        }
    }
    let all = curves.len();
    curves.sort_by(|a, b| moved(b).total_cmp(&moved(a)));
    curves.truncate(MOST_CURVES);
    let moved_most = curves.first()?;
    let names: Vec<&str> = runs.iter().map(|view| view.name.as_str()).collect();
    let shown = if all > curves.len() { format!(" Of {all} benchmarks those that moved most.") } else { String::new() };
    Some(Figure {
        id: format!("over-time-{}-{}", text::slug(group), text::slug(names.first()?)),
        title: format!("One host over time: runs {}", names.join(", ")),
        subtitle: format!(
            "{} moved most, by up to {}.{shown}",
            moved_most.label,
            text::percent(moved(moved_most).exp() - 1.0)
        ),
        key: Some(format!(
            "Each figure over that of the earliest run of host {host}, with its 95 % interval. A record's time is that \
             of its host's clock."
        )),
        basis: String::new(),
        csv: csv(&curves),
        picture: Box::new(Lines {
            across: "days since the first run".into(),
            upwards: "over the first run".into(),
            quantity: Quantity::Number,
            marks: true,
            over_time: true,
            level: Some(1.0),
            lines: curves,
        }),
    })
}

fn point(view: &RunView, id: &str, unit: f64, first: u64) -> Option<Point> {
    let benchmark: &BenchmarkView = view.benchmarks.iter().find(|benchmark| benchmark.line().id == id)?;
    let interval = benchmark.summary.per_op.interval;
    Some(Point {
        x: began(view.run).saturating_sub(first) as f64 / DAY_MS,
        y: interval.estimate / unit,
        low: interval.low / unit,
        high: interval.high / unit,
        mark: benchmark.mark().into(),
    })
}

/// The furthest that a curve comes from 1, either way, as a logarithm.
fn moved(line: &LineSeries) -> f64 {
    line.points.iter().filter(|point| point.y > 0.0).map(|point| point.y.ln().abs()).fold(0.0, f64::max)
}

fn csv(curves: &[LineSeries]) -> String {
    let mut csv = Csv::new(&["benchmark", "days", "over_first", "low_95", "high_95"]);
    for curve in curves {
        for point in &curve.points {
            csv.row(std::iter::once(curve.label.clone()).chain([point.x, point.y, point.low, point.high].map(number)));
        }
    }
    csv.into_text()
}
