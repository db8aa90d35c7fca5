//! A comparison as people and programs read it.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};
use serde_json::{Map, Value};

use super::{Comparison, ComparisonRow, by_id};
use crate::record::Run;
use crate::stats::Verdict;
use crate::units::{Quantity, decimals};

const WIDTH: u16 = 120;

/// Facts of one group that are shown before the rest is counted only.
const MOST_FACTS: usize = 6;

/// The letter of a run: A is the first.
fn letter(run: usize) -> String {
    u8::try_from(run)
        .ok()
        .filter(|run| *run < 26)
        .map_or_else(|| format!("#{run}"), |run| char::from(b'A' + run).into())
}

/// For a terminal of 120 columns.
pub fn table(comparison: &Comparison) -> String {
    let mut text = String::new();
    for (run, name) in comparison.runs.iter().enumerate() {
        text.push_str(&format!("{}: {name}\n", letter(run)));
    }
    text.push('\n');
    text.push_str(&differing(comparison));
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule)).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH);
    table.set_header(header(comparison));
    for row in &comparison.rows {
        table.add_row(cells(row, comparison));
    }
    for column in 1..5 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    text.push_str(&format!("{table}\n"));
    for note in notes(comparison) {
        text.push_str(&format!("{note}\n"));
    }
    text
}

/// The comparison as Markdown: the facts that differ between the hosts, then a table of the ratios.
pub fn markdown(comparison: &Comparison) -> String {
    let mut text = String::new();
    for (run, name) in comparison.runs.iter().enumerate() {
        text.push_str(&format!("- {}: {}\n", letter(run), code(name)));
    }
    if comparison.differences.is_empty() {
        text.push_str("\nThe records show no difference between the machines and the builds.\n");
    } else {
        let letters: Vec<String> = (0..comparison.runs.len()).map(letter).collect();
        text.push_str(&format!("\n| differs | | {} |\n", letters.join(" | ")));
        text.push_str(&format!("|{}\n", " --- |".repeat(2 + letters.len())));
        for difference in &comparison.differences {
            let values = difference.values.iter().map(|value| escaped(value.as_deref().unwrap_or("unknown")));
            let values = values.collect::<Vec<_>>().join(" | ");
            text.push_str(&format!("| {} | {} | {values} |\n", difference.group, escaped(&difference.name)));
        }
    }
    text.push_str(&format!("\n| {} |\n| --- | --: | --: | --: | --: | --- |\n", header(comparison).join(" | ")));
    for row in &comparison.rows {
        text.push_str(&format!("| {} |\n", cells(row, comparison).map(|cell| escaped(&cell)).join(" | ")));
    }
    text.push('\n');
    for note in notes(comparison) {
        text.push_str(&format!("- {}\n", escaped(&note)));
    }
    text
}

/// Text that begins no markup (CommonMark 0.31, 2.4) and ends no cell.
fn escaped(text: &str) -> String {
    text.replace('<', "\\<").replace('`', "\\`").replace('|', "\\|").replace('\n', " ")
}

/// A code span, between more backticks than the text has in a row (CommonMark 0.31, 6.1).
fn code(text: &str) -> String {
    let text = text.replace('\n', " ");
    if !text.contains('`') {
        return format!("`{text}`");
    }
    let longest = text.split(|c| c != '`').map(str::len).max().unwrap_or(0);
    let fence = "`".repeat(longest + 1);
    format!("{fence} {text} {fence}")
}

fn header(comparison: &Comparison) -> [String; 6] {
    let other = if comparison.runs.len() == 2 { "B" } else { "other" };
    let named = |name: &str| format!("{name} ns/op");
    ["benchmark".into(), named("A"), named(other), format!("{other} / A"), "95 %".into(), "verdict".into()]
}

fn cells(row: &ComparisonRow, comparison: &Comparison) -> [String; 6] {
    let interval = &row.ratio.interval;
    let id = match &row.other_id {
        Some(other) => format!("{} → {other}", row.id),
        None => row.id.clone(),
    };
    [
        if comparison.runs.len() > 2 { format!("{id} ({})", letter(row.run)) } else { id },
        figure(row.first.interval.estimate, row.measures),
        figure(row.other.interval.estimate, row.measures),
        format!("{:.3}", interval.estimate),
        format!("{:.3} – {:.3}", interval.low, interval.high),
        word(row.verdict, row.measures).into(),
    ]
}

