//! The same benchmarks in several runs.

use super::{all_of_group, is_within_only, key, quantity, unit};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Band, Dot, Dots, Figure};
use crate::report::run_view::{BenchmarkView, RunView};
use crate::report::text;
use crate::stats::median;

/// The figure; `None` where no run measured anything of the group.
pub(in crate::report) fn side_by_side(group: &str, views: &[RunView]) -> Option<Figure> {
    let benchmarks = all_of_group(views, group);
    if benchmarks.is_empty() {
        return None;
    }
    let (unit, quantity) = (unit(&benchmarks), quantity(&benchmarks));
    let noun = text::noun(quantity);
    Some(Figure {
        id: format!("runs-{}", text::slug(group)),
        title: format!("{} per {unit}, the runs side by side", text::capitalised(noun)),
        subtitle: subtitle(group, views),
        key: key(&benchmarks, views.len()),
        picture: Box::new(Dots {
            axis: format!("{noun} per {unit}, 95 % interval"),
            quantity,
            bands: bands(group, views),
        }),
        csv: csv(group, views),
    })
}

fn bands(group: &str, views: &[RunView]) -> Vec<Band> {
    let mut bands: Vec<(String, Band)> = Vec::new();
    for (index, view) in views.iter().enumerate() {
        for benchmark in view.of_group(group) {
            let dot = Dot {
                label: view.name.clone(),
                series: index,
                interval: benchmark.summary.per_op.interval,
                within_only: is_within_only(benchmark),
                differs: benchmark.summary.audit == "DIFFERS",
                void: benchmark.summary.void,
            };
            match bands.iter_mut().find(|(id, _)| *id == benchmark.line().id) {
                Some((_, band)) => band.rows.push(dot),
                None => {
                    let band =
                        Band { label: benchmark.name().into(), detail: Some(benchmark.detail()), rows: vec![dot] };
                    bands.push((benchmark.line().id.clone(), band));
                }
            }
        }
    }
    // What only one run has stands in that run's tables; here it would hide what can be compared.
    let common = bands.iter().any(|(_, band)| band.rows.len() > 1);
    bands.into_iter().map(|(_, band)| band).filter(|band| !common || band.rows.len() > 1).collect()
}

/// The middle and the ends of the ratios of the last run to the first, of those that share a benchmark with it.
fn subtitle(group: &str, views: &[RunView]) -> String {
    let Some((first, others)) = views.split_first() else { return String::new() };
    let of_first = first.of_group(group);
    let shares = |view: &&RunView| {
        view.of_group(group).iter().any(|benchmark| of_first.iter().any(|other| other.line().id == benchmark.line().id))
    };
    let Some(last) = others.iter().rfind(shares).or(others.last()) else { return String::new() };
    let of_last = last.of_group(group);
    let other = |benchmark: &BenchmarkView| {
        let same = |other: &&&BenchmarkView| other.line().id == benchmark.line().id && !other.summary.void;
        of_last.iter().find(same).copied()
    };
    let mut ratios: Vec<(f64, String)> = of_first
        .iter()
        .filter(|benchmark| !benchmark.summary.void)
        .filter_map(|benchmark| Some((other(benchmark)?.per_op() / benchmark.per_op(), super::named(benchmark))))
        .collect();
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let values: Vec<f64> = ratios.iter().map(|(ratio, _)| *ratio).collect();
    let (Some(middle), [least, .., most]) = (median(&values), ratios.as_slice()) else {
        return match ratios.as_slice() {
            [(ratio, benchmark)] => {
                format!("In {}, {benchmark} takes {} what it takes in {}.", last.name, text::times(*ratio), first.name)
            }
            _ => format!("{} and {} have no benchmark in common.", first.name, last.name),
        };
    };
    format!(
        "Over {} common benchmarks, {} takes {} the {} of {} at the median, from {} ({}) to {} ({}); switchcost \
         compare says which of these differences hold.",
        values.len(),
        last.name,
        text::times(middle),
        text::noun(quantity(&of_first)),
        first.name,
        text::times(least.0),
        least.1,
        text::times(most.0),
        most.1
    )
}

fn csv(group: &str, views: &[RunView]) -> String {
    let figure = text::column(quantity(&all_of_group(views, group)));
    let mut csv = Csv::new(&["run", "id", figure, "low_95", "high_95", "rounds"]);
    for view in views {
        for benchmark in view.of_group(group) {
            let per_op = &benchmark.summary.per_op;
            let figures = [per_op.interval.estimate, per_op.interval.low, per_op.interval.high].map(number);
            let start = [view.name.clone(), benchmark.line().id.clone()];
            csv.row(start.into_iter().chain(figures).chain([per_op.rounds.to_string()]));
        }
    }
    csv.into_text()
}
