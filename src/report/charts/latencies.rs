//! The distribution of latencies, for benchmarks that report one.

use super::scaling::{AmountSeries, curves};
use super::{ChartInput, left_out, marks, named};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Figure, LineSeries, Lines, PercentileCurve, Percentiles, Point};
use crate::report::pooling::pooled_rounds;
use crate::report::run_view::BenchmarkView;
use crate::report::text;
use crate::terms::{Distribution, Metric, MetricKey, Placement};
use crate::units::Quantity;

/// Curves have a point at each tenth of a decade of the values that are beyond it.
const POINTS_A_DECADE: f64 = 10.0;

/// What a chart shows of a benchmark that reports several distributions: the first of these, or the first one reported.
const LATENCIES: [MetricKey; 3] = [MetricKey::ResponseTime, MetricKey::Lateness, MetricKey::Submission];

/// A benchmark, and its distributions of times.
type BenchmarkLatencies<'a> = (&'a BenchmarkView<'a>, Vec<Distribution>);

/// One figure for each placement and for each of the [`LATENCIES`]; the other distributions are in its data.
pub(in crate::report) fn latencies(input: ChartInput) -> Vec<Figure> {
    let benchmarks = input.apart_from_curves();
    let all: Vec<BenchmarkLatencies> =
        benchmarks.into_iter().map(|benchmark| (benchmark, distributions(benchmark))).collect();
    let mut figures: Vec<(MetricKey, Placement, Vec<&BenchmarkLatencies>)> = Vec::new();
    for formatted in &all {
        let Some(first) = formatted.1.first() else { continue };
        let placement = formatted.0.line().setting.placement;
        match figures.iter_mut().find(|(of, at, _)| *of == first.of && *at == placement) {
            Some((.., together)) => together.push(formatted),
            None => figures.push((first.of.clone(), placement, vec![formatted])),
        }
    }
    figures.iter().map(|(of, placement, together)| figure(input, of, *placement, together)).collect()
}

/// The 99th percentile of the same latencies over each number that takes several values in a placement.
pub(in crate::report) fn p99_curves(input: ChartInput) -> Vec<Figure> {
    curves(input)
        .iter()
        .filter_map(|(parameter, placement, lines)| p99_figure(input, parameter, placement, lines))
        .collect()
}

fn p99_figure(input: ChartInput, parameter: &str, placement: &str, curves: &[AmountSeries]) -> Option<Figure> {
    let of = curves
        .iter()
        .flat_map(|(_, points)| points)
        .find_map(|(_, benchmark)| distributions(benchmark).into_iter().next());
    let of = of?.of;
    let point = |(amount, benchmark): &(u64, &BenchmarkView)| {
        if !benchmark.is_comparable() {
            return None;
        }
        let pooled = distributions(benchmark).into_iter().find(|pooled| pooled.of == of)?;
        let y = pooled.values.quantile(0.99) as f64;
        Some(Point::at(*amount as f64, y))
    };
    let line = |(label, points): &AmountSeries| LineSeries {
        label: label.clone(),
        points: points.iter().filter_map(point).collect(),
    };
    let lines: Vec<LineSeries> = curves.iter().map(line).filter(|line: &LineSeries| line.points.len() > 1).collect();
    let highest = |line: &&LineSeries| line.points.iter().map(|point| point.y).fold(0.0, f64::max);
    let worst = lines.iter().max_by(|a, b| highest(a).total_cmp(&highest(b)))?;
    let benchmarks = || curves.iter().flat_map(|(_, points)| points).map(|(_, benchmark)| *benchmark);
    let invalid = left_out("point", benchmarks().filter(|benchmark| !benchmark.is_comparable()).count());
    let subtitle = format!(
        "99 % of {of} with {} is at most {} at the worst {parameter}.",
        worst.label,
        text::nanos(highest(&worst))
    );
    let mut csv = Csv::new(&["curve", parameter, "p99_ns"]);
    for line in &lines {
        for point in &line.points {
            csv.row([line.label.clone(), number(point.x), number(point.y)]);
        }
    }
    Some(Figure {
        id: input.anchor(&format!("p99-{}-{}", text::slug(parameter), text::slug(placement))),
        title: input.title(&format!("99th percentile of {of} over {parameter}, {placement}")),
        subtitle,
        key: (!invalid.is_empty()).then(|| invalid.trim_start().into()),
        basis: format!("all values of {}", rounds(benchmarks())),
        picture: Box::new(Lines {
            across: parameter.into(),
            upwards: format!("p99 of {of}"),
            quantity: Quantity::Nanoseconds,
            marks: true,
            over_time: false,
            level: None,
            lines,
        }),
        csv: csv.into_text(),
    })
}

