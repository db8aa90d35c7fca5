//! How fast the CPUs ran over the time of several runs, by the speed probes beside their samples.

use crate::record::{BenchmarkLine, Outcome};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Figure, LineSeries, Lines, Point};
use crate::report::run_view::RunView;
use crate::report::text;
use crate::stats::{median, quantile};
use crate::units::Quantity;

/// More points than this across a picture are a smear; neighbours in time are drawn as their median.
const POINTS: usize = 80;

/// A run, and its points: seconds since its first sample, and the pace.
type RunPace<'a> = (&'a str, Vec<(f64, f64)>);

/// The figure; `None` where no two benchmarks have probes.
pub(in crate::report) fn pace(views: &[RunView]) -> Option<Figure> {
    // The shortest stretch of any probe is the full speed of the fastest CPU of the runs.
    let lines = || views.iter().flat_map(|view| &view.run.benchmarks);
    let fastest = lines().flat_map(probes).fold(f64::INFINITY, f64::min);
    // Sides of a comparison that took turns have one clock; other runs are laid over each other.
    let together = lines().any(BenchmarkLine::was_interleaved).then(|| lines().map(|line| line.started_ms).min());
    let of_run = |view| of_run(view, fastest, together.flatten());
    let runs: Vec<RunPace> = views.iter().map(of_run).filter(|(_, points)| points.len() > 1).collect();
    if runs.is_empty() {
        return None;
    }
    Some(Figure {
        id: "pace".into(),
        title: "The pace of the CPU over the run".into(),
        subtitle: subtitle(&runs),
        key: Some(
            "The median of the speed probes beside the samples of a benchmark of a round, as a share of the fastest \
             probe of all; of many, the median of neighbours in time. What one run met and the other did not is no \
             difference of what was measured."
                .into(),
        ),
        basis: String::new(),
        picture: Box::new(Lines {
            across: "seconds since the first sample".into(),
            upwards: "speed of the CPU".into(),
            quantity: Quantity::Share,
            marks: false,
            over_time: true,
            level: Some(1.0),
            lines: runs.iter().map(line).collect(),
        }),
        csv: csv(&runs),
    })
}

fn of_run<'a>(view: &'a RunView, fastest: f64, together: Option<u64>) -> RunPace<'a> {
    let began = together.or_else(|| view.run.benchmarks.iter().map(|line| line.started_ms).min()).unwrap_or(0);
    let point = |line: &BenchmarkLine| {
        let pace = fastest / median(&probes(line).collect::<Vec<f64>>())?;
        Some((line.started_ms.saturating_sub(began) as f64 / 1000.0, pace))
    };
    let mut points: Vec<(f64, f64)> = view.run.benchmarks.iter().filter_map(point).collect();
    points.sort_by(|a, b| a.0.total_cmp(&b.0));
    (&view.name, points)
}

/// The shortest stretches of a line's probes, in nanoseconds: what another program took of the CPU is no part of them.
fn probes(line: &BenchmarkLine) -> impl Iterator<Item = f64> {
    let measured = match &line.outcome {
        Outcome::Measured(measured) => Some(&**measured),
        _ => None,
    };
    measured.into_iter().flat_map(|measured| measured.shortest_probes())
}

fn line((name, points): &RunPace) -> LineSeries {
    let middle = |chunk: &[(f64, f64)]| {
        let of = |part: fn(&(f64, f64)) -> f64| median(&chunk.iter().map(part).collect::<Vec<f64>>());
        Some(Point::at(of(|point| point.0)?, of(|point| point.1)?))
    };
    let chunks = points.chunks(points.len().div_ceil(POINTS).max(1));
    LineSeries { label: (*name).into(), points: chunks.filter_map(middle).collect() }
}

/// The middle of each run, and what a twentieth of it stays below: a few benchmarks share the CPU of their probe.
fn subtitle(runs: &[RunPace]) -> String {
    let told = |(name, points): &RunPace| {
        let paces: Vec<f64> = points.iter().map(|point| point.1).collect();
        let [slow, middle] = [0.05, 0.5].map(|share| text::percent(quantile(&paces, share).unwrap_or(0.0)));
        format!("{name} ran at {middle} at the median and below {slow} for a twentieth of its benchmarks")
    };
    format!("{}.", text::list(&runs.iter().map(told).collect::<Vec<_>>()))
}

fn csv(runs: &[RunPace]) -> String {
    let mut csv = Csv::new(&["run", "seconds", "pace"]);
    for (name, points) in runs {
        for (seconds, pace) in points {
            csv.row([(*name).to_string(), number(*seconds), number(*pace)]);
        }
    }
    csv.into_text()
}
