//! `switchcost compare` over records: verdicts, the gate, what was counted, and what cannot be compared.

use super::*;

/// A copy of [`recorded`] with every sample of ten operations at `nanos` each, give or take a little per round.
fn with_times(name: &str, nanos: u64) -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join(name);
    std::fs::create_dir(&run).unwrap();
    let mut out = String::new();
    for mut line in lines(&recorded().join("run")) {
        if let Some(benchmark) = line.get_mut("benchmark") {
            let round = benchmark["round"].as_u64().unwrap();
            let samples: Vec<Value> = (0..5).map(|i| serde_json::json!([10, 10 * nanos + round + i])).collect();
            benchmark["outcome"]["measured"]["samples"] = samples.into();
        }
        out.push_str(&format!("{line}\n"));
    }
    std::fs::write(run.join("records.jsonl"), out).unwrap();
    (folder, run)
}

fn compare(runs: &[&Path], options: &[&str]) -> Output {
    switchcost(&["compare"]).args(runs).args(options).output().unwrap()
}

#[test]
fn show_tells_rounds_apart_from_samples() {
    let output = run(&["show", "--details", recorded().join("run").to_str().unwrap()]);
    let printed = text(&output.stdout);
    assert!(printed.contains("between") && printed.contains("within"), "{printed}");
    // The rounds that were not audited spoil no verdict. Which verdict it is, the load of this machine may decide.
    assert!(!printed.contains("  none  "), "{printed}");
    assert_eq!(printed.matches("\nfutex ").count(), 2, "one row in each table: {printed}");
}

#[test]
fn a_regression_ends_with_status_3_and_noise_does_not() {
    let ((_a, a), (_b, b)) = (with_times("a", 1000), with_times("b", 1100));
    // Runs of the host that hardly scatter: with nothing known of it, 10 % is no more than a suspicion.
    let quiet = [999, 1000, 1001, 1002].map(|nanos| with_times("quiet", nanos));
    let alone = compare(&[&a, &b], &["--fail-on-regression", "5%"]);
    let said = text(&alone.stderr);
    assert_eq!(alone.status.code(), Some(0));
    assert!(said.contains("suspects") && said.contains("handoff/pipe/same-cpu: 1.1"), "{said}");
    let compare = |runs: &[&Path], options: &[&str]| {
        let mut command = switchcost(&["compare"]);
        command.args(runs).args(options).arg("--scatter").args(quiet.each_ref().map(|(_, run)| run)).output().unwrap()
    };
    let status = |runs: &[&Path], options: &[&str]| compare(runs, options).status.code();
    assert_eq!(status(&[&a, &b], &[]), Some(0));
    let failed = compare(&[&a, &b], &["--fail-on-regression", "5%"]);
    let said = text(&failed.stderr);
    assert!(said.contains("REGRESSED by more than 5 %") && said.contains("handoff/pipe/same-cpu: 1.1"), "{said}");
    assert!(said.contains("in half of the benchmarks it finds a slowdown of"), "{said}");
    assert_eq!(status(&[&a, &b], &["--fail-on-regression", "5%"]), Some(3));
    // Measured again in turns, one program does not differ from itself: the records were made up.
    let again = TempDir::new().unwrap();
    let out = again.path().join("again");
    let options =
        ["--fail-on-regression", "5%", "--confirm", "--rounds", "3", "--no-audit", "--out", out.to_str().unwrap()];
    let confirmed = compare(&[&a, &b], &[&options[..], &TINY].concat());
    let said = text(&confirmed.stderr);
    assert!(said.contains("measuring again, interleaved"), "{said}");
    assert!(out.join("a/records.jsonl").exists() && said.contains("again:  switchcost compare"), "{said}");
    let elsewhere = compare(&[&a, &b, &a], &["--fail-on-regression", "5%", "--confirm"]);
    assert_eq!(elsewhere.status.code(), Some(2), "{}", text(&elsewhere.stderr));
    assert_eq!(status(&[&a, &b], &["--fail-on-regression", "20%"]), Some(0));
    assert_eq!(status(&[&b, &a], &["--fail-on-regression", "5%"]), Some(0));
    assert_eq!(status(&[&a, &a], &["--fail-on-regression", "0.1%"]), Some(0));
    let printed = text(&compare(&[&a, &b, &a], &[]).stdout);
    assert!(printed.contains("slower") && printed.contains("CPUs used are alike"), "{printed}");
    for format in ["markdown", "csv", "json", "bencher", "github-action-benchmark"] {
        let output = compare(&[&a, &b], &["--format", format]);
        assert!(output.status.success() && text(&output.stdout).contains("handoff/pipe/same-cpu"), "{format}");
    }
}

