//! `switchcost run` from end to end, with samples too short to mean anything.
#![allow(clippy::unwrap_used, missing_docs)]

#[path = "run/comparing.rs"]
mod comparing;
mod patience;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use patience::{await_until, timeout};
use serde_json::Value;
use switchcost::sys::inherited::is_ignored;
use tempfile::TempDir;

const TINY: [&str; 7] = ["--samples", "10", "--measure", "20ms", "--warm-up", "10ms", "--no-counters"];
const TWO: &str = "^handoff/(futex|pipe)/same-cpu$";

fn switchcost(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchcost"));
    command.args(arguments).stdin(Stdio::null());
    command
}

fn run(arguments: &[&str]) -> Output {
    switchcost(arguments).output().unwrap()
}

fn tiny(filter: &str, rounds: &str, out: &Path) -> Command {
    let mut command = switchcost(&["run", filter, "--rounds", rounds, "--out", out.to_str().unwrap()]);
    command.args(TINY).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// What Ctrl-C sends; where the process that started this one lets that be ignored, as a shell does with what it runs
/// in the background, what `kill` sends.
fn stop_signal() -> Signal {
    if is_ignored(Signal::SIGINT) { Signal::SIGTERM } else { Signal::SIGINT }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn lines(folder: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(folder.join("records.jsonl")).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// How often each benchmark stands in the record for each round.
fn counts(folder: &Path) -> BTreeMap<(String, u64), usize> {
    let mut counts = BTreeMap::new();
    for line in lines(folder) {
        if let Some(benchmark) = line.get("benchmark") {
            let key = (benchmark["id"].as_str().unwrap().to_string(), benchmark["round"].as_u64().unwrap());
            *counts.entry(key).or_insert(0) += 1;
        }
    }
    counts
}

/// Waits until `seen` is; reached at its end by a hang alone.
fn until<T>(what: &str, mut seen: impl FnMut() -> Option<T>) -> T {
    await_until(timeout(), &mut seen).unwrap_or_else(|| panic!("not within {:?}: {what}", timeout()))
}

fn await_lines(folder: &Path, least: usize, child: &mut Child) {
    until(&format!("{least} lines"), || {
        let enough = lines(folder).len() >= least;
        assert!(enough || child.try_wait().unwrap().is_none(), "the run ended before it had {least} lines");
        enough.then_some(())
    });
}

#[test]
fn a_killed_run_goes_on_and_has_five_rounds() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("run");
    let mut child = tiny(TWO, "5", &out).spawn().unwrap();
    // The machine and two rounds of two: it is in the third.
    await_lines(&out, 5, &mut child);
    child.kill().unwrap();
    child.wait().unwrap();
    let resumed = run(&["run", "--resume", out.to_str().unwrap()]);
    assert!(resumed.status.success(), "{}", text(&resumed.stderr));
    let counts = counts(&out);
    assert_eq!(counts.len(), 10, "{counts:?}");
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    assert_eq!(lines(&out).iter().filter(|line| line.get("host").is_some()).count(), 1);
    let again = run(&["run", "--resume", out.to_str().unwrap()]);
    assert!(again.status.success());
    assert_eq!(lines(&out).len(), 11);
    let taken = run(&["run", TWO, "--out", out.to_str().unwrap()]);
    assert_eq!(taken.status.code(), Some(2));
    assert!(text(&taken.stderr).contains("--resume"), "{}", text(&taken.stderr));
}

/// What a run says on standard error, line by line.
fn said(child: &mut Child) -> impl Iterator<Item = String> + use<> {
    BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok)
}

/// Waits until a run has heard the first of two requests to stop: it says so while a benchmark is in progress.
fn await_word_of_stopping(said: &mut impl Iterator<Item = String>) {
    assert!(said.any(|line| line.contains("Ctrl-C again stops at once")), "the first was not heard");
}

#[test]
fn ctrl_c_lets_the_benchmark_finish_and_tells_how_to_go_on() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("run");
    // Long enough that the request comes while a benchmark is in progress.
    let long =
        ["run", TWO, "--rounds", "50", "--samples", "10", "--measure", "20ms", "--warm-up", "2s", "--no-counters"];
    let mut command = switchcost(&long);
    command.arg("--out").arg(&out).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut said = said(&mut child);
    await_children(child.id(), 1);
    kill(Pid::from_raw(child.id() as i32), stop_signal()).unwrap();
    await_word_of_stopping(&mut said);
    let before = lines(&out).len();
    said.for_each(drop);
    let output = child.wait_with_output().unwrap();
    let printed = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(printed.contains("switchcost run --resume") && printed.contains("per handoff"), "{printed}");
    // The machine, and the one in progress, which may have ended before its record was looked at.
    let after = lines(&out).len();
    assert!(after >= 2 && (before..=before + 1).contains(&after), "{before} lines at the request, {after} at the end");
    assert!(!out.join("answer.json").exists() && !out.join("stderr.txt").exists());
}

