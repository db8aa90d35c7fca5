//! A comparison as people read it.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::note::NoteKind;
use super::overview::{is_suspected, lines};
use super::{ComparedBy, Comparison, ComparisonRow};
use crate::stats::Verdict;
use crate::terms::Doubt;
use crate::units::{Quantity, decimals};

const WIDTH: u16 = 120;

/// Facts of one group that are shown before the rest is counted only.
const MOST_FACTS: usize = 6;

/// The letter of a run: A is the first.
pub(super) fn letter(run: usize) -> String {
    u8::try_from(run)
        .ok()
        .filter(|run| *run < 26)
        .map_or_else(|| format!("#{run}"), |run| char::from(b'A' + run).into())
}

/// For a terminal of 120 columns.
pub fn table(comparison: &Comparison) -> String {
    if comparison.runs.len() > super::many::FEW {
        return super::many::table(comparison);
    }
    let mut text = String::new();
    for (run, name) in comparison.runs.iter().enumerate() {
        text.push_str(&format!("{}: {name}{}\n", letter(run), set_to(comparison, run)));
    }
    text.push_str(&differing(comparison));
    for line in compared_by(comparison).into_iter().chain(lines(comparison, letter)) {
        text.push_str(&folded(&line));
    }
    text.push('\n');
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
        text.push_str(&folded(&note));
    }
    text
}

/// The comparison as Markdown: the facts that differ between the hosts, then a table of the ratios.
pub fn markdown(comparison: &Comparison) -> String {
    let mut text = String::new();
    for (run, name) in comparison.runs.iter().enumerate() {
        text.push_str(&format!("- {}: {}{}\n", letter(run), code(name), escaped(&set_to(comparison, run))));
    }
    if comparison.differences.is_empty() {
        text.push_str(&format!("\n{ALIKE}.\n"));
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
    text.push('\n');
    for line in compared_by(comparison).into_iter().chain(lines(comparison, letter)) {
        text.push_str(&format!("- {}\n", escaped(&line)));
    }
    let rule = "| --- | --: | --: | --: | --: | --- | --- |";
    text.push_str(&format!("\n| {} |\n{rule}\n", header(comparison).join(" | ")));
    for row in &comparison.rows {
        text.push_str(&format!("| {} |\n", cells(row, comparison).map(|cell| escaped(&cell)).join(" | ")));
    }
    text.push('\n');
    for note in notes(comparison) {
        text.push_str(&format!("- {}\n", escaped(&note)));
    }
    text
}

/// What a side of a pair was set to.
fn set_to(comparison: &Comparison, run: usize) -> String {
    comparison.settings.get(run).map_or(String::new(), |settings| format!(" ({settings})"))
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

fn header(comparison: &Comparison) -> [String; 7] {
    let other = if comparison.runs.len() == 2 { "B" } else { "other" };
    let named = |name: &str| format!("{name} {}", comparison.by.of_an_operation());
    [
        "benchmark".into(),
        named("A"),
        named(other),
        format!("{other} / A"),
        "95 %".into(),
        "verdict".into(),
        "notes".into(),
    ]
}

fn cells(row: &ComparisonRow, comparison: &Comparison) -> [String; 7] {
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
        format!("{}{}", word(row.verdict, row.measures), if is_suspected(row) { "?" } else { "" }),
        row.marks.clone(),
    ]
}

/// Counts are often well below one in an operation.
pub(super) fn number(value: f64, is_count: bool) -> String {
    decimals(
        value,
        if value.abs() >= 100.0 {
            0
        } else if is_count && value.abs() < 1.0 {
            4
        } else {
            2
        },
    )
}

/// The line that says what runs are compared by, where that is not time.
pub(super) fn compared_by(comparison: &Comparison) -> Option<String> {
    (comparison.by != ComparedBy::Time).then(|| format!("compared by {}", comparison.by.of_an_operation()))
}

/// Nanoseconds, as the header says, or a number with its unit.
fn figure(value: f64, measures: Quantity) -> String {
    let number = number(value, measures == Quantity::Number);
    if measures.is_time() { number } else { format!("{number} {}", measures.unit()).trim_end().into() }
}

pub(super) fn word(verdict: Verdict, measures: Quantity) -> &'static str {
    match verdict {
        Verdict::Faster if !measures.is_time() => "less",
        Verdict::Slower if !measures.is_time() => "more",
        Verdict::Faster => "faster",
        Verdict::Slower => "slower",
        Verdict::Equivalent => "equal",
        Verdict::NoVerdict => Doubt::Inconclusive.word(),
    }
}