/// Those that hold any value, the one that a chart shows first.
fn distributions(benchmark: &BenchmarkView) -> Vec<Distribution> {
    let times = |metric| match metric {
        Metric::Distribution(pooled) if pooled.quantity == Quantity::Nanoseconds && pooled.values.count() > 0 => {
            Some(pooled)
        }
        _ => None,
    };
    let mut found: Vec<Distribution> = pooled_rounds(&benchmark.rounds).into_iter().filter_map(times).collect();
    found.sort_by_key(|distribution| LATENCIES.iter().position(|key| *key == distribution.of).unwrap_or(usize::MAX));
    found
}

fn figure(input: ChartInput, of: &MetricKey, placement: Placement, together: &[&BenchmarkLatencies]) -> Figure {
    let label = |benchmark: &BenchmarkView| {
        let words = [Some(benchmark.name()), benchmark.chosen(), Some(benchmark.mark())];
        words.into_iter().flatten().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(" ")
    };
    let benchmarks: Vec<&BenchmarkView> = together.iter().map(|formatted| formatted.0).collect();
    let marks = marks(&benchmarks).map(|marks| format!(" {marks}")).unwrap_or_default();
    let curve = |formatted: &&BenchmarkLatencies| PercentileCurve {
        label: label(formatted.0),
        points: points(&formatted.1[0]),
    };
    Figure {
        id: input.anchor(&format!("latency-{}-{}", text::slug(of.as_str()), text::slug(placement.name()))),
        title: input.title(&format!("Percentiles of {of}, {placement}")),
        subtitle: subtitle(of, together),
        key: Some(format!(
            "Each point says which share of the values of all rounds took at most that time. A curve ends where a \
             single value is left.{marks}"
        )),
        basis: format!("all values of {}", rounds(benchmarks.iter().copied())),
        picture: Box::new(Percentiles { upwards: of.to_string(), curves: together.iter().map(curve).collect() }),
        csv: csv(together),
    }
}

/// How many rounds the most of these have.
fn rounds<'a>(benchmarks: impl Iterator<Item = &'a BenchmarkView<'a>>) -> String {
    text::count(benchmarks.map(|benchmark| benchmark.rounds.len()).max().unwrap_or(0), "round")
}

/// Up to the share beyond which one value lies.
fn points(distribution: &Distribution) -> Vec<(f64, f64)> {
    let values = &distribution.values;
    let steps = ((values.count() as f64).log10() * POINTS_A_DECADE).floor() as u32;
    let share = |step: u32| 1.0 - 10f64.powf(-f64::from(step) / POINTS_A_DECADE);
    (0..=steps).map(share).map(|share| (share, values.quantile(share) as f64)).collect()
}

/// The least and the most at the 99th percentile.
fn subtitle(of: &MetricKey, together: &[&BenchmarkLatencies]) -> String {
    let p99 = |formatted: &&&BenchmarkLatencies| formatted.1[0].values.quantile(0.99);
    let together: Vec<&BenchmarkLatencies> =
        together.iter().filter(|formatted| formatted.0.is_comparable()).copied().collect();
    let (Some(least), Some(most)) = (together.iter().min_by_key(p99), together.iter().max_by_key(p99)) else {
        return String::new();
    };
    let shown = |formatted: &&BenchmarkLatencies| text::nanos(p99(&formatted) as f64);
    if least.0.line().id == most.0.line().id {
        let median = text::nanos(least.1[0].values.quantile(0.5) as f64);
        return format!("Half of {}'s {of} is at most {median}, 99 % at most {}.", named(least.0), shown(least));
    }
    format!(
        "99 % of {of} is at most {} with {}, and {} with {}.",
        shown(least),
        named(least.0),
        shown(most),
        named(most.0)
    )
}

fn csv(together: &[&BenchmarkLatencies]) -> String {
    let mut csv = Csv::new(&["id", "of", "percentile", "ns"]);
    for (benchmark, distributions) in together {
        for distribution in distributions {
            for (share, nanos) in points(distribution) {
                csv.row([
                    benchmark.line().id.clone(),
                    distribution.of.to_string(),
                    number(100.0 * share),
                    number(nanos),
                ]);
            }
        }
    }
    csv.into_text()
}
