//! The table after a group, for a terminal of 120 columns, and the notes below it.

use std::collections::BTreeMap;

use comfy_table::{CellAlignment, ColumnConstraint, ContentArrangement, LineStyle, Table, TableStyle, Width};

use super::summary::{INVALID, INVALID_NOTE, by_id, is_disturbed};
use super::{Summary, summarize, text};
use crate::record::{BenchmarkLine, Outcome};
use crate::units::{decimals, some_were};

const WIDTH: u16 = 120;

/// The column of ratios to the baseline.
const BASE: usize = 4;

/// The benchmarks of one group, one row each, in the order in which they first stand in `lines`.
pub fn group_table(lines: &[BenchmarkLine]) -> String {
    let summaries = summaries(lines);
    let Some(first) = summaries.first().map(|summary| &summary.line) else {
        return String::new();
    };
    let per_op = format!("{}/{}", first.measures.unit(), first.unit);
    let header = [
        "mechanism",
        "placement",
        &per_op,
        "95 %",
        "× base",
        "CPU ns",
        "switches",
        "syscalls",
        "IPC",
        "cyc u+k",
        "audit",
        "counting",
    ];
    let mut header: Vec<String> = header.map(String::from).into();
    let mut rows: Vec<Vec<String>> = summaries.iter().map(|summary| row(summary, &summaries).into()).collect();
    // Where no baseline was measured, the column says nothing.
    if summaries.iter().all(|summary| baseline(summary, &summaries).is_none()) {
        for cells in std::iter::once(&mut header).chain(&mut rows) {
            cells.remove(BASE);
        }
    }
    let table = plain_table(header, rows, 2);
    if summaries.iter().any(|summary| summary.invalid) { format!("{table}\n{INVALID_NOTE}") } else { table }
}

/// A table with a rule below its header and nothing else between its figures; columns from `right` on are aligned
/// right.
pub(super) fn plain_table(header: Vec<String>, rows: Vec<Vec<String>>, right: usize) -> String {
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule));
    table.set_content_arrangement(ContentArrangement::Dynamic).set_width(WIDTH);
    let columns = header.len();
    let longest: Vec<u16> =
        (0..right).map(|column| longest_word(rows.iter().chain([&header]).filter_map(|row| row.get(column)))).collect();
    table.set_header(header);
    for row in rows {
        table.add_row(row);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    // Names are not to be broken in the middle of a word.
    for (column, longest) in longest.into_iter().enumerate() {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(longest + 1)));
        }
    }
    for column in right..columns {
        if let Some(column) = table.column_mut(column) {
            column.set_constraint(ColumnConstraint::ContentWidth);
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.to_string()
}

fn longest_word<'a>(cells: impl Iterator<Item = &'a String>) -> u16 {
    let words = cells.flat_map(|cell| cell.split_whitespace());
    words.map(|word| word.chars().count() as u16).max().unwrap_or(0).min(WIDTH / 2)
}

/// One summary for each benchmark that was measured.
pub(super) fn summaries(lines: &[BenchmarkLine]) -> Vec<Summary> {
    by_id(lines).iter().filter_map(|lines| summarize(lines)).collect()
}

fn row(summary: &Summary, all: &[Summary]) -> [String; 12] {
    let line = &summary.line;
    let name = line.mechanism.split_once('/').map_or(line.mechanism.as_str(), |(_, name)| name);
    let interval = &summary.per_op.interval;
    let cycles = summary.user_cycles.zip(summary.kernel_cycles);
    [
        match chosen(line) {
            Some(chosen) => format!("{name} {chosen}"),
            None => name.into(),
        },
        line.setting.placement.name().into(),
        format!("{}{}", figure(interval.estimate), if summary.invalid { INVALID } else { "" }),
        match interval.relative_half_width() {
            None => "–".into(),
            Some(half) if half > text::HARDLY_KNOWN => text::BEYOND.into(),
            Some(half) => format!("±{:.1} %", half * 100.0),
        },
        baseline(summary, all).map_or("–".into(), |base| format!("{:.2}", interval.estimate / base)),
        figure(summary.cpu_nanos),
        decimals(summary.voluntary + summary.involuntary, 2),
        summary.calls.map_or("–".into(), calls),
        summary.ipc.map_or("–".into(), |ipc| format!("{ipc:.2}")),
        match (cycles, summary.cycles) {
            (Some((user, kernel)), _) => format!("{}+{}", figure(user), figure(kernel)),
            // Not told apart.
            (None, Some(both)) => format!("{} both", figure(both)),
            (None, None) => "–".into(),
        },
        summary.audit.into(),
        summary.counting_cost.map_or("–".into(), counting_cost),
    ]
}

/// `+12 %`, `−3 %`.
fn counting_cost(cost: f64) -> String {
    let percent = decimals(cost * 100.0, 0);
    if percent.starts_with('−') { format!("{percent} %") } else { format!("+{percent} %") }
}

