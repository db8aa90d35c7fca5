//! How fast the CPUs ran over the time of several runs, by the speed probes beside their samples.

use crate::record::{BenchmarkLine, Outcome};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Figure, LineSeries, Lines, Point};
use crate::report::run_view::RunView;
use crate::report::text;
use crate::stats::median;
use crate::units::Quantity;

/// The figure; `None` where no two benchmarks have probes.
pub(in crate::report) fn pace(views: &[RunView]) -> Option<Figure> {
    let lines = || views.iter().flat_map(|view| &view.run.benchmarks);
    let began = lines().map(|line| line.started_ms).min()?;
    // The shortest stretch that any probe found is the full speed of the fastest CPU of the runs.
    let fastest = lines().flat_map(probes).fold(f64::INFINITY, f64::min);
    let curve = |view: &RunView| {
        let point = |line: &BenchmarkLine| {
            let pace = fastest / median(&probes(line).collect::<Vec<f64>>())?;
            Some(Point::at(line.started_ms.saturating_sub(began) as f64 / 1000.0, pace))
        };
        let mut points: Vec<Point> = view.run.benchmarks.iter().filter_map(point).collect();
        points.sort_by(|a, b| a.x.total_cmp(&b.x));
        LineSeries { label: if view.name.is_empty() { "pace".into() } else { view.name.clone() }, points }
    };
    let curves: Vec<LineSeries> = views.iter().map(curve).filter(|curve| curve.points.len() > 1).collect();
    if curves.is_empty() {
        return None;
    }
    let mut csv = Csv::new(&["run", "seconds", "pace"]);
    for (curve, point) in curves.iter().flat_map(|curve| curve.points.iter().map(move |point| (curve, point))) {
        csv.row([curve.label.clone(), number(point.x), number(point.y)]);
    }
    Some(Figure {
        id: "pace".into(),
        title: "The pace of the CPU over the run".into(),
        subtitle: subtitle(&curves),
        key: Some(
            "Each point is a benchmark of a round: the median of its samples' speed probes, as a share of the fastest \
             probe of all. What one run met and the other did not is no difference of what was measured."
                .into(),
        ),
        basis: String::new(),
        picture: Box::new(Lines {
            across: "seconds since the first sample".into(),
            upwards: "speed of the CPU".into(),
            quantity: Quantity::Share,
            marks: false,
            level: Some(1.0),
            lines: curves,
        }),
        csv: csv.into_text(),
    })
}

/// The longest stretches of a line's probes, in nanoseconds.
fn probes(line: &BenchmarkLine) -> impl Iterator<Item = f64> {
    let measured = match &line.outcome {
        Outcome::Measured(measured) => Some(&**measured),
        _ => None,
    };
    measured.into_iter().flat_map(|measured| measured.probed_values().filter_map(|(_, probe)| probe))
}

/// The slowest and the middle of each run.
fn subtitle(curves: &[LineSeries]) -> String {
    let told = |curve: &LineSeries| {
        let paces: Vec<f64> = curve.points.iter().map(|point| point.y).collect();
        let least = paces.iter().copied().fold(f64::INFINITY, f64::min);
        let middle = median(&paces).unwrap_or(least);
        format!(
            "{} ran at {} at the median and at {} at the slowest",
            curve.label,
            text::percent(middle),
            text::percent(least)
        )
    };
    format!("{}.", text::capitalised(&text::list(&curves.iter().map(told).collect::<Vec<_>>())))
}