#[test]
fn what_was_counted_can_be_compared_instead_of_time() {
    let ((_a, a), (_b, b)) = (with_times("a", 1000), with_times("b", 1100));
    let cpu = compare(&[&a, &b], &["--by", "cpu", "--format", "csv"]);
    assert!(cpu.status.success(), "{}", text(&cpu.stderr));
    let gate = compare(&[&a, &b], &["--by", "cpu", "--fail-on-regression", "5%"]);
    assert_eq!(gate.status.code(), Some(0), "CPU times are alike: {}", text(&gate.stderr));
    let unknown = compare(&[&a, &b], &["--by", "no-such-event"]);
    let said = text(&unknown.stderr);
    assert!(unknown.status.code() == Some(2) && said.contains("no run has counted it; counted were:"), "{said}");
    let scatter = compare(&[&a, &b], &["--by", "cpu", "--keep-scatter"]);
    assert!(scatter.status.code() == Some(2) && text(&scatter.stderr).contains("about times"));
}

#[test]
fn what_several_runs_tell_of_a_host_is_kept_for_the_next_comparison() {
    let ((_a, a), (_b, b)) = (with_times("a", 1000), with_times("b", 1100));
    let quiet = [999, 1000, 1001, 1002].map(|nanos| with_times("quiet", nanos));
    let further: Vec<&str> = quiet.iter().map(|(_, run)| run.to_str().unwrap()).collect();
    let options = [&["--keep-scatter", "--scatter"][..], &further].concat();
    assert!(compare(&[&a, &b], &options).status.success());
    // Beside the first run, where it is found without being named.
    let known = compare(&[&a, &b], &["--fail-on-regression", "5%"]);
    assert_eq!(known.status.code(), Some(3), "{}", text(&known.stdout));
    assert!(text(&known.stdout).contains("that were compared before"), "{}", text(&known.stdout));
    let of_two = compare(&[&a, &b], &["--keep-scatter"]);
    assert!(text(&of_two.stderr).contains("needs three runs of one program"), "{}", text(&of_two.stderr));
    let mut beside = std::fs::read_dir(a.parent().unwrap()).unwrap().map(|entry| entry.unwrap().path());
    let kept = beside.find(|path| path.extension().is_some_and(|extension| extension == "json")).unwrap();
    std::fs::write(&kept, "{}").unwrap();
    let named = compare(&[&a, &b], &["--scatter", kept.to_str().unwrap()]);
    assert_refused(&named, "no scatter");
}

#[test]
fn what_cannot_be_compared_is_one_line_and_status_2() {
    let (_good, good) = with_times("good", 1000);
    let folder = TempDir::new().unwrap();
    let text = std::fs::read_to_string(good.join("records.jsonl")).unwrap();
    let bad = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let cases = [
        (bad("schema.jsonl", text.replace("\"schema\":2", "\"schema\":99").as_bytes()), "schema 99"),
        (bad("truncated.jsonl", &text.as_bytes()[..100]), "truncated.jsonl:1"),
        (bad("binary.jsonl", &[0x7f, 0x45, 0x4c, 0x46, 0xff, 0xfe, 0x0a, 0x00]), "not text"),
        (bad("none.jsonl", b""), "no records"),
        (folder.path().to_path_buf(), "no records"),
        (folder.path().join("not-there"), "not-there"),
        (bad("other.jsonl", text.replace("same-cpu", "cross-node").as_bytes()), "no benchmark in common"),
    ];
    for (path, expected) in cases {
        assert_refused(&compare(&[&good, &path], &[]), expected);
    }
    let torn = bad("torn.jsonl", &text.as_bytes()[..text.len() - 30]);
    assert!(compare(&[&good, &torn], &[]).status.success(), "a torn last line costs that line alone");
    assert_refused(&compare(&[&good], &[]), "two runs");
    assert_refused(&compare(&[&good, &good], &["--rounds", "3"]), "--paired");
}
