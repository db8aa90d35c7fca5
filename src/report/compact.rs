//! The tables that fit a screen: a row for each mechanism, a column for each placement, and below them only what a
//! reader of the figures must know.

use std::collections::BTreeSet;

use super::summary::{INVALID, INVALID_NOTE};
use super::table::summaries;
use super::{Summary, text};
use crate::record::{BenchmarkLine, Outcome};
use crate::terms::Placement;

/// How many ids a note names before it only counts them.
const NAMED: usize = 3;

/// The benchmarks of one group: its name and unit above the mechanisms, each figure with half of its interval. Empty
/// where none was measured.
pub fn compact_table(lines: &[BenchmarkLine]) -> String {
    let summaries = summaries(lines);
    let Some(first) = summaries.first().map(|summary| &summary.line) else { return String::new() };
    let group = first.mechanism.split('/').next().unwrap_or_default();
    let mut units: Vec<String> = Vec::new();
    for unit in summaries.iter().map(|summary| summary.line.unit.to_string()) {
        if !units.contains(&unit) {
            units.push(unit);
        }
    }
    let placements: BTreeSet<Placement> = summaries.iter().map(|summary| summary.line.setting.placement).collect();
    let mut rows = vec![vec![format!("{group}, per {}", units.join(" or "))]];
    rows[0].extend(placements.iter().map(|placement| placement.name().to_string()));
    let mut names: Vec<String> = Vec::new();
    for name in summaries.iter().map(name) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    for wanted in names {
        let of_row = |placement: &Placement| {
            summaries.iter().find(|summary| name(summary) == wanted && summary.line.setting.placement == *placement)
        };
        let cells = placements.iter().map(|placement| of_row(placement).map_or("–".into(), cell));
        rows.push(std::iter::once(format!("  {wanted}")).chain(cells).collect());
    }
    aligned(&rows)
}

/// The mechanism without its group, and what was chosen of it.
fn name(summary: &Summary) -> String {
    let line = &summary.line;
    let name = line.mechanism.split_once('/').map_or(line.mechanism.as_str(), |(_, name)| name);
    line.id.splitn(4, '/').nth(3).map_or_else(|| name.into(), |chosen| format!("{name} {chosen}"))
}

/// `2.33 µs ±3.0 %`, with a mark where the figure is not to be used.
fn cell(summary: &Summary) -> String {
    let interval = &summary.per_op.interval;
    let figure = text::amount(summary.line.measures, interval.estimate);
    let mark = if summary.audit == "DIFFERS" { "†" } else { "" };
    let invalid = if summary.invalid { INVALID } else { "" };
    let width = match interval.relative_half_width() {
        None => String::new(),
        Some(half) if half > text::HARDLY_KNOWN => format!(" {}", text::BEYOND),
        Some(half) => format!(" ±{}", text::percent(half)),
    };
    format!("{figure}{mark}{invalid}{width}")
}

/// The rows as columns, the first flush left and the others flush right.
fn aligned(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_string()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// What a reader of compact tables must know, a line each: what failed, what could not run, whose audit differs, what
/// is invalid. The details, such as each reason, stand in the record.
pub fn compact_notes(lines: &[BenchmarkLine]) -> Vec<String> {
    let mut notes = Vec::new();
    let ids = |wanted: fn(&BenchmarkLine) -> bool| -> Vec<&str> {
        let mut ids: Vec<&str> = Vec::new();
        for line in lines.iter().filter(|line| wanted(line)) {
            if !ids.contains(&line.id.as_str()) {
                ids.push(&line.id);
            }
        }
        ids
    };
    for line in lines {
        if let Outcome::Failed(reason) = &line.outcome {
            let reason = reason.lines().next().unwrap_or_default();
            notes.push(format!("{}: FAILED in round {}: {reason}", line.id, u64::from(line.round) + 1));
        }
    }
    let unsupported = ids(|line| matches!(line.outcome, Outcome::Unsupported(_)));
    match unsupported.as_slice() {
        [] => {}
        [only] => {
            let reason = lines.iter().find_map(|line| match &line.outcome {
                Outcome::Unsupported(reason) => Some(reason.to_string()),
                _ => None,
            });
            notes.push(format!("{only}: unsupported: {}", reason.unwrap_or_default()));
        }
        several => notes.push(format!("unsupported here: {}", named(several))),
    }
    let differs = ids(|line| match &line.outcome {
        Outcome::Measured(measured) => measured.audit.differences().next().is_some(),
        _ => false,
    });
    if !differs.is_empty() {
        notes.push(format!("† did not do what it says, by its audit: {}", named(&differs)));
    }
    if summaries(lines).iter().any(|summary| summary.invalid) {
        notes.push(INVALID_NOTE.into());
    }
    notes
}

/// The first few of `ids`, and how many more there are.
fn named(ids: &[&str]) -> String {
    let more = ids.len().saturating_sub(NAMED);
    let first = ids[..ids.len() - more].join(", ");
    if more == 0 { first } else { format!("{first} and {more} more") }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn fixture(name: &str) -> Vec<BenchmarkLine> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name);
        crate::record::read(&folder).unwrap().benchmarks
    }

    fn of_group(lines: &[BenchmarkLine], group: &str) -> Vec<BenchmarkLine> {
        lines.iter().filter(|line| line.mechanism.starts_with(group)).cloned().collect()
    }

    #[test]
    fn a_mechanism_has_one_row_and_a_placement_one_column() {
        let table = compact_table(&of_group(&fixture("report/three-rounds"), "brigade/"));
        let rows: Vec<&str> = table.lines().collect();
        let head: Vec<&str> = rows[0].split_whitespace().collect();
        assert_eq!(head, ["brigade,", "per", "hop", "unpinned", "same-cpu", "same-llc"], "{table}");
        let mio: Vec<&&str> = rows.iter().filter(|row| row.starts_with("  mio  ")).collect();
        assert_eq!(mio.len(), 1, "{table}");
        assert!(mio[0].matches('±').count() == 2 && mio[0].ends_with('–'), "{table}");
        let width = |row: &&str| row.chars().count();
        assert!(rows.iter().map(width).max() <= Some(120), "{table}");
    }

    #[test]
    fn what_cannot_be_used_is_marked_and_told_in_a_line() {
        let lines = fixture("record/schema-1");
        let table = compact_table(&of_group(&lines, "brigade/"));
        assert!(table.contains('†'), "{table}");
        let notes = compact_notes(&lines);
        for note in ["brigade/mio/same-cpu: FAILED in round", "unsupported", "† did not do what it says"] {
            assert!(notes.iter().any(|told| told.contains(note)), "no `{note}` in {notes:#?}");
        }
        assert!(notes.iter().all(|note| note.lines().count() == 1), "{notes:#?}");
        assert_eq!((compact_table(&[]), compact_notes(&[])), (String::new(), Vec::new()));
    }

    #[test]
    fn of_many_ids_the_first_few_are_named() {
        assert_eq!(named(&["a", "b"]), "a, b");
        assert_eq!(named(&["a", "b", "c", "d", "e"]), "a, b, c and 2 more");
    }
}
