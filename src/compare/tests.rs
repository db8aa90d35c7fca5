//! Comparisons of records made by hand.

mod between_runs;

use super::*;
use crate::host::Root;
use crate::mechanism::find;
use crate::record::{AuditRecord, Build, CountedSamples, HostLine, Measured, Noise, RunConditions, Sample};
use crate::terms::{CounterSummary, Host, Idle, Moment, Placement, Policy, ResourceUsage, Setting, SpeedProbe, Unit};
use crate::units::{Amount, CpuId, Nanos, Ops, Quantity};

fn line(id: &str, round: u32, nanos: u64) -> BenchmarkLine {
    let parameters = find("handoff/futex").unwrap().descriptor().defaults();
    let measured = Measured {
        samples: (0..5).map(|i| Sample::new(Ops(10), Nanos(10 * nanos + i))).collect(),
        usage: ResourceUsage::default(),
        counted: CountedSamples::default(),
        metrics: Vec::new(),
        audit: AuditRecord::default(),
        noise: Noise { start: Moment::default(), end: Moment::default(), own_cpu: None, lasted: None },
    };
    BenchmarkLine {
        id: id.into(),
        mechanism: id.split('/').take(2).collect::<Vec<_>>().join("/"),
        unit: Unit::Handoff,
        measures: Quantity::Nanoseconds,
        baseline: "handoff/futex".into(),
        setting: Setting {
            placement: Placement::SameCpu,
            cpus: vec![CpuId(0)],
            idle: Idle::Default,
            policy: Policy::default(),
            parameters,
        },
        round,
        host_id: "m".into(),
        started_ms: 0,
        outcome: Outcome::Measured(Box::new(measured)),
        conditions: None,
    }
}

fn run(name: &str, benchmarks: &[(&str, &[u64])]) -> (String, Run) {
    let lines = benchmarks.iter().flat_map(|(id, rounds)| {
        rounds.iter().zip(0..).map(|(nanos, round)| line(id, round, *nanos)).collect::<Vec<_>>()
    });
    (name.into(), Run { benchmarks: lines.collect(), ..Run::default() })
}

const FLAT: [u64; 5] = [1000, 1001, 1002, 1003, 1004];

/// The comparison on a host whose runs hardly scatter.
fn on_quiet_host(runs: &[(String, Run)]) -> Comparison {
    let ids: Vec<&str> = runs.iter().flat_map(|(_, run)| &run.benchmarks).map(|line| line.id.as_str()).collect();
    compare_on(&ScatterKnowledge::quiet("m", &ids), runs, &Matching::Ids, 0.01)
}

