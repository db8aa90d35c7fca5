//! Every entry of the registry, in every placement that this machine offers: does it run, count, end, leave nothing
//! behind, and do per operation what its descriptor says?
//!
//! Small parameters throughout: what is checked does not depend on the size. What this machine cannot run or cannot
//! watch is printed with its reason (`cargo test -- --nocapture` shows it) and is no failure.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use nix::errno::Errno;
use nix::sys::wait::{WaitPidFlag, waitpid};
use switchcost::crew::Failure;
use switchcost::harness::{Auditor, Benchmark, Choice, Planned, plan};
use switchcost::mechanism::{Bound, Descriptor, Domain, GROUPS, Parameters, Placement, Tasks, Value, registry};
use switchcost::record::AuditRecord;
use switchcost::sys::process::open_descriptors;

/// Tasks, depths, bytes: enough to tell them apart.
const SMALL: u64 = 8;
/// Another small number, for parameters whose default is smaller than [`SMALL`]: how many are alive at once.
const OTHER: u64 = 3;

/// The settings under which a mechanism must conform: all small, and from there each word and each number that is 1 or
/// 0 by default changed once.
fn settings(descriptor: &Descriptor) -> Vec<Parameters> {
    let mut small = Parameters::defaults(descriptor);
    for parameter in descriptor.parameters {
        if let Domain::Number { default, min, .. } = parameter.domain {
            small = small.with(parameter, Value::Number(default.min(SMALL).max(min)));
        }
    }
    let mut settings = vec![small.clone()];
    for parameter in descriptor.parameters {
        match parameter.domain {
            Domain::Word { words } => {
                let others = words[1..].iter();
                settings.extend(others.map(|word| small.clone().with(parameter, Value::Word((*word).into()))));
            }
            Domain::Number { default, min, max } if default <= 1 && (min..=max).contains(&OTHER) => {
                settings.push(small.clone().with(parameter, Value::Number(OTHER)));
            }
            Domain::Number { .. } => {}
        }
    }
    settings
}

/// Every benchmark to check; what cannot be planned here is printed.
fn benchmarks() -> Vec<Benchmark> {
    let planned = plan(&Choice::default(), |_| true).unwrap();
    let mut benchmarks = Vec::new();
    for planned in planned {
        match planned {
            Planned::Ready(benchmark) => match benchmark.mechanism.probe() {
                Ok(()) => benchmarks.extend(
                    settings(benchmark.descriptor())
                        .into_iter()
                        .map(|parameters| Benchmark { parameters, ..benchmark.clone() }),
                ),
                Err(reason) => println!("{}: unsupported: {reason}", benchmark.id()),
            },
            Planned::Unsupported { id, reason, .. } => println!("{id}: unsupported: {reason}"),
        }
    }
    benchmarks
}

/// The registry itself, which is static, is checked for contradictions.
#[test]
fn descriptors_are_sane() {
    let mut ids = BTreeSet::new();
    for mechanism in registry() {
        let descriptor = mechanism.descriptor();
        let id = descriptor.id;
        assert!(ids.insert(id), "{id} stands in the registry twice");
        assert!(GROUPS.iter().any(|group| group.name == descriptor.group()), "{id}: no such group");
        assert!(!descriptor.isolates.is_empty() && !descriptor.source.is_empty(), "{id}: what, and by what source?");
        let baseline = registry().iter().map(|other| other.descriptor()).find(|other| other.id == descriptor.baseline);
        let baseline = baseline.unwrap_or_else(|| panic!("{id}: its baseline {} does not exist", descriptor.baseline));
        assert_eq!(baseline.group(), descriptor.group(), "{id}: the baseline answers another question");
        assert_eq!(baseline.unit, descriptor.unit, "{id}: the baseline has another unit");
        assert!(Placement::ALL.iter().any(|placement| descriptor.fits(*placement)), "{id} fits no placement");
        check_parameters(descriptor);
        for parameters in settings(descriptor).iter().chain([&Parameters::defaults(descriptor)]) {
            check_choice(descriptor, parameters);
        }
    }
    for group in GROUPS {
        assert!(registry().iter().any(|m| m.descriptor().group() == group.name), "{}: an empty group", group.name);
    }
}

