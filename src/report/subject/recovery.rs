//! How benchmarks that found out a curve come back to their speed, and what that costs over an amount.

use std::collections::{BTreeMap, BTreeSet};

use super::Subject;
use crate::crew::{Curve, Figure as Number, Finding};
use crate::mechanism::Value;
use crate::report::csv::{Csv, number};
use crate::report::figure::{Figure, Grid, GridRow, Trace, Traces};
use crate::report::study::Bench;
use crate::report::text;
use crate::units::Quantity;

/// A benchmark, the first number that it found out, and a curve.
type Found<'a> = (&'a Bench<'a>, &'a Number, &'a Curve);

/// What is chosen, whether the curve is a counted one, what it is of, and the placement where each has a figure of its own.
type Choice<'a> = (Vec<(&'a str, &'a Value)>, bool, &'a str, Option<&'static str>);

/// More curves than this in one figure cannot be told apart: there are as many colours.
const MOST_CURVES: usize = 8;

/// A figure of curves for each choice of parameters, and one of the first numbers over the parameter that was varied.
pub(in crate::report) fn recovery(subject: Subject) -> Vec<Figure> {
    let found: Vec<Found> = subject.benches.iter().flat_map(|bench| found(bench)).collect();
    let mut choices = chosen(&found, |_| None);
    if choices.values().any(|found| found.len() > MOST_CURVES) {
        choices = chosen(&found, |bench| Some(bench.line().setting.placement.name()));
    }
    let curves =
        choices.iter().map(|((parameters, _, _, placement), found)| curves(subject, parameters, *placement, found));
    numbers(subject, &found).into_iter().chain(curves).collect()
}

