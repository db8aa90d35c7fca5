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

use patience::timeout;
use switchcost::crew::Failure;
use switchcost::harness::{Auditor, Benchmark, Choice, MOST_ATTEMPTS, PlannedBenchmark, plan};
use switchcost::mechanism::{Bound, Descriptor, Expectation, GROUPS, Mechanism, Tasks, registry};
use switchcost::record::{AuditCheck, AuditRecord};
use switchcost::terms::{Domain, Parameters, Placement, Value};
use trial::floor::Floor;
use trial::{Belongings, SMALL, settings};

/// Every mechanism in every placement, and each of its other settings in one of them: a parameter changes what is done,
/// a placement where, and both at once nothing that one of them does not. What cannot be planned here is printed, and
/// told to the floor.
fn benchmarks(floor: &mut Floor) -> Vec<Benchmark> {
    let mut seen = BTreeSet::new();
    let planned = plan(&Choice::default(), |_| true).unwrap();
    let mut benchmarks = Vec::new();
    for planned in planned {
        let (id, descriptor) = (planned.id(), planned.mechanism().descriptor());
        let lacking = match &planned {
            PlannedBenchmark::Unsupported { reason, .. } => Some(reason.clone()),
            PlannedBenchmark::Ready(benchmark) => benchmark.mechanism.probe().err(),
        };
        if let Some(reason) = lacking {
            println!("{id}: unsupported: {reason}");
            for parameters in settings(descriptor) {
                floor.lacking(&setting(descriptor, &parameters), reason.to_string());
            }
            continue;
        }
        let PlannedBenchmark::Ready(benchmark) = planned else { continue };
        let settings = settings(descriptor);
        let few = if seen.insert(descriptor.id) { settings.len() } else { 1 };
        let set = |parameters| benchmark.with_parameters(parameters);
        benchmarks.extend(settings.into_iter().take(few).map(set));
    }
    benchmarks
}

/// A mechanism and its parameters, wherever it runs.
fn setting(descriptor: &Descriptor, parameters: &Parameters) -> String {
    format!("{} {parameters:?}", descriptor.id)
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
        check_parameters(*mechanism);
        for parameters in settings(descriptor).iter().chain([&descriptor.defaults()]) {
            check_choice(descriptor, parameters);
        }
    }
    for group in GROUPS {
        assert!(registry().iter().any(|m| m.descriptor().group() == group.name), "{}: an empty group", group.name);
    }
}

fn check_parameters(mechanism: &dyn Mechanism) {
    let descriptor = mechanism.descriptor();
    let (id, defaults) = (descriptor.id, descriptor.defaults());
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
            let demand = (descriptor.resources)(&defaults.clone().with(tasks, Value::Number(number)));
            demand.descriptors + demand.threads + demand.processes
        };
        // Tasks of a runtime that hold no descriptor take memory alone.
        let bounded = mechanism.tasks(&defaults) == Tasks::OneThread && demand(SMALL) <= 2 * SMALL;
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
/// An instance mostly waits: for a disk, a timer, a task to end. So a few go side by side, but not in one process,
/// where one would see what the other is about to leave.
const SHARES: usize = 3;

/// Runs [`instances_run_and_end`] in processes and folders of their own, where all that is left behind is from them.
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
    let all = benchmarks(&mut Floor::default()).into_iter().enumerate();
    let benchmarks: Vec<Benchmark> = all.filter(|(index, _)| index % shares == share).map(|(_, one)| one).collect();
    assert!(!benchmarks.is_empty(), "this machine runs nothing at all");
    let mut failures = Vec::new();
    // What a process opens once, at first use, is not left behind. Those that fail are not run again: each may hang.
    let benchmarks: Vec<_> = benchmarks
        .iter()
        .filter(|benchmark| failures.len() < ENOUGH && run(benchmark).map_err(|told| failures.push(told)).is_ok())
        .collect();
    Belongings::settle();
    for benchmark in &benchmarks {
        let before = Belongings::now();
        failures.extend(run(benchmark).err());
        if let Err(more) = Belongings::now_at_last(&before) {
            failures.push(format!("{}: left behind: {more}", benchmark.id()));
        }
        if failures.len() >= ENOUGH {
            break;
        }
    }
    // Neither does an audit that comes to nothing leave anything.
    if let Some(benchmark) = benchmarks.first() {
        let before = Belongings::now();
        for program in ["/bin/true", "/nonexistent/program"] {
            Auditor::with_program(program).audit(benchmark);
            if let Err(more) = Belongings::now_at_last(&before) {
                failures.push(format!("an audit with {program}: left behind: {more}"));
            }
        }
    }
    assert!(failures.is_empty(), "{} failures{}:\n{}", failures.len(), all_of(&failures), failures.join("\n"));
    println!("{} benchmarks ran", benchmarks.len());
}