/// What stands behind the placement in the id, with places where a line may be broken.
pub(super) fn chosen(line: &BenchmarkLine) -> Option<String> {
    line.id.splitn(4, '/').nth(3).map(|chosen| chosen.replace(',', ", "))
}

/// Four significant digits, and never an exponent. What is below half a thousandth is 0: nothing here resolves it, and
/// differences of two counts leave such remainders of either sign.
pub(super) fn figure(value: f64) -> String {
    let digits = match value.abs() {
        size if size < 5e-4 => return "0".into(),
        size if size >= 1000.0 => 0,
        size if size >= 100.0 => 1,
        size if size >= 10.0 => 2,
        _ => 3,
    };
    decimals(value, digits)
}

/// A rate of system calls: whole ones as such, small ones without being rounded to nothing.
fn calls(rate: f64) -> String {
    match rate {
        rate if (rate - rate.round()).abs() < 5e-4 => decimals(rate, 0),
        rate if rate.abs() < 0.1 => decimals(rate, 3),
        rate => decimals(rate, 2),
    }
}

/// The baseline's figure in the same placement; a baseline of one thread has none across CPUs, and the one on a single
/// CPU stands in.
fn baseline(summary: &Summary, all: &[Summary]) -> Option<f64> {
    let candidates = || all.iter().filter(|other| other.line.mechanism == summary.line.baseline);
    let same = candidates().find(|other| other.line.setting.placement == summary.line.setting.placement);
    let fallback = || candidates().find(|other| other.line.setting.placement.fits_a_single_task());
    Some(same.or_else(fallback)?.per_op.interval.estimate)
}

/// What the notes on missing counters begin with.
pub const NOT_COUNTED: &str = "not counted";

/// What a reader of the table must know: audits that differ, what cannot run, what failed, what was not counted.
pub fn notes(lines: &[BenchmarkLine]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut missing: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
    let mut add = |what: String, why: &str, remedy: &str| {
        let entry = missing.entry((why.into(), remedy.into())).or_default();
        if !entry.contains(&what) {
            entry.push(what);
        }
    };
    for line in lines {
        match &line.outcome {
            Outcome::Unsupported(reason) => notes.push(format!("{}: unsupported: {reason}", line.id)),
            Outcome::Failed(reason) => {
                notes.push(format!("{}: FAILED in round {}: {reason}", line.id, u64::from(line.round) + 1))
            }
            Outcome::Measured(measured) => {
                for check in measured.audit.differences() {
                    let (what, seen) = (&check.what, check.seen());
                    notes.push(format!("{}: audit: {what}: {seen}, expected {}", line.id, check.expected));
                }
                for not in &measured.counted.not_counted {
                    add(not.what.clone(), &not.why, &not.remedy);
                }
                for not in &measured.audit.unchecked {
                    add(format!("{} (audit)", not.what), &not.why, &not.remedy);
                }
            }
        }
    }
    notes.extend(
        missing
            .into_iter()
            .map(|((reason, remedy), what)| format!("{NOT_COUNTED}: {}: {reason}; {remedy}", what.join(", "))),
    );
    let summaries = summaries(lines);
    let slowed: Vec<f64> = summaries.iter().map(|summary| summary.discarded).filter(|share| *share > 0.0).collect();
    if !slowed.is_empty() {
        notes.push(format!(
            "a CPU ran slower than at its best during some samples of {}, which are discarded: up to {:.0} % of them",
            text::count(slowed.len(), "benchmark"),
            slowed.iter().copied().fold(0.0, f64::max) * 100.0
        ));
    }
    let measured: Vec<_> = lines.iter().filter(|line| matches!(line.outcome, Outcome::Measured(_))).collect();
    let disturbed = measured.iter().filter(|line| is_disturbed(line)).count();
    if disturbed > 0 {
        notes.push(format!(
            "{} disturbed: other programs ran, or the CPU was slow; `--strict` repeats them",
            some_were(disturbed, measured.len(), "measurement")
        ));
    }
    notes.extend(single_rounds(&summaries));
    notes
}

/// Why intervals say nothing of how far processes differ, and what would help: more rounds where there is but one,
/// quieter ones where the others do not count.
fn single_rounds(summaries: &[Summary]) -> Vec<String> {
    let (several, one): (Vec<&Summary>, Vec<&Summary>) =
        summaries.iter().filter(|summary| summary.rests_on_one_round()).partition(|summary| summary.rounds > 1);
    let mut notes = Vec::new();
    if !one.is_empty() {
        notes.push(
            "intervals hold for this process only; `switchcost run --rounds 5` includes the scatter between processes"
                .into(),
        );
    }
    if !several.is_empty() {
        let (verb, their) = if several.len() == 1 { ("rests", "its") } else { ("rest", "their") };
        notes.push(format!(
            "{} {verb} on one round because {their} CPU was slow in the others: `switchcost run --strict`, \
             or more rounds",
            text::count(several.len(), "benchmark")
        ));
    }
    notes
}
