//! What a handoff costs from each CPU to each other one.

use std::collections::BTreeMap;

use super::Subject;
use crate::report::csv::{Csv, number};
use crate::report::figure::{Figure, Heat};
use crate::report::study::Bench;
use crate::report::text;
use crate::units::CpuId;

/// One figure for each mechanism that was measured on most pairs of some CPUs. The placements alone give a few pairs,
/// which are no map.
pub(in crate::report) fn pairs(subject: Subject) -> Vec<Figure> {
    let mut maps: BTreeMap<String, BTreeMap<(CpuId, CpuId), &Bench>> = BTreeMap::new();
    for bench in subject.benches {
        if let [from, to] = bench.line().setting.cpus[..]
            && from != to
        {
            maps.entry(label(bench)).or_default().entry((from, to)).or_insert(bench);
        }
    }
    maps.into_iter().filter_map(|(label, pairs)| figure(subject, &label, &pairs)).collect()
}

/// The mechanism and what was chosen, but for the CPUs.
fn label(bench: &Bench) -> String {
    let others: Vec<&str> = bench
        .chosen()
        .unwrap_or_default()
        .split(',')
        .filter(|pair| !pair.is_empty() && !pair.contains("cpu"))
        .collect();
    if others.is_empty() { bench.name().into() } else { format!("{} {}", bench.name(), others.join(",")) }
}

fn figure(subject: Subject, label: &str, pairs: &BTreeMap<(CpuId, CpuId), &Bench>) -> Option<Figure> {
    let mut cpus: Vec<CpuId> = pairs.keys().flat_map(|&(from, to)| [from, to]).collect();
    cpus.sort_unstable();
    cpus.dedup();
    // Half of the pairs in either direction: a map of one direction is whole, placements on their own are not.
    if cpus.len() < 3 || pairs.len() * 2 < cpus.len() * (cpus.len() - 1) {
        return None;
    }
    let at = |from: CpuId, to: CpuId| pairs.get(&(from, to)).or_else(|| pairs.get(&(to, from))).map(|b| b.nanos());
    let row = |from: &CpuId| cpus.iter().map(|to| at(*from, *to)).collect();
    let unit = subject.unit();
    let (low, high) = ends(pairs);
    Some(Figure {
        id: format!("{}-{}", subject.anchor("pairs"), text::slug(label)),
        title: subject.title(&format!("Time per {unit} of {label} between each two CPUs")),
        says: format!(
            "From CPU {} to {} it takes {}, from {} to {} {}, {} as much.",
            low.0.0,
            low.0.1,
            text::nanos(low.1),
            high.0.0,
            high.0.1,
            text::nanos(high.1),
            text::times(high.1 / low.1)
        ),
        key: None,
        picture: Box::new(Heat {
            axis: "CPU".into(),
            labels: cpus.iter().map(ToString::to_string).collect(),
            values: cpus.iter().map(row).collect(),
        }),
        csv: csv(pairs),
    })
}

type End = ((CpuId, CpuId), f64);

/// The cheapest and the dearest pair; there is at least one.
fn ends(pairs: &BTreeMap<(CpuId, CpuId), &Bench>) -> (End, End) {
    let mut all: Vec<End> = pairs.iter().map(|(pair, bench)| (*pair, bench.nanos())).collect();
    all.sort_by(|a, b| a.1.total_cmp(&b.1));
    (all[0], all[all.len() - 1])
}

fn csv(pairs: &BTreeMap<(CpuId, CpuId), &Bench>) -> String {
    let mut csv = Csv::new(&["from_cpu", "to_cpu", "ns_per_op", "low_95", "high_95"]);
    for ((from, to), bench) in pairs {
        let interval = bench.summary.nanos.interval;
        let figures = [interval.estimate, interval.low, interval.high].map(number);
        csv.row([from.to_string(), to.to_string()].into_iter().chain(figures));
    }
    csv.into_text()
}