/// Nanoseconds, as the header says, or a number with its unit.
fn figure(value: f64, measures: Quantity) -> String {
    let number = decimals(value, if value.abs() >= 100.0 { 0 } else { 2 });
    if measures.is_time() { number } else { format!("{number} {}", measures.unit()).trim_end().into() }
}

fn word(verdict: Verdict, measures: Quantity) -> &'static str {
    match verdict {
        Verdict::Faster if !measures.is_time() => "less",
        Verdict::Slower if !measures.is_time() => "more",
        Verdict::Faster => "faster",
        Verdict::Slower => "slower",
        Verdict::Equivalent => "equal",
        Verdict::NoVerdict => "–",
    }
}

fn differing(comparison: &Comparison) -> String {
    if comparison.differences.is_empty() {
        return "the records show no difference between the machines and the builds\n\n".into();
    }
    let mut text = String::from("what differs:\n");
    for group in comparison.differences.chunk_by(|a, b| a.group == b.group) {
        for difference in group.iter().take(MOST_FACTS) {
            text.push_str(&format!("  {:<14} {}\n", difference.group, difference.name));
            for (run, value) in difference.values.iter().enumerate() {
                text.push_str(&format!("      {} {}\n", letter(run), value.as_deref().unwrap_or("unknown")));
            }
        }
        if group.len() > MOST_FACTS {
            text.push_str(&format!("  {:<14} and {} more (--format json)\n", group[0].group, group.len() - MOST_FACTS));
        }
    }
    text.push('\n');
    text
}

/// What a reader of the rows must know.
fn notes(comparison: &Comparison) -> Vec<String> {
    let mut notes = vec![format!(
        "faster, slower: the whole interval lies beyond {} %; equal: it lies within; –: the data do not decide",
        comparison.smallest_effect * 100.0
    )];
    if comparison.rows.len() >= 20 {
        let chance = comparison.rows.len() / 20;
        notes.push(format!(
            "of {} intervals at 95 %, about {chance} do not contain the true value, by chance",
            comparison.rows.len()
        ));
    }
    for row in &comparison.rows {
        notes.extend(row.notes.iter().map(|note| format!("{}: {note}", row.id)));
    }
    for missing in &comparison.missing {
        let runs: Vec<String> = missing.runs.iter().copied().map(letter).collect();
        notes.push(format!("{}: only in {}", missing.id, runs.join(", ")));
    }
    notes
}

/// One line for each row, with a header.
pub fn csv(comparison: &Comparison) -> String {
    let mut text = String::from(
        "benchmark,other_benchmark,run,unit,measures,first,first_low,first_high,other,other_low,other_high,ratio,\
         ratio_low,ratio_high,first_rounds,other_rounds,verdict\n",
    );
    for row in &comparison.rows {
        let run = comparison.runs.get(row.run).map_or("", String::as_str);
        let words =
            [&row.id, row.other_id.as_deref().unwrap_or(&row.id), run, row.unit, row.measures.name()].map(quoted);
        let intervals = [&row.first.interval, &row.other.interval, &row.ratio.interval];
        let figures = intervals.map(|interval| format!("{},{},{}", interval.estimate, interval.low, interval.high));
        let verdict = match row.verdict {
            Verdict::NoVerdict => "",
            verdict => word(verdict, row.measures),
        };
        let (rounds, figures) = ([row.first.rounds, row.other.rounds], figures.join(","));
        text.push_str(&format!("{},{figures},{},{},{verdict}\n", words.join(","), rounds[0], rounds[1]));
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

/// The figures of one run in Bencher's metric format (bencher.dev, "Bencher Metric Format"): nanoseconds or
/// bytes per operation.
pub fn bencher(run: &Run) -> serde_json::Result<String> {
    let mut all = Map::new();
    for (id, lines) in by_id(run) {
        if let Some(estimate) = super::figure(&lines) {
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
