//! What is said of runs whose host has a state that lasts for a whole run.

use super::*;
use crate::stats::Prng;
use crate::terms::Doubt;

/// A run of `benchmarks` in a state of its host: each benchmark takes up to `state` more or less, in all its rounds.
fn in_a_state(name: &str, benchmarks: usize, state: f64, seed: u64, slower: Option<(usize, f64)>) -> (String, Run) {
    let mut random = Prng::seeded(seed);
    let mut lines = Vec::new();
    for benchmark in 0..benchmarks {
        let factor = (state * (2.0 * random.unit() - 1.0)).exp();
        let effect = slower.filter(|(which, _)| *which == benchmark).map_or(1.0, |(_, effect)| effect);
        for round in 0..3 {
            let within = (0.002 * (2.0 * random.unit() - 1.0)).exp();
            let nanos = (100_000.0 * factor * effect * within) as u64;
            lines.push(line(&format!("handoff/number_{benchmark:02}/x"), round, nanos));
        }
    }
    (name.into(), Run { benchmarks: lines, ..Run::default() })
}

fn differing(comparison: &Comparison) -> usize {
    comparison.rows.iter().filter(|row| row.ratio.interval.excludes(1.0)).count()
}

#[test]
fn a_state_that_lasts_for_a_run_is_no_difference_of_the_programs() {
    let mut outside = 0;
    let mut failed = 0;
    for seed in 0..10 {
        let runs = [in_a_state("a", 60, 0.1, 2 * seed, None), in_a_state("b", 60, 0.1, 2 * seed + 1, None)];
        let comparison = compare(&runs, &Matching::Ids, 0.01);
        assert!(comparison.rows.iter().all(|row| row.scatter_source == ScatterSource::AllRatios));
        outside += differing(&comparison);
        failed += usize::from(!comparison.gate(0.05).regressed.is_empty());
    }
    assert!(outside <= 30 && failed == 0, "{outside} of 600 intervals exclude 1, {failed} of 10 gates failed");
}