/// The notes of a row, one after the other.
fn noted(row: &ComparisonRow) -> String {
    row.notes.iter().map(|note| note.text.as_str()).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_greatest_effect_stands_first_and_small_ones_get_no_verdict() {
    let slower = FLAT.map(|nanos| nanos * 105 / 100);
    let faster = FLAT.map(|nanos| nanos / 2);
    let a = run("a", &[("handoff/futex/x", &FLAT), ("handoff/pipe/x", &FLAT), ("handoff/park/x", &FLAT)]);
    let b = run("b", &[("handoff/futex/x", &slower), ("handoff/pipe/x", &faster), ("handoff/park/x", &FLAT)]);
    let comparison = on_quiet_host(&[a, b]);
    let seen: Vec<(&str, Verdict)> = comparison.rows.iter().map(|row| (row.id.as_str(), row.verdict)).collect();
    assert_eq!(
        seen,
        [
            ("handoff/pipe/x", Verdict::Faster),
            ("handoff/futex/x", Verdict::Slower),
            ("handoff/park/x", Verdict::Equivalent)
        ]
    );
    assert_eq!(comparison.gate(0.02).regressed.len(), 1);
    assert_eq!(comparison.gate(0.06).regressed.len(), 0);
    assert!((comparison.rows[1].ratio.interval.estimate - 1.05).abs() < 0.01);
}

/// The run with these speed probes beside each sample: the shortest and the longest.
fn with_probes((name, mut run): (String, Run), probes: impl Fn(usize) -> (u64, u64)) -> (String, Run) {
    for line in &mut run.benchmarks {
        let Outcome::Measured(measured) = &mut line.outcome else { continue };
        for (at, sample) in measured.samples.iter_mut().enumerate() {
            let (min, max) = probes(at);
            sample.probe = Some(SpeedProbe { min: Nanos(min), max: Nanos(max) });
        }
    }
    (name, run)
}

#[test]
fn what_a_neighbour_slowed_throughout_gets_no_verdict() {
    let slower = FLAT.map(|nanos| nanos * 13 / 10);
    let a = with_probes(run("a", &[("handoff/futex/x", &FLAT)]), |_| (10_000, 10_500));
    let b = with_probes(run("b", &[("handoff/futex/x", &slower)]), |_| (12_500, 13_000));
    let comparison = compare(&[a.clone(), b.clone()], &Matching::Ids, 0.01);
    assert_eq!((comparison.rows[0].verdict, comparison.rows[0].withheld), (Verdict::NoVerdict, true));
    assert!(noted(&comparison.rows[0]).contains("the other's CPU was 25 % slower"), "{}", noted(&comparison.rows[0]));
    assert_eq!(comparison.gate(0.01).regressed.len(), 0);
    let alike = with_probes(b.clone(), |_| (10_300, 13_000));
    assert_eq!(on_quiet_host(&[a.clone(), alike]).rows[0].verdict, Verdict::Slower);
    let mut elsewhere = b;
    elsewhere.1.benchmarks.iter_mut().for_each(|line| line.host_id = "n".into());
    let row = &compare(&[a, elsewhere], &Matching::Ids, 0.01).rows[0];
    assert_eq!((row.withheld, row.scatter_source), (false, ScatterSource::Assumed), "another machine");
}

#[test]
fn what_is_void_gets_no_verdict() {
    let slower = FLAT.map(|nanos| nanos * 2);
    let (a, mut b) = (run("a", &[("fairness/tokio/x", &FLAT)]), run("b", &[("fairness/tokio/x", &slower)]));
    let late = crate::terms::Metric::scalar(crate::terms::MetricKey::GeneratorBottleneck, Quantity::Share, 0.0);
    for round in [0, 4] {
        let Outcome::Measured(measured) = &mut b.1.benchmarks[round].outcome else { panic!("it was measured") };
        measured.metrics = vec![late.clone()];
    }
    let two = compare(&[a.clone(), b.clone()], &Matching::Ids, 0.01);
    assert_eq!((two.rows[0].verdict, two.rows[0].withheld), (Verdict::Slower, false), "two rounds of five");
    let Outcome::Measured(measured) = &mut b.1.benchmarks[2].outcome else { panic!("it was measured") };
    measured.metrics = vec![late];
    let comparison = compare(&[a, b], &Matching::Ids, 0.01);
    assert_eq!((comparison.rows[0].verdict, comparison.rows[0].withheld), (Verdict::NoVerdict, true));
    assert_eq!(comparison.gate(0.01).regressed.len(), 0);
}

#[test]
fn sides_without_a_quiet_round_in_common_have_a_row_and_no_verdict() {
    let quiet_in = |round: u32, (name, mut run): (String, Run)| {
        for line in &mut run.benchmarks {
            let probe = Nanos(if line.round == round { 10_000 } else { 13_000 });
            let Outcome::Measured(measured) = &mut line.outcome else { continue };
            measured.samples.iter_mut().for_each(|sample| sample.probe = Some(SpeedProbe { min: probe, max: probe }));
        }
        (name, run)
    };
    let id = "handoff/futex/x";
    let (a, b) = (quiet_in(0, run("a", &[(id, &FLAT)])), quiet_in(1, run("b", &[(id, &FLAT.map(|nanos| nanos * 2))])));
    let comparison = compare(&[a, b], &Matching::Pairs(vec![(id.into(), id.into())]), 0.01);
    assert_eq!((comparison.rows[0].verdict, comparison.rows[0].withheld), (Verdict::NoVerdict, true));
    assert_eq!(comparison.gate(0.01).regressed.len(), 0);
}

#[test]
fn sides_in_turns_are_compared_sample_by_sample() {
    // A neighbour that was there in all rounds but one: too few are quiet, and what is slowed is slowed on both sides.
    let side = |name, times| {
        let (name, mut run) = run(name, &[("handoff/futex/x", times)]);
        for line in &mut run.benchmarks {
            line.conditions = Some(RunConditions { interleaved: true, ..RunConditions::default() });
            let Outcome::Measured(measured) = &mut line.outcome else { continue };
            let (times, probe) = if line.round == 0 { (10, Nanos(10_000)) } else { (14, Nanos(13_000)) };
            for sample in &mut measured.samples {
                sample.amount = Amount(sample.amount.0 * times / 10);
                sample.probe = Some(SpeedProbe { min: probe, max: probe });
            }
        }
        (name, run)
    };
    let pairs = Matching::Pairs(vec![("handoff/futex/x".into(), "handoff/futex/x".into())]);
    let comparison = compare(&[side("a", &FLAT), side("b", &FLAT.map(|nanos| nanos * 105 / 100))], &pairs, 0.01);
    let row = &comparison.rows[0];
    assert_eq!((row.verdict, row.withheld), (Verdict::Slower, false), "{row:?}");
    assert!((row.ratio.interval.estimate - 1.05).abs() < 0.005, "{row:?}");
}

#[test]
fn samples_are_judged_by_the_longest_stretch_beside_them() {
    let a = run("a", &[("handoff/futex/x", &FLAT)]);
    let (name, mut slowed) = run("b", &[("handoff/futex/x", &FLAT)]);
    for line in &mut slowed.benchmarks {
        let Outcome::Measured(measured) = &mut line.outcome else { continue };
        measured.samples.extend([Sample::new(Ops(10), Nanos(20_000)); 9]);
    }
    let slowed = with_probes((name, slowed), |sample| (10_000, if sample < 5 { 10_500 } else { 13_000 }));
    let comparison = compare(&[a, slowed], &Matching::Ids, 0.01);
    assert!((comparison.rows[0].ratio.interval.estimate - 1.0).abs() < 0.01, "{:?}", comparison.rows[0].ratio);
}

#[test]
fn one_round_gets_no_verdict_and_says_why() {
    let (a, b) = (run("a", &[("handoff/futex/x", &[1000])]), run("b", &[("handoff/futex/x", &[3000])]));
    let comparison = compare(&[a, b], &Matching::Ids, 0.01);
    assert_eq!(comparison.rows[0].verdict, Verdict::NoVerdict);
    assert!(noted(&comparison.rows[0]).contains("one round"), "{}", noted(&comparison.rows[0]));
    assert_eq!(comparison.gate(0.01).regressed.len(), 0);
}

#[test]
fn what_only_some_have_is_named() {
    let a = run("a", &[("handoff/futex/x", &FLAT), ("handoff/pipe/smt-sibling", &FLAT)]);
    let b = run("b", &[("handoff/futex/x", &FLAT)]);
    let comparison = compare(&[a, b.clone()], &Matching::Ids, 0.01);
    assert_eq!(comparison.missing, [MissingBenchmark { id: "handoff/pipe/smt-sibling".into(), runs: vec![0] }]);
    let other = run("c", &[("handoff/eventfd/x", &FLAT)]);
    assert!(compare(&[b, other], &Matching::Ids, 0.01).rows.is_empty());
}

#[test]
fn pairs_follow_their_rounds_not_their_order() {
    let drifting = [1000, 2000, 3000, 4000, 5000];
    let (name, mut b) = run("b", &[("handoff/futex/x/idle=poll", &drifting.map(|nanos| nanos * 9 / 10))]);
    b.benchmarks.reverse();
    let a = run("a", &[("handoff/futex/x", &drifting)]);
    let pairs = vec![("handoff/futex/x".to_string(), "handoff/futex/x/idle=poll".to_string())];
    let runs = [a, (name, b)];
    let paired = compare(&runs, &Matching::Pairs(pairs), 0.01);
    assert_eq!(paired.rows[0].verdict, Verdict::Faster);
    assert_eq!(paired.rows[0].other_id.as_deref(), Some("handoff/futex/x/idle=poll"));
    assert!(compare(&runs, &Matching::Ids, 0.01).rows.is_empty());
}

#[test]
fn several_modes_are_said() {
    let two = [5000, 5010, 5020, 30_000, 30_010, 30_020, 5030, 5040, 5050, 30_030];
    let a = run("a", &[("handoff/futex/x", &two)]);
    let comparison = compare(&[a.clone(), a], &Matching::Ids, 0.01);
    assert!(noted(&comparison.rows[0]).contains("2 modes"), "{}", noted(&comparison.rows[0]));
    assert_eq!(comparison.rows[0].verdict, Verdict::NoVerdict);
}

fn host(fixture: &str) -> HostLine {
    let host = Host::observe(&Root::at(format!("{}/tests/fixtures/host/{fixture}", env!("CARGO_MANIFEST_DIR"))));
    let build = Build::current();
    HostLine { id: host.id(), host, moment: Moment::default(), build, argv: vec![], started_ms: 0 }
}

#[test]
fn only_what_differs_is_shown_in_its_group() {
    let (amd, intel) = (host("amd-two-ccx"), host("intel-2socket-smt"));
    assert_eq!(differences(&[&amd, &amd]), []);
    let found = differences(&[&amd, &intel]);
    let groups: Vec<&str> = found.iter().map(|difference| difference.group).collect();
    assert!(groups.contains(&"CPU") && groups.contains(&"topology"), "{groups:?}");
    assert!(!groups.contains(&"toolchain") && !groups.contains(&"build"), "{groups:?}");
    assert!(found.iter().all(|difference| difference.values[0] != difference.values[1]));
    assert!(found.iter().flat_map(|difference| &difference.values).flatten().all(|value| value.len() < 400));
    let mut newer = amd.clone();
    newer.build.version = "9.9.9".into();
    newer.host.kernel.command_line = Some("idle=poll".into());
    let found = differences(&[&amd, &newer]);
    let groups: Vec<&str> = found.iter().map(|difference| difference.group).collect();
    assert_eq!(groups, ["command line", "build"]);
}

#[test]
fn every_format_holds_the_figures() {
    let a = run("a", &[("handoff/futex/x/size=1,depth=2", &FLAT)]);
    let b = run("b", &[("handoff/futex/x/size=1,depth=2", &FLAT.map(|nanos| nanos * 2))]);
    let comparison = compare(&[a, b.clone()], &Matching::Ids, 0.01);
    let text = table(&comparison);
    assert!(
        text.contains("2.000") && text.contains("slower") && text.lines().all(|l| l.chars().count() <= 120),
        "{text}"
    );
    assert!(markdown(&comparison).contains("| handoff/futex/x/size=1,depth=2 | 1002 | 2004 | 2.000 |"));
    let csv = csv(&comparison);
    assert!(csv.lines().nth(1).unwrap().starts_with("\"handoff/futex/x/size=1,depth=2\","), "{csv}");
    let header: Vec<&str> = csv.lines().next().unwrap().split(',').collect();
    let verdict = header.iter().position(|column| *column == "verdict").unwrap();
    // The id has a comma of its own, in quotes, in both columns of ids.
    let fields: Vec<&str> = csv.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(&fields[verdict..verdict + 4], ["5", "5", "slower", "true"], "{csv}");
    let parsed: serde_json::Value = serde_json::from_str(&json(&comparison).unwrap()).unwrap();
    assert_eq!(parsed["rows"][0]["verdict"], "slower");
    let metrics: serde_json::Value = serde_json::from_str(&bencher(&b.1).unwrap()).unwrap();
    let latency = &metrics["handoff/futex/x/size=1,depth=2"]["latency"];
    assert!(latency["lower_value"].as_f64() < latency["value"].as_f64(), "{metrics}");
    assert!(latency["value"].as_f64() < latency["upper_value"].as_f64());
}

/// A row of bytes beside one of nanoseconds: the figures of both stand in the same columns.
#[test]
fn each_row_of_the_csv_says_what_its_figures_are() {
    let (name, mut mixed) = run("a", &[("handoff/futex/x", &FLAT), ("footprint/thread/x", &FLAT)]);
    for line in mixed.benchmarks.iter_mut().filter(|line| line.mechanism.starts_with("footprint/")) {
        line.measures = Quantity::Bytes;
    }
    let text = csv(&compare(&[(name, mixed.clone()), ("b".into(), mixed)], &Matching::Ids, 0.01));
    let columns: Vec<&str> = text.lines().next().unwrap().split(',').collect();
    assert!(columns.iter().all(|column| !column.ends_with("_ns")), "{columns:?}");
    let measures = columns.iter().position(|column| *column == "measures").unwrap();
    let of_rows: Vec<(&str, &str)> =
        text.lines().skip(1).map(|row| row.split(',').collect::<Vec<_>>()).map(|row| (row[0], row[measures])).collect();
    assert_eq!(of_rows, [("footprint/thread/x", "bytes"), ("handoff/futex/x", "nanoseconds")]);
}

#[test]
fn the_cpus_that_were_used_are_told_where_they_differ() {
    let (a, mut b) = (run("a", &[("handoff/futex/same-cpu", &FLAT)]), run("b", &[("handoff/futex/same-cpu", &FLAT)]));
    assert_eq!(compare(&[a.clone(), b.clone()], &Matching::Ids, 0.01).differences, []);
    b.1.benchmarks.iter_mut().for_each(|line| line.setting.cpus = vec![CpuId(3), CpuId(2)]);
    let difference =
        Difference { group: "CPUs used", name: "same-cpu".into(), values: vec![Some("0".into()), Some("2-3".into())] };
    let comparison = compare(&[a, b], &Matching::Ids, 0.01);
    assert_eq!(comparison.differences, [difference]);
    assert!(table(&comparison).contains("CPUs used"), "{}", table(&comparison));
}

/// Lines whose tasks used twice their time, switched `switches` times in five samples of ten operations, and counted
/// `instructions` an operation.
fn counted(name: &str, benchmarks: &[(&str, u64, f64)]) -> (String, Run) {
    let flat: Vec<(&str, &[u64])> = benchmarks.iter().map(|(id, ..)| (*id, &FLAT[..])).collect();
    let (name, mut run) = run(name, &flat);
    for line in &mut run.benchmarks {
        let (_, switches, instructions) = *benchmarks.iter().find(|(id, ..)| *id == line.id).unwrap();
        let Outcome::Measured(measured) = &mut line.outcome else { continue };
        measured.usage = ResourceUsage { system: Nanos(100_000), voluntary: switches, ..ResourceUsage::default() };
        measured.counted.counters = vec![CounterSummary {
            event: "instructions:u".into(),
            per_op: instructions,
            count: 1,
            ops: 1,
            enabled_ns: 1,
            running_ns: 1,
            estimated: false,
            unit: None,
        }];
    }
    (name, run)
}

#[test]
fn runs_are_compared_by_what_was_counted() {
    let runs = [
        counted("a", &[("handoff/a", 50, 0.5), ("handoff/b", 0, 9.0)]),
        counted("b", &[("handoff/a", 100, 0.75), ("handoff/b", 50, 9.0)]),
    ];
    let by = |what: &str| {
        let by: ComparedBy = what.parse().unwrap();
        let mut lacking = BTreeSet::new();
        let mut apply = |(name, run): (String, Run)| {
            let (run, without) = by.apply(run);
            lacking.extend(without);
            (name, run)
        };
        let runs: Vec<(String, Run)> = runs.iter().cloned().map(&mut apply).collect();
        let rows = compare(&runs, &Matching::Ids, 0.01).rows;
        let found: Vec<(String, f64, f64, Quantity)> = rows
            .iter()
            .map(|row| (row.id.clone(), row.first.interval.estimate, row.ratio.interval.estimate, row.measures))
            .collect();
        (found, Vec::from_iter(lacking), rows)
    };
    let id = || "handoff/a".to_string();
    let (found, lacking, rows) = by("switches");
    assert_eq!(found, [(id(), 1.0, 2.0, Quantity::Number)]);
    assert_eq!(lacking, ["handoff/b"], "it came to 0 in the first run: there is no ratio");
    // Counts that are the same in each round leave no doubt, and the gate sees them.
    assert_eq!(rows[0].verdict, Verdict::Slower);
    let (found, ..) = by("cpu");
    assert!((found[0].1 - 2000.0).abs() < 1e-6 && found[0].3 == Quantity::Nanoseconds, "{found:?}");
    let (found, lacking, _) = by("instructions:u");
    assert_eq!((found[0].clone(), found.len(), lacking.len()), ((id(), 0.5, 1.5, Quantity::Number), 2, 0));
    assert_eq!(by("cycles:k").0, []);
    assert_eq!(by("time").0.len(), 2);
    let (_, run) = &runs[1];
    let gate = |what: &str| {
        let by: ComparedBy = what.parse().unwrap();
        let runs: Vec<(String, Run)> = runs.iter().cloned().map(|(name, run)| (name, by.apply(run).0)).collect();
        compare(&runs, &Matching::Ids, 0.01).gate(0.05).regressed.len()
    };
    assert_eq!((gate("time"), gate("switches"), gate("instructions:u")), (0, 1, 1));
    assert_eq!(ComparedBy::events(run), ["instructions:u".to_string()].into());
}

#[test]
fn every_format_says_what_runs_are_compared_by() {
    let runs = ["a", "b", "c", "d"].map(|name| counted(name, &[("handoff/a", 10, 0.125)]));
    let by = |what: &str, many: usize| {
        let by: ComparedBy = what.parse().unwrap();
        let runs: Vec<(String, Run)> =
            runs[..many].iter().cloned().map(|(name, run)| (name, by.apply(run).0)).collect();
        Comparison { by, ..compare(&runs, &Matching::Ids, 0.01) }
    };
    let switches = by("switches", 2);
    for text in [table(&switches), markdown(&switches), table(&by("switches", 4))] {
        assert!(
            text.contains("compared by switches/op") && text.contains("0.2000") && !text.contains("ns/op"),
            "{text}"
        );
    }
    assert!(table(&by("cpu", 2)).contains("A CPU ns/op") && table(&by("instructions:u", 2)).contains("0.1250"));
    let time = by("time", 2);
    assert!(table(&time).contains("A ns/op") && !table(&time).contains("compared by"));
    let measures =
        |comparison: &Comparison| csv(comparison).lines().nth(1).unwrap().split(',').nth(4).unwrap().to_string();
    assert_eq!((measures(&switches).as_str(), measures(&time).as_str()), ("switches", "nanoseconds"));
    assert!(json(&switches).unwrap().contains("\"by\": \"switches\""));
}

#[test]
fn a_history_of_one_run_has_its_figures() {
    let (_, run) = run("a", &[("handoff/a", &FLAT)]);
    let figures: serde_json::Value = serde_json::from_str(&github_action_benchmark(&run).unwrap()).unwrap();
    let [figure] = figures.as_array().unwrap().as_slice() else { panic!("{figures}") };
    assert_eq!((&figure["name"], &figure["unit"]), (&"handoff/a".into(), &"ns/handoff".into()));
    assert!((figure["value"].as_f64().unwrap() - 1002.2).abs() < 1e-9, "{figure}");
    assert!(figure["range"].as_str().unwrap().ends_with("(5 rounds)"), "{figure}");
}
