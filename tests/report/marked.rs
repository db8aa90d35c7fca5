//! What a report says of figures that rest on less than was measured, and of those that are invalid.

use switchcost::record::{BenchmarkLine, Outcome, Run};
use switchcost::report::{PAGE, files, group_table, notes, rounds_table};
use switchcost::terms::{Metric, MetricKey, SpeedProbe};
use switchcost::units::{Amount, Nanos, Quantity};

use super::{catalogue, reports, run, text};

fn probe(nanos: u64) -> Option<SpeedProbe> {
    Some(SpeedProbe { min: Nanos(nanos), max: Nanos(nanos) })
}

/// A run of five rounds of one benchmark; beside all samples of the last four the CPU was slow.
fn one_quiet_round() -> Run {
    let mut run = run("three-rounds");
    let of_futex = |line: &&BenchmarkLine| line.id == "handoff/futex/same-cpu";
    let line = run.benchmarks.iter().find(of_futex).unwrap().clone();
    run.benchmarks = (0..5)
        .map(|round| {
            let mut line = BenchmarkLine { round, ..line.clone() };
            let Outcome::Measured(measured) = &mut line.outcome else { panic!("{line:?}") };
            let probe = probe(if round == 0 { 1000 } else { 1300 });
            measured.samples.iter_mut().for_each(|sample| sample.probe = probe);
            line
        })
        .collect();
    run
}

#[test]
fn where_one_round_of_five_counts_nobody_is_told_to_measure_five() {
    let run = one_quiet_round();
    let table = rounds_table(&run.benchmarks);
    assert!(table.contains("1 of 5") && table.contains("80 %"), "{table}");
    let notes = notes(&run.benchmarks).join("\n");
    assert!(notes.contains("1 benchmark rests on one round because its CPU was slow in the others"), "{notes}");
    assert!(!notes.contains("--rounds 5"), "{notes}");
    let files = files(&[run], &catalogue());
    for path in [PAGE, "report.md"] {
        let text = text(&files, path);
        assert!(text.contains("rests on one round") && text.contains("switchcost run --strict"), "{path}");
        assert!(!text.contains("--rounds 5"), "{path}");
    }
    let numbers = text(&files, "numbers.md");
    assert!(numbers.contains(", 1 round)") && numbers.contains("over 5 rounds, fewer where it says so,"), "{numbers}");
}

#[test]
fn what_was_discarded_is_told_and_not_drawn() {
    let mut run = one_quiet_round();
    let quarter = |line: &mut BenchmarkLine| {
        let Outcome::Measured(measured) = &mut line.outcome else { panic!("{line:?}") };
        measured.samples[3..].iter_mut().for_each(|sample| sample.probe = probe(1000));
        measured.samples[..3].iter_mut().for_each(|sample| sample.amount = Amount(sample.amount.0 * 50));
    };
    run.benchmarks[1..4].iter_mut().for_each(quarter);
    let files = files(&[run], &catalogue());
    let counts: Vec<Vec<&str>> =
        text(&files, "data/counts-handoff.csv").lines().map(|line| line.split(',').collect()).collect();
    let of = |name: &str| counts[1][counts[0].iter().position(|column| *column == name).unwrap()];
    assert_eq!((of("rounds_counting"), of("rounds_measured"), of("disturbed_rounds")), ("4", "5", "0"));
    let share = (3.0 * 3.0 + 12.0) / 60.0;
    assert_eq!(of("discarded"), format!("{share}"), "{counts:?}");
    for path in [PAGE, "report.md"] {
        let text = text(&files, path);
        for words in ["4 of 5", "35 % discarded", "and 1 round with too few other samples."] {
            assert!(text.contains(words), "{path}: {words}");
        }
    }
    let rounds: Vec<&str> = text(&files, "data/rounds-handoff.csv").lines().skip(1).collect();
    assert!(rounds[1].contains("/same-cpu,1,12,9,") && rounds[4].ends_with(",4,12,0,,,,,,,"), "{rounds:?}");
    let drawn = super::svg::Svg::read(text(&files, "figures/rounds-handoff.svg"));
    let boxes: usize = drawn.all("path", "pale").iter().map(|shape| shape.path.matches('M').count()).sum();
    assert_eq!(boxes, 4);
}

