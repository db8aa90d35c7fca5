//! Latencies as mechanisms tell them: nothing that had to wait is left out, and what is known to delay does.
//!
//! No time is asserted but those that the test itself asks for.
#![allow(clippy::unwrap_used)]

use std::sync::{Mutex, MutexGuard, PoisonError};

use switchcost::harness::{Benchmark, Choice, PlannedBenchmark, plan};
use switchcost::terms::{Metric, MetricKey, ValueHistogram};

fn benchmark(id: &str, parameters: &[(&str, &str)]) -> Benchmark {
    let parameters = parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    let choice = Choice { parameters, ..Choice::default() };
    let mut planned = plan(&choice, |planned| planned.starts_with(id)).unwrap();
    match planned.pop() {
        Some(PlannedBenchmark::Ready(benchmark)) if planned.is_empty() => benchmark,
        other => panic!("{id}: {other:?} {planned:?}"),
    }
}

/// The distributions under `keys` after `ops` operations, the first batch being no part of them.
fn told<const N: usize>(benchmark: &Benchmark, ops: u64, keys: [MetricKey; N]) -> [ValueHistogram; N] {
    let mut driver = benchmark.start(|| Ok(())).unwrap();
    driver.run(1).unwrap();
    driver.metrics().unwrap();
    driver.run(ops).unwrap();
    let metrics = driver.metrics().unwrap();
    driver.stop().unwrap();
    keys.map(|key| {
        let values = metrics.iter().find_map(|metric| match metric {
            Metric::Distribution(found) if found.of == key => Some(found.values.clone()),
            _ => None,
        });
        values.unwrap_or_else(|| panic!("no {key}: {metrics:?}"))
    })
}

const MS: u64 = 1_000_000;

/// The tests load the machine, and lateness is what they look at: one at a time.
static ALONE: Mutex<()> = Mutex::new(());

fn alone() -> MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A server that stands still in the middle of a second in which 1000 requests come: those of the stall wait, evenly
/// from all of it down, so that one in a hundred of all waits longer than all but some 10 ms of it, and longer than
/// `least_ms`. Of requests that are only sent when there is an answer to the one before, one in a thousand would have
/// waited. Arrivals are irregular; how much it is to the millisecond is tested where the generator is, in time that
/// only passes there.
fn must_show_a_stall(id: &str, least_ms: u64, parameters: &[(&str, &str)]) {
    let [response, service] = told(&benchmark(id, parameters), 1000, [MetricKey::ResponseTime, MetricKey::ServiceTime]);
    assert_eq!((response.count(), service.count()), (1000, 1000), "{id}");
    let p99 = response.quantile(0.99);
    assert!(p99 > least_ms * MS, "{id}: {p99}");
    assert!(service.quantile(0.99) < p99 / 2, "{id}: one request in a thousand is slow to serve: {service:?}");
}

#[test]
fn a_stalled_worker_is_in_the_response_times_of_all_who_waited_for_it() {
    let _alone = alone();
    for (stall_ms, least_ms) in [("100", 80), ("1000", 900)] {
        let parameters = [("period_us", "1000"), ("stall_ms", stall_ms)];
        must_show_a_stall("wakeup/request/unpinned", least_ms, &parameters);
    }
}

#[test]
fn a_long_job_is_in_the_response_times_of_all_who_waited_for_it() {
    let _alone = alone();
    // A tenth of one CPU's time in jobs of 100 ms: one job in the second. How much work that is was found out when it
    // was set up; a CPU that was slowed then does it in less.
    const LEAST_MS: u64 = 50;
    let job = [("period_us", "1000"), ("cpu_share", "10"), ("work_us", "100000")];
    for id in ["fairness/event_loop/unpinned", "fairness/tokio/unpinned"] {
        must_show_a_stall(id, LEAST_MS, &job);
    }
    must_show_a_stall("fairness/thread_pool/unpinned", LEAST_MS, &[job[0], job[1], job[2], ("workers", "1")]);
}

/// The slack that each of this process's threads has, in nanoseconds (proc(5), `/proc/pid/timerslack_ns`).
fn slacks() -> Vec<u64> {
    let threads = std::fs::read_dir("/proc/self/task").unwrap();
    let read = |thread: std::fs::DirEntry| {
        let path = std::path::Path::new("/proc").join(thread.file_name()).join("timerslack_ns");
        std::fs::read_to_string(path).ok()?.trim().parse().ok()
    };
    threads.filter_map(|thread| read(thread.ok()?)).collect()
}

/// How late the promptest tenth of the sleepers was in the best of five tries, in nanoseconds, with the default slack
/// and with 1 ns. A busy neighbour delays most sleepers of a try, whatever their slack, but not all of five; the slack
/// delays every sleeper, except those that another timer's interrupt wakes early.
#[test]
fn timer_slack_makes_sleepers_late() {
    let _alone = alone();
    let mut threads_of_1ns = Vec::new();
    let mut late = |slack| {
        // Far longer than any usual lateness, so that no sleep begins after its end.
        let parameters = [("slack", slack), ("pause_us", "1000")];
        let benchmark = benchmark("wakeup/timer_nanosleep/same-cpu", &parameters);
        let mut driver = benchmark.start(|| Ok(())).unwrap();
        driver.run(1).unwrap();
        threads_of_1ns.push((slack, slacks().iter().filter(|slack| **slack == 1).count()));
        driver.stop().unwrap();
        let [lateness] = told(&benchmark, 256, [MetricKey::Lateness]);
        lateness.quantile(0.1)
    };
    const HALF_THE_SLACK: u64 = 25_000;
    let tries: Vec<(u64, u64)> = (0..5).map(|_| (late("default"), late("1ns"))).collect();
    let (default, least) = (tries.iter().map(|t| t.0).min().unwrap(), tries.iter().map(|t| t.1).min().unwrap());
    assert!(default >= least + HALF_THE_SLACK, "promptest tenth with the default slack and with 1 ns: {tries:?}");
    for (slack, threads) in threads_of_1ns {
        assert_eq!(threads > 0, slack == "1ns", "slack={slack}: {threads} threads have a slack of 1 ns");
    }
}
