//! How latencies are distributed, where benchmarks found that out.

use super::scaling::{Curve, curves};
use super::{Subject, named};
use crate::crew::{Distribution, Finding, Placement};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Figure, Line, Lines, PercentileCurve, Percentiles, Point};
use crate::report::found::found_in;
use crate::report::study::Bench;
use crate::report::text;
use crate::units::Quantity;

/// Curves have a point at each tenth of a decade of the values that are beyond it.
const POINTS_A_DECADE: f64 = 10.0;

/// A benchmark, and its distributions of times.
type Told<'a> = (&'a Bench<'a>, Vec<Distribution>);

/// One figure for each placement and for each latency that mechanisms tell first of all; the others are in its data.
pub(in crate::report) fn latencies(subject: Subject) -> Vec<Figure> {
    let benches = subject.apart_from_curves();
    let all: Vec<Told> = benches.into_iter().map(|bench| (bench, distributions(bench))).collect();
    let mut figures: Vec<(String, Placement, Vec<&Told>)> = Vec::new();
    for told in &all {
        let Some(first) = told.1.first() else { continue };
        let placement = told.0.line().setting.placement;
        match figures.iter_mut().find(|(of, at, _)| *of == first.of && *at == placement) {
            Some((.., together)) => together.push(told),
            None => figures.push((first.of.clone(), placement, vec![told])),
        }
    }
    figures.iter().map(|(of, placement, together)| figure(subject, of, *placement, together)).collect()
}

/// The 99th percentile of the same latencies over each number that takes several values in a placement.
pub(in crate::report) fn tails(subject: Subject) -> Vec<Figure> {
    curves(subject)
        .iter()
        .filter_map(|(parameter, placement, lines)| tail(subject, parameter, placement, lines))
        .collect()
}

fn tail(subject: Subject, parameter: &str, placement: &str, curves: &[Curve]) -> Option<Figure> {
    let of =
        curves.iter().flat_map(|(_, points)| points).find_map(|(_, bench)| distributions(bench).into_iter().next());
    let of = of?.of;
    let point = |(amount, bench): &(u64, &Bench)| {
        if bench.summary.void {
            return None;
        }
        let found = distributions(bench).into_iter().find(|found| found.of == of)?;
        let y = found.values.quantile(0.99) as f64;
        Some(Point { x: *amount as f64, y, low: y, high: y })
    };
    let line =
        |(label, points): &Curve| Line { label: label.clone(), points: points.iter().filter_map(point).collect() };
    let lines: Vec<Line> = curves.iter().map(line).filter(|line: &Line| line.points.len() > 1).collect();
    let highest = |line: &&Line| line.points.iter().map(|point| point.y).fold(0.0, f64::max);
    let worst = lines.iter().max_by(|a, b| highest(a).total_cmp(&highest(b)))?;
    let void = curves.iter().flat_map(|(_, points)| points).filter(|(_, bench)| bench.summary.void).count();
    let key = (void > 0).then(|| format!("{} left out: the generator was late itself.", text::count(void, "point")));
    let says = format!(
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
        id: subject.anchor(&format!("tail-{}-{}", text::slug(parameter), text::slug(placement))),
        title: subject.title(&format!("99th percentile of {of} over {parameter}, {placement}")),
        says,
        key,
        picture: Box::new(Lines {
            across: parameter.into(),
            upwards: format!("p99 of {of}"),
            quantity: Quantity::Nanoseconds,
            lines,
        }),
        csv: csv.into_text(),
    })
}

/// Those that hold any value.
fn distributions(bench: &Bench) -> Vec<Distribution> {
    let times = |finding| match finding {
        Finding::Distribution(found) if found.quantity == Quantity::Nanoseconds && found.values.count() > 0 => {
            Some(found)
        }
        _ => None,
    };
    found_in(&bench.rounds).into_iter().filter_map(times).collect()
}

fn figure(subject: Subject, of: &str, placement: Placement, together: &[&Told]) -> Figure {
    let label = |bench: &Bench| {
        bench.chosen().map_or_else(|| bench.name().into(), |chosen| format!("{} {chosen}", bench.name()))
    };
    let curve = |told: &&Told| PercentileCurve { label: label(told.0), points: points(&told.1[0]) };
    Figure {
        id: subject.anchor(&format!("latency-{}-{}", text::slug(of), text::slug(placement.name()))),
        title: subject.title(&format!("Percentiles of {of}, {placement}")),
        says: says(of, together),
        key: Some(
            "Each curve says what time so many percent of all values do not exceed; all rounds together. It ends where \
             one value is left."
                .into(),
        ),
        picture: Box::new(Percentiles { upwards: of.into(), curves: together.iter().map(curve).collect() }),
        csv: csv(together),
    }
}

/// Up to the share beyond which one value lies.
fn points(distribution: &Distribution) -> Vec<(f64, f64)> {
    let values = &distribution.values;
    let steps = ((values.count() as f64).log10() * POINTS_A_DECADE).floor() as u32;
    let share = |step: u32| 1.0 - 10f64.powf(-f64::from(step) / POINTS_A_DECADE);
    (0..=steps).map(share).map(|share| (share, values.quantile(share) as f64)).collect()
}

/// The least and the most at the 99th percentile.
fn says(of: &str, together: &[&Told]) -> String {
    let p99 = |told: &&&Told| told.1[0].values.quantile(0.99);
    let together: Vec<&Told> = together.iter().filter(|told| !told.0.summary.void).copied().collect();
    let (Some(least), Some(most)) = (together.iter().min_by_key(p99), together.iter().max_by_key(p99)) else {
        return String::new();
    };
    let shown = |told: &&Told| text::nanos(p99(&told) as f64);
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

fn csv(together: &[&Told]) -> String {
    let mut csv = Csv::new(&["id", "of", "percentile", "ns"]);
    for (bench, distributions) in together {
        for distribution in distributions {
            for (share, nanos) in points(distribution) {
                csv.row([bench.line().id.clone(), distribution.of.clone(), number(100.0 * share), number(nanos)]);
            }
        }
    }
    csv.into_text()
}
