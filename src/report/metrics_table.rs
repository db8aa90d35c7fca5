//! The tables of what benchmarks report besides their times: percentiles of latencies, single numbers, and what one
//! task more adds of memory.

use super::pooling::{over_rounds, pooled};
use super::table::{chosen, figure, plain_table};
use super::text::nanos;
use crate::record::{BenchmarkLine, Outcome};
use crate::stats::{CONFIDENCE, slope};
use crate::terms::{Curve, Distribution, Metric, Scalar};
use crate::units::{Quantity, decimals};

/// The columns of [`MetricRows::distributions`]; those from the fourth on are numbers.
pub(super) const PERCENTILES: [&str; 9] =
    ["mechanism", "placement", "of", "values", "p50", "p90", "p99", "p99.9", "max"];

/// The columns of [`MetricRows::figures`]; those from the fourth on are numbers.
pub(super) const FIGURES: [&str; 5] = ["mechanism", "placement", "of", "value", "95 %"];

/// What was found out, in words.
#[derive(Debug, Default)]
pub(super) struct MetricRows {
    /// The percentiles of every distribution.
    pub(super) distributions: Vec<Vec<String>>,
    /// Every number. Curves of memory are told by their slopes, other curves are drawn in reports and not told in
    /// numbers.
    pub(super) figures: Vec<Vec<String>>,
}

/// The metrics of the benchmarks called `ids`, in that order, over all rounds in `lines`.
pub(super) fn rows<'a>(ids: impl IntoIterator<Item = &'a str>, lines: &[BenchmarkLine]) -> MetricRows {
    let mut rows = MetricRows::default();
    for id in ids {
        let rounds: Vec<&BenchmarkLine> = lines.iter().filter(|line| line.id == id).collect();
        let Some(first) = rounds.first() else { continue };
        for metric in pooled(&rounds) {
            match metric {
                Metric::Distribution(pooled) => rows.distributions.push(percentiles(first, &pooled)),
                Metric::Scalar(pooled) => rows.figures.push(number(first, pooled.of.to_string(), &pooled)),
                Metric::Curve(pooled) => {
                    let of = format!("{}, each of the {}", pooled.of, pooled.x.of);
                    rows.figures.extend(slope_of(&pooled, &rounds).map(|slope| number(first, of, &slope)))
                }
            }
        }
    }
    rows
}

/// The percentiles of every distribution, then every number, of one group's lines; empty where nothing was found out.
pub fn metrics_tables(lines: &[BenchmarkLine]) -> String {
    let mut ids: Vec<&str> = lines.iter().map(|line| line.id.as_str()).collect();
    let mut seen = std::collections::BTreeSet::new();
    ids.retain(|id| seen.insert(*id));
    let rows = rows(ids, lines);
    let table = |head: &[&str], rows: Vec<Vec<String>>| {
        let head = head.iter().map(|word| (*word).to_string()).collect();
        (!rows.is_empty()).then(|| plain_table(head, rows, 3))
    };
    let tables = [table(&PERCENTILES, rows.distributions), table(&FIGURES, rows.figures)];
    tables.into_iter().flatten().collect::<Vec<_>>().join("\n\n")
}

/// The slope over several rounds: that of each has an interval between them. How straight the curve of their medians is
/// would say nothing of how far processes differ.
fn slope_of(curve: &Curve, lines: &[&BenchmarkLine]) -> Option<Scalar> {
    let of_round = |line: &&BenchmarkLine| match &line.outcome {
        Outcome::Measured(measured) => measured.metrics.iter().find_map(|metric| match metric {
            Metric::Curve(own) if own.of == curve.of => per_one(own),
            _ => None,
        }),
        _ => None,
    };
    let slopes: Vec<Scalar> = lines.iter().filter_map(of_round).collect();
    let between = match slopes.as_slice() {
        [first, _, ..] => Some(over_rounds(first, &slopes.iter().collect::<Vec<_>>())),
        _ => None,
    };
    // Slopes around 0 have no interval by ratios.
    between.filter(|slope| slope.interval.is_some()).or_else(|| per_one(curve))
}

/// The slope of a curve of memory: what each more of `x` adds, with its interval; nothing for curves of other things,
/// and for fewer points than give an interval.
fn per_one(curve: &Curve) -> Option<Scalar> {
    let memory = curve.y.quantity == Quantity::Bytes && curve.x.quantity == Quantity::Number;
    let slope = slope(&curve.points, CONFIDENCE).filter(|_| memory)?.slope;
    Some(Scalar {
        of: curve.of.clone(),
        quantity: curve.y.quantity,
        value: slope.estimate,
        interval: Some((slope.low, slope.high)),
    })
}