#[test]
fn the_scatter_comes_from_the_best_that_is_known() {
    let (a, b) = (in_a_state("a", 30, 0.02, 1, None), in_a_state("b", 30, 0.02, 2, None));
    let source = |comparison: Comparison| comparison.overview.runs[1].scatter_source.unwrap();
    assert_eq!(source(compare(&[a.clone(), b.clone()], &Matching::Ids, 0.01)), ScatterSource::AllRatios);
    let few = |(name, mut run): (String, Run)| {
        run.benchmarks.truncate(15);
        (name, run)
    };
    let few = [few(a.clone()), few(b.clone())];
    let assumed = compare(&few, &Matching::Ids, 0.01);
    assert!(table(&assumed).contains("ASSUMED"), "{}", table(&assumed));
    assert_eq!(source(assumed), ScatterSource::Assumed);
    let hosted = |(name, mut run): (String, Run), changed| {
        let mut host = host("amd-two-ccx");
        host.build.changed = Some(changed);
        run.benchmarks.iter_mut().for_each(|line| line.host_id.clone_from(&host.id));
        run.hosts = vec![host];
        (name, run)
    };
    let three = |changed| [1, 2, 3].map(|seed| hosted(in_a_state("run", 30, 0.02, seed, None), changed));
    // Runs of one build of a clean checkout, and of a build with changes, which may be two programs.
    assert_eq!(source(compare(&three(false), &Matching::Ids, 0.01)), ScatterSource::Replicates);
    assert_eq!(source(compare(&three(true), &Matching::Ids, 0.01)), ScatterSource::AllRatios);
    // Where hosts differ, the weakest source is told.
    let half_elsewhere = three(false).map(|(name, mut run)| {
        run.benchmarks.iter_mut().filter(|line| line.id.ends_with("5/x")).for_each(|line| line.host_id = "far".into());
        (name, run)
    });
    let weakest = source(compare(&half_elsewhere, &Matching::Ids, 0.01));
    assert!(weakest > ScatterSource::Replicates, "{weakest:?}");
    // Given as such they are, and what they tell can be kept.
    let further = three(true);
    let further: Vec<&Run> = further.iter().map(|(_, run)| run).collect();
    let two = [4, 5].map(|seed| hosted(in_a_state("run", 30, 0.002, seed, None), true));
    let known = ScatterKnowledge::new(&[], &further, Vec::new());
    assert_eq!(source(compare_on(&known, &two, &Matching::Ids, 0.01)), ScatterSource::Replicates);
    let stored = StoredScatter::of(&further);
    let text = serde_json::to_string(&stored[0]).unwrap();
    let known = ScatterKnowledge::new(&[], &[], vec![StoredScatter::parse(&text).unwrap()]);
    assert!(StoredScatter::parse(&text.replace(r#""version":1"#, r#""version":2"#)).is_err());
    assert_eq!(source(compare_on(&known, &two, &Matching::Ids, 0.01)), ScatterSource::Stored);
    // What was kept is of another day: on a day that scatters more, the ratios of the day hold.
    let wilder = [4, 5].map(|seed| hosted(in_a_state("run", 30, 0.3, seed, None), true));
    assert_eq!(source(compare_on(&known, &wilder, &Matching::Ids, 0.01)), ScatterSource::AllRatios);
}

#[test]
fn what_several_runs_show_finds_what_two_cannot() {
    let slower = Some((7, 1.1));
    let host = host("amd-two-ccx");
    let hosted = |(name, mut run): (String, Run)| {
        run.benchmarks.iter_mut().for_each(|line| line.host_id.clone_from(&host.id));
        run.hosts = vec![host.clone()];
        (name, run)
    };
    let further: Vec<Run> = (10..16).map(|seed| hosted(in_a_state("run", 30, 0.02, seed, None)).1).collect();
    let runs = [hosted(in_a_state("a", 30, 0.02, 1, None)), hosted(in_a_state("b", 30, 0.02, 2, slower))];
    let known = ScatterKnowledge::new(&[], &further.iter().collect::<Vec<_>>(), Vec::new());
    let comparison = compare_on(&known, &runs, &Matching::Ids, 0.01);
    let gate = comparison.gate(0.0);
    assert_eq!(gate.regressed.iter().map(|row| row.id.as_str()).collect::<Vec<_>>(), ["handoff/number_07/x"]);
    assert!(gate.detectable.is_some_and(|share| share > 0.02 && share < 0.15), "{gate:?}");
    assert_eq!(comparison.overview.beyond_doubt, 1);
    assert!(table(&comparison).contains("beyond doubt, 1 of 30 differ: handoff/number_07/x slower (1."));
    // The two runs alone make it a suspect.
    let alone = compare(&runs, &Matching::Ids, 0.01).gate(0.05);
    assert!(
        alone.regressed.is_empty() && alone.suspects.iter().any(|row| row.id == "handoff/number_07/x"),
        "{alone:?}"
    );
}

/// The run with these rounds disturbed.
fn disturbed_in((name, mut run): (String, Run), rounds: &[u32]) -> (String, Run) {
    for line in run.benchmarks.iter_mut().filter(|line| rounds.contains(&line.round)) {
        line.conditions = Some(RunConditions { interference: vec!["others".into()], ..RunConditions::default() });
    }
    (name, run)
}

#[test]
fn a_side_that_was_never_quiet_gets_no_verdict() {
    let (a, b) = (run("a", &[("handoff/futex/x", &FLAT)]), run("b", &[("handoff/futex/x", &FLAT.map(|n| n * 3))]));
    let never = disturbed_in(b.clone(), &[0, 1, 2, 3, 4]);
    for runs in [[a.clone(), never.clone()], [never, a.clone()]] {
        let comparison = on_quiet_host(&runs);
        let row = &comparison.rows[0];
        assert_eq!((row.verdict, row.withheld, row.marks.as_str()), (Verdict::NoVerdict, true, "nd"), "{row:?}");
        assert!(comparison.gate(0.0).regressed.is_empty());
        let gate = comparison.gate(0.05);
        assert_eq!(gate.inconclusive, 1);
        // It is named all the same where it seems slower, with what stands in the way of a verdict.
        let named: Vec<&str> = gate.suspects.iter().map(|suspect| suspect.marks.as_str()).collect();
        assert_eq!(named, if row.ratio.interval.estimate > 1.0 { vec!["nd"] } else { vec![] });
        assert_eq!(comparison.overview.suspected, 0, "an inconclusive row is no suspected difference");
        let text = table(&comparison);
        assert!(text.contains("n: every round of a side was disturbed, so inconclusive (1 row)"), "{text}");
        assert!(text.contains("100 % of"), "{text}");
    }
    // Rounds of what is compared count, and not those of another benchmark.
    let more = run("a", &[("handoff/futex/x", &FLAT), ("handoff/pipe/x", &FLAT)]);
    let compared = on_quiet_host(&[more, b.clone()]);
    assert_eq!(compared.overview.runs.iter().map(|run| run.rounds).collect::<Vec<_>>(), [5, 5]);
    let once = on_quiet_host(&[a, disturbed_in(b, &[0, 1, 2, 3])]);
    assert_eq!((once.rows[0].verdict, once.rows[0].marks.as_str()), (Verdict::Slower, "d"));
    assert_eq!((once.rows[0].rounds[1].disturbed, once.rows[0].rounds[0].disturbed), (4, 0));
}

/// The fastest probes are alike, and what counts was taken at another speed: few samples were fast, and others slow by
/// less than would discard them.
#[test]
fn the_samples_that_count_decide_about_the_speed() {
    let slower = FLAT.map(|nanos| nanos * 11 / 10);
    let a = with_probes(run("a", &[("handoff/futex/x", &FLAT)]), |_| (10_000, 10_500));
    let b =
        with_probes(run("b", &[("handoff/futex/x", &slower)]), |at| (if at == 0 { 10_000 } else { 10_700 }, 11_000));
    let row = &on_quiet_host(&[a, b]).rows[0];
    assert_eq!((row.verdict, row.marks.contains('s')), (Verdict::NoVerdict, true), "{row:?}");
}

#[test]
fn each_doubt_has_one_word_in_every_format() {
    let a = run("a", &[("handoff/futex/x", &FLAT), ("handoff/pipe/x", &FLAT)]);
    let b = run("b", &[("handoff/futex/x", &FLAT.map(|n| n * 3)), ("handoff/pipe/x", &FLAT)]);
    let comparison = on_quiet_host(&[a, disturbed_in(b, &[0, 1, 2, 3, 4])]);
    let open = Doubt::Inconclusive.word();
    let texts = [table(&comparison), markdown(&comparison), csv(&comparison), json(&comparison).unwrap()];
    for text in texts {
        assert!(text.contains(open), "{text}");
        assert!(!text.contains("no verdict") && !text.contains("NoVerdict") && !text.contains("void"), "{text}");
    }
    assert!(csv(&comparison).lines().skip(1).all(|row| row.contains(&format!(",{open},false,"))));
    let parsed: serde_json::Value = serde_json::from_str(&json(&comparison).unwrap()).unwrap();
    assert_eq!(parsed["rows"][0]["verdict"], open);
    assert_eq!(parsed["rows"][0]["marks"], "nd");
    assert_eq!(parsed["overview"]["runs"][1]["disturbed"], 10);
    assert!(parsed["rows"][0]["notes"][0].is_string(), "notes are sentences, as they were");
}

#[test]
fn a_single_benchmark_is_named_as_suspect_and_many_bound_the_alarms_together() {
    // At 95 % each, one of twenty would do by chance; together none does.
    let ids: Vec<String> = (0..40).map(|n| format!("handoff/number_{n:02}/x")).collect();
    let rows = |slower: u64| -> Vec<(&str, [u64; 5])> {
        let times = |at: usize| FLAT.map(|n| 100 * n + if at == 0 { slower } else { 0 });
        ids.iter().enumerate().map(|(at, id)| (id.as_str(), times(at))).collect()
    };
    let side = |name, slower| {
        let rows = rows(slower);
        run(name, &rows.iter().map(|(id, times)| (*id, times.as_slice())).collect::<Vec<_>>())
    };
    let gate = |slower| compare(&[side("a", 0), side("b", slower)], &Matching::Ids, 0.01).gate(0.0);
    assert!(gate(0).regressed.is_empty());
    let (near, far) = (gate(2_500), gate(100_000));
    assert!(near.regressed.is_empty() && near.suspects.len() == 1, "{near:?}");
    assert_eq!(far.regressed.len(), 1, "{far:?}");
}
