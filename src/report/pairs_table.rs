//! What a handoff costs between chosen CPUs, as a square for a terminal.

use super::charts::Map;
use super::run_view::{BenchmarkView, RunView};
use super::table::figure;
use crate::record::{BenchmarkLine, Run};
use crate::stats::median;

const WIDTH: usize = 120;

/// What stands before the cells of a row.
const HEAD: usize = 6;

/// One square for each mechanism that was measured on chosen pairs of CPUs; empty where there is none. The row is the
/// CPU that begins. In place of a square that is too wide for a terminal stand its ends and its middle.
pub fn pairs_tables(lines: &[BenchmarkLine]) -> String {
    let benchmarks = lines.iter().filter(|line| line.pair().is_some()).cloned().collect();
    let run = Run { benchmarks, ..Run::default() };
    let view = RunView::new(String::new(), &run);
    let benchmarks: Vec<&BenchmarkView> = view.benchmarks.iter().collect();
    let unit = benchmarks.first().map_or("operation", |benchmark| benchmark.line().unit.name());
    let squares: Vec<String> = Map::all(&benchmarks).iter().map(|map| square(map, unit)).collect();
    squares.join("\n\n")
}

fn square(map: &Map, unit: &str) -> String {
    let cpus = map.cpus();
    let rows: Vec<Vec<String>> = map.rows().into_iter().map(|row| row.into_iter().map(cell).collect()).collect();
    let names = cpus.iter().map(ToString::to_string);
    let width = rows.iter().flatten().cloned().chain(names).map(|cell| cell.chars().count()).max().unwrap_or(0);
    if HEAD + cpus.len() * (width + 1) > WIDTH {
        return summed_up(map, cpus.len(), unit);
    }
    let mut lines = vec![format!("{} between each two CPUs, ns/{unit} one way", map.label)];
    let head = cpus.iter().map(|cpu| format!(" {cpu:>width$}")).collect::<String>();
    lines.push(format!("{:>HEAD$}{head}", "CPU"));
    for (cpu, row) in cpus.iter().zip(rows) {
        let cells = row.iter().map(|cell| format!(" {cell:>width$}")).collect::<String>();
        lines.push(format!("{cpu:>HEAD$}{cells}"));
    }
    lines.join("\n")
}

fn summed_up(map: &Map, cpus: usize, unit: &str) -> String {
    let mut lines = vec![format!("{} between each two of {cpus} CPUs, ns/{unit} one way; the CSV has all", map.label)];
    if let (Some((low, high)), Some(middle)) = (map.ends(), median(&map.costs())) {
        for (name, ((from, to), nanos)) in [("cheapest", low), ("dearest", high)] {
            lines.push(format!("{name:>10} {:>8}  CPU {from} to {to}", figure(nanos)));
        }
        lines.push(format!("{:>10} {:>8}", "median", figure(middle)));
    }
    lines.join("\n")
}

fn cell(value: Option<f64>) -> String {
    value.map_or("–".into(), figure)
}
