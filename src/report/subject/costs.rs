//! What an operation costs, by mechanism and placement.

use super::{Subject, is_within_only, key, named};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Band, Dot, Dots, Figure};
use crate::report::study::Bench;
use crate::report::text;

/// The figure; `None` where nothing was measured.
pub(in crate::report) fn costs(subject: Subject) -> Option<Figure> {
    let benches = &subject.apart_from_curves();
    if benches.is_empty() {
        return None;
    }
    let (unit, quantity) = (subject.unit(), subject.quantity());
    let noun = text::noun(quantity);
    Some(Figure {
        id: subject.anchor("cost"),
        title: subject.title(&format!("{} per {unit} by mechanism and placement", text::capitalised(noun))),
        says: says(benches, unit),
        key: key(benches, 1),
        picture: Box::new(Dots { axis: format!("{noun} per {unit}, 95 % interval"), quantity, bands: bands(benches) }),
        csv: csv(benches),
    })
}

fn bands(benches: &[&Bench]) -> Vec<Band> {
    let mut bands: Vec<Band> = Vec::new();
    for bench in benches {
        let dot = dot(bench);
        let detail = bench.chosen().map(str::to_string);
        match bands.iter_mut().find(|band| band.label == bench.name() && band.detail == detail) {
            Some(band) => band.rows.push(dot),
            None => bands.push(Band { label: bench.name().into(), detail, rows: vec![dot] }),
        }
    }
    bands
}

fn dot(bench: &Bench) -> Dot {
    Dot {
        label: bench.line().setting.placement.name().into(),
        series: bench.colour(),
        interval: bench.summary.nanos.interval,
        within_only: is_within_only(bench),
        differs: bench.summary.audit == "DIFFERS",
        void: bench.summary.void,
    }
}

/// The least and the most, and whether the data tell the least from the others.
fn says(benches: &[&Bench], unit: &str) -> String {
    let benches: Vec<&Bench> = benches.iter().filter(|bench| !bench.summary.void).copied().collect();
    let by_cost = |a: &&&Bench, b: &&&Bench| a.nanos().total_cmp(&b.nanos());
    let (Some(least), Some(most)) = (benches.iter().min_by(by_cost), benches.iter().max_by(by_cost)) else {
        return "Every figure is void.".into();
    };
    if least.line().id == most.line().id {
        return format!("{} takes {} per {unit}.", named(least), least.told(least.nanos()));
    }
    let high = least.summary.nanos.interval.high;
    let beside = benches.iter().filter(|b| b.line().id != least.line().id && b.summary.nanos.interval.low <= high);
    let level = match beside.count() {
        0 => String::new(),
        others => format!(" ({} within its interval)", text::count(others, "other")),
    };
    format!(
        "{} takes least, {} per {unit}{level}; {} takes most, {}, {} as much.",
        named(least),
        least.told(least.nanos()),
        named(most),
        most.told(most.nanos()),
        text::times(most.nanos() / least.nanos()),
    )
}

fn csv(benches: &[&Bench]) -> String {
    let figure = text::column(super::quantity(benches));
    let mut csv = Csv::new(&["id", "mechanism", "placement", figure, "low_95", "high_95", "rounds", "basis", "audit"]);
    for bench in benches {
        let (line, nanos) = (bench.line(), &bench.summary.nanos);
        csv.row([
            line.id.clone(),
            line.mechanism.clone(),
            line.setting.placement.to_string(),
            number(nanos.interval.estimate),
            number(nanos.interval.low),
            number(nanos.interval.high),
            nanos.rounds.to_string(),
            format!("{:?}", nanos.basis),
            bench.summary.audit.into(),
        ]);
    }
    csv.into_text()
}
