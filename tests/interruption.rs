//! What is left of a mechanism that is given up on because it takes too long, and of one whose process is ended by a
//! signal in the middle of a batch.
#![allow(clippy::unwrap_used)]

mod own_process;
mod patience;
mod trial;

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use patience::{await_until, timeout};
use switchcost::crew::Failure;
use switchcost::harness::{Benchmark, Choice, PlannedBenchmark, plan};
use switchcost::sys::inherited::is_ignored;
use trial::{Belongings, settings};

/// Less than the batches take that are asked for, and often less than set-up takes: both are given up on.
const IMPATIENCE: Duration = Duration::from_millis(10);
const LONG: Duration = Duration::from_millis(60);

/// Runs [`instances_are_given_up_on`] in a process of its own, where all that is left behind is from it.
#[test]
fn what_takes_too_long_leaves_nothing_behind_when_it_comes_back() {
    own_process::run("instances_are_given_up_on");
}

#[test]
#[ignore = "what_takes_too_long_leaves_nothing_behind_when_it_comes_back runs it"]
fn instances_are_given_up_on() {
    let mut seen = BTreeSet::new();
    let mut given_up = 0;
    for planned in plan(&Choice::default(), |_| true).unwrap() {
        let PlannedBenchmark::Ready(benchmark) = planned else { continue };
        if benchmark.mechanism.probe().is_err() || !seen.insert(benchmark.descriptor().id) {
            continue;
        }
        let parameters = settings(benchmark.descriptor()).swap_remove(0);
        let benchmark = benchmark.with_parameters(parameters);
        let ops = ops_that_take(LONG, &benchmark);
        let before = Belongings::now();
        let outcome = benchmark.start_within(IMPATIENCE).and_then(|mut driver| driver.run(ops).map(drop));
        match outcome {
            Err(Failure::TimedOut { .. }) => given_up += 1,
            // A batch may be faster than the one that told how long it takes.
            other => println!("{}: {other:?}", benchmark.id()),
        }
        Belongings::now_at_last(&before).unwrap_or_else(|more| panic!("{}: left behind: {more}", benchmark.id()));
    }
    assert!(!seen.is_empty() && 2 * given_up > seen.len(), "only {given_up} of {} were given up on", seen.len());
}

fn ops_that_take(time: Duration, benchmark: &Benchmark) -> u64 {
    let mut driver = benchmark.start_within(timeout()).unwrap();
    let lap = benchmark.whole_laps(1);
    driver.run(lap).unwrap();
    // By the clock: what a batch measures may be latencies, or bytes.
    let start = Instant::now();
    driver.run(lap).unwrap();
    let took = start.elapsed().as_nanos().max(1) as u64;
    driver.stop().unwrap();
    benchmark.whole_laps(time.as_nanos() as u64 * lap / took)
}

/// Forked partners of every kind; the last with a spinning process on each CPU besides.
const WITH_PROCESSES: [&[&str]; 5] = [
    &["^brigade/process/same-cpu", "--set", "tasks=8"],
    &["^handoff/process_pipe/same-cpu$"],
    &["^handoff/process_futex/same-cpu$"],
    &["^creation/fork/same-cpu", "--set", "alive=8"],
    &["^handoff/futex/same-cpu", "--set", "idle=spinner"],
];

#[test]
fn a_run_that_is_interrupted_in_a_batch_leaves_no_process_behind() {
    let signals = [Signal::SIGINT, Signal::SIGTERM, Signal::SIGKILL].into_iter().filter(|signal| {
        // A shell starts what it runs in the background so, and a run keeps to it.
        let ignored = is_ignored(*signal);
        if ignored {
            println!("not checked: {signal}, which the process that started this one lets be ignored");
        }
        !ignored
    });
    let signals: Vec<Signal> = signals.collect();
    std::thread::scope(|scope| {
        for what in WITH_PROCESSES {
            let signals = &signals;
            scope.spawn(move || signals.iter().for_each(|&signal| interrupt_run(what, signal)));
        }
    });
}

/// Ends a run in the middle of its first benchmark's warming up.
fn interrupt_run(what: &[&str], signal: Signal) {
    let scratch = tempfile::tempdir().unwrap();
    let out = scratch.path().join("run");
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchcost"));
    command.arg("run").args(what).args(["--rounds", "1", "--warm-up", "100s", "--no-audit", "--out"]).arg(&out);
    let case = format!("{what:?} and {signal}");
    interrupt(&mut command, scratch.path(), signal, &case);
    let left: Vec<_> = std::fs::read_dir(scratch.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert!(left.iter().all(|name| name == "run"), "{case}: files {left:?}");
}

#[test]
fn an_audit_that_is_interrupted_leaves_no_process_behind() {
    for signal in [Signal::SIGTERM, Signal::SIGKILL] {
        let scratch = tempfile::tempdir().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_switchcost"));
        command.args(["audit", "process"]);
        interrupt(&mut command, scratch.path(), signal, &format!("audit and {signal}"));
    }
}

/// Starts `command`, waits until a task of a mechanism is at work, sends `signal`, and waits until nothing is left.
fn interrupt(command: &mut Command, scratch: &Path, signal: Signal, case: &str) {
    // Every descendant has it in its environment, whatever became of its parents.
    let mark = format!("SWITCHCOST_TEST_MARK={}", scratch.display());
    let (name, value) = mark.split_once('=').unwrap();
    command.env(name, value).env("TMPDIR", scratch).current_dir(scratch);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let at_work = || marked(&mark).into_iter().any(|process| tasks(process).iter().any(|name| is_a_task(name)));
    let working = within(timeout(), at_work);
    // The first asks a run to end with what it measures at the moment, the second to end at once.
    let ended = within(timeout(), || {
        let ended = child.try_wait().unwrap().is_some();
        ended || kill(Pid::from_raw(child.id() as i32), signal).is_err()
    });
    if !ended {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    assert!(ended, "{case}: it did not end");
    assert!(working, "{case}: no task was at work");
    let gone = within(timeout(), || marked(&mark).is_empty());
    let left: Vec<_> = marked(&mark).into_iter().map(tasks).collect();
    assert!(gone, "{case}: processes of these tasks are left: {left:?}");
}

fn within(time: Duration, mut happens: impl FnMut() -> bool) -> bool {
    await_until(time, || happens().then_some(())).is_some()
}

/// The processes with this variable in their environment; not those that have ended and wait to be reaped.
fn marked(mark: &str) -> Vec<u32> {
    let processes = std::fs::read_dir("/proc").unwrap().flatten();
    let numbers = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let has = |process: &u32| {
        let environment = std::fs::read(format!("/proc/{process}/environ")).unwrap_or_default();
        environment.split(|&byte| byte == 0).any(|variable| variable == mark.as_bytes())
    };
    numbers.filter(has).collect()
}

/// The names of a process's tasks.
fn tasks(process: u32) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok()).collect()
}

/// `s<process>.<instance>.<task>`, where the task is not the driver, or a spinner on its CPU.
fn is_a_task(name: &str) -> bool {
    let mut parts = name.trim().split('.');
    let hexadecimal = |text: &str| !text.is_empty() && text.chars().all(|digit| digit.is_ascii_hexdigit());
    let instance = parts.next().is_some_and(|first| first.strip_prefix('s').is_some_and(hexadecimal));
    instance && parts.next().is_some_and(hexadecimal)
}