/// Where a loop is broken, every benchmark that shares it is, and each may hang until its timeout ends.
const ENOUGH: usize = 10;

fn all_of(failures: &[String]) -> &'static str {
    if failures.len() >= ENOUGH { ", and what comes behind them was not looked at" } else { "" }
}

/// One lap, and three.
fn run(benchmark: &Benchmark) -> Result<(), String> {
    let id = benchmark.id();
    let told = |failure: Failure| format!("{id}: {failure}");
    let mut driver = match benchmark.start_within(timeout()) {
        Ok(driver) => driver,
        Err(Failure::Unsupported(reason)) => {
            println!("{id}: unsupported: {reason}");
            return Ok(());
        }
        Err(failure) => return Err(told(failure)),
    };
    let lap = benchmark.whole_laps(1);
    for ops in [lap, 3 * lap] {
        let batch = driver.run(ops).map_err(told)?;
        if batch.ops.0 != ops || batch.amount.0 == 0 {
            return Err(format!("{id}: {} operations in {} ns, asked for {ops}", batch.ops.0, batch.amount.0));
        }
    }
    driver.stop().map_err(told)
}

/// Small settings hide what a default outgrows: a queue of submissions shorter than the reads of 500 tasks. Here each
/// word of each mechanism that has tasks is set up with as many of them as by default. In a process of its own:
/// mechanisms count the threads that a library starts, and other tests start threads.
#[test]
fn every_word_can_be_set_up_with_the_default_number_of_tasks() {
    own_process::run_with("words_are_set_up", &[]);
}

#[test]
#[ignore = "every_word_can_be_set_up_with_the_default_number_of_tasks runs it"]
fn words_are_set_up() {
    let planned = plan(&Choice::default(), |id| id.contains("/same-cpu")).unwrap();
    let mut faults = Vec::new();
    for planned in planned {
        let PlannedBenchmark::Ready(benchmark) = planned else { continue };
        let descriptor = benchmark.descriptor();
        if descriptor.parameter("tasks").is_none() || descriptor.group() == "footprint" {
            continue;
        }
        let defaults = Parameters::defaults(descriptor.parameters);
        let words = descriptor.parameters.iter().filter_map(|parameter| match parameter.domain {
            Domain::Word { words } => Some(words.iter().map(move |word| (parameter, Value::Word((*word).into())))),
            Domain::Number { .. } => None,
        });
        for (parameter, value) in words.flatten() {
            let set = benchmark.with_parameters(defaults.clone().with(parameter, value));
            let done = set.start_within(timeout()).and_then(|mut driver| {
                driver.run(set.whole_laps(1))?;
                driver.stop()
            });
            match done {
                Ok(()) => {}
                Err(Failure::Unsupported(reason)) => println!("{}: unsupported: {reason}", set.id()),
                Err(failure) => faults.push(format!("{}: {failure}", set.id())),
            }
        }
    }
    assert!(faults.is_empty(), "{} faults:\n{}", faults.len(), faults.join("\n"));
}

/// Audits take most of their time waiting for tasks to settle, so a few go side by side.
const AUDITS_AT_ONCE: usize = 6;

/// Each audit is made at most three times in all: once beside others, and, if it differs, twice alone. Neighbours take
/// CPUs away in the middle of things, which changes who sleeps and who is woken; what a mechanism does wrong every
/// second time it does wrong three times in a row once in eight, and each one that needed a second attempt is printed.
#[test]
fn every_benchmark_does_what_its_descriptor_says() {
    let mut floor = Floor::default();
    let benchmarks = benchmarks(&mut floor);
    let auditor = Auditor::with_program(env!("CARGO_BIN_EXE_switchcost")).timeout(timeout());
    let (beside, alone) = (auditor.clone().attempts(1), auditor.attempts(MOST_ATTEMPTS - 1));
    let (mut differ, mut late, mut hung) = (Vec::new(), Vec::new(), 0);
    for (benchmark, record) in benchmarks.iter().zip(audit_all(&beside, &benchmarks)) {
        let Some(mut record) = record else {
            differ.push(format!("{}: not looked at: too many did not run to their end", benchmark.id()));
            continue;
        };
        // One that hung does so again, and takes its time.
        if record.differences().next().is_some() && record.ran_to_its_end() && hung < ENOUGH {
            let first = differences(benchmark, &record);
            record = alone.audit(benchmark);
            record.attempts += 1;
            if record.agreed_late() {
                late.push(format!("{}: {}; before that:\n{first}", benchmark.id(), record.told()));
            }
        }
        tell(benchmark, &record, &mut floor);
        differ.extend(expected_of_another_placement(benchmark, &record));
        if record.differences().next().is_some() {
            hung += usize::from(!record.ran_to_its_end());
            differ.push(differences(benchmark, &record));
        }
    }
    println!("{} audits that agreed on a later attempt:\n{}", late.len(), late.join("\n"));
    let missing = floor.check();
    assert!(differ.is_empty(), "{} audits that differ:\n{}", differ.len(), differ.join("\n"));
    assert!(missing.is_empty(), "below the floor, {} were audited nowhere:\n{}", missing.len(), missing.join("\n"));
}

