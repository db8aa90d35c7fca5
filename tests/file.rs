//! What regular files do to an event loop: who is blocked in submission and who is not, and what poll, select and epoll
//! say.
//!
//! No time is looked at: a disk that others use has no order of times. What is looked at is in which system call the
//! driver sleeps (proc_pid_syscall(5)).
#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use switchcost::crew::Failure;
use switchcost::harness::{Benchmark, Choice, PlannedBenchmark, plan};
use switchcost::terms::{Metric, MetricKey, ValueHistogram};
use syscalls::Sysno;

/// The benchmark of that id.
fn benchmark(id: &str, set: &[(&str, &str)]) -> Benchmark {
    let parameters = set.iter().map(|(name, value)| ((*name).to_string(), (*value).to_string())).collect();
    let choice = Choice { parameters, ..Choice::default() };
    let mut planned = plan(&choice, |planned| planned.starts_with(&format!("{id}/unpinned"))).unwrap();
    let Some(PlannedBenchmark::Ready(benchmark)) = planned.pop() else { panic!("{id} is not planned") };
    benchmark
}

/// What a few hundred reads find out, and nothing where this machine has no disk for them.
fn found(id: &str, set: &[(&str, &str)]) -> Option<Vec<Metric>> {
    let mut driver = match benchmark(id, set).start(|| Ok(())) {
        Err(Failure::Unsupported(reason)) => {
            println!("{id}: unsupported: {reason}");
            return None;
        }
        started => started.unwrap(),
    };
    driver.run(8).unwrap();
    driver.metrics().unwrap();
    driver.run(400).unwrap();
    let metrics = driver.metrics().unwrap();
    driver.stop().unwrap();
    Some(metrics)
}

fn number(metrics: &[Metric], of: &MetricKey) -> f64 {
    match metrics.iter().find(|metric| metric.of() == of) {
        Some(Metric::Scalar(figure)) => figure.value,
        other => panic!("{of}: {other:?} in {metrics:?}"),
    }
}

fn values<'a>(metrics: &'a [Metric], of: &MetricKey) -> &'a ValueHistogram {
    match metrics.iter().find(|metric| metric.of() == of) {
        Some(Metric::Distribution(distribution)) => &distribution.values,
        other => panic!("{of}: {other:?} in {metrics:?}"),
    }
}

const COLD: MetricKey = MetricKey::ResidentBefore;
const UNASKED: MetricKey = MetricKey::PagesUnasked;

/// Where a driver was found asleep.
#[derive(Debug, Default)]
struct Asleep {
    /// In a call that hands reads over, or asks for readiness, and does not wait for an answer.
    submitting: u32,
    /// In a call that reads the file, and returns when it is read.
    reading: u32,
    /// In any other: it waits for completions, or for the thread that delivers them.
    waiting: u32,
}

impl Asleep {
    /// From the line of /proc/PID/syscall: the call's number and its arguments; nothing while the task runs.
    fn note(&mut self, line: &str) {
        let mut fields = line.split_whitespace();
        let Some(call) = fields.next().and_then(|number| number.parse::<usize>().ok()).and_then(Sysno::new) else {
            return;
        };
        let arguments: Vec<&str> = fields.collect();
        // io_uring_enter(2): the third argument is how many completions it waits for.
        let waits = arguments.get(2).is_some_and(|least| *least != "0x0");
        let place = match call.name() {
            "io_submit" | "poll" | "ppoll" | "select" | "pselect6" => &mut self.submitting,
            "io_uring_enter" if !waits => &mut self.submitting,
            "pread64" | "read" | "readv" | "preadv" | "preadv2" => &mut self.reading,
            // Between two batches the driver waits for the test, outside any batch; see `asleep`.
            _ => &mut self.waiting,
        };
        *place += 1;
    }

    fn all(&self) -> u32 {
        self.submitting + self.reading + self.waiting
    }
}

/// So many looks at a sleeping driver tell where it sleeps.
const LOOKS: u32 = 20;
/// Batches in which they must come; one of cold reads has ten times as many sleeps.
const BATCHES: u32 = 50;

/// Where the driver of `id` sleeps while it reads; `None` where it cannot run, or hardly ever sleeps.
fn asleep(id: &str, set: &[(&str, &str)]) -> Option<Asleep> {
    let mut driver = match benchmark(id, set).start(|| Ok(())) {
        Err(Failure::Unsupported(reason)) => {
            println!("{id} {set:?}: unsupported: {reason}");
            return None;
        }
        started => started.unwrap(),
    };
    let file = syscall_of(&format!("{}0", driver.prefix()));
    let mut asleep = Asleep::default();
    for _ in 0..BATCHES {
        // What is seen after the batch may be the driver's own wait for the next one.
        let over = AtomicBool::new(false);
        let batch = std::thread::scope(|scope| {
            let looking = scope.spawn(|| {
                let mut seen = Asleep::default();
                while !over.load(Ordering::Acquire) {
                    let line = std::fs::read_to_string(&file).unwrap();
                    if !over.load(Ordering::Acquire) {
                        seen.note(&line);
                    }
                }
                seen
            });
            let batch = driver.run(400);
            over.store(true, Ordering::Release);
            let seen = looking.join().unwrap();
            asleep.submitting += seen.submitting;
            asleep.reading += seen.reading;
            asleep.waiting += seen.waiting;
            batch
        });
        assert_eq!(batch.unwrap().ops.0, 400);
        if asleep.submitting + asleep.reading >= LOOKS || asleep.waiting >= 10 * LOOKS {
            break;
        }
    }
    let metrics = driver.metrics().unwrap();
    assert!(number(&metrics, &COLD) < 0.01, "{id} {set:?}: {metrics:?}");
    assert_eq!(number(&metrics, &UNASKED), 0.0, "{id} {set:?}");
    driver.stop().unwrap();
    println!("{id} {set:?}: {asleep:?}");
    if asleep.all() < LOOKS {
        println!("not checked: {id} {set:?} hardly ever sleeps: {asleep:?}");
        return None;
    }
    Some(asleep)
}

