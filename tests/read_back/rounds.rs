//! Rounds that differ more than their samples do: what is shown as the interval spans them.

use switchcost::compare::{Matching, compare};
use switchcost::record::Run;
use switchcost::report::{PAGE, files, group_table, rounds_table};

use super::{Catalogue, fields, text, three_rounds, with_samples};

const ID: &str = "handoff/futex/same-cpu";

/// Five processes from 1000 to 1800 ns, each of which agrees with itself to 0.1 %.
fn scattered() -> Run {
    let mut run = three_rounds();
    let line = run.benchmarks.iter().find(|line| line.id == ID).unwrap().clone();
    let times = [1000, 1200, 1400, 1600, 1800].into_iter().zip(0..);
    run.benchmarks =
        times.map(|(nanos, round)| with_samples(&line, round, &[nanos, nanos + 1, nanos - 1, nanos, nanos])).collect();
    run
}

#[test]
fn tables_show_an_interval_that_spans_the_rounds() {
    let run = scattered();
    let table = group_table(&run.benchmarks);
    let half =
        table.split('±').nth(1).and_then(|rest| rest.split(' ').next()).and_then(|half| half.parse::<f64>().ok());
    assert!(half.is_some_and(|half| half > 25.0), "half of 800 in 1400 is 28 %: {table}");
    let table = rounds_table(&run.benchmarks);
    let words: Vec<&str> = table.lines().last().unwrap().split_whitespace().collect();
    let (low, high): (f64, f64) = (words[3].parse().unwrap(), words[4].parse().unwrap());
    assert!(low <= 1000.0 && high >= 1800.0, "{table}");
}

#[test]
fn reports_show_an_interval_that_spans_the_rounds() {
    let files = files(&[scattered()], &Catalogue::default());
    let rows = fields(text(&files, "data/cost-handoff.csv"));
    let of = |name: &str| rows[1][rows[0].iter().position(|column| column == name).unwrap()].clone();
    let (low, high): (f64, f64) = (of("low_95").parse().unwrap(), of("high_95").parse().unwrap());
    assert!(low <= 1000.0 && high >= 1800.0 && of("rounds") == "5", "{rows:?}");
    for path in [PAGE, "report.md", "numbers.md"] {
        let told = text(&files, path);
        let half = told.split('±').skip(1).filter_map(|rest| rest.split([' ', '\u{a0}']).next()?.parse::<f64>().ok());
        let halves: Vec<f64> = half.collect();
        assert!(!halves.is_empty() && halves.iter().all(|half| *half > 25.0), "{path}: {halves:?}");
    }
}

#[test]
fn a_comparison_of_scattered_rounds_has_no_verdict() {
    let (a, mut b) = (scattered(), scattered());
    b.benchmarks.iter_mut().for_each(|line| {
        let switchcost::record::Outcome::Measured(measured) = &mut line.outcome else { panic!("{line:?}") };
        measured.samples.iter_mut().for_each(|sample| sample.amount.0 = sample.amount.0 * 11 / 10);
    });
    let row = &compare(&[("a".into(), a), ("b".into(), b)], &Matching::Ids, 0.01).rows[0];
    let (ratio, first) = (&row.ratio.interval, &row.first.interval);
    assert!(first.low <= 1000.0 && first.high >= 1800.0, "{first:?}");
    assert!(ratio.low < 0.9 && ratio.high > 1.3, "rounds that differ by 80 % do not tell 10 %: {ratio:?}");
}