/// One audit of each; none from where too many have hung. The last ones begin: timers, and what waits for the kernel to
/// free memory, take longest, and would go on alone at the end.
fn audit_all(auditor: &Auditor, benchmarks: &[Benchmark]) -> Vec<Option<AuditRecord>> {
    let (next, hung) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let records = Mutex::new(vec![None; benchmarks.len()]);
    std::thread::scope(|scope| {
        for _ in 0..AUDITS_AT_ONCE {
            scope.spawn(|| {
                while hung.load(Ordering::Relaxed) < ENOUGH {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(index) = benchmarks.len().checked_sub(index + 1) else { break };
                    let benchmark = &benchmarks[index];
                    let record = auditor.audit(benchmark);
                    hung.fetch_add(usize::from(!record.ran_to_its_end()), Ordering::Relaxed);
                    records.lock().unwrap()[index] = Some(record);
                }
            });
        }
    });
    records.into_inner().unwrap()
}

fn differences(benchmark: &Benchmark, record: &AuditRecord) -> String {
    let told = |check: &AuditCheck| {
        format!("{}: {}: {}, expected {}", benchmark.id(), check.what, check.seen(), check.expected)
    };
    record.differences().map(told).collect::<Vec<_>>().join("\n")
}

/// What the record shows as expected must be what the descriptor says of the benchmark's own placement.
fn expected_of_another_placement(benchmark: &Benchmark, record: &AuditRecord) -> Option<String> {
    let own = (benchmark.descriptor().expects)(&benchmark.setting.parameters, benchmark.setting.placement);
    let bounds = [("voluntary switches", own.voluntary), ("switches", own.switches), ("wakeups", own.wakeups)];
    let named = own.calls.iter().map(|(name, bound)| (name.as_str(), *bound));
    let other = bounds.into_iter().chain(named).find_map(|(what, bound)| {
        let check = record.checks.iter().find(|check| check.what == what)?;
        (check.expected != bound.to_string()).then(|| format!("{what}: {} and not {bound}", check.expected))
    });
    other.map(|other| format!("{}: judged by what another placement does: {other}", benchmark.id()))
}

/// Prints what could not be checked, and tells the floor whether calls and switches were.
fn tell(benchmark: &Benchmark, record: &AuditRecord, floor: &mut Floor) {
    let setting = setting(benchmark.descriptor(), &benchmark.setting.parameters);
    for not in &record.unchecked {
        println!("{}: not checked: {not}", benchmark.id());
    }
    let checked = |what: &str| record.checks.iter().any(|check| check.what == what);
    if checked(Expectation::OTHER_CALLS) && checked("voluntary switches") {
        floor.audited(&setting);
    } else {
        let told = record.unchecked.iter().map(|not| not.to_string());
        floor.lacking(&setting, told.collect::<Vec<_>>().join("; "));
    }
}

/// The floor itself: what is lacking must be named, by a word of its reason.
#[test]
fn what_was_audited_nowhere_is_missed_unless_the_environment_names_it() {
    let mut floor = Floor::default();
    floor.lacking("handoff/uring_futex a=1", "needs io_uring with IORING_OP_FUTEX_WAIT; here: ENOSYS".into());
    floor.lacking("handoff/pipe a=1", "no smt-sibling".into());
    floor.audited("handoff/pipe a=1");
    floor.lacking("handoff/pipe a=1", "no cross-node".into());
    floor.lacking("handoff/pipe a=2", "system calls: ptrace is forbidden".into());
    assert_eq!(floor.count(), (1, 3));
    let missing = |may_lack: &[&str]| -> Vec<String> {
        floor.missing(may_lack).iter().map(|told| told.split_once(':').unwrap().0.to_string()).collect()
    };
    assert_eq!(missing(&[""]), ["handoff/pipe a=2", "handoff/uring_futex a=1"]);
    assert_eq!(missing(&["io_uring"]), ["handoff/pipe a=2"]);
    assert!(missing(&["ptrace", "io_uring"]).is_empty());
}
