//! Is what the group `footprint` finds out what the kernel accounts for?
#![allow(clippy::unwrap_used)]

mod own_process;

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Barrier};
use std::time::{Duration, Instant};

use switchcost::harness::{Choice, PlannedBenchmark, plan};
use switchcost::sys::channel::{Ends, pipe, read_byte};
use switchcost::sys::memory_usage::{MemoryReader, MemoryUsage};
use switchcost::sys::process::{close_copy, end_by, fork_running};
use switchcost::terms::{Curve, Metric, MetricKey};

/// The curves of one lap of a benchmark.
fn curves(id: &str, set: &[(&str, &str)]) -> Vec<Curve> {
    let parameters = set.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let planned = plan(&Choice { parameters, ..Choice::default() }, |planned| planned.starts_with(id)).unwrap();
    let Some(PlannedBenchmark::Ready(benchmark)) = planned.first() else { panic!("{planned:?}") };
    let mut driver = benchmark.start(|| Ok(())).unwrap();
    driver.run(benchmark.whole_laps(1)).unwrap();
    let found = driver.metrics().unwrap();
    driver.stop().unwrap();
    let curve = |metric| match metric {
        Metric::Curve(curve) => Some(curve),
        _ => None,
    };
    found.into_iter().filter_map(curve).collect()
}

fn points<'a>(curves: &'a [Curve], of: &MetricKey) -> &'a [(f64, f64)] {
    let curve = curves.iter().find(|curve| curve.of == *of);
    &curve.unwrap_or_else(|| panic!("no {of}: {curves:?}")).points
}

/// One test, because another one's threads would count.
#[test]
fn kernel_stacks_are_one_for_each_thread_and_process_and_none_for_futures() {
    let stack = MemoryReader::new().unwrap().stack() as f64;
    for (id, tasks) in [("footprint/thread/unpinned", "50"), ("footprint/process/unpinned", "10")] {
        for pipe in ["none", "own"] {
            let curves = curves(id, &[("tasks", tasks), ("pipe", pipe)]);
            let points = points(&curves, &MetricKey::KernelStacks);
            assert_eq!(points.len(), 5);
            for (tasks, bytes) in points {
                assert_eq!(*bytes, (tasks - points[0].0) * stack, "{id} {pipe}");
            }
        }
    }
    for id in ["footprint/tokio_task/unpinned", "footprint/smol_task/unpinned", "footprint/may_coroutine/unpinned"] {
        let curves = curves(id, &[("tasks", "200"), ("pipe", "own")]);
        assert!(points(&curves, &MetricKey::KernelStacks).iter().all(|(_, bytes)| *bytes == 0.0), "{id}: {curves:?}");
        assert!(points(&curves, &MetricKey::UserResident).last().unwrap().1 > 0.0, "{id}: {curves:?}");
    }
}

/// Names the control group to the process that lives in it.
const GROUP: &str = "SWITCHCOST_TEST_GROUP";

/// A control group of this test.
struct Group(PathBuf);

impl Group {
    /// Below this process's own group (version 1), or beside it (version 2, where a group with processes cannot give
    /// its children the controller).
    fn new() -> Result<Self, String> {
        let name = format!("switchcost-test-{}", std::process::id());
        let groups = std::fs::read_to_string("/proc/self/cgroup").map_err(|error| error.to_string())?;
        let group = |prefix: &str| {
            let line = groups.lines().find_map(|line| line.split_once(':')?.1.strip_prefix(prefix));
            line.map(|group| group.trim_start_matches('/'))
        };
        let places = [
            group("memory:").map(|group| Path::new("/sys/fs/cgroup/memory").join(group).join(&name)),
            group(":").and_then(|group| Some(Path::new("/sys/fs/cgroup").join(group).parent()?.join(&name))),
        ];
        let mut reasons = Vec::new();
        for place in places.into_iter().flatten() {
            match std::fs::create_dir(&place) {
                Ok(()) => {
                    let made = Self(place);
                    if made.usage().is_some() {
                        return Ok(made);
                    }
                    reasons.push(format!("{}: without memory accounting", made.0.display()));
                }
                Err(error) => reasons.push(format!("{}: {error}", place.display())),
            }
        }
        Err(reasons.join("; "))
    }

