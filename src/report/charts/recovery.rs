//! How user code gets back to its speed after a call, and what is lost until then, over the working set.

use std::collections::{BTreeMap, BTreeSet};

use super::{ChartInput, basis, left_out, marks};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Figure, Grid, GridRow, LineSeries, Lines, Point};
use crate::report::run_view::BenchmarkView;
use crate::report::text;
use crate::terms::{Curve, Metric, MetricKey, Scalar, Value};
use crate::units::Quantity;

/// A benchmark, the time that it lost after the call, and a curve.
type RecoveryCurve<'a> = (&'a BenchmarkView<'a>, &'a Scalar, &'a Curve);

/// What is chosen, whether the curve is a counted one, what it is of, and the placement where each has a figure of its
/// own.
type CurveChoice<'a> = (Vec<(&'a str, &'a Value)>, bool, &'a str, Option<&'static str>);

/// More curves than this in one figure cannot be told apart: there are as many colours.
const MOST_CURVES: usize = 8;

/// A figure of curves for each choice of parameters, and one of the losses over the parameter that was varied.
pub(in crate::report) fn recovery(input: ChartInput) -> Vec<Figure> {
    let pooled: Vec<RecoveryCurve> = input.benchmarks.iter().flat_map(|benchmark| pooled(benchmark)).collect();
    let mut choices = chosen(&pooled, |_| None);
    if choices.values().any(|pooled| pooled.len() > MOST_CURVES) {
        choices = chosen(&pooled, |benchmark| Some(benchmark.line().setting.placement.name()));
    }
    let curves =
        choices.iter().map(|((parameters, _, _, placement), pooled)| curves(input, parameters, *placement, pooled));
    numbers(input, &pooled).into_iter().chain(curves).collect()
}

