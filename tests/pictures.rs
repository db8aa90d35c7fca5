//! Pictures tell the truth: of made-up records in which every part differs, each mark, its colour, its label and its
//! figure belong together.
#![allow(clippy::unwrap_used)]

use switchcost::report::{Catalogue, PAGE, ReportFile, files};
use switchcost::stats::{CONFIDENCE, Interval, rounds_interval};
use switchcost::terms::{Idle, MetricKey, Placement};

#[path = "pictures/boxes.rs"]
mod boxes;
#[path = "pictures/curves.rs"]
mod curves;
#[path = "pictures/invalid.rs"]
mod invalid;
#[path = "pictures/made_up.rs"]
mod made_up;
#[path = "pictures/page.rs"]
mod page;
#[path = "pictures/parts.rs"]
mod parts;
#[path = "pictures/ratios.rs"]
mod ratios;
mod svg;

use made_up::{Made, run};
use svg::Svg;

fn report(made: Vec<Made>) -> Vec<ReportFile> {
    files(&[run(made)], &Catalogue::default())
}

fn text<'a>(files: &'a [ReportFile], path: &str) -> &'a str {
    let all = || files.iter().map(|file| file.path.as_str()).collect::<Vec<_>>();
    &files.iter().find(|file| file.path == path).unwrap_or_else(|| panic!("no {path}: {:?}", all())).text
}

fn picture(files: &[ReportFile], id: &str) -> Svg {
    Svg::read(text(files, &format!("figures/{id}.svg")))
}

/// `1.23 µs`, `−20 ns`, `5 KiB` or `1.5 MB` in nanoseconds or bytes; `0.5×` and `50 %` as they are.
fn value(told: &str) -> f64 {
    let told = told.trim().replace('−', "-");
    let end = told.find(|c: char| !c.is_ascii_digit() && c != '.' && c != '-').unwrap_or(told.len());
    let times = match told[end..].trim_matches(|c: char| " \u{a0}†‡".contains(c)) {
        "" | "×" | "ns" | "B" => 1.0,
        "µs" | "kB" | "k" => 1e3,
        "ms" | "MB" => 1e6,
        "%" => 0.01,
        "KiB" => 1024.0,
        "MiB" => 1024.0 * 1024.0,
        unit => panic!("{told}: {unit}"),
    };
    told[..end].parse::<f64>().unwrap_or_else(|_| panic!("{told}")) * times
}

/// Whether two places are the same, by a picture's precision.
fn near(a: f64, b: f64) -> bool {
    (a - b).abs() < 0.9
}

/// Whether a figure was written down with three digits.
fn same(told: &str, expected: f64) -> bool {
    (value(told) - expected).abs() <= 0.006 * expected.abs()
}
