//! The same benchmarks in several runs.

use super::{all_of_group, is_within_only, key, quantity, unit};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Band, Dot, Dots, Figure};
use crate::report::study::{Bench, Study};
use crate::report::text;
use crate::stats::median;

/// The figure; `None` where no run measured anything of the group.
pub(in crate::report) fn side_by_side(group: &str, studies: &[Study]) -> Option<Figure> {
    let benches = all_of_group(studies, group);
    if benches.is_empty() {
        return None;
    }
    let (unit, quantity) = (unit(&benches), quantity(&benches));
    let noun = text::noun(quantity);
    Some(Figure {
        id: format!("runs-{}", text::slug(group)),
        title: format!("{} per {unit}, the runs side by side", text::capitalised(noun)),
        says: says(group, studies),
        key: key(&benches, studies.len()),
        picture: Box::new(Dots {
            axis: format!("{noun} per {unit}, 95 % interval"),
            quantity,
            bands: bands(group, studies),
        }),
        csv: csv(group, studies),
    })
}

fn bands(group: &str, studies: &[Study]) -> Vec<Band> {
    let mut bands: Vec<(String, Band)> = Vec::new();
    for (index, study) in studies.iter().enumerate() {
        for bench in study.of_group(group) {
            let dot = Dot {
                label: study.name.clone(),
                series: index,
                interval: bench.summary.nanos.interval,
                within_only: is_within_only(bench),
                differs: bench.summary.audit == "DIFFERS",
                void: bench.summary.void,
            };
            match bands.iter_mut().find(|(id, _)| *id == bench.line().id) {
                Some((_, band)) => band.rows.push(dot),
                None => {
                    let band = Band { label: bench.name().into(), detail: Some(bench.detail()), rows: vec![dot] };
                    bands.push((bench.line().id.clone(), band));
                }
            }
        }
    }
    // What only one run has stands in that run's tables; here it would hide what can be compared.
    let common = bands.iter().any(|(_, band)| band.rows.len() > 1);
    bands.into_iter().map(|(_, band)| band).filter(|band| !common || band.rows.len() > 1).collect()
}

/// The middle and the ends of the ratios of the last run to the first, of those that share a benchmark with it.
fn says(group: &str, studies: &[Study]) -> String {
    let Some((first, others)) = studies.split_first() else { return String::new() };
    let of_first = first.of_group(group);
    let shares = |study: &&Study| {
        study.of_group(group).iter().any(|bench| of_first.iter().any(|other| other.line().id == bench.line().id))
    };
    let Some(last) = others.iter().rfind(shares).or(others.last()) else { return String::new() };
    let of_last = last.of_group(group);
    let other = |bench: &Bench| {
        let same = |other: &&&Bench| other.line().id == bench.line().id && !other.summary.void;
        of_last.iter().find(same).copied()
    };
    let mut ratios: Vec<(f64, String)> = of_first
        .iter()
        .filter(|bench| !bench.summary.void)
        .filter_map(|bench| Some((other(bench)?.nanos() / bench.nanos(), super::named(bench))))
        .collect();
    ratios.sort_by(|a, b| a.0.total_cmp(&b.0));
    let values: Vec<f64> = ratios.iter().map(|(ratio, _)| *ratio).collect();
    let (Some(middle), [least, .., most]) = (median(&values), ratios.as_slice()) else {
        return match ratios.as_slice() {
            [(ratio, bench)] => {
                format!("{} takes {} in {} of what it takes in {}.", bench, text::times(*ratio), last.name, first.name)
            }
            _ => format!("{} and {} have no benchmark in common.", first.name, last.name),
        };
    };
    format!(
        "Over {} common benchmarks {} takes {} the {} of {} in the middle, from {} ({}) to {} ({}); \
         switchcost compare says which of these differences hold.",
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

fn csv(group: &str, studies: &[Study]) -> String {
    let figure = text::column(quantity(&all_of_group(studies, group)));
    let mut csv = Csv::new(&["run", "id", figure, "low_95", "high_95", "rounds"]);
    for study in studies {
        for bench in study.of_group(group) {
            let nanos = &bench.summary.nanos;
            let figures = [nanos.interval.estimate, nanos.interval.low, nanos.interval.high].map(number);
            let start = [study.name.clone(), bench.line().id.clone()];
            csv.row(start.into_iter().chain(figures).chain([nanos.rounds.to_string()]));
        }
    }
    csv.into_text()
}