fn chosen<'a>(
    found: &[Found<'a>],
    placement: impl Fn(&Bench<'a>) -> Option<&'static str>,
) -> BTreeMap<Choice<'a>, Vec<Found<'a>>> {
    let mut choices: BTreeMap<Choice, Vec<Found>> = BTreeMap::new();
    for found in found {
        let parameters = found.0.line().setting.parameters.iter().collect();
        let key = (parameters, is_counted(found.2), found.2.of.as_str(), placement(found.0));
        choices.entry(key).or_default().push(*found);
    }
    choices
}

/// With its first curve, and the first one in plain numbers, which is that of instructions per cycle, where they were
/// counted.
fn found<'a>(bench: &'a Bench<'a>) -> Vec<Found<'a>> {
    let number = bench.findings().iter().find_map(|finding| match finding {
        Finding::Figure(number) if number.quantity.is_time() => Some(number),
        _ => None,
    });
    let all = || {
        bench.findings().iter().filter_map(|finding| match finding {
            Finding::Curve(curve) if !curve.points.is_empty() => Some(curve),
            _ => None,
        })
    };
    let first = all().next();
    let counted = all().skip(1).find(|curve| is_counted(curve));
    number
        .into_iter()
        .flat_map(|number| first.into_iter().chain(counted).map(move |curve| (bench, number, curve)))
        .collect()
}

/// One curve for each mechanism, and for each placement where they share the figure.
fn curves(subject: Subject, parameters: &[(&str, &Value)], placement: Option<&'static str>, found: &[Found]) -> Figure {
    let curve = found[0].2;
    let mut chosen: Vec<String> = parameters.iter().map(|(name, value)| format!("{}={value}", slugged(name))).collect();
    let mut told: Vec<String> = parameters.iter().map(|(name, value)| said(name, value)).collect();
    chosen.extend(placement.map(String::from));
    told.extend(placement.map(String::from));
    let counted = is_counted(curve);
    if counted {
        chosen.push(text::slug(&curve.y.of));
    }
    let label = |(bench, ..): &Found| match placement {
        Some(_) => bench.name().to_string(),
        None => format!("{} {}", bench.name(), bench.line().setting.placement.name()),
    };
    let trace = |found: &Found| Trace { label: label(found), points: found.2.points.clone() };
    // The baseline is the control: what it loses is what the method cannot tell.
    let judged = found.iter().filter(|(bench, ..)| !is_control(bench));
    let dearest = judged.clone().max_by(|a, b| a.1.value.total_cmp(&b.1.value)).unwrap_or(&found[0]);
    let lowest = |found: &&Found| found.2.points.iter().map(|(_, y)| *y).fold(f64::INFINITY, f64::min);
    let slowest = judged.min_by(|a, b| lowest(a).total_cmp(&lowest(b))).unwrap_or(&found[0]);
    let mut csv = Csv::new(&["curve", &curve.x.of, &curve.y.of, "id"]);
    for (row, (x, y)) in found.iter().flat_map(|found| found.2.points.iter().map(move |point| (found, point))) {
        csv.row([label(row), number(*x), number(*y), row.0.line().id.clone()]);
    }
    Figure {
        id: format!("{}-{}", subject.anchor("recovery"), text::slug(&chosen.join("-"))),
        title: subject.title(&format!("{}: {}", text::capitalised(&curve.of), told.join(", "))),
        says: match counted {
            true => format!(
                "Fewest instructions per cycle with {}: {} in its slowest block.",
                label(slowest),
                text::significant(lowest(&slowest))
            ),
            false => format!("Most is lost with {}: {}.", label(dearest), text::nanos(dearest.1.value)),
        },
        key: match curve.y.quantity {
            Quantity::Share => {
                Some("100 % is the same block's speed in the trials without the call; median of all trials.".into())
            }
            _ if counted => Some("User mode alone; median of trials timed in cycles.".into()),
            _ => None,
        },
        picture: Box::new(Traces {
            across: curve.x.of.clone(),
            upwards: curve.y.of.clone(),
            quantity: curve.y.quantity,
            traces: found.iter().map(trace).collect(),
        }),
        csv: csv.into_text(),
    }
}

/// What the number is for each value of the parameter that has most of them; `None` where it has one.
fn numbers(subject: Subject, found: &[Found]) -> Option<Figure> {
    let mut amounts: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (bench, ..) in found {
        for (name, value) in bench.line().setting.parameters.iter() {
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
    let what = &found[0].1.of;
    let mut csv = Csv::new(&["row", varied, "ns", "low_95", "high_95", "id"]);
    for (bench, figure, curve) in found {
        if is_counted(curve) {
            // Its number is that of the other curve.
            continue;
        }
        let setting = &bench.line().setting;
        let others = setting.parameters.iter().filter(|(name, _)| *name != varied).map(|(_, value)| value.to_string());
        let words: Vec<String> =
            [bench.name().into(), setting.placement.name().into()].into_iter().chain(others).collect();
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
        csv.row(start.into_iter().chain(interval).chain([bench.line().id.clone()]));
    }
    let controls: BTreeSet<&str> =
        found.iter().filter(|(bench, ..)| is_control(bench)).map(|(bench, ..)| bench.name()).collect();
    let judged = rows.iter().filter(|(label, _)| !controls.iter().any(|control| label.starts_with(control)));
    let (dearest, most) = dearest(judged);
    Some(Figure {
        id: format!("{}-over-{}", subject.anchor("recovery"), text::slug(varied)),
        title: subject.title(&format!("Time {what}, over {}", varied.replace('_', " "))),
        says: format!("Most is lost with {dearest}: {}.", text::nanos(most)),
        key: Some(
            "Sums of all blocks, less those of the trials without the call; darker is more. About 0 is nothing.".into(),
        ),
        picture: Box::new(Grid {
            across: varied.replace('_', " "),
            columns: amounts.iter().map(|amount| bytes(*amount)).collect(),
            rows: rows.into_iter().map(|(label, values)| GridRow { label, values }).collect(),
        }),
        csv: csv.into_text(),
    })
}

fn is_counted(curve: &Curve) -> bool {
    curve.y.quantity == Quantity::Number
}

fn is_control(bench: &Bench) -> bool {
    bench.line().mechanism == bench.line().baseline
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