fn check_parameters(descriptor: &Descriptor) {
    let id = descriptor.id;
    let mut names = BTreeSet::from(["idle", "placement"]);
    for parameter in descriptor.parameters {
        let name = parameter.name;
        assert!(names.insert(name), "{id}: {name} is declared twice, or is an option of every benchmark");
        assert!(!parameter.meaning.is_empty(), "{id}: what is {name}?");
        match parameter.domain {
            Domain::Number { default, min, max } => {
                assert!((min..=max).contains(&default), "{id}: {name}={default} is not from {min} to {max}");
            }
            Domain::Word { words } => {
                let different: BTreeSet<_> = words.iter().collect();
                assert!(different.len() == words.len() && words.len() > 1, "{id}: {name} is no choice: {words:?}");
            }
        }
    }
    if let Some(tasks) = descriptor.parameter("tasks") {
        let demand = |number| {
            let demand = (descriptor.demand)(&Parameters::defaults(descriptor).with(tasks, Value::Number(number)));
            demand.descriptors + demand.threads + demand.processes
        };
        // Tasks of a runtime that hold no descriptor take memory alone.
        let bounded = descriptor.tasks == Tasks::OneThread && demand(SMALL) <= 2 * SMALL;
        assert!(bounded || demand(2 * SMALL) > demand(SMALL), "{id}: twice the tasks take no more of any limit");
    }
}

fn check_choice(descriptor: &Descriptor, parameters: &Parameters) {
    let id = descriptor.id;
    let lap = (descriptor.lap)(parameters);
    assert!(lap >= 1, "{id}: a lap of no operations");
    assert_eq!(descriptor.whole_laps(parameters, lap + 1), 2 * lap, "{id}");
    for placement in Placement::ALL.into_iter().filter(|placement| descriptor.fits(*placement)) {
        let expected = (descriptor.expects)(parameters, placement);
        for calls in [&expected.calls, &expected.set_up] {
            let names: BTreeSet<_> = calls.iter().map(|(name, _)| name).collect();
            assert_eq!(names.len(), calls.len(), "{id}: it expects a call twice: {calls:?}");
        }
        let bounds = expected.calls.iter().chain(&expected.set_up).map(|(_, bound)| *bound);
        let others = [expected.others, expected.voluntary, expected.switches, expected.wakeups];
        for bound in bounds.chain(others) {
            let sane = match bound {
                Bound::Exactly(value) | Bound::AtMost(value) => value >= 0.0 && value.is_finite(),
                Bound::Between(least, most) => 0.0 <= least && least <= most && most.is_finite(),
                Bound::Depends => true,
            };
            assert!(sane, "{id}: it expects {bound}");
        }
    }
}