fn name(line: &BenchmarkLine) -> Vec<String> {
    let name = line.mechanism.split_once('/').map_or(line.mechanism.as_str(), |(_, name)| name);
    let name = chosen(line).map_or(name.into(), |chosen| format!("{name} {chosen}"));
    vec![name, line.setting.placement.name().into()]
}

fn percentiles(line: &BenchmarkLine, pooled: &Distribution) -> Vec<String> {
    let values = &pooled.values;
    let formatted = |value: u64| shown(pooled.quantity, value as f64);
    let mut row = name(line);
    row.extend([pooled.of.to_string(), values.count().to_string()]);
    row.extend([0.5, 0.9, 0.99, 0.999].map(|share| formatted(values.quantile(share))));
    row.push(formatted(values.max()));
    row
}

fn number(line: &BenchmarkLine, of: String, pooled: &Scalar) -> Vec<String> {
    let formatted = |value: f64| shown(pooled.quantity, value);
    let mut row = name(line);
    let interval =
        pooled.interval.map_or("–".into(), |(low, high)| format!("{} to {}", formatted(low), formatted(high)));
    row.extend([of, formatted(pooled.value), interval]);
    row
}

/// A number with its unit.
pub(super) fn shown(quantity: Quantity, value: f64) -> String {
    match quantity {
        Quantity::Nanoseconds => nanos(value),
        Quantity::Bytes if value.abs() >= 10_000.0 => format!("{} B", decimals(value, 0)),
        Quantity::Bytes => format!("{} B", figure(value)),
        Quantity::Share => format!("{} %", decimals(value * 100.0, 1)),
        Quantity::Number => figure(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::{CurveAxis, MetricKey};

    #[test]
    fn a_curve_of_memory_is_told_by_its_slope() {
        let axis = |quantity| CurveAxis { of: "tasks".into(), quantity };
        let points: Vec<(f64, f64)> =
            (1..=5).map(|step| (f64::from(step) * 100.0, f64::from(step) * 850_000.0)).collect();
        let memory = Curve { of: MetricKey::InAll, x: axis(Quantity::Number), y: axis(Quantity::Bytes), points };
        let formatted = per_one(&memory).unwrap();
        assert_eq!((&formatted.of, formatted.value), (&MetricKey::InAll, 8500.0));
        assert_eq!(formatted.interval, Some((8500.0, 8500.0)));
        let time = Curve { y: axis(Quantity::Nanoseconds), ..memory.clone() };
        assert_eq!(per_one(&time), None);
        assert_eq!(per_one(&Curve { points: memory.points[..4].to_vec(), ..memory }), None, "four points, no interval");
    }

    #[test]
    fn slopes_of_several_rounds_have_an_interval_between_them() {
        let fixture = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/report/three-rounds");
        let axis = |quantity| CurveAxis { of: "tasks".into(), quantity };
        let mut lines = crate::record::read(&fixture).unwrap().benchmarks;
        lines.retain(|line| line.id == "handoff/futex/same-llc");
        for (line, slope) in lines.iter_mut().zip([30_000.0, 35_000.0, 40_000.0]) {
            let Outcome::Measured(measured) = &mut line.outcome else { panic!("{:?}", line.outcome) };
            let points = (1..=5).map(|step| (f64::from(step), f64::from(step) * slope)).collect();
            let (x, y) = (axis(Quantity::Number), axis(Quantity::Bytes));
            measured.metrics = vec![Metric::Curve(Curve { of: MetricKey::InAll, x, y, points })];
        }
        assert_eq!(lines.len(), 3);
        let formatted = rows(["handoff/futex/same-llc"], &lines).figures;
        assert_eq!((formatted[0][2].as_str(), formatted[0][3].as_str()), ("in all, each of the tasks", "35000 B"));
        let ends: Vec<f64> =
            formatted[0][4].split(" B").filter_map(|end| end.trim_start_matches(" to ").parse().ok()).collect();
        assert!(ends[0] < 31_000.0 && ends[1] > 39_000.0, "{formatted:?}");
    }

    #[test]
    fn numbers_carry_their_units() {
        assert_eq!(shown(Quantity::Nanoseconds, 74_000.0), "74.0 µs");
        assert_eq!(shown(Quantity::Bytes, 8532.4), "8532 B");
        assert_eq!(shown(Quantity::Share, 0.25), "25.0 %");
        let negative = [(Quantity::Bytes, -22_359.574), (Quantity::Bytes, -819.2), (Quantity::Number, -22_359.574)];
        assert_eq!(negative.map(|(quantity, value)| shown(quantity, value)), ["−22360 B", "−819.2 B", "−22360"]);
        assert_eq!([-0.25, -0.0001].map(|share| shown(Quantity::Share, share)), ["−25.0 %", "0.0 %"]);
    }
}
