//! A comparison of more than a few runs, for a terminal: a line for each run, and a row for each benchmark with all its
//! ratios, so that ten runs fit a screen.

use super::format::{compared_by, folded, letter, number, shortened};
use super::{ComparedBy, Comparison, ComparisonRow};
use crate::stats::Verdict;

/// Runs up to which each ratio has a row of its own.
pub(super) const FEW: usize = 3;

/// Rows that are shown; the others are counted.
const MOST_ROWS: usize = 20;

/// Columns of the terminal.
const WIDTH: usize = 120;

/// The comparison in at most some forty lines.
pub(super) fn table(comparison: &Comparison) -> String {
    let mut text = String::new();
    let longest = comparison.runs.iter().map(|name| name.chars().count()).max().unwrap_or(0).min(40);
    let overview = &comparison.overview;
    for (run, name) in comparison.runs.iter().enumerate() {
        let mut line = format!("{}: {:<longest$}", letter(run), shortened(name, 40));
        if let Some([low, middle, high]) = overview.runs.get(run).and_then(|run| run.ratios) {
            let own = || comparison.rows.iter().filter(|row| row.run == run);
            let count = |verdict| own().filter(|row| row.verdict == verdict && !row.withheld).count();
            line.push_str(&format!(
                "  median ratio {middle:.3}, half from {low:.3} to {high:.3}; of {}: faster {}, slower {}, equal {}",
                own().count(),
                count(Verdict::Faster),
                count(Verdict::Slower),
                count(Verdict::Equivalent)
            ));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text.push_str(&folded(&differing(comparison)));
    if let Some(line) = compared_by(comparison) {
        text.push_str(&folded(&line));
    }
    let mut ids: Vec<&str> = Vec::new();
    for row in &comparison.rows {
        if !ids.contains(&row.id.as_str()) {
            ids.push(&row.id);
        }
    }
    let runs = comparison.runs.len();
    // Nine ratios beside the first run's figure.
    let width = (WIDTH - 12 - 9 * CELL).min(ids.iter().map(|id| id.chars().count()).max().unwrap_or(0));
    let columns = ((WIDTH - width - 12) / CELL).min(runs - 1);
    let head: String = (1..=columns).map(|run| format!("{:>CELL$}", letter(run))).collect();
    // Names of events are longer than the column, and stand above.
    let first_column = if comparison.by == ComparedBy::Time { "A ns/op" } else { "A" };
    text.push_str(&format!("\n{:<width$}{:>12}{head}\n", "benchmark", first_column));
    for id in ids.iter().take(MOST_ROWS) {
        let row = |run: usize| comparison.rows.iter().find(|row| row.id == **id && row.run == run);
        let first = (1..runs).find_map(row).map(|row| row.first.interval.estimate);
        let first = first.map(|first| number(first, comparison.by != ComparedBy::Time)).unwrap_or_default();
        let cells: String = (1..=columns).map(|run| format!("{:>CELL$}", row(run).map_or("–".into(), cell))).collect();
        text.push_str(&format!("{:<width$}{first:>12}{cells}\n", shortened(id, width)));
    }
    if ids.len() > MOST_ROWS {
        text.push_str(&format!("and {} more benchmarks, whose ratios lie closer to 1\n", ids.len() - MOST_ROWS));
    }
    if columns < runs - 1 {
        text.push_str(&format!("and {} more runs, which have no room\n", runs - 1 - columns));
    }
    text.push_str(&folded(
        "each figure is the ratio to A: * beyond doubt, even among so many; ~ equal; without a mark nothing is said. \
         All intervals: --format csv; two runs alone: all their notes",
    ));
    text
}

/// Columns of a ratio.
const CELL: usize = 7;

fn cell(row: &ComparisonRow) -> String {
    let ratio = row.ratio.interval.estimate;
    let digits = if ratio < 10.0 { 2 } else { usize::from(ratio < 100.0) };
    let mark = match (row.beyond_doubt, row.verdict) {
        (true, _) => "*",
        (false, Verdict::Equivalent) => "~",
        _ => " ",
    };
    format!("{ratio:.digits$}{mark}")
}

/// Which facts differ, in one line; their values stand in `report`.
fn differing(comparison: &Comparison) -> String {
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for difference in &comparison.differences {
        match groups.last_mut() {
            Some((group, count)) if *group == difference.group => *count += 1,
            _ => groups.push((difference.group, 1)),
        }
    }
    let told: Vec<String> = groups.iter().map(|(group, count)| format!("{group} ({count})")).collect();
    match told.is_empty() {
        true => "what differs: nothing that the records tell".into(),
        false => format!("what differs, in how many facts: {} (--format json)", told.join(", ")),
    }
}
