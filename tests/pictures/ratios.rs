//! Two runs: a ratio is on its own side of the line at 1, in the colour of what `compare` says.

use switchcost::compare::{Matching, compare};
use switchcost::stats::Verdict;

use super::*;
use Placement::SameCpu;

/// Two runs of which the second takes half, twice, as much, and what nobody can tell.
fn two() -> [Vec<Made>; 2] {
    let of =
        |name: &str, nanos, spread| Made { rounds: 8, spread, ..Made::new(&format!("handoff/{name}"), SameCpu, nanos) };
    let first = vec![of("futex", 4_000, 20), of("pipe", 3_000, 15), of("eventfd", 2_000, 2), of("park", 5_000, 2_000)];
    let second = vec![of("futex", 2_000, 10), of("pipe", 6_000, 30), of("eventfd", 2_001, 2), of("park", 5_500, 2_000)];
    [first, second]
}

fn report_of([a, b]: [Vec<Made>; 2]) -> Vec<ReportFile> {
    files(&[run(a), run(b)], &Catalogue::default())
}

fn drawn([a, b]: [Vec<Made>; 2]) -> Svg {
    let files = files(&[run(a.clone()), run(b.clone())], &Catalogue::default());
    let svg = picture(&files, "ratios-handoff-b");
    let rows = compare(&[("A".into(), run(a)), ("B".into(), run(b))], &Matching::Ids, 0.01).rows;
    let (axis, one) = (svg.axis(50.0, value), svg.all("line", "level")[0].x[0]);
    assert!(near(one, axis.at(1.0)) && rows.len() == 4, "{rows:?}");
    for row in rows {
        let label = format!("{} same-cpu", row.id.split('/').nth(1).unwrap());
        let shapes = svg.row(&label);
        let dot = shapes.iter().find(|shape| shape.tag == "circle").unwrap();
        let line =
            shapes.iter().find(|shape| shape.tag == "line" && shape.has("stroke") && !shape.has("thin")).unwrap();
        let ratio = row.ratio.interval;
        assert!(near(dot.x[0], axis.at(ratio.estimate)), "{label}: {dot:?}, {ratio:?}");
        assert!(
            near(line.x[0], axis.at(ratio.low)) && near(line.x[1], axis.at(ratio.high)),
            "{label}: {line:?}, {ratio:?}"
        );
        let (colour, name) = match row.verdict {
            _ if row.withheld => ("open", "inconclusive"),
            Verdict::Faster => ("less", "less"),
            Verdict::Slower => ("greater", "more"),
            Verdict::Equivalent => ("equal", "equal"),
            Verdict::NoVerdict => ("open", "inconclusive"),
        };
        assert_eq!((dot.colour().as_str(), line.colour().as_str()), (colour, colour), "{label}");
        assert_eq!(svg.colour_of(name), colour);
        let written = shapes.iter().find(|shape| shape.has("value")).unwrap();
        assert!(same(&written.text, ratio.estimate), "{label}: {written:?}");
    }
    svg
}

fn side(svg: &Svg, label: &str) -> (bool, String) {
    let dot = svg.row(label).into_iter().find(|shape| shape.tag == "circle").unwrap();
    (dot.x[0] > svg.all("line", "level")[0].x[0], dot.colour())
}

#[test]
fn half_stands_left_of_one_and_twice_right_of_it() {
    let svg = drawn(two());
    assert_eq!(side(&svg, "futex same-cpu"), (false, "less".into()));
    assert_eq!(side(&svg, "pipe same-cpu"), (true, "greater".into()));
    assert_eq!(side(&svg, "park same-cpu").1, "open");
    let order: Vec<String> = svg.labels().into_iter().map(|(label, _)| label).collect();
    assert_eq!((order[0].as_str(), order[3].as_str()), ("futex same-cpu", "pipe same-cpu"), "by ratio");
    let told = svg.written().replace(['\n', '\u{a0}'], " ");
    assert!(told.contains("time in B over time in A") && told.contains("B takes less for 1"), "{told}");
}

#[test]
fn the_sides_exchanged_stand_on_the_other_side() {
    let [a, b] = two();
    let svg = drawn([b, a]);
    assert_eq!(side(&svg, "futex same-cpu"), (true, "greater".into()));
    assert_eq!(side(&svg, "pipe same-cpu"), (false, "less".into()));
}

#[test]
fn sides_of_a_paired_comparison_belong_together_though_their_ids_differ() {
    let turns = |made: Vec<Made>, idle: Idle| -> Vec<Made> {
        made.into_iter().map(|made| Made { interleaved: true, idle, ..made }).collect()
    };
    let [a, b] = two();
    let files = report_of([turns(a, Idle::Default), turns(b, Idle::Poll)]);
    let svg = picture(&files, "ratios-handoff-b");
    let label = "futex same-cpu → same-cpu, idle=poll";
    assert_eq!(side(&svg, label), (false, "less".into()));
    let data = text(&files, "data/ratios-handoff-b.csv");
    assert!(data.contains("handoff/futex/same-cpu,handoff/futex/same-cpu/idle=poll,0.5,"), "{data}");
}

#[test]
fn the_pace_of_each_run_is_that_of_its_own_probes() {
    let probed = |made: Made, probes: [u64; 3]| Made { probes: probes.into(), ..made };
    let [mut a, mut b] = two().map(|made| vec![Made { rounds: 3, ..made[0].clone() }]);
    a = vec![probed(a.remove(0), [1_000, 1_250, 2_000])];
    b = vec![probed(b.remove(0), [1_600, 1_000, 1_000])];
    let svg = picture(&report_of([a, b]), "pace");
    let (across, upwards) = (svg.axis(200.0, value), svg.axis_upwards(value));
    for (name, paces) in [("A", [1.0, 0.8, 0.5]), ("B", [0.625, 1.0, 1.0])] {
        let curves = svg.all("polyline", &svg.colour_of(name));
        let expected =
            paces.iter().enumerate().map(|(round, pace)| (across.at(10.0 * round as f64), upwards.at(*pace)));
        for ((x, y), (to, at)) in curves[0].points.iter().zip(expected) {
            assert!(near(*x, to) && near(*y, at), "{name}: {x},{y} in place of {to},{at}");
        }
    }
    let told = svg.written();
    assert!(told.contains("A ran at 80\u{a0}% at the median and below 53\u{a0}% for a twentieth"), "{told}");
    assert!(near(svg.all("line", "level")[0].y[0], upwards.at(1.0)));
}