    fn usage(&self) -> Option<u64> {
        let files = ["memory.current", "memory.usage_in_bytes"].map(|file| self.0.join(file));
        files.iter().find_map(|file| std::fs::read_to_string(file).ok())?.trim().parse().ok()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // The last process leaves a moment after it was waited for.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[test]
#[ignore = "makes a control group, as root: cargo test --test footprint -- --ignored --nocapture"]
fn proc_agrees_with_a_control_group() {
    let group = match Group::new() {
        Ok(group) => group,
        Err(reason) => return println!("not checked: no control group can be made here: {reason}"),
    };
    let test = "inside_the_group";
    own_process::passes(test, own_process::command(test).env(GROUP, &group.0));
}

#[test]
#[ignore = "proc_agrees_with_a_control_group runs it"]
fn inside_the_group() {
    let Some(path) = std::env::var_os(GROUP) else { return };
    let path = PathBuf::from(path);
    std::fs::write(path.join("cgroup.procs"), std::process::id().to_string()).unwrap();
    // Not dropped: it is the other process's.
    let group = std::mem::ManuallyDrop::new(Group(path));
    // Kernel memory is charged to the group in which it was allocated: only with tasks of its own does the group
    // account for as much as this process has, and is believed.
    let reader = with_threads(500, || MemoryReader::new().unwrap());
    println!("slab is read for: {:?}", reader.scope());
    check("1000 threads", &group, || threads(&reader, &group, 1000));
    check("100 processes", &group, || processes(&reader, &group, 100));
}

/// What /proc and the group say at one moment.
type Reading = (MemoryUsage, u64);

fn reading(reader: &MemoryReader, group: &Group, children: &[nix::unistd::Pid]) -> Reading {
    // The group first: looking at children makes names in /proc.
    let usage = group.usage().unwrap();
    (reader.read(children).unwrap(), usage)
}

/// The first attempt pays for what stays: page cache, names in /proc, heaps. Where slab is the whole machine's, what
/// others do may spoil another one.
const ATTEMPTS: usize = 5;

fn check(what: &str, group: &Group, mut gain: impl FnMut() -> [Reading; 2]) {
    let mut ratios = Vec::new();
    for _ in 0..ATTEMPTS {
        settle(group);
        let [(before, used_before), (after, used_after)] = gain();
        let by_proc = after.total() as f64 - before.total() as f64;
        let by_group = used_after as f64 - used_before as f64;
        println!("{what}: /proc {by_proc} B, the group {by_group} B; {before:?} {after:?}");
        ratios.push(by_proc / by_group);
    }
    println!("{what}: /proc over the group: {ratios:.3?}");
    assert!(ratios[1..].iter().any(|ratio| (0.9..=1.1).contains(ratio)), "{what}: {ratios:?}");
}

/// Waits until the kernel has freed what is no longer used: at most two seconds.
fn settle(group: &Group) {
    let mut usage = group.usage();
    for _ in 0..20 {
        std::thread::sleep(Duration::from_millis(100));
        let last = std::mem::replace(&mut usage, group.usage());
        if last == usage {
            return;
        }
    }
}

fn with_threads<T>(number: usize, look: impl FnOnce() -> T) -> T {
    let (here, over) = (Arc::new(Barrier::new(number + 1)), Arc::new(Barrier::new(number + 1)));
    let threads: Vec<_> = (0..number)
        .map(|_| {
            let (here, over) = (Arc::clone(&here), Arc::clone(&over));
            std::thread::spawn(move || {
                here.wait();
                over.wait();
            })
        })
        .collect();
    here.wait();
    let seen = look();
    over.wait();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
    seen
}

fn threads(reader: &MemoryReader, group: &Group, number: usize) -> [Reading; 2] {
    let before = reading(reader, group, &[]);
    [before, with_threads(number, || reading(reader, group, &[]))]
}

fn processes(reader: &MemoryReader, group: &Group, number: usize) -> [Reading; 2] {
    let before = reading(reader, group, &[]);
    let (gate, ready) = (pipe(false).unwrap(), pipe(false).unwrap());
    let life = |gate: &Ends, ready: &Ends| {
        close_copy(gate.writer.as_fd());
        let told = switchcost::sys::channel::write_byte(&ready.writer, 1).is_ok();
        i32::from(!told || read_byte(&gate.reader).is_err())
    };
    let children: Vec<_> = (0..number).map(|_| fork_running(|| life(&gate, &ready)).unwrap()).collect();
    for _ in 0..number {
        read_byte(&ready.reader).unwrap();
    }
    let after = reading(reader, group, &children);
    drop(gate);
    let deadline = Instant::now() + Duration::from_secs(10);
    children.into_iter().for_each(|child| assert!(end_by(child, deadline)));
    [before, after]
}
