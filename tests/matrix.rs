//! Maps of what a handoff costs between CPUs: recorded, added to a run, drawn in its report.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use switchcost::record::{FILE, Outcome, read};
use switchcost::sys::affinity::allowed_cpus;
use tempfile::TempDir;

fn switchcost(line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_switchcost")).args(line.split_whitespace()).output().unwrap()
}

/// A short matrix of a mechanism that runs on a single CPU, too; its standard output.
fn matrix(out: &Path, more: &str) -> String {
    let line = format!("matrix --mechanism futex --rounds 3 --sample-ms 1 --out {} {more}", out.display());
    fine(&switchcost(&line))
}

fn fine(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// How many pairs there are of this machine's CPUs, each with itself included.
fn pairs() -> usize {
    let cpus = allowed_cpus().unwrap().len();
    cpus * (cpus + 1) / 2
}

#[test]
fn every_pair_is_in_the_record_by_its_cpus_and_drawn() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("map");
    let printed = matrix(&out, "");
    assert!(printed.contains("ns/handoff one way"), "{printed}");
    let run = read(&out).unwrap();
    assert_eq!((run.hosts.len(), run.benchmarks.len()), (1, pairs()));
    for line in &run.benchmarks {
        let (first, second) = line.pair().unwrap();
        assert!(line.id.ends_with(&format!("cpus={first}+{second}")), "{}", line.id);
        assert!(line.setting.cpus.contains(&first) && line.setting.cpus.contains(&second), "{}", line.id);
        let Outcome::Measured(measured) = &line.outcome else { panic!("{}: {:?}", line.id, line.outcome) };
        assert_eq!(measured.samples.len(), 3, "{}", line.id);
    }
    let drawn = std::fs::read_to_string(out.join("pairs-handoff-futex.svg")).unwrap();
    assert!(drawn.contains("<svg"), "{drawn}");
    let data = std::fs::read_to_string(out.join("pairs-handoff-futex.csv")).unwrap();
    assert_eq!(data.lines().count(), 1 + pairs(), "{data}");

    let report = folder.path().join("report");
    fine(&switchcost(&format!("report {} --out {}", out.display(), report.display())));
    let page = std::fs::read_to_string(report.join("index.html")).unwrap();
    assert!(page.contains("<figure id=\"pairs-handoff-futex\""), "the map is on the page");
    assert!(!page.contains("cost-handoff"), "pairs are no bars");
    let shown = fine(&switchcost(&format!("show {}", out.display())));
    assert!(shown.contains("futex between each two CPUs") && !shown.contains("cpus="), "{shown}");
}

#[test]
fn json_is_all_that_is_printed_and_a_second_time_is_a_second_round() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("map");
    let cpu = allowed_cpus().unwrap()[0];
    let json: Value = serde_json::from_str(&matrix(&out, &format!("--json --cpus {cpu}"))).unwrap();
    let pairs = json["pairs"].as_array().unwrap();
    assert_eq!((pairs.len(), pairs[0]["samples_ns"].as_array().unwrap().len()), (1, 3));
    assert!(pairs[0]["least_ns"].as_f64().unwrap() <= pairs[0]["median_ns"].as_f64().unwrap());
    matrix(&out, &format!("--cpus {cpu}"));
    let rounds: Vec<u32> = read(&out).unwrap().benchmarks.iter().map(|line| line.round).collect();
    assert_eq!(rounds, [0, 1]);
}

#[test]
fn what_gives_no_figure_is_refused_before_it_is_measured() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("map");
    for (wrong, said) in [
        ("--rounds 1", "1 is not in 2..=10000"),
        ("--placement unpinned", "choose among them by --cpus"),
        ("--set spin=3", "handoff/futex has no parameter `spin`"),
    ] {
        let output = switchcost(&format!("matrix --mechanism futex --out {} {wrong}", out.display()));
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && told.contains(said), "{wrong}: {told}");
    }
    assert!(!out.exists());
}

#[test]
fn a_run_of_another_machine_is_not_added_to() {
    let folder = TempDir::new().unwrap();
    let theirs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/report/three-rounds").join(FILE);
    let copy = folder.path().join(FILE);
    std::fs::copy(&theirs, &copy).unwrap();
    let output = switchcost(&format!("matrix --mechanism futex --out {}", folder.path().display()));
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("begin a new run"), "{said}");
    assert_eq!(std::fs::read(&theirs).unwrap(), std::fs::read(&copy).unwrap());
}

#[test]
fn a_map_is_added_to_a_run_which_goes_on_and_no_run_is_begun_in_a_map() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("run");
    let run = "run ^handoff/futex/same-cpu$ --rounds 1 --samples 10 --measure 20ms --warm-up 10ms --no-counters";
    fine(&switchcost(&format!("{run} --no-audit --out {}", out.display())));
    let cpu = allowed_cpus().unwrap()[0];
    matrix(&out, &format!("--cpus {cpu}"));
    fine(&switchcost(&format!("run --resume {}", out.display())));
    let ids: Vec<String> = read(&out).unwrap().benchmarks.into_iter().map(|line| line.id).collect();
    let (plain, pair) = ("handoff/futex/same-cpu", format!("handoff/futex/same-cpu/cpus={cpu}+{cpu}"));
    assert_eq!(ids, [plain, &pair], "nothing twice");

    let map = folder.path().join("map");
    matrix(&map, &format!("--cpus {cpu}"));
    let refused = switchcost(&format!("{run} --out {}", map.display()));
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("records of another command"), "{said}");
}
