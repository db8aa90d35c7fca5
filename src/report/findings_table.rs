//! The tables of what benchmarks found out beyond their times: percentiles of latencies, and single numbers.

use super::found::found;
use super::table::{chosen, figure, plain_table};
use super::text::nanos;
use crate::crew::{Distribution, Figure, Finding};
use crate::record::BenchmarkLine;
use crate::units::Quantity;

/// The percentiles of every distribution, then every number, of one group's lines; empty where nothing was found out.
/// Curves are drawn in reports and not told in numbers.
pub fn findings_tables(lines: &[BenchmarkLine]) -> String {
    let mut ids: Vec<&str> = lines.iter().map(|line| line.id.as_str()).collect();
    let mut seen = std::collections::BTreeSet::new();
    ids.retain(|id| seen.insert(*id));
    let (mut distributions, mut figures) = (Vec::new(), Vec::new());
    for id in ids {
        let rounds: Vec<&BenchmarkLine> = lines.iter().filter(|line| line.id == id).collect();
        let Some(first) = rounds.first() else { continue };
        for finding in found(&rounds) {
            match finding {
                Finding::Distribution(found) => distributions.push(percentiles(first, &found)),
                Finding::Figure(found) => figures.push(number(first, &found)),
                Finding::Curve(_) => {}
            }
        }
    }
    let header = |words: &[&str]| words.iter().map(|word| (*word).to_string()).collect();
    let mut tables = Vec::new();
    if !distributions.is_empty() {
        let words = ["mechanism", "placement", "of", "values", "p50", "p90", "p99", "p99.9", "max"];
        tables.push(plain_table(header(&words), distributions, 3));
    }
    if !figures.is_empty() {
        tables.push(plain_table(header(&["mechanism", "placement", "of", "value", "95 %"]), figures, 3));
    }
    tables.join("\n\n")
}

fn name(line: &BenchmarkLine) -> Vec<String> {
    let name = line.mechanism.split_once('/').map_or(line.mechanism.as_str(), |(_, name)| name);
    let name = chosen(line).map_or(name.into(), |chosen| format!("{name} {chosen}"));
    vec![name, line.setting.placement.name().into()]
}

fn percentiles(line: &BenchmarkLine, found: &Distribution) -> Vec<String> {
    let values = &found.values;
    let told = |value: u64| shown(found.quantity, value as f64);
    let mut row = name(line);
    row.extend([found.of.clone(), values.count().to_string()]);
    row.extend([0.5, 0.9, 0.99, 0.999].map(|share| told(values.quantile(share))));
    row.push(told(values.max()));
    row
}

fn number(line: &BenchmarkLine, found: &Figure) -> Vec<String> {
    let told = |value: f64| shown(found.quantity, value);
    let mut row = name(line);
    let interval = found.interval.map_or("–".into(), |(low, high)| format!("{} to {}", told(low), told(high)));
    row.extend([found.of.clone(), told(found.value), interval]);
    row
}

/// A number with its unit.
pub(super) fn shown(quantity: Quantity, value: f64) -> String {
    match quantity {
        Quantity::Nanoseconds => nanos(value),
        Quantity::Bytes if value.abs() >= 10_000.0 => format!("{value:.0} B"),
        Quantity::Bytes => format!("{} B", figure(value)),
        Quantity::Share => format!("{:.1} %", value * 100.0),
        Quantity::Number => figure(value),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_carry_their_units() {
        assert_eq!(shown(Quantity::Nanoseconds, 74_000.0), "74.0 µs");
        assert_eq!(shown(Quantity::Bytes, 8532.4), "8532 B");
        assert_eq!(shown(Quantity::Share, 0.25), "25.0 %");
    }
}
