//! Where the tasks of each mechanism are: every one of them, also those that a library creates and those that live for
//! a few microseconds.
//!
//! A process runs every mechanism once, and this one watches it by ptrace(2): each task stands still at each system
//! call that it makes, its last one included, and its affinity mask is read there. With two CPUs in turn a task that
//! was not moved is on the CPU of the task that created it. What has a single task, or tasks that no placement tells
//! apart, is confined to the last CPU, which no task is on by itself.
#![allow(clippy::unwrap_used)]

// What a process has left is for other tests.
#[allow(dead_code)]
mod patience;
mod trial;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use nix::unistd::Pid;
use patience::timeout;
use switchcost::crew::Failure;
use switchcost::harness::{Benchmark, Choice, PlannedBenchmark, plan};
use switchcost::mechanism::Tasks;
use switchcost::sys::affinity::{AffinityMask, allowed_cpus};
use switchcost::sys::ptrace::{SyscallEntry, TraceEvent, Tracee};
use switchcost::sys::{mark, sched};
use switchcost::terms::{Class, Parameters, Placement, Policy, Setting};
use switchcost::units::CpuId;
use trial::{TOKIO_WORKERS, settings};

/// Every mechanism with each of its small settings in a placement of two CPUs in turn, where its tasks fit one; and
/// else, with one setting, confined to the last CPU.
fn benchmarks(cpus: [CpuId; 2]) -> Vec<Benchmark> {
    let mut seen = BTreeSet::new();
    let mut benchmarks = Vec::new();
    for planned in plan(&Choice::default(), |_| true).unwrap() {
        let PlannedBenchmark::Ready(benchmark) = planned else { continue };
        if !seen.insert(benchmark.descriptor().id) || benchmark.mechanism.probe().is_err() {
            continue;
        }
        let policy = Policy { class: Class::Batch, slice_us: None };
        let of = |parameters: Parameters, placement, cpus: &[CpuId]| {
            let setting = Setting { policy, ..Setting::new(placement, cpus.to_vec(), parameters) };
            Benchmark { setting, ..benchmark.clone() }
        };
        let is_one_thread = |parameters: &Parameters| benchmark.mechanism.tasks(parameters) == Tasks::OneThread;
        let (alone, several): (Vec<_>, Vec<_>) = settings(benchmark.descriptor()).into_iter().partition(is_one_thread);
        // First, since may's scheduler keeps for good the one worker that most of its benchmarks have.
        let on_last = |parameters| of(parameters, Placement::SameCpu, &cpus[1..]);
        benchmarks.extend(alone.into_iter().take(1).map(on_last));
        let in_two = |parameters| of(parameters, Placement::OnePerCpu, &cpus);
        benchmarks.extend(several.into_iter().map(in_two));
    }
    benchmarks
}

/// The first and the last CPU that this process may use; nothing where that is one.
fn two_cpus() -> Option<[CpuId; 2]> {
    match allowed_cpus().unwrap()[..] {
        [first, .., last] => Some([first, last]),
        _ => None,
    }
}

/// What a task was at the last call that it was seen to make.
#[derive(Debug, Clone)]
struct Task {
    /// In which order it came to be seen.
    order: usize,
    name: String,
    cpus: Vec<CpuId>,
    policy: u32,
}

impl Task {
    /// The number that the crew gave it.
    fn number(&self) -> Option<usize> {
        let mut parts = self.name.strip_prefix('s')?.split('.');
        let number = parts.nth(2)?;
        number.parse().ok()
    }
}

/// The mark that the last benchmark cannot run here.
const NOT_RUN: u64 = u64::MAX;

/// The tasks by benchmark, in the order of [`benchmarks`].
type Watched = BTreeMap<u64, BTreeMap<Pid, Task>>;

#[test]
fn every_task_is_in_its_mask() {
    let Some(cpus) = two_cpus() else {
        return println!("not checked: this process may use one CPU alone");
    };
    let watched = match std::thread::spawn(watch).join().unwrap() {
        Ok(watched) => watched,
        Err(reason) => return println!("not checked: {reason}; `sysctl kernel.yama.ptrace_scope=1`"),
    };
    let benchmarks = benchmarks(cpus);
    let mut wrong = Vec::new();
    let (mut checked, mut in_two) = (0, 0);
    for (index, benchmark) in benchmarks.iter().enumerate() {
        let tasks = watched.get(&(index as u64)).cloned().unwrap_or_default();
        if tasks.is_empty() {
            println!("{}: not run", benchmark.id());
            continue;
        }
        checked += 1;
        in_two += usize::from(benchmark.assignment().masks() == 2);
        let id = format!("{} ({:?})", benchmark.id(), benchmark.setting.parameters);
        wrong.extend(differences(benchmark, &tasks).into_iter().map(|what| format!("{id}: {what}")));
    }
    println!("{checked} benchmarks were watched, {in_two} of them on two CPUs");
    assert!(wrong.is_empty(), "{} tasks or more are not where they belong:\n{}", wrong.len(), wrong.join("\n"));
    assert!(2 * checked > benchmarks.len(), "only {checked} of {} were run", benchmarks.len());
}