/// Runs [`instances_run_and_end`] in a process and a folder of its own, where whatever is left behind is its doing.
#[test]
fn every_benchmark_runs_counts_and_leaves_nothing_behind() {
    let scratch = tempfile::tempdir().unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        // One test thread is the main thread: no thread of the test's own comes or goes.
        .args(["instances_run_and_end", "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env("TMPDIR", scratch.path())
        .current_dir(scratch.path())
        .output()
        .unwrap();
    println!("{}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
#[ignore = "every_benchmark_runs_counts_and_leaves_nothing_behind runs it"]
fn instances_run_and_end() {
    let benchmarks = benchmarks();
    assert!(!benchmarks.is_empty(), "this machine runs nothing at all");
    // What a process opens once, at first use, is not left behind.
    for benchmark in &benchmarks {
        run(benchmark);
    }
    Belongings::settle();
    for benchmark in &benchmarks {
        let before = Belongings::now();
        run(benchmark);
        Belongings::now_at_last(&before).unwrap_or_else(|more| panic!("{}: left behind: {more}", benchmark.id()));
    }
    let before = Belongings::now();
    // Neither does an audit that comes to nothing leave anything.
    for program in ["/bin/true", "/nonexistent/program"] {
        Auditor::with_program(program).audit(&benchmarks[0]);
        Belongings::now_at_last(&before).unwrap_or_else(|more| panic!("an audit with {program}: left behind: {more}"));
    }
    println!("{} benchmarks ran", benchmarks.len());
}

/// One lap, and three.
fn run(benchmark: &Benchmark) {
    let id = benchmark.id();
    let mut driver = match benchmark.start(|| Ok(())) {
        Ok(driver) => driver,
        Err(Failure::Unsupported(reason)) => return println!("{id}: unsupported: {reason}"),
        Err(failure) => panic!("{id}: {failure}"),
    };
    let lap = benchmark.whole_laps(1);
    for ops in [lap, 3 * lap] {
        let batch = driver.run(ops).unwrap_or_else(|failure| panic!("{id}: {failure}"));
        assert_eq!(batch.ops.0, ops, "{id}");
        assert!(batch.elapsed.0 > 0, "{id}: {ops} operations in no time");
    }
    driver.stop().unwrap_or_else(|failure| panic!("{id}: {failure}"));
}

/// What this process has.
#[derive(PartialEq)]
struct Belongings {
    descriptors: Vec<i32>,
    threads: usize,
    children: bool,
    files: Vec<String>,
}

impl Belongings {
    fn now() -> Self {
        let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WALL;
        Self {
            descriptors: open_descriptors().unwrap(),
            threads: names_in(Path::new("/proc/self/task")).len(),
            children: waitpid(None, Some(flags)) != Err(Errno::ECHILD),
            files: named_files(),
        }
    }

    /// Waits until nothing has changed for a while: a thread that is about to end is not there for good.
    fn settle() {
        let (mut last, mut unchanged) = (Self::now(), 0);
        while unchanged < 30 {
            std::thread::sleep(std::time::Duration::from_millis(10));
            let now = Self::now();
            unchanged = if now == last { unchanged + 1 } else { 0 };
            last = now;
        }
    }

    /// What there is more of than `before`, once the kernel has had time: a joined thread stays in /proc for a moment
    /// (the join waits for its memory, not for its end), and a closed ring ends its workers later.
    fn now_at_last(before: &Self) -> Result<(), String> {
        let mut now = Self::now();
        for _ in 0..500 {
            if now == *before {
                return Ok(());
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
            now = Self::now();
        }
        let new = |fd: &&i32| !before.descriptors.contains(fd);
        let target = |fd: &i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
        let descriptors: Vec<_> = now.descriptors.iter().filter(new).map(target).collect();
        let (was, is) = (before.threads, now.threads);
        Err(format!(
            "descriptors {descriptors:?}, threads {was} before and {is} after, a child process: {}, files {:?}",
            now.children, now.files
        ))
    }
}

/// The files below this process's own temporary folder, and those with its number in their name where other processes'
/// names are too.
fn named_files() -> Vec<String> {
    let mine = std::process::id();
    let marks = [mine.to_string(), format!("s{mine:x}.")];
    let shared = ["/dev/shm", "/dev/mqueue"].into_iter().flat_map(|folder| names_in(Path::new(folder)));
    let shared = shared.filter(|name| marks.iter().any(|mark| name.contains(mark)));
    names_in(&std::env::temp_dir()).into_iter().chain(shared).collect()
}

fn names_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).into_iter().flatten().flatten();
    names.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

/// Audits take most of their time waiting for tasks to settle, so a few go side by side.
const AUDITS_AT_ONCE: usize = 4;
/// How often an audit that differed among others may differ alone before that counts.
const ATTEMPTS: usize = 4;

#[test]
fn every_benchmark_does_what_its_descriptor_says() {
    let benchmarks = benchmarks();
    let auditor = Auditor::with_program(env!("CARGO_BIN_EXE_switchcost"));
    let (next, suspects) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AUDITS_AT_ONCE {
            scope.spawn(|| {
                while let Some(benchmark) = benchmarks.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(differences) = audit(&auditor, benchmark) {
                        println!("{differences}");
                        suspects.lock().unwrap().push(benchmark);
                    }
                }
            });
        }
    });
    // Neighbours take CPUs away in the middle of things, which changes who sleeps and who is woken. What a mechanism
    // does wrong it does wrong every time, alone as well.
    let alone = |benchmark: &Benchmark| (0..ATTEMPTS).map(|_| audit(&auditor, benchmark)).find_map(Result::ok);
    let mut suspects = suspects.into_inner().unwrap();
    suspects.retain(|benchmark| alone(benchmark).is_none());
    let differ: Vec<String> = suspects.into_iter().filter_map(|benchmark| audit(&auditor, benchmark).err()).collect();
    assert!(differ.is_empty(), "audits that differ:\n{}", differ.join("\n"));
    println!("{} audits agree", benchmarks.len());
}

/// Prints what could not be checked.
fn audit(auditor: &Auditor, benchmark: &Benchmark) -> Result<(), String> {
    let record = auditor.audit(benchmark);
    let id = benchmark.id();
    for unchecked in &record.unchecked {
        println!("{id}: not checked: {}: {}; {}", unchecked.what, unchecked.reason, unchecked.remedy);
    }
    let differences = |record: &AuditRecord| -> Vec<String> {
        let told = |check: &switchcost::record::Check| {
            format!("{id}: {}: {:.4} per op, expected {}", check.what, check.observed, check.expected)
        };
        record.differences().map(told).collect()
    };
    match differences(&record) {
        none if none.is_empty() => Ok(()),
        some => Err(some.join("\n")),
    }
}
