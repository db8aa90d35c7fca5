//! How samples scatter within a round, and rounds among themselves.

use super::{ChartInput, basis, marks, named};
use crate::report::csv::{Csv, number};
use crate::report::figure::{BoxPlot, BoxPlotRow, BoxPlots, Figure};
use crate::report::run_view::BenchmarkView;
use crate::report::text;
use crate::stats::{Modes, median, modes, quantile};

/// The figure; `None` where nothing was measured.
pub(in crate::report) fn scatter(input: ChartInput) -> Option<Figure> {
    let mut benchmarks = input.apart_from_curves();
    benchmarks.sort_by(|a, b| spread(b).total_cmp(&spread(a)));
    let benchmarks = &benchmarks;
    let rows: Vec<BoxPlotRow> = benchmarks.iter().map(|benchmark| box_plot_row(benchmark)).collect();
    if rows.is_empty() {
        return None;
    }
    let triangles = rows.iter().any(|row| !row.modes.is_empty());
    let mut key =
        "One box plot per round: a thin line from the 5th to the 95th percentile of its samples, a box between \
                   the quartiles, a mark at the median. The number at the right is the coefficient of variation of the \
                   rounds' medians, or of the samples where there is one round. Values beyond 0.1× or 10× are drawn at \
                   the edge."
            .to_string();
    key.push_str(&left_out(benchmarks));
    if triangles {
        key.push_str(" Triangles mark modes.");
    }
    key.extend(marks(benchmarks).map(|marks| format!(" {marks}")));
    Some(Figure {
        id: input.anchor("rounds"),
        title: input.title("How samples and rounds scatter"),
        subtitle: subtitle(benchmarks),
        key: Some(key),
        basis: basis(benchmarks.iter().copied()),
        picture: Box::new(BoxPlots { rows }),
        csv: csv(benchmarks),
    })
}

fn box_plot_row(benchmark: &BenchmarkView) -> BoxPlotRow {
    let figure = benchmark.per_op();
    let several = modes_of(benchmark).filter(|modes| modes.count > 1);
    BoxPlotRow {
        label: benchmark.name().into(),
        detail: benchmark.detail(),
        mark: benchmark.mark().into(),
        series: benchmark.colour(),
        rounds: benchmark.counting().iter().filter_map(|round| box_plot(round, figure)).collect(),
        modes: several.map(|modes| modes.centres.iter().map(|centre| centre / figure).collect()).unwrap_or_default(),
        value: coefficient(benchmark).map_or("–".into(), text::percent),
    }
}

/// The coefficient of variation of the rounds' medians, or of the samples where there is one round.
fn coefficient(benchmark: &BenchmarkView) -> Option<f64> {
    benchmark.summary.per_op.between_round_cv.or(benchmark.summary.per_op.within_round_cv)
}

/// The same, and 0 where it is not known.
fn spread(benchmark: &BenchmarkView) -> f64 {
    coefficient(benchmark).unwrap_or(0.0)
}

/// What is not drawn because a CPU was slow, in a sentence; empty where everything is.
fn left_out(benchmarks: &[&BenchmarkView]) -> String {
    if benchmarks.iter().all(|benchmark| benchmark.summary.discarded == 0.0) {
        return String::new();
    }
    let rounds = benchmarks.iter().flat_map(|benchmark| benchmark.counting()).filter(|round| round.is_empty()).count();
    let rounds = if rounds > 0 {
        format!(" and {} with too few other samples", text::count(rounds, "round"))
    } else {
        String::new()
    };
    format!(" Left out: samples during which a CPU ran slower than at its best{rounds}.")
}

fn box_plot(round: &[f64], figure: f64) -> Option<BoxPlot> {
    let at = |share: f64| quantile(round, share).map(|value| value / figure).filter(|ratio| *ratio > 0.0);
    Some(BoxPlot { low: at(0.05)?, lower: at(0.25)?, median: at(0.5)?, upper: at(0.75)?, high: at(0.95)? })
}

/// The modes of the rounds where there are enough of them to tell, else of the samples.
fn modes_of(benchmark: &BenchmarkView) -> Option<Modes> {
    let samples = benchmark.counting();
    let medians: Vec<f64> = samples.iter().filter_map(|round| median(round)).collect();
    let of_rounds = modes(&medians).filter(|modes| modes.count > 1);
    of_rounds.or_else(|| modes(&samples.concat()))
}

fn subtitle(benchmarks: &[&BenchmarkView]) -> String {
    let several: Vec<String> = benchmarks
        .iter()
        .filter_map(|benchmark| {
            let modes = modes_of(benchmark).filter(|modes| modes.count > 1)?;
            let centres: Vec<String> = modes.centres.iter().map(|centre| benchmark.formatted(*centre)).collect();
            Some(format!("{} has {} modes ({})", named(benchmark), modes.count, text::list(&centres)))
        })
        .collect();
    let scatter = |benchmark: &&&BenchmarkView| benchmark.summary.per_op.between_round_cv;
    let widest = benchmarks
        .iter()
        .filter(|benchmark| scatter(benchmark).is_some())
        .max_by(|a, b| scatter(a).unwrap_or_default().total_cmp(&scatter(b).unwrap_or_default()));
    let spread = match widest {
        Some(benchmark) => format!(
            "Medians of the rounds vary most for {}, by {}",
            named(benchmark),
            text::percent(scatter(&benchmark).unwrap_or_default())
        ),
        None => "Each rests on one round, so the scatter between processes is not known".into(),
    };
    match several.as_slice() {
        [] => format!("{spread}; no benchmark shows more than one mode."),
        [first] => format!("{spread}; {first}, which a single figure does not describe."),
        [first, ..] => format!("{spread}; {} benchmarks show several modes; for example, {first}.", several.len()),
    }
}

fn csv(benchmarks: &[&BenchmarkView]) -> String {
    let quantity = super::quantity(benchmarks);
    let values = ["min", "p5", "p25", "median", "p75", "p95", "max"].map(|value| text::value_column(value, quantity));
    let columns = ["id", "round", "samples", "counting"].into_iter().chain(values.iter().map(String::as_str));
    let mut csv = Csv::new(&columns.collect::<Vec<_>>());
    for benchmark in benchmarks {
        for (index, (all, round)) in benchmark.rounds.iter().zip(benchmark.counting()).enumerate() {
            let quantiles = [0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0]
                .map(|share| quantile(round, share).map(number).unwrap_or_default());
            let numbers = [index, all.samples.len(), round.len()].map(|number| number.to_string());
            csv.row([benchmark.line().id.clone()].into_iter().chain(numbers).chain(quantiles));
        }
    }
    csv.into_text()
}