#[test]
fn a_generator_that_was_late_itself_makes_a_figure_invalid() {
    let mut run = run("three-rounds");
    let id = "handoff/futex/same-cpu";
    for line in run.benchmarks.iter_mut().filter(|line| line.id == id) {
        let Outcome::Measured(measured) = &mut line.outcome else { panic!("{line:?}") };
        measured.metrics.push(Metric::scalar(MetricKey::GeneratorBottleneck, Quantity::Share, 0.5));
        // So that it would take least.
        measured.samples.iter_mut().for_each(|sample| sample.amount = Amount(sample.ops.0));
    }
    let table = group_table(&run.benchmarks);
    assert!(table.ends_with("\n‡ invalid: the generator of the requests was late"), "{table}");
    assert_eq!(table.matches("‡").count(), 2, "{table}");
    let files = files(&[run], &catalogue());
    for path in [PAGE, "report.md", "numbers.md"] {
        let text = text(&files, path);
        assert!(text.contains("ns‡") && text.contains("‡ invalid: the generator of the requests was late."), "{path}");
    }
    let told = text(&files, "report.md");
    assert!(!told.contains("futex takes least") && told.contains("takes least"), "{told}");
    assert!(text(&files, "figures/cost-handoff.svg").contains("‡"));
    assert!(!text(&reports()[0].1, PAGE).contains('‡'));
}

/// Where a group measures memory, no column of its data says that it holds nanoseconds of it.
#[test]
fn columns_of_data_are_called_after_what_was_measured() {
    let columns = |measures| {
        let mut run = one_quiet_round();
        run.benchmarks.iter_mut().for_each(|line| line.measures = measures);
        let files = files(&[run], &catalogue());
        let header = |path: &str| text(&files, path).lines().next().unwrap().to_string();
        ["data/rounds-handoff.csv", "data/cost-handoff.csv", "data/counts-handoff.csv"].map(header)
    };
    let [rounds, cost, counts] = columns(Quantity::Nanoseconds);
    assert!(rounds.ends_with(",min_ns,p5_ns,p25_ns,median_ns,p75_ns,p95_ns,max_ns"), "{rounds}");
    assert!(cost.contains(",ns_per_op,") && counts.contains(",ns_per_op,"), "{cost} {counts}");
    let [rounds, cost, counts] = columns(Quantity::Bytes);
    assert!(rounds.contains(",median_bytes,") && !rounds.contains("_ns"), "{rounds}");
    assert!(cost.contains(",bytes_per_op,") && !cost.contains("ns_"), "{cost}");
    assert!(counts.contains(",bytes_per_op,cpu_ns,"), "{counts}");
}

/// A column of nothing but dashes says less than none.
#[test]
fn a_table_without_a_baseline_has_no_column_of_ratios_to_it() {
    let lines = run("three-rounds").benchmarks;
    let of = |name: &str| lines.iter().filter(|line| line.mechanism == name).cloned().collect::<Vec<_>>();
    let (futex, pipe) = (of("handoff/futex"), of("handoff/pipe"));
    let head = |lines: &[BenchmarkLine]| group_table(lines).lines().next().unwrap().to_string();
    assert!(!head(&pipe).contains("× base") && head(&pipe).contains("CPU ns"), "{}", group_table(&pipe));
    let both = group_table(&[futex, pipe.clone()].concat());
    assert!(both.lines().next().unwrap().contains("× base"), "{both}");
    // Its other cells stay in their columns.
    let cells = |table: &str| table.lines().last().unwrap().split_whitespace().map(String::from).collect::<Vec<_>>();
    let (with, mut without) = (cells(&both), cells(&group_table(&pipe)));
    // The interval is two words.
    without.insert(5, with[5].clone());
    assert_eq!(with.len(), without.len(), "{with:?} {without:?}");
}
