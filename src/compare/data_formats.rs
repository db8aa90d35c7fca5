//! A comparison as programs read it.

use serde_json::{Map, Value};

use super::format::word;
use super::{ComparedBy, Comparison, ComparisonRow, by_id};
use crate::record::{BenchmarkLine, Run};
use crate::stats::Verdict;
use crate::terms::Doubt;
use crate::units::Quantity;

/// One line for each row, with a header.
pub fn csv(comparison: &Comparison) -> String {
    let mut text = String::from(
        "benchmark,other_benchmark,run,unit,measures,first,first_low,first_high,other,other_low,other_high,ratio,\
         ratio_low,ratio_high,first_rounds,other_rounds,verdict,beyond_doubt,probability,detectable,scatter,\
         first_disturbed,other_disturbed,notes\n",
    );
    let measures = |row: &ComparisonRow| match &comparison.by {
        ComparedBy::Time => row.measures.name().to_string(),
        by => by.to_string(),
    };
    for row in &comparison.rows {
        let run = comparison.runs.get(row.run).map_or("", String::as_str);
        let words = [&row.id, row.other_id.as_deref().unwrap_or(&row.id), run, row.unit, &measures(row)].map(quoted);
        let intervals = [&row.first.interval, &row.other.interval, &row.ratio.interval];
        let figures = intervals.map(|interval| format!("{},{},{}", interval.estimate, interval.low, interval.high));
        let verdict = match row.verdict {
            Verdict::NoVerdict => Doubt::Inconclusive.word(),
            verdict => word(verdict, row.measures),
        };
        let (rounds, figures) = ([row.first.rounds, row.other.rounds], figures.join(","));
        let optional =
            [row.probability, row.detectable, row.scatter].map(|value| value.map_or(String::new(), |v| v.to_string()));
        text.push_str(&format!(
            "{},{figures},{},{},{verdict},{},{},{},{},{}\n",
            words.join(","),
            rounds[0],
            rounds[1],
            row.beyond_doubt,
            optional.join(","),
            row.rounds[0].disturbed,
            row.rounds[1].disturbed,
            row.marks
        ));
    }
    text
}

/// RFC 4180: quotes around a text with a comma, a quote or a line's end, as ids with parameters have. A text that a
/// spreadsheet would take for a formula gets an apostrophe before it (OWASP, "CSV Injection").
fn quoted(text: &str) -> String {
    let formula = text.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let text = &if formula { format!("'{text}") } else { text.to_string() };
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.clone() }
}

/// The whole comparison as one JSON object, for programs: every row with its intervals, in nanoseconds or bytes per
/// operation.
pub fn json(comparison: &Comparison) -> serde_json::Result<String> {
    serde_json::to_string_pretty(comparison)
}

/// The figures of one run as github-action-benchmark reads them with `tool: customSmallerIsBetter` (its README, "Use
/// this action with your own benchmark"): a list of objects, nanoseconds or bytes per operation.
pub fn github_action_benchmark(run: &Run) -> serde_json::Result<String> {
    let figure = |(id, lines): (&str, Vec<&BenchmarkLine>)| {
        let interval = super::side::figure(&lines)?.interval;
        let measures = lines.first().map(|line| line.measures).unwrap_or_default();
        let unit = lines.first().map_or("", |line| line.unit.name());
        let range = format!("{} to {} ({} rounds)", interval.low, interval.high, lines.len());
        let unit = format!("{}/{unit}", measures.unit());
        Some(serde_json::json!({ "name": id, "unit": unit, "value": interval.estimate, "range": range }))
    };
    serde_json::to_string_pretty(&by_id(run).into_iter().filter_map(figure).collect::<Vec<Value>>())
}

/// The figures of one run in Bencher's metric format (bencher.dev, "Bencher Metric Format"): nanoseconds or
/// bytes per operation.
pub fn bencher(run: &Run) -> serde_json::Result<String> {
    let mut all = Map::new();
    for (id, lines) in by_id(run) {
        if let Some(estimate) = super::side::figure(&lines) {
            let interval = &estimate.interval;
            let latency = serde_json::json!({
                "value": interval.estimate, "lower_value": interval.low, "upper_value": interval.high,
            });
            let measure = match lines.first().map(|line| line.measures) {
                Some(Quantity::Nanoseconds) | None => "latency",
                Some(Quantity::Bytes) => "memory",
                Some(Quantity::Share | Quantity::Number) => "figure",
            };
            all.insert(id.into(), serde_json::json!({ measure: latency }));
        }
    }
    serde_json::to_string_pretty(&Value::Object(all))
}