/// What is said where the records show no difference.
const ALIKE: &str = "The machines, the builds and the CPUs used are alike, as far as the records tell";

fn differing(comparison: &Comparison) -> String {
    if comparison.differences.is_empty() {
        return format!("{ALIKE}.\n\n");
    }
    let mut text = String::from("what differs:\n");
    for group in comparison.differences.chunk_by(|a, b| a.group == b.group) {
        for difference in group.iter().take(MOST_FACTS) {
            let name = format!("  {:<14} {}", difference.group, difference.name);
            // All on one line, each value as long as its share of it allows.
            let left = usize::from(WIDTH).saturating_sub(name.chars().count().max(40));
            let most = (left / difference.values.len().max(1)).saturating_sub(5);
            let values = difference.values.iter().enumerate().map(|(run, value)| {
                format!("{}: {}", letter(run), shortened(value.as_deref().unwrap_or("unknown"), most))
            });
            text.push_str(&format!("{name:<40}{}\n", values.collect::<Vec<_>>().join("  ")));
        }
        if group.len() > MOST_FACTS {
            text.push_str(&format!("  {:<14} and {} more (--format json)\n", group[0].group, group.len() - MOST_FACTS));
        }
    }
    text.push('\n');
    text
}

/// Long values differ at their ends as well as at their beginnings.
pub(super) fn shortened(text: &str, most: usize) -> String {
    let all: Vec<char> = text.chars().collect();
    let most = most.max(8);
    if all.len() <= most {
        return text.into();
    }
    let end = most / 3;
    let begin = most - end - 1;
    all[..begin].iter().chain(&['…']).chain(&all[all.len() - end..]).collect()
}

/// A line of the overview, folded at the width of the terminal, its further lines indented.
pub(super) fn folded(line: &str) -> String {
    let mut text = String::new();
    let mut column = 0;
    for word in line.split(' ') {
        let length = word.chars().count();
        if column > 0 && column + 1 + length > usize::from(WIDTH) {
            text.push_str("\n    ");
            column = 4;
        } else if column > 0 {
            text.push(' ');
            column += 1;
        }
        text.push_str(word);
        column += length;
    }
    text.push('\n');
    text
}

/// What a reader of the rows must know: the words of the verdicts and the letters, each once.
fn notes(comparison: &Comparison) -> Vec<String> {
    let percent = comparison.smallest_effect * 100.0;
    let open = Doubt::Inconclusive.word();
    let mut notes = vec![format!(
        "faster, slower: the whole interval lies beyond {percent} %, with ? where it might by chance among so many; \
         equal: it lies within; {open}: neither"
    )];
    for kind in NoteKind::ALL {
        let rows = comparison.rows.iter().filter(|row| row.notes.iter().any(|note| note.kind == kind)).count();
        if rows > 0 {
            let so = if kind.withholds() { format!(", so {open}") } else { String::new() };
            let rows = if rows == 1 { "1 row".into() } else { format!("{rows} rows") };
            notes.push(format!("{}: {}{so} ({rows})", kind.letter(), kind.meaning()));
        }
    }
    for only in 0..comparison.runs.len() {
        let ids: Vec<&str> = comparison
            .missing
            .iter()
            .filter(|missing| missing.runs == [only])
            .map(|missing| missing.id.as_str())
            .collect();
        if !ids.is_empty() {
            notes.push(format!("only in {}: {}", letter(only), named(&ids)));
        }
    }
    for missing in comparison.missing.iter().filter(|missing| missing.runs.len() > 1) {
        let runs: Vec<String> = missing.runs.iter().copied().map(letter).collect();
        notes.push(format!("{}: only in {}", missing.id, runs.join(", ")));
    }
    if comparison.rows.iter().any(|row| !row.notes.is_empty()) {
        notes.push("the numbers behind the letters: --format json".into());
    }
    notes
}

/// How many benchmarks without a partner are named.
const MOST_MISSING: usize = 8;

fn named(ids: &[&str]) -> String {
    let more = ids.len().saturating_sub(MOST_MISSING);
    let first = ids[..ids.len() - more].join(", ");
    if more > 0 { format!("{first} and {more} more") } else { first }
}