/// The file that tells in which call the task of that name is.
fn syscall_of(name: &str) -> PathBuf {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().map(|task| task.unwrap().path());
    let named = |task: &PathBuf| std::fs::read_to_string(task.join("comm")).is_ok_and(|comm| comm.trim() == name);
    tasks.into_iter().find(named).unwrap_or_else(|| panic!("no task is called {name}")).join("syscall")
}

/// Whether this disk makes readers sleep at all, without which no other test here has anything to see.
fn reads_sleep() -> bool {
    let Some(inline) = asleep("file/inline", &[]) else { return false };
    assert!(inline.reading >= LOOKS && inline.submitting == 0, "pread(2) of a cold block: {inline:?}");
    true
}

#[test]
fn a_cold_read_through_the_page_cache_blocks_io_submit_and_nobody_else() {
    if !reads_sleep() {
        return println!("not checked: a cold read does not make its reader sleep here");
    }
    let aio = asleep("file/aio", &[]).unwrap();
    assert!(aio.submitting >= LOOKS && aio.submitting > 9 * aio.reading, "through the page cache: {aio:?}");
    let others: [(&str, &[(&str, &str)]); 7] = [
        ("aio", &[("io", "direct")]),
        ("uring", &[]),
        ("uring", &[("io", "direct")]),
        ("uring", &[("ring", "sqpoll")]),
        ("pool", &[]),
        ("pool", &[("workers", "0")]),
        ("tokio_fs", &[]),
    ];
    let mut seen = 0;
    for (name, set) in others {
        let Some(asleep) = asleep(&format!("file/{name}"), set) else { continue };
        // Requests of others may have taken the disk's queue up, and then submission waits for room in it.
        let kept = asleep.submitting + asleep.reading;
        assert!(asleep.waiting > 9 * kept, "{name} {set:?}: submission waits for the disk: {asleep:?}");
        seen += 1;
    }
    assert!(seen > 0, "of no other way of reading was it seen where its driver sleeps");
}

#[test]
fn of_a_deep_wave_submission_is_told_once_and_completion_of_every_read() {
    for name in ["aio", "uring", "pool", "tokio_fs"] {
        let Some(metrics) = found(&format!("file/{name}"), &[("depth", "4")]) else { continue };
        let (submission, completion) =
            (values(&metrics, &MetricKey::Submission), values(&metrics, &MetricKey::Completion));
        assert_eq!((submission.count(), completion.count()), (100, 400), "{name}");
        // Where all are taken at the wave's end, the last one's time is everybody's.
        assert!(completion.max() > 0 && completion.quantile(0.5) <= completion.max(), "{name}");
    }
}

#[test]
fn whoever_blocks_has_no_completion_to_wait_for() {
    let Some(inline) = found("file/inline", &[]) else { return };
    assert_eq!(values(&inline, &MetricKey::Submission).count(), 400);
    assert!(!inline.iter().any(|metric| *metric.of() == MetricKey::Completion), "{inline:?}");
    // How much of the time is told of a fake's fixed times (core/src/mechanism/file/reading.rs).
    assert!((0.0..=1.0).contains(&number(&inline, &MetricKey::BlockedInSubmission)), "{inline:?}");
}

#[test]
fn cached_reads_find_the_whole_file_in_the_cache() {
    for name in ["file/inline", "file/tokio_fs"] {
        let Some(metrics) = found(name, &[("cache", "cached")]) else { continue };
        assert_eq!(number(&metrics, &COLD), 1.0, "{name}");
    }
}

#[test]
fn poll_and_select_call_a_file_ready_of_which_nothing_is_in_memory_and_the_read_blocks() {
    for ask in ["poll", "select"] {
        let Some(metrics) = found("file/poll", &[("ask", ask)]) else { return };
        assert!(number(&metrics, &COLD) < 0.01, "{ask}: {metrics:?}");
        assert_eq!(number(&metrics, &MetricKey::ReadyAtOnce), 1.0, "{ask}");
        assert_eq!(values(&metrics, &MetricKey::ReadinessCall).count(), 400, "{ask}");
        let Some(asleep) = asleep("file/poll", &[("ask", ask)]) else { continue };
        assert!(asleep.reading >= LOOKS && asleep.reading > 9 * asleep.submitting, "{ask}: {asleep:?}");
    }
}

#[test]
fn epoll_refuses_a_file_with_eperm_and_the_refusal_is_a_result() {
    match benchmark("file/epoll", &[]).start(|| Ok(())) {
        Err(Failure::Unsupported(reason)) if reason.0.what.starts_with("epoll") => {
            assert!(reason.0.why.contains("EPERM"), "{reason}");
        }
        Err(Failure::Unsupported(reason)) => println!("no file to show to epoll: {reason}"),
        other => panic!("epoll watches a regular file: {other:?}"),
    }
}
