//! What people read of a record, read back: each figure stands where it belongs, in every format, and no text of a
//! record becomes markup or a formula.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use switchcost::record::{BenchmarkLine, Outcome, Run, Sample, read};
use switchcost::report::{Catalogue, PAGE, ReportFile, files};
use switchcost::terms::{Metric, MetricKey, Placement, ValueHistogram};
use switchcost::units::{Nanos, Ops};

#[path = "read_back/escaping.rs"]
mod escaping;
#[path = "read_back/figures.rs"]
mod figures;
#[path = "read_back/formats.rs"]
mod formats;
#[path = "read_back/rounds.rs"]
mod rounds;
#[allow(dead_code)]
mod sample;

fn three_rounds() -> Run {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/report/three-rounds")).unwrap()
}

fn text<'a>(files: &'a [ReportFile], path: &str) -> &'a str {
    &files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}")).text
}

/// The line with these samples of ten operations, in nanoseconds per operation.
fn with_samples(line: &BenchmarkLine, round: u32, nanos: &[u64]) -> BenchmarkLine {
    let mut line = BenchmarkLine { round, conditions: None, ..line.clone() };
    let Outcome::Measured(measured) = &mut line.outcome else { panic!("{line:?}") };
    measured.samples = nanos.iter().map(|nanos| Sample::new(Ops(10), Nanos(10 * nanos))).collect();
    line
}

/// The fields of an RFC 4180 file, row by row.
fn fields(csv: &str) -> Vec<Vec<String>> {
    let (mut rows, mut row, mut field, mut quoted) = (Vec::new(), Vec::new(), String::new(), false);
    let mut rest = csv.chars().peekable();
    while let Some(character) = rest.next() {
        match character {
            '"' if quoted && rest.peek() == Some(&'"') => field.extend(rest.next()),
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\n' if !quoted => {
                row.push(std::mem::take(&mut field));
                rows.push(std::mem::take(&mut row));
            }
            other => field.push(other),
        }
    }
    rows
}

/// The cells of the Markdown table's rows whose first cell begins with `begin`.
fn cells(markdown: &str, begin: &str) -> Vec<Vec<String>> {
    let rows = markdown.lines().filter_map(|line| line.strip_prefix("| ")).filter(|line| line.starts_with(begin));
    rows.map(|line| line.trim_end_matches('|').split('|').map(|cell| cell.trim().to_string()).collect()).collect()
}

/// `1.23 µs` in nanoseconds.
fn nanos(told: &str) -> f64 {
    let (number, unit) = told.trim().split_once([' ', '\u{a0}']).unwrap_or_else(|| panic!("no unit: {told}"));
    let times = match unit.trim_matches(|c: char| "†‡ ".contains(c)) {
        "ns" => 1.0,
        "µs" => 1e3,
        "ms" => 1e6,
        other => panic!("{told}: {other}"),
    };
    number.parse::<f64>().unwrap() * times
}

/// Three significant digits are right.
fn same(told: f64, expected: f64) -> bool {
    (told / expected - 1.0).abs() < 0.006
}
