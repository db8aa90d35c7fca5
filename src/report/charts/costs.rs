//! The cost of an operation, by mechanism and placement.

use super::{ChartInput, is_within_only, key, named};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Band, Dot, Dots, Figure};
use crate::report::run_view::BenchmarkView;
use crate::report::text;

/// The figure; `None` where nothing was measured.
pub(in crate::report) fn costs(input: ChartInput) -> Option<Figure> {
    let benchmarks = &input.apart_from_curves();
    if benchmarks.is_empty() {
        return None;
    }
    let (unit, quantity) = (input.unit(), input.quantity());
    let noun = text::noun(quantity);
    Some(Figure {
        id: input.anchor("cost"),
        title: input.title(&format!("{} per {unit} by mechanism and placement", text::capitalised(noun))),
        subtitle: subtitle(benchmarks, unit),
        key: key(benchmarks, 1),
        picture: Box::new(Dots {
            axis: format!("{noun} per {unit}, 95 % interval"),
            quantity,
            bands: bands(benchmarks),
        }),
        csv: csv(benchmarks),
    })
}

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
    bands
}

fn dot(benchmark: &BenchmarkView) -> Dot {
    Dot {
        label: benchmark.line().setting.placement.name().into(),
        series: benchmark.colour(),
        interval: benchmark.summary.per_op.interval,
        within_only: is_within_only(benchmark),
        differs: benchmark.summary.audit == "DIFFERS",
        void: benchmark.summary.void,
    }
}

/// The least and the most, and whether the data tell the least from the others.
fn subtitle(benchmarks: &[&BenchmarkView], unit: &str) -> String {
    let benchmarks: Vec<&BenchmarkView> =
        benchmarks.iter().filter(|benchmark| !benchmark.summary.void).copied().collect();
    let by_cost = |a: &&&BenchmarkView, b: &&&BenchmarkView| a.per_op().total_cmp(&b.per_op());
    let (Some(least), Some(most)) = (benchmarks.iter().min_by(by_cost), benchmarks.iter().max_by(by_cost)) else {
        return "Every figure is void.".into();
    };
    if least.line().id == most.line().id {
        return format!("{} takes {} per {unit}.", named(least), least.formatted(least.per_op()));
    }
    let high = least.summary.per_op.interval.high;
    let beside = benchmarks.iter().filter(|b| b.line().id != least.line().id && b.summary.per_op.interval.low <= high);
    let level = match beside.count() {
        0 => String::new(),
        others => format!(" ({} within its interval)", text::count(others, "other")),
    };
    format!(
        "{} takes least, {} per {unit}{level}; {} takes most, {}, {} as much.",
        named(least),
        least.formatted(least.per_op()),
        named(most),
        most.formatted(most.per_op()),
        text::times(most.per_op() / least.per_op()),
    )
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
