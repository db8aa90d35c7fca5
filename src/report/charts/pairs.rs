//! The cost of a handoff from each CPU to each other CPU.

use std::collections::BTreeMap;

use super::{ChartInput, basis, marks};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Figure, HeatMap, HeatMapCell};
use crate::report::run_view::BenchmarkView;
use crate::report::text;
use crate::units::CpuId;

/// A pair, first the CPU that begins.
type Pair = (CpuId, CpuId);

/// One mechanism with what was chosen, and its pairs.
#[derive(Debug)]
pub(in crate::report) struct Map<'a> {
    /// `futex`, `futex idle=poll`.
    pub(in crate::report) label: String,
    /// What was measured; there is at least one.
    pairs: BTreeMap<Pair, &'a BenchmarkView<'a>>,
}

impl<'a> Map<'a> {
    /// One map for each mechanism, and for each choice but that of the CPUs.
    pub(in crate::report) fn all(benchmarks: &[&'a BenchmarkView<'a>]) -> Vec<Self> {
        let mut maps: BTreeMap<String, BTreeMap<Pair, &BenchmarkView>> = BTreeMap::new();
        for benchmark in benchmarks {
            if let Some(pair) = benchmark.line().pair() {
                maps.entry(label(benchmark)).or_default().insert(pair, benchmark);
            }
        }
        maps.into_iter().map(|(label, pairs)| Self { label, pairs }).collect()
    }

    /// The CPUs, which are the rows and the columns.
    pub(in crate::report) fn cpus(&self) -> Vec<CpuId> {
        let mut cpus: Vec<CpuId> = self.pairs.keys().flat_map(|&(from, to)| [from, to]).collect();
        cpus.sort_unstable();
        cpus.dedup();
        cpus
    }

    /// Nanoseconds, row by row; a pair that was measured in one order stands in both places.
    pub(in crate::report) fn rows(&self) -> Vec<Vec<Option<f64>>> {
        let cpus = self.cpus();
        let at = |from, to| self.pairs.get(&(from, to)).or_else(|| self.pairs.get(&(to, from))).map(|b| b.per_op());
        cpus.iter().map(|&from| cpus.iter().map(|&to| at(from, to)).collect()).collect()
    }

    /// The cells, row by row, with their marks.
    fn cells(&self) -> Vec<Vec<Option<HeatMapCell>>> {
        let cpus = self.cpus();
        let at = |from, to| self.pairs.get(&(from, to)).or_else(|| self.pairs.get(&(to, from)));
        let cell = |from, to| at(from, to).map(|b| HeatMapCell { nanos: b.per_op(), mark: b.mark().into() });
        cpus.iter().map(|&from| cpus.iter().map(|&to| cell(from, to)).collect()).collect()
    }

    /// What each measured pair costs.
    pub(in crate::report) fn costs(&self) -> Vec<f64> {
        self.pairs.values().map(|benchmark| benchmark.per_op()).collect()
    }

    /// The cheapest and the dearest pair that may be compared.
    pub(in crate::report) fn ends(&self) -> Option<(End, End)> {
        let ends = || {
            self.pairs
                .iter()
                .filter(|(_, benchmark)| benchmark.is_comparable())
                .map(|(pair, benchmark)| (*pair, benchmark.per_op()))
        };
        let by_cost = |a: &End, b: &End| a.1.total_cmp(&b.1);
        Some((ends().min_by(by_cost)?, ends().max_by(by_cost)?))
    }

    fn subtitle(&self) -> String {
        let Some((low, high)) = self.ends() else { return String::new() };
        let from_to = |(from, to): Pair| {
            if from == to { format!("on CPU {from} alone") } else { format!("from CPU {from} to {to}") }
        };
        let dearer = || {
            let times = text::times(high.1 / low.1);
            format!(", {} {}, {times} as much", from_to(high.0), text::nanos(high.1))
        };
        let dearer = if self.pairs.len() > 1 { dearer() } else { String::new() };
        format!("{} it takes {}{dearer}.", text::capitalised(&from_to(low.0)), text::nanos(low.1))
    }

    fn csv(&self) -> String {
        let mut csv = Csv::new(&["from_cpu", "to_cpu", "ns_per_op", "low_95", "high_95", "least", "samples"]);
        for ((from, to), benchmark) in &self.pairs {
            let interval = benchmark.summary.per_op.interval;
            let samples = benchmark.samples().concat();
            let least = samples.iter().copied().fold(f64::INFINITY, f64::min);
            let figures = [interval.estimate, interval.low, interval.high, least].map(number);
            let row = [from.to_string(), to.to_string()].into_iter().chain(figures);
            csv.row(row.chain([samples.len().to_string()]));
        }
        csv.into_text()
    }
}

/// A pair and what it costs.
pub(in crate::report) type End = (Pair, f64);

/// The mechanism and what was chosen, but for the CPUs.
fn label(benchmark: &BenchmarkView) -> String {
    let chosen = benchmark.chosen().unwrap_or_default().split(',').filter(|item| !item.starts_with("cpus="));
    let chosen: Vec<&str> = chosen.collect();
    if chosen.is_empty() { benchmark.name().into() } else { format!("{} {}", benchmark.name(), chosen.join(",")) }
}

/// One figure for each map.
pub(in crate::report) fn pairs(input: ChartInput) -> Vec<Figure> {
    Map::all(input.benchmarks).into_iter().map(|map| figure(input, &map)).collect()
}

fn figure(input: ChartInput, map: &Map) -> Figure {
    let unit = input.unit();
    Figure {
        id: format!("{}-{}", input.anchor("pairs"), text::slug(&map.label)),
        title: input.title(&format!("Time per {unit} of {} between each two CPUs", map.label)),
        subtitle: map.subtitle(),
        key: marks(&map.pairs.values().copied().collect::<Vec<_>>()),
        basis: basis(map.pairs.values().copied()),
        picture: Box::new(HeatMap {
            axis: "CPU".into(),
            labels: map.cpus().iter().map(ToString::to_string).collect(),
            values: map.cells(),
        }),
        csv: map.csv(),
    }
}