#[test]
fn a_second_ctrl_c_stops_at_once() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("run");
    let long = ["run", TWO, "--warm-up", "100s", "--no-counters", "--out", out.to_str().unwrap()];
    let mut child = switchcost(&long).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut said = said(&mut child);
    let interrupt = || kill(Pid::from_raw(child.id() as i32), stop_signal()).unwrap();
    await_children(child.id(), 1);
    interrupt();
    await_word_of_stopping(&mut said);
    interrupt();
    said.for_each(drop);
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(1));
    assert_eq!(lines(&out).len(), 1, "what was not finished is not in the record");
}

/// The processes that `parent` has started.
fn children_of(parent: u32) -> Vec<Pid> {
    let processes = procfs::process::all_processes().unwrap().flatten().filter_map(|process| process.stat().ok());
    processes.filter(|stat| stat.ppid == parent as i32).map(|stat| Pid::from_raw(stat.pid)).collect()
}

fn await_children(parent: u32, count: usize) -> Vec<Pid> {
    until(&format!("{count} children"), || Some(children_of(parent)).filter(|children| children.len() == count))
}

fn await_end(processes: &[Pid]) {
    let gone = |process: &Pid| kill(*process, None).is_err();
    until("the end of a round's process whose run is gone", || processes.iter().all(gone).then_some(()));
}

#[test]
fn a_crash_costs_only_itself() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("run");
    let long = ["run", TWO, "--warm-up", "100s", "--no-counters", "--no-audit", "--out", out.to_str().unwrap()];
    let mut run = switchcost(&long).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    await_lines(&out, 1, &mut run);
    kill(await_children(run.id(), 1)[0], Signal::SIGABRT).unwrap();
    await_lines(&out, 2, &mut run);
    let failed = lines(&out)[1]["benchmark"]["outcome"]["failed"].as_str().unwrap().to_string();
    assert!(failed.contains("SIGABRT"), "{failed}");
    let next = await_children(run.id(), 1);
    run.kill().unwrap();
    run.wait().unwrap();
    // Its answer is of no use, and measuring on would disturb the next run.
    await_end(&next);
}

#[test]
fn what_hangs_costs_only_itself() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("run");
    let filter = "^handoff/futex/same-cpu$";
    let long = ["run", filter, "--rounds", "3", "--warm-up", "100s", "--timeout", "300ms", "--no-counters", "--out"];
    let output = switchcost(&long).arg(&out).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(lines(&out).len(), 3, "the host and two failures; the third round is spared");
    assert!(text(&output.stdout).contains("FAILED in round 1: it had not ended after 300ms"));
}

/// A run of three rounds whose samples all say the same, for comparisons.
fn recorded() -> &'static Path {
    static RUN: OnceLock<TempDir> = OnceLock::new();
    let folder = RUN.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        let out = folder.path().join("run");
        let output = tiny(TWO, "3", &out).args(["--seed", "1"]).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        folder
    });
    folder.path()
}

/// One line on standard error, and the status of bad usage.
fn assert_refused(output: &Output, expected: &str) {
    let error = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains(expected) && error.lines().count() == 1, "`{error}` lacks `{expected}`");
}

