//! The audited process: sets the mechanism up, runs two batches, and reports what it saw or lets itself be watched.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::{AuditAnswer, AuditFailure, AuditPass, AuditRequest, REQUEST, SwitchCounts};
use crate::crew::{Driver, Failure, IdleGuard};
use crate::harness::Benchmark;
use crate::pmu::Wakeups;
use crate::sys::mark;
use crate::sys::process::die_with_parent;
use crate::terms::Shortfall;

/// Set-up is over; what follows is the first batch.
pub(super) const SET_UP: u64 = 0;
/// Before and after the first batch, before and after the second.
pub(super) const BATCHES: [[u64; 2]; 2] = [[1, 2], [3, 4]];

/// If this process was started by an audit, does what it asks and returns the status to end with. Every program that
/// audits calls this first thing in its `main`.
pub fn answer_audit_request() -> Option<ExitCode> {
    let request = std::env::var(REQUEST).ok()?;
    let answer = serde_json::from_str(&request).map_err(AuditFailure::unwatched).and_then(|request| answer(&request));
    // The audit reads it from a pipe; without one it has ended.
    let _ = writeln!(std::io::stdout(), "{}", serde_json::to_string(&answer).expect("an answer is plain data"));
    Some(if answer.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn answer(request: &AuditRequest) -> AuditAnswer {
    if !die_with_parent(Pid::from_raw(request.parent.cast_signed())) {
        return Err(AuditFailure::unwatched("the audit has ended"));
    }
    request.spec.prepare_process();
    match request.watch {
        AuditPass::Switches => count_switches(request).map(Some),
        AuditPass::Calls => make_calls(request).map(|()| None),
    }
}

fn benchmark(request: &AuditRequest) -> Result<Benchmark, AuditFailure> {
    request.spec.benchmark().ok_or_else(|| AuditFailure::unwatched("this program has no such mechanism"))
}

/// Runs the batches between marks, for a tracer to count what lies between.
fn make_calls(request: &AuditRequest) -> Result<(), AuditFailure> {
    // The tracer's word that it watches.
    std::io::stdin().read_exact(&mut [0]).map_err(AuditFailure::unwatched)?;
    let mut driver = benchmark(request)?.start_marked(request.timeout)?;
    driver.run(request.batches[0])?;
    settle(&driver);
    mark::leave(SET_UP);
    for (ops, [begin, end]) in request.batches.into_iter().zip(BATCHES) {
        mark::leave(begin);
        driver.run(ops)?;
        settle(&driver);
        mark::leave(end);
    }
    Ok(driver.stop()?)
}

fn count_switches(request: &AuditRequest) -> Result<SwitchCounts, AuditFailure> {
    let _idle = IdleGuard::hold(request.spec.setting.idle, &request.spec.setting.cpus).map_err(Failure::from)?;
    let mut driver = benchmark(request)?.start_within(request.timeout)?;
    let mut wakeups = Wakeups::open(&format!("{}*", driver.prefix())).map_err(unchecked);
    if let Ok(wakeups) = &mut wakeups {
        wakeups.enable().map_err(AuditFailure::unwatched)?;
    }
    driver.run(request.batches[0])?;
    settle(&driver);
    let mut seen = Vec::new();
    for ops in request.batches {
        let before = SwitchReading::now(&driver, &mut wakeups)?;
        driver.run(ops)?;
        settle(&driver);
        seen.push(SwitchReading::now(&driver, &mut wakeups)?.since(before));
    }
    driver.stop()?;
    let ops = (request.batches[1] - request.batches[0]) as f64;
    let rate = |count: fn(&SwitchReading) -> u64| (count(&seen[1]) as f64 - count(&seen[0]) as f64) / ops;
    Ok(SwitchCounts {
        voluntary: rate(|seen| seen.voluntary),
        involuntary: rate(|seen| seen.involuntary),
        wakeups: wakeups.map(|_| rate(|seen| seen.wakeups)),
    })
}

/// Counts so far.
#[derive(Clone, Copy)]
struct SwitchReading {
    voluntary: u64,
    involuntary: u64,
    wakeups: u64,
}

impl SwitchReading {
    fn now(driver: &Driver, wakeups: &mut Result<Wakeups, Shortfall>) -> Result<Self, AuditFailure> {
        let usage = driver.usage().map_err(AuditFailure::unwatched)?;
        let wakeups = match wakeups {
            Ok(wakeups) => wakeups.count().map_err(AuditFailure::unwatched)?,
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

fn unchecked(not: Shortfall) -> Shortfall {
    Shortfall { what: "wakeups".into(), why: not.why, remedy: not.remedy }
}

/// Waits until every other task of this process and of the instance sleeps, so that each batch begins and ends in the
/// same state: the last task of a brigade enters its next read after the driver has its byte. Tasks that never sleep
/// are given up on.
fn settle(driver: &Driver) {
    const ENOUGH: u32 = 3;
    let deadline = Instant::now() + Duration::from_millis(100);
    let mut quiet = 0;
    while quiet < ENOUGH && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(1));
        quiet = if all_asleep(driver) { quiet + 1 } else { 0 };
    }
}

fn all_asleep(driver: &Driver) -> bool {
    let me = std::process::id().to_string();
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return false };
    let threads = tasks.flatten().filter(|task| task.file_name().to_str() != Some(&me)).map(|task| task.path());
    let processes = driver.processes().into_iter().map(|child| PathBuf::from(format!("/proc/{child}")));
    threads.chain(processes).all(|task| {
        // A task that ended meanwhile is asleep for good.
        std::fs::read_to_string(task.join("stat")).map_or(true, |stat| state(&stat) == Some('S'))
    })
}

/// The state letter of proc_pid_stat(5): the field behind the name, which is in parentheses and may hold some.
fn state(stat: &str) -> Option<char> {
    stat.rsplit_once(") ")?.1.chars().next()
}