fn differences(benchmark: &Benchmark, tasks: &BTreeMap<Pid, Task>) -> Vec<String> {
    let assignment = benchmark.assignment();
    let mut wrong = Vec::new();
    let mut used = BTreeSet::new();
    let driver = tasks.values().filter(|task| task.number() == Some(0)).min_by_key(|task| task.order);
    let Some(driver) = driver else { return vec![format!("no driver among {tasks:?}")] };
    for task in tasks.values().filter(|task| task.name != REACTOR) {
        let cpu_mask = assignment.in_order().iter().position(|cpu| task.cpus == [*cpu]);
        // A task without a name of its own has the name of the driver, which created it.
        let belongs = match task.number() {
            Some(number) if number > 0 && !is_numbered_by_its_library(benchmark) => {
                cpu_mask == Some(number % assignment.masks())
            }
            _ if task.order == driver.order => cpu_mask == Some(0),
            _ => cpu_mask.is_some(),
        };
        if !belongs {
            wrong.push(format!("{task:?} of {assignment}"));
        }
        if task.policy != libc::SCHED_BATCH as u32 && !(has_neighbours(benchmark) && task.order != driver.order) {
            wrong.push(format!("{task:?} is not scheduled by {}", benchmark.setting.policy.class));
        }
        used.extend(cpu_mask);
    }
    if tasks.len() > 1 && used.len() < assignment.masks() {
        wrong.push(format!("all tasks have one mask: {tasks:?}"));
    }
    wrong
}

/// The helper thread of async-io's reactor belongs to the process and has no mask (core/src/mechanism/reactor.rs).
const REACTOR: &str = "async-io";

/// Runtimes whose workers take masks in the order in which they come, from the driver's on.
fn is_numbered_by_its_library(benchmark: &Benchmark) -> bool {
    let id = benchmark.descriptor().id;
    id.contains("/may") || TOKIO_WORKERS.contains(&id)
}

/// Background load is scheduled fairly under every policy of the instance (`core/src/mechanism/background_load.rs`).
fn has_neighbours(benchmark: &Benchmark) -> bool {
    benchmark.descriptor().parameter("load").is_some() && benchmark.setting.parameters.word("load") == "busy"
}

/// Watches a process of this program that runs every benchmark once. On a thread of its own: ptrace(2) knows tracers by
/// thread.
fn watch() -> Result<Watched, String> {
    let scratch = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["instances_run", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env("TMPDIR", scratch.path())
        .env("SWITCHCOST_SERVER_PROGRAM", env!("CARGO_BIN_EXE_switchcost"))
        .current_dir(scratch.path())
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    let leader = Pid::from_raw(child.id().cast_signed());
    let tracee = Tracee::seize(leader);
    // It creates no task before this byte.
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut tracee = match tracee {
        Ok(tracee) => tracee,
        Err(error) => {
            let _ = child.wait();
            return Err(error.to_string());
        }
    };
    let (mut watched, mut current) = (Watched::new(), None);
    loop {
        match tracee.next_event().unwrap() {
            TraceEvent::Ended(status) => {
                assert_eq!(status, Some(0), "the process that runs them");
                return Ok(watched);
            }
            TraceEvent::Entry(entry) => match (mark::read(entry.number, &entry.arguments), current) {
                (Some(NOT_RUN), _) => drop(current.take().and_then(|(benchmark, _)| watched.remove(&benchmark))),
                (Some(benchmark), _) => current = Some((benchmark, entry.thread)),
                // The thread that asks for batches is none of the tasks, and neither is the test's main one.
                (None, Some((benchmark, asking))) if ![asking, leader].contains(&entry.thread) => {
                    see(&entry, watched.entry(benchmark).or_default());
                }
                (None, _) => {}
            },
        }
    }
}

/// Notes what the task is that stands at `entry`.
fn see(entry: &SyscallEntry, tasks: &mut BTreeMap<Pid, Task>) {
    let thread = entry.thread;
    // It is stopped, but for one that was killed meanwhile.
    let (Ok(mask), Ok(attributes)) = (AffinityMask::of_thread(thread), sched::get(thread)) else { return };
    let Ok(name) = std::fs::read_to_string(format!("/proc/{thread}/comm")) else { return };
    let cpus = mask.cpus();
    let order = tasks.get(&thread).map_or(tasks.len(), |known| known.order);
    tasks.insert(thread, Task { order, name: name.trim().into(), cpus, policy: attributes.policy });
}

#[test]
#[ignore = "every_task_is_in_its_mask runs it"]
fn instances_run() {
    std::io::stdin().read_exact(&mut [0]).unwrap();
    // What is tried out once in a process is none of a benchmark's tasks.
    benchmarks(two_cpus().unwrap()).iter().for_each(|benchmark| drop(benchmark.mechanism.probe()));
    for (index, benchmark) in benchmarks(two_cpus().unwrap()).iter().enumerate() {
        let id = benchmark.id();
        mark::leave(index as u64);
        match benchmark.start_within(timeout()) {
            Ok(mut driver) => {
                driver.run(benchmark.whole_laps(1)).unwrap_or_else(|failure| panic!("{id}: {failure}"));
                driver.stop().unwrap_or_else(|failure| panic!("{id}: {failure}"));
            }
            Err(Failure::Unsupported(reason)) => {
                mark::leave(NOT_RUN);
                println!("{id}: unsupported: {reason}");
            }
            Err(failure) => panic!("{id}: {failure}"),
        }
    }
}