#[test]
fn bad_requests_are_refused_before_anything_is_measured() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("run");
    let out = out.to_str().unwrap();
    assert_refused(&run(&["run", "no-such-thing", "--out", out]), "no-such-thing");
    assert_refused(&run(&["run", "--profile", "no-such-file", "--out", out]), "a profile is");
    assert_refused(&run(&["run", "--events", "no-such-event", "--out", out]), "no-such-event");
    assert_refused(&run(&["run", "--resume", out]), "no run to resume");
    assert_refused(&run(&["run", "--resume", out, "--rounds", "9"]), "leave out all others");
    for wrong in [["--until", "1"], ["--budget", "soon"], ["--rounds", "0"], ["--samples", "3"]] {
        assert_eq!(run(&["run", wrong[0], wrong[1], "--out", out]).status.code(), Some(2), "{wrong:?}");
    }
    assert!(!Path::new(out).exists());
}

#[test]
fn a_budget_bounds_set_up_and_one_for_nothing_names_the_shortest() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("run");
    // Ten samples of two hops with seconds of work each, whatever they were foretold to take.
    let endless = ["--set", "tasks=2", "--set", "work=100000000", "--budget", "2s"];
    let mut command = tiny("^brigade/one_thread/same-cpu", "1", &out);
    let output = command.args(endless).output().unwrap();
    let (printed, said) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(1), "{printed}{said}");
    assert!(said.contains("tasks=2,work=100000000: given up: --budget is used up"), "{said}");
    assert!(printed.contains("left out for lack of time") && printed.contains(": 0 of 1 rounds"), "{printed}");
    assert_eq!(counts(&out).len(), 0, "what was not measured has not failed");

    let none = folder.path().join("none");
    let output = tiny(TWO, "3", &none).args(["--budget", "1s"]).output().unwrap();
    let said = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    let least = "--budget 1s is too short for anything; it takes 4s at least, 7s for everything";
    assert!(said.contains(least) && said.lines().count() == 1, "{said}");
    assert!(!none.exists());
}

#[test]
fn a_placement_that_there_is_not_leaves_no_run() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("run");
    let cpu = switchcost::sys::affinity::allowed_cpus().unwrap()[0].to_string();
    let mut command = tiny("^handoff/(futex|pipe)$", "1", &out);
    let output = command.args(["--placement", "same-llc", "--cpus", &cpu]).output().unwrap();
    assert_refused(&output, "can run here: handoff/futex/same-llc needs two CPUs for placement same-llc");
    assert!(text(&output.stderr).contains("(and 1 more)"), "{}", text(&output.stderr));
    assert!(!out.exists(), "a bare --resume would take it for a run");
}

#[test]
fn two_sides_are_measured_next_to_each_other() {
    let folder = TempDir::new().unwrap();
    let out = folder.path().join("pair");
    let arguments = ["compare", "--paired", "--a", "tasks=2", "--b", "tasks=3", "--rounds", "2", "--format", "csv"];
    let mut command = switchcost(&arguments);
    let output = command.args(TINY).arg("--out").arg(&out).arg("^brigade/thread/same-cpu").output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let printed = text(&output.stdout);
    assert!(printed.contains("tasks=2") && printed.contains("tasks=3"), "{printed}");
    assert_eq!((counts(&out.join("a")).len(), counts(&out.join("b")).len()), (2, 2));
    let resumed = run(&["compare", "--resume", out.to_str().unwrap()]);
    assert!(resumed.status.success(), "{}", text(&resumed.stderr));
    assert_refused(&run(&["run", "--resume", out.to_str().unwrap()]), "paired");
    // The command that reads it again is said, and every verb that reads runs reads it.
    let again = format!("again:  switchcost compare {}", out.display());
    assert!(text(&output.stderr).contains(&again), "{}", text(&output.stderr));
    for verb in ["compare", "show"] {
        let read = run(&[verb, out.to_str().unwrap()]);
        let printed = text(&read.stdout);
        assert!(read.status.success(), "{verb}: {}", text(&read.stderr));
        assert!(printed.contains("(tasks=2)") && printed.contains("(tasks=3)"), "{verb}: {printed}");
    }
    assert!(run(&["report", out.to_str().unwrap()]).status.success());
    assert!(out.join("report/index.html").exists());
    let other = folder.path().join("other");
    let mut command = switchcost(&["compare", "--paired", "--b-program", "/bin/true", "--out"]);
    assert_refused(&command.arg(&other).arg("^handoff/pipe/same-cpu").output().unwrap(), "like a switchcost program");
    assert!(!other.exists());
}

