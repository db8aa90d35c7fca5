//! Sweeps over the number of tasks: what they record and draw, and how they meet the limits of a machine.
#![allow(clippy::unwrap_used)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use switchcost::record::{Measured, Outcome, Run, read};
use tempfile::TempDir;

const QUICK: &str = "--rounds 1 --measure 20ms";

/// A folder that every user may write to.
fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    folder
}

/// Runs a line of a shell in which `$S` is the program, without what is set for this test's own process.
fn shell(line: &str) -> Output {
    let mut shell = Command::new("sh");
    shell.args(["-c", line]).env("S", env!("CARGO_BIN_EXE_switchcost")).current_dir("/");
    shell.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A sweep into a folder of its own: what it printed, and its record.
fn sweep(limit: &str, arguments: &str) -> (Output, TempDir, PathBuf) {
    let folder = folder();
    let out = folder.path().join("sweep");
    let output = shell(&format!("{limit} \"$S\" sweep {arguments} {QUICK} --out {}", out.display()));
    (output, folder, out)
}

fn measured(run: &Run) -> Vec<(&str, &Measured)> {
    run.benchmarks
        .iter()
        .filter_map(|line| match &line.outcome {
            Outcome::Measured(measured) => Some((line.id.as_str(), &**measured)),
            _ => None,
        })
        .collect()
}

/// The number that was found out under a name.
fn figure(measured: &Measured, name: &str) -> Option<f64> {
    let metrics: Vec<Value> = measured.metrics.iter().map(|found| serde_json::to_value(found).unwrap()).collect();
    metrics.iter().find(|found| found["scalar"]["of"] == name).map(|found| found["scalar"]["value"].as_f64().unwrap())
}

/// What could not be measured, in words.
fn refusals(run: &Run) -> Vec<String> {
    let of = |outcome: &Outcome| match outcome {
        Outcome::Unsupported(reason) => Some(reason.to_string()),
        _ => None,
    };
    run.benchmarks.iter().filter_map(|line| of(&line.outcome)).collect()
}

fn assert_fine(output: &Output) {
    assert!(output.status.success(), "{}{}", text(&output.stdout), text(&output.stderr));
}

#[test]
fn each_count_is_in_the_record_with_its_cost_and_memory_and_drawn() {
    let (output, _folder, out) = sweep("", "--mechanism brigade/thread,brigade/tokio_mpsc --tasks 3,4..20");
    assert_fine(&output);
    let run = read(&out).unwrap();
    let mut ids: Vec<&str> = measured(&run).into_iter().map(|(id, _)| id).collect();
    ids.sort_unstable();
    assert_eq!(ids.len(), 10, "{ids:?}");
    assert!(ids.contains(&"brigade/thread/same-cpu/tasks=20") && ids.contains(&"brigade/tokio_mpsc/same-cpu/tasks=5"));
    for (id, measured) in measured(&run) {
        assert!(measured.samples.len() >= 3 && measured.counted.samples.is_empty(), "{id}");
        assert!(figure(measured, "memory per task").is_some(), "{id}: {:?}", measured.metrics);
        assert!(measured.audit.was_made(), "{id}");
        if id == "brigade/thread/same-cpu/tasks=20" {
            let stack = figure(measured, "kernel stack per task").unwrap();
            assert!(stack >= 4096.0, "{id}: {stack}");
        }
    }
    let picture = std::fs::read_to_string(out.join("scaling-tasks-same-cpu-brigade.svg")).unwrap();
    assert_eq!(picture.matches("<polyline").count(), 4, "time and memory of two mechanisms");
    assert!(picture.contains("memory of all tasks") && picture.contains("time per hop"));
    let data = std::fs::read_to_string(out.join("scaling-tasks-same-cpu-brigade.csv")).unwrap();
    assert!(data.lines().count() == 11 && data.contains("memory per task"), "{data}");
    assert_fine(&shell(&format!("\"$S\" show {}", out.display())));
    assert_fine(&shell(&format!("\"$S\" report {}", out.display())));
    assert!(out.join("report/figures/scaling-tasks-same-cpu-brigade.svg").exists());
    assert_fine(&shell(&format!("\"$S\" sweep --resume {}", out.display())));
    assert_eq!(read(&out).unwrap().benchmarks.len(), 10, "nothing was missing");
}

#[test]
fn a_brigade_has_more_descriptors_than_a_table_holds() {
    let (output, _folder, out) = sweep("ulimit -n 200;", "--mechanism brigade/thread --tasks 300");
    assert_fine(&output);
    let run = read(&out).unwrap();
    let measured = measured(&run);
    assert_eq!(measured.len(), 1);
    let tables = figure(measured[0].1, "descriptor tables").unwrap();
    assert!(tables > 3.0, "600 descriptors in tables of 200: {tables}");
    // Which set-up calls there were is part of it: an unshare(2) for each.
    assert_eq!(measured[0].1.audit.verdict(), "ok", "{:?}", measured[0].1.audit);
}

#[test]
fn shards_that_are_asked_for_are_made_and_audited() {
    let output = shell("\"$S\" audit '^brigade/thread/same-cpu' --set shards=7 --set tasks=30");
    assert_fine(&output);
    assert!(text(&output.stdout).contains("ok"), "{}", text(&output.stdout));
    let most = shell("\"$S\" audit '^brigade/thread/same-cpu' --set shards=7 --set tasks=2 --set bytes_in_flight=3");
    assert_fine(&most);
}

#[test]
fn what_does_not_fit_is_told_beforehand_with_every_limit() {
    let (output, _folder, out) = sweep("ulimit -n 64;", "--mechanism brigade/one_thread --tasks 2,5000000");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let run = read(&out).unwrap();
    assert_eq!((measured(&run).len(), refusals(&run).len()), (1, 1), "the other count was measured");
    let told = &refusals(&run)[0];
    assert!(told.starts_with("needs 5000000 tasks at once; here: RLIMIT_NOFILE (soft) is 64 and 100000"), "{told}");
    assert!(told.contains("fs.nr_open is ") && told.contains("raise it with: "), "{told}");
    let said = text(&output.stderr);
    assert!(said.contains("tasks fit with the present limits") && said.contains("left out: needs 5000000"), "{said}");
}

#[test]
fn a_limit_met_half_way_tells_how_far_it_went_and_the_sweep_goes_on() {
    let (output, _folder, out) = sweep("ulimit -n 64;", "--mechanism brigade/one_thread --tasks 2,500 --beyond");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let run = read(&out).unwrap();
    assert_eq!((measured(&run).len(), refusals(&run).len()), (1, 1));
    let told = &refusals(&run)[0];
    assert!(told.starts_with("needs 500 tasks at once; here: ") && told.contains(" channels reached, "), "{told}");
    assert!(told.contains("pipe2: EMFILE") && told.contains("RLIMIT_NOFILE (soft) is 64"), "{told}");
    let reached: u64 = told.split("here: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((10..32).contains(&reached), "{told}");
}

/// Runs the program as a user whom limits bind; nothing where this test cannot.
fn as_nobody(tasks: u32) -> Option<String> {
    let nobody = "setpriv --reuid=65533 --regid=65533 --clear-groups --inh-caps=-all --bounding-set=-all";
    let possible = nix::unistd::geteuid().is_root()
        && shell(&format!("prlimit --nproc={tasks}:{tasks} {nobody} \"$S\" list")).status.success();
    if !possible {
        println!("not run: it takes root, setpriv, prlimit, and a program that others may execute");
    }
    possible.then(|| format!("prlimit --nproc={tasks}:{tasks} {nobody}"))
}

#[test]
fn a_user_without_privilege_gets_as_far_as_was_foretold() {
    let Some(nobody) = as_nobody(60) else { return };
    let (output, _folder, out) = sweep(&nobody, "--mechanism brigade/thread --no-audit");
    assert_fine(&output);
    let said = text(&output.stderr);
    let most: u64 = said.split("brigade/thread: ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
    assert!((20..60).contains(&most), "{said}");
    let run = read(&out).unwrap();
    let largest = measured(&run).iter().map(|(id, _)| id.rsplit('=').next().unwrap().parse::<u64>().unwrap()).max();
    assert_eq!(largest, Some(most), "{said}");
}

#[test]
fn threads_that_a_limit_refuses_are_counted() {
    let Some(nobody) = as_nobody(60) else { return };
    let (output, _folder, out) = sweep(&nobody, "--mechanism brigade/thread --tasks 400 --beyond --set shards=3");
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
    let run = read(&out).unwrap();
    let told = refusals(&run).join("\n");
    assert!(told.contains(" threads reached, and then clone3: EAGAIN") && told.contains("RLIMIT_NPROC"), "{told}");
}

#[test]
fn bad_requests_are_refused_in_one_line() {
    for (arguments, expected) in [
        ("--mechanism handoff/futex", "fixed number of tasks"),
        ("--mechanism brigade/nothing", "no mechanism is called"),
        ("--tasks 9..3", "no list of task counts"),
        ("--tasks 99999999999", "is a whole number"),
        ("--mechanism brigade/tokio_mpsc --placement same-llc", "does not run same-llc"),
        ("--set tasks=5", "takes its numbers of tasks from --tasks"),
        ("--set stream=data", "has a parameter `stream`"),
    ] {
        let (output, _folder, out) = sweep("", arguments);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments}: {said}");
        assert!(said.contains(expected) && said.lines().count() == 1, "{arguments}: {said}");
        assert!(!Path::new(&out).exists(), "{arguments}");
    }
}