fn chosen<'a>(
    pooled: &[RecoveryCurve<'a>],
    placement: impl Fn(&BenchmarkView<'a>) -> Option<&'static str>,
) -> BTreeMap<CurveChoice<'a>, Vec<RecoveryCurve<'a>>> {
    let mut choices: BTreeMap<CurveChoice, Vec<RecoveryCurve>> = BTreeMap::new();
    for pooled in pooled {
        let parameters = pooled.0.line().setting.parameters.iter().collect();
        let key = (parameters, is_counted(pooled.2), pooled.2.of.as_str(), placement(pooled.0));
        choices.entry(key).or_default().push(*pooled);
    }
    choices
}

/// With the curve of its speed, and that of instructions per cycle where they were counted.
fn pooled<'a>(benchmark: &'a BenchmarkView<'a>) -> Vec<RecoveryCurve<'a>> {
    let number = benchmark.metrics().iter().find_map(|metric| match metric {
        Metric::Scalar(number) if number.of == MetricKey::LostAfterCall => Some(number),
        _ => None,
    });
    let curve = |key: MetricKey| {
        benchmark.metrics().iter().find_map(|metric| match metric {
            Metric::Curve(curve) if curve.of == key && !curve.points.is_empty() => Some(curve),
            _ => None,
        })
    };
    let curves = [curve(MetricKey::SpeedAfterCall), curve(MetricKey::IpcAfterCall)];
    let of_number = |number| curves.into_iter().flatten().map(move |curve| (benchmark, number, curve));
    number.into_iter().flat_map(of_number).collect()
}

/// One curve for each mechanism, and for each placement where they share the figure.
fn curves(
    input: ChartInput,
    parameters: &[(&str, &Value)],
    placement: Option<&'static str>,
    pooled: &[RecoveryCurve],
) -> Figure {
    let curve = pooled[0].2;
    let mut chosen: Vec<String> = parameters.iter().map(|(name, value)| format!("{}={value}", slugged(name))).collect();
    let mut formatted: Vec<String> = parameters.iter().map(|(name, value)| said(name, value)).collect();
    chosen.extend(placement.map(String::from));
    formatted.extend(placement.map(String::from));
    let counted = is_counted(curve);
    if counted {
        chosen.push(text::slug(&curve.y.of));
    }
    let label = |(benchmark, ..): &RecoveryCurve| match placement {
        Some(_) => benchmark.name().to_string(),
        None => format!("{} {}", benchmark.name(), benchmark.line().setting.placement.name()),
    };
    let line = |pooled: &RecoveryCurve| LineSeries {
        label: [label(pooled).as_str(), pooled.0.mark()].join(" ").trim_end().into(),
        points: pooled.2.points.iter().map(|&(x, y)| Point::at(x, y)).collect(),
    };
    // The baseline is the control: what it loses is what the method cannot tell.
    let judged = pooled.iter().filter(|(benchmark, ..)| !is_control(benchmark) && benchmark.is_comparable());
    let dearest = judged.clone().max_by(|a, b| a.1.value.total_cmp(&b.1.value)).unwrap_or(&pooled[0]);
    let lowest = |pooled: &&RecoveryCurve| pooled.2.points.iter().map(|(_, y)| *y).fold(f64::INFINITY, f64::min);
    let slowest = judged.min_by(|a, b| lowest(a).total_cmp(&lowest(b))).unwrap_or(&pooled[0]);
    let mut csv = Csv::new(&["curve", &curve.x.of, &curve.y.of, "id"]);
    for (row, (x, y)) in pooled.iter().flat_map(|pooled| pooled.2.points.iter().map(move |point| (pooled, point))) {
        csv.row([label(row), number(*x), number(*y), row.0.line().id.clone()]);
    }
    Figure {
        id: format!("{}-{}", input.anchor("recovery"), text::slug(&chosen.join("-"))),
        title: input.title(&format!("{}: {}", text::capitalised(curve.of.as_str()), formatted.join(", "))),
        subtitle: match counted {
            true => format!(
                "Fewest instructions per cycle with {}: {} in its slowest block.",
                label(slowest),
                text::significant(lowest(&slowest))
            ),
            false => format!("The largest loss is with {}: {}.", label(dearest), text::nanos(dearest.1.value)),
        },
        key: match curve.y.quantity {
            Quantity::Share => with_marks(
                "100 % is the same block's speed in the trials without the call; median of all trials.",
                pooled,
            ),
            _ if counted => with_marks("User mode alone; median of trials timed in cycles.", pooled),
            _ => with_marks("", pooled),
        },
        basis: basis(pooled.iter().map(|(benchmark, ..)| *benchmark)),
        picture: Box::new(Lines {
            across: curve.x.of.clone(),
            upwards: curve.y.of.clone(),
            quantity: curve.y.quantity,
            marks: false,
            over_time: false,
            level: None,
            lines: pooled.iter().map(line).collect(),
        }),
        csv: csv.into_text(),
    }
}

/// How a figure is read, with what marks of its curves mean.
fn with_marks(reading: &str, pooled: &[RecoveryCurve]) -> Option<String> {
    let benchmarks: Vec<&BenchmarkView> = pooled.iter().map(|(benchmark, ..)| *benchmark).collect();
    let key = [reading, marks(&benchmarks).as_deref().unwrap_or_default()].join(" ").trim().to_string();
    (!key.is_empty()).then_some(key)
}

/// What the number is for each value of the parameter that has most of them; `None` where it has one.
fn numbers(input: ChartInput, all: &[RecoveryCurve]) -> Option<Figure> {
    let (pooled, invalid): (Vec<RecoveryCurve>, Vec<RecoveryCurve>) =
        all.iter().copied().partition(|(benchmark, ..)| benchmark.is_comparable());
    let pooled = pooled.as_slice();
    let invalid = invalid.iter().filter(|(.., curve)| !is_counted(curve)).count();
    let mut amounts: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (benchmark, ..) in pooled {
        for (name, value) in benchmark.line().setting.parameters.iter() {
            if let Value::Number(amount) = value {
                amounts.entry(name).or_default().push(*amount);
            }
        }
    }
    for amounts in amounts.values_mut() {
        amounts.sort_unstable();
        amounts.dedup();
    }
    let (varied, amounts) = amounts.into_iter().max_by_key(|(_, amounts)| amounts.len())?;
    if amounts.len() < 2 {
        return None;
    }
    let mut rows: Vec<(String, Vec<Option<f64>>)> = Vec::new();
    let what = &pooled[0].1.of;
    let mut csv = Csv::new(&["row", varied, "ns", "low_95", "high_95", "id"]);
    for (benchmark, figure, curve) in pooled {
        if is_counted(curve) {
            // Its number is that of the other curve.
            continue;
        }
        let setting = &benchmark.line().setting;
        let others = setting.parameters.iter().filter(|(name, _)| *name != varied).map(|(_, value)| value.to_string());
        let words: Vec<String> =
            [benchmark.name().into(), setting.placement.name().into()].into_iter().chain(others).collect();
        let label = words.join(" ");
        let row = rows.iter().position(|(known, _)| *known == label).unwrap_or_else(|| {
            rows.push((label.clone(), vec![None; amounts.len()]));
            rows.len() - 1
        });
        let value = setting.parameters.iter().find(|(name, _)| *name == varied).map(|(_, value)| value);
        let Some(Value::Number(amount)) = value else { continue };
        if let Ok(column) = amounts.binary_search(amount) {
            rows[row].1[column] = Some(figure.value);
        }
        let interval = figure.interval.map_or([String::new(), String::new()], |(low, high)| [low, high].map(number));
        let start = [label, amount.to_string(), number(figure.value)];
        csv.row(start.into_iter().chain(interval).chain([benchmark.line().id.clone()]));
    }
    let controls: BTreeSet<&str> =
        pooled.iter().filter(|(benchmark, ..)| is_control(benchmark)).map(|(benchmark, ..)| benchmark.name()).collect();
    let judged = rows.iter().filter(|(label, _)| !controls.iter().any(|control| label.starts_with(control)));
    let (dearest, most) = dearest(judged);
    Some(Figure {
        id: format!("{}-over-{}", input.anchor("recovery"), text::slug(varied)),
        title: input.title(&format!("Time {what}, over {}", varied.replace('_', " "))),
        subtitle: format!("The largest loss is with {dearest}: {}.", text::nanos(most)),
        key: Some(format!(
            "Sums over all blocks, less those of the trials without the call; the darker, the more is lost. Values \
             near 0 mean no loss.{}",
            left_out("benchmark", invalid)
        )),
        basis: basis(pooled.iter().map(|(benchmark, ..)| *benchmark)),
        picture: Box::new(Grid {
            across: varied.replace('_', " "),
            columns: amounts.iter().map(|amount| bytes(*amount)).collect(),
            rows: rows.into_iter().map(|(label, values)| GridRow { label, values }).collect(),
        }),
        csv: csv.into_text(),
    })
}

fn is_counted(curve: &Curve) -> bool {
    curve.of == MetricKey::IpcAfterCall
}

fn is_control(benchmark: &BenchmarkView) -> bool {
    benchmark.line().mechanism == benchmark.line().baseline
}

fn dearest<'a>(rows: impl Iterator<Item = &'a (String, Vec<Option<f64>>)>) -> (&'a str, f64) {
    let all = rows.flat_map(|(label, values)| values.iter().flatten().map(move |value| (label.as_str(), *value)));
    all.max_by(|a, b| a.1.total_cmp(&b.1)).unwrap_or(("none", 0.0))
}

/// `32 KiB`, where it is a whole number of them.
fn bytes(amount: u64) -> String {
    match amount {
        amount if amount >= 1 << 20 && amount.is_multiple_of(1 << 20) => format!("{} MiB", amount >> 20),
        amount if amount >= 1 << 10 && amount.is_multiple_of(1 << 10) => format!("{} KiB", amount >> 10),
        amount => amount.to_string(),
    }
}

fn said(name: &str, value: &Value) -> String {
    match value {
        Value::Number(amount) => format!("{} {}", name.replace('_', " "), bytes(*amount)),
        Value::Word(word) => format!("{name} {word}"),
    }
}

fn slugged(name: &str) -> String {
    name.replace('_', "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory_are_told_in_their_units() {
        assert_eq!([1000, 16 << 10, 1 << 20, 3 << 19].map(bytes), ["1000", "16 KiB", "1 MiB", "1536 KiB"]);
    }
}
