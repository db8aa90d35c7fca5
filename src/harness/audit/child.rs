//! The audited process: sets the mechanism up, runs two batches, and tells what it saw or lets itself be watched.

use std::io::Read;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::{REQUEST, Request, Switches, Watch};
use crate::crew::Failure;
use crate::harness::Benchmark;
use crate::pmu::{NotCounted, Wakeups};
use crate::record::Unchecked;
use crate::sys::mark;
use crate::sys::usage::Usage;

/// Set-up is over; what follows is the first batch.
pub(super) const SET_UP: u64 = 0;
/// Before and after the first batch, before and after the second.
pub(super) const BATCHES: [[u64; 2]; 2] = [[1, 2], [3, 4]];

/// If this process was started by an audit, does what it asks and returns the status to end with. Every program that
/// audits calls this first thing in its `main`.
pub fn answer_audit_request() -> Option<ExitCode> {
    let request = std::env::var(REQUEST).ok()?;
    let outcome = serde_json::from_str::<Request>(&request).map_err(|error| error.to_string()).and_then(answer);
    Some(if outcome.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn answer(request: Request) -> Result<(), String> {
    let seen = match request.watch {
        Watch::Switches => count_switches(&request).map(Some),
        Watch::Calls => make_calls(&request).map(|()| None),
    };
    if let Some(answer) = seen.clone().transpose() {
        println!("{}", serde_json::to_string(&answer).map_err(|error| error.to_string())?);
    }
    seen.map(|_| ())
}

fn benchmark(request: &Request) -> Result<Benchmark, String> {
    request.chosen.benchmark().ok_or_else(|| "no such mechanism".into())
}

fn told(failure: Failure) -> String {
    failure.to_string()
}

/// Runs the batches between marks, for a tracer to count what lies between.
fn make_calls(request: &Request) -> Result<(), String> {
    // The tracer's word that it watches.
    std::io::stdin().read_exact(&mut [0]).map_err(|error| error.to_string())?;
    let mut driver = benchmark(request)?.start_marked().map_err(told)?;
    driver.run(request.batches[0]).map_err(told)?;
    settle();
    mark::leave(SET_UP);
    for (ops, [begin, end]) in request.batches.into_iter().zip(BATCHES) {
        mark::leave(begin);
        driver.run(ops).map_err(told)?;
        settle();
        mark::leave(end);
    }
    driver.stop().map_err(told)
}

fn count_switches(request: &Request) -> Result<Switches, String> {
    let _idle = request.chosen.idle.hold().map_err(|unsupported| unsupported.to_string())?;
    let mut driver = benchmark(request)?.start(|| Ok(())).map_err(told)?;
    let mut wakeups = Wakeups::open(&format!("{}*", driver.prefix())).map_err(unchecked);
    if let Ok(wakeups) = &mut wakeups {
        wakeups.enable().map_err(|error| error.to_string())?;
    }
    driver.run(request.batches[0]).map_err(told)?;
    settle();
    let mut seen = Vec::new();
    for ops in request.batches {
        let before = Reading::now(&mut wakeups)?;
        driver.run(ops).map_err(told)?;
        settle();
        seen.push(Reading::now(&mut wakeups)?.since(before));
    }
    driver.stop().map_err(told)?;
    let ops = (request.batches[1] - request.batches[0]) as f64;
    let rate = |count: fn(&Reading) -> u64| (count(&seen[1]) as f64 - count(&seen[0]) as f64) / ops;
    Ok(Switches {
        voluntary: rate(|seen| seen.voluntary),
        involuntary: rate(|seen| seen.involuntary),
        wakeups: wakeups.map(|_| rate(|seen| seen.wakeups)),
    })
}

/// Counts so far.
#[derive(Clone, Copy)]
struct Reading {
    voluntary: u64,
    involuntary: u64,
    wakeups: u64,
}

impl Reading {
    fn now(wakeups: &mut Result<Wakeups, Unchecked>) -> Result<Self, String> {
        let usage = Usage::of_other_threads().map_err(|error| error.to_string())?;
        let wakeups = match wakeups {
            Ok(wakeups) => wakeups.count().map_err(|error| error.to_string())?,
            Err(_) => 0,
        };
        Ok(Self { voluntary: usage.voluntary, involuntary: usage.involuntary, wakeups })
    }

    fn since(self, earlier: Self) -> Self {
        Self {
            voluntary: self.voluntary.saturating_sub(earlier.voluntary),
            involuntary: self.involuntary.saturating_sub(earlier.involuntary),
            wakeups: self.wakeups.saturating_sub(earlier.wakeups),
        }
    }
}

fn unchecked(not: NotCounted) -> Unchecked {
    Unchecked { what: "wakeups".into(), reason: not.reason, remedy: not.remedy }
}

/// Waits until every other task of this process sleeps, so that each batch begins and ends in the same state: the last
/// task of a brigade enters its next read after the driver has its byte. Tasks that never sleep are given up on.
fn settle() {
    const ENOUGH: u32 = 3;
    let deadline = Instant::now() + Duration::from_millis(100);
    let mut quiet = 0;
    while quiet < ENOUGH && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
        quiet = if all_asleep() { quiet + 1 } else { 0 };
    }
}

fn all_asleep() -> bool {
    let me = std::process::id().to_string();
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return false };
    tasks.flatten().filter(|task| task.file_name().to_str() != Some(&me)).all(|task| {
        // A task that ended meanwhile is asleep for good.
        std::fs::read_to_string(task.path().join("stat")).map_or(true, |stat| state(&stat) == Some('S'))
    })
}

/// The state letter of proc_pid_stat(5): the field behind the name, which is in parentheses and may hold some.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}
