//! Every entry of the registry, in every placement that this machine offers: does it run, count, end, leave nothing
//! behind, and do per operation what its descriptor says?
//!
//! Small parameters throughout: what is checked does not depend on the size. What this machine cannot run or cannot
//! watch is printed with its reason (`cargo test -- --nocapture` shows it) and is no failure.
#![allow(clippy::unwrap_used)]

mod own_process;
mod patience;
mod trial;

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use patience::patience;
use switchcost::crew::Failure;
use switchcost::harness::{Auditor, Benchmark, Choice, Planned, plan};
use switchcost::mechanism::{Bound, Descriptor, Domain, GROUPS, Parameters, Placement, Tasks, Value, registry};
use switchcost::record::AuditRecord;
use trial::{Belongings, SMALL, settings};

/// Every benchmark to check; what cannot be planned here is printed.
/// Every mechanism in every placement, and each of its other settings in one of them: a parameter changes what is done,
/// a placement where, and both at once nothing that one of them does not.
fn benchmarks() -> Vec<Benchmark> {
    let mut seen = BTreeSet::new();
    let planned = plan(&Choice::default(), |_| true).unwrap();
    let mut benchmarks = Vec::new();
    for planned in planned {
        match planned {
            Planned::Ready(benchmark) => match benchmark.mechanism.probe() {
                Ok(()) => {
                    let settings = settings(benchmark.descriptor());
                    let first = seen.insert(benchmark.descriptor().id);
                    let few = if first { settings.len() } else { 1 };
                    let set = |parameters| Benchmark { parameters, ..benchmark.clone() };
                    benchmarks.extend(settings.into_iter().take(few).map(set));
                }
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

/// Which share of the benchmarks a process of [`instances_run_and_end`] takes: `1/3`.
const SHARE: &str = "SWITCHCOST_CONFORMANCE_SHARE";
/// An instance mostly waits: for a disk, a timer, a task to end. So a few go side by side, but not in one process, where
/// one would see what the other is about to leave.
const SHARES: usize = 3;

/// Runs [`instances_run_and_end`] in processes and folders of their own, where whatever is left behind is its doing.
#[test]
fn every_benchmark_runs_counts_and_leaves_nothing_behind() {
    std::thread::scope(|scope| {
        for share in 0..SHARES {
            scope.spawn(move || {
                own_process::run_with("instances_run_and_end", &[(SHARE, &format!("{share}/{SHARES}"))]);
            });
        }
    });
}

#[test]
#[ignore = "every_benchmark_runs_counts_and_leaves_nothing_behind runs it"]
fn instances_run_and_end() {
    let share = std::env::var(SHARE).unwrap_or_else(|_| "0/1".into());
    let (share, shares) = share.split_once('/').unwrap();
    let (share, shares): (usize, usize) = (share.parse().unwrap(), shares.parse().unwrap());
    let all = benchmarks().into_iter().enumerate();
    let benchmarks: Vec<Benchmark> = all.filter(|(index, _)| index % shares == share).map(|(_, one)| one).collect();
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
    let mut driver = match benchmark.start_within(patience()) {
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

/// Audits take most of their time waiting for tasks to settle, so a few go side by side.
const AUDITS_AT_ONCE: usize = 4;
/// How often an audit that differed among others may differ alone before that counts.
const ATTEMPTS: usize = 4;
/// How many that are wrong are told of: where a loop is broken, every benchmark that shares it is, and each may hang
/// until its patience ends.
const ENOUGH: usize = 3;

/// How many may differ among others before they are looked at alone.
const MANY: usize = 8;

#[test]
fn every_benchmark_does_what_its_descriptor_says() {
    let benchmarks = benchmarks();
    let auditor = Auditor::with_program(env!("CARGO_BIN_EXE_switchcost")).patience(patience());
    let next = AtomicUsize::new(0);
    while next.load(Ordering::Relaxed) < benchmarks.len() {
        let mut differ = Vec::new();
        for (ran, benchmark) in audit_on(&auditor, &benchmarks, &next) {
            differ.extend(confirm(&auditor, benchmark));
            // Those that do not end take their time, and share what is broken as a rule.
            if differ.len() >= if ran { ENOUGH } else { 1 } {
                break;
            }
        }
        assert!(differ.is_empty(), "audits that differ, or some of them:\n{}", differ.join("\n"));
    }
    println!("{} audits agree", benchmarks.len());
}

/// Audits from `next` on until all are done or too much is wrong; returns those that differ, and whether they ran to
/// their end, first those that did not.
fn audit_on<'a>(auditor: &Auditor, benchmarks: &'a [Benchmark], next: &AtomicUsize) -> Vec<(bool, &'a Benchmark)> {
    let suspects = Mutex::new(Vec::new());
    let enough = || {
        let suspects: Vec<(bool, _)> = suspects.lock().unwrap().clone();
        suspects.len() >= MANY || suspects.iter().filter(|(ran, _)| !ran).count() >= ENOUGH
    };
    std::thread::scope(|scope| {
        for _ in 0..AUDITS_AT_ONCE {
            scope.spawn(|| {
                while !enough()
                    && let Some(benchmark) = benchmarks.get(next.fetch_add(1, Ordering::Relaxed))
                {
                    if let Err(wrong) = audit(auditor, benchmark) {
                        println!("{}", wrong.differences);
                        suspects.lock().unwrap().push((wrong.ran, benchmark));
                    }
                }
            });
        }
    });
    let mut suspects = suspects.into_inner().unwrap();
    suspects.sort_by_key(|(ran, _)| *ran);
    suspects
}

/// How the audit of `benchmark` alone differs, if it does every time. Neighbours take CPUs away in the middle of things,
/// which changes who sleeps and who is woken; what a mechanism does wrong it does wrong alone as well.
fn confirm(auditor: &Auditor, benchmark: &Benchmark) -> Option<String> {
    let mut last = None;
    for _ in 0..ATTEMPTS {
        let wrong = audit(auditor, benchmark).err()?;
        let ran = wrong.ran;
        last = Some(wrong.differences);
        if !ran {
            break;
        }
    }
    last
}

/// An audit that differs.
struct Wrong {
    differences: String,
    /// Whether the mechanism ran to its end at all.
    ran: bool,
}

/// Prints what could not be checked.
fn audit(auditor: &Auditor, benchmark: &Benchmark) -> Result<(), Wrong> {
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
        some => Err(Wrong { differences: some.join("\n"), ran: record.ran_to_its_end() }),
    }
}