/// Of each round's line: whether its sides took turns, and when it was measured, in milliseconds.
fn turns(folder: &Path) -> BTreeMap<u64, (bool, [f64; 2])> {
    let benchmarks = lines(folder).into_iter().filter_map(|line| line.get("benchmark").cloned());
    let turns = benchmarks.map(|line| {
        let began = line["started_ms"].as_f64().unwrap();
        let lasted = line["outcome"]["measured"]["noise"]["lasted"].as_f64().unwrap() / 1e6;
        let interleaved = line["conditions"].get("interleaved") == Some(&Value::Bool(true));
        (line["round"].as_u64().unwrap(), (interleaved, [began, began + lasted]))
    });
    turns.collect()
}

fn paired(out: &Path, options: &[&str]) -> Command {
    let mut command = switchcost(&["compare", "--paired", "--rounds", "2", "--format", "csv"]);
    command.args(TINY).args(options).arg("--out").arg(out);
    command
}

#[test]
fn sides_take_turns_where_they_can_be_alive_at_once() {
    let folder = TempDir::new().unwrap();
    let measured = |name: &str, options: &[&str]| {
        let out = folder.path().join(name);
        let output = paired(&out, options).output().unwrap();
        assert!(output.status.success(), "{}", text(&output.stderr));
        for left in ["answer.json", "answer-2.json", "stderr.txt", "stderr-2.txt"] {
            assert!(!out.join(left).exists(), "{left}");
        }
        let (a, b) = (turns(&out.join("a")), turns(&out.join("b")));
        assert_eq!((a.len(), b.len()), (2, 2));
        let both = a.into_values().zip(b.into_values());
        both.map(|((a, [a0, a1]), (b, [b0, b1]))| (a && b, a0 < b1 && b0 < a1)).collect::<Vec<_>>()
    };
    let tasks = ["--a", "tasks=2", "--b", "tasks=3", "^brigade/thread/same-cpu"];
    assert_eq!(measured("tasks", &tasks), [(true, true); 2]);
    let program = ["--b-program", env!("CARGO_BIN_EXE_switchcost"), "^handoff/futex/same-cpu"];
    assert_eq!(measured("program", &program), [(true, true); 2]);
    let idle = ["--b", "idle=spinner", "--no-audit", "^handoff/futex/same-cpu"];
    assert_eq!(measured("idle", &idle), [(false, false); 2]);
    assert_eq!(measured("apart", &["--no-turns", "--no-audit", "^handoff/futex/same-cpu"]), [(false, false); 2]);
}

#[test]
fn whatever_ends_a_pair_ends_both_and_costs_only_itself() {
    let folder = TempDir::new().unwrap();
    let long = ["--no-audit", "^handoff/futex/same-cpu", "--warm-up", "100s"];
    let begin = |name: &str| {
        let out = folder.path().join(name);
        let mut command = switchcost(&["compare", "--paired", "--no-counters", "--out"]);
        let child = command.arg(&out).args(long).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let sides = await_children(child.id(), 2);
        (out, child, sides)
    };
    let (out, mut run, sides) = begin("crash");
    kill(sides[1], Signal::SIGABRT).unwrap();
    await_end(&sides);
    assert_eq!(await_children(run.id(), 1).len(), 1, "now one after the other");
    assert_eq!(lines(&out.join("a")).len() + lines(&out.join("b")).len(), 2, "nothing failed by itself");
    run.kill().unwrap();
    run.wait().unwrap();

    let (out, mut run, sides) = begin("kill");
    run.kill().unwrap();
    run.wait().unwrap();
    await_end(&sides);
    assert_eq!(lines(&out.join("a")).len() + lines(&out.join("b")).len(), 2);

    let (out, mut run, sides) = begin("stop");
    let mut said = said(&mut run);
    let interrupt = || kill(Pid::from_raw(run.id() as i32), stop_signal()).unwrap();
    interrupt();
    await_word_of_stopping(&mut said);
    interrupt();
    said.for_each(drop);
    assert_eq!(run.wait().unwrap().code(), Some(1));
    await_end(&sides);
    assert_eq!(lines(&out.join("a")).len() + lines(&out.join("b")).len(), 2);
}
