//! Tasks that make no system call are counted only by the mechanism that reports them. Each is an allocation at least,
//! and the allocator is this test's own.
#![allow(clippy::unwrap_used)]

use std::alloc::System;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use switchcost::harness::{Choice, PlannedBenchmark, plan};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations of a task.
const TASKS: &[(&str, f64)] = &[
    ("creation/boxed_future", 1.0),
    ("creation/tokio_task", 1.0),
    ("creation/smol_task", 1.0),
    ("creation/may_coroutine", 6.0),
    ("creation/rayon_scope", 1.0),
    ("footprint/tokio_task", 1.0),
    ("footprint/smol_task", 1.0),
    ("footprint/may_coroutine", 6.0),
];

/// Allocations of a lap of `tasks` tasks, when what grows once has grown.
fn allocations(id: &str, tasks: u64) -> f64 {
    const LAPS: u64 = 8;
    let number = if id.starts_with("creation") { "alive" } else { "tasks" };
    let parameters = [(number.to_string(), tasks.to_string())].into_iter().collect();
    let choice = Choice { parameters, ..Choice::default() };
    let planned = plan(&choice, |planned| planned.starts_with(&format!("{id}/unpinned"))).unwrap();
    let Some(PlannedBenchmark::Ready(benchmark)) = planned.first() else { panic!("{id}: {planned:?}") };
    let mut driver = benchmark.start(|| Ok(())).unwrap();
    driver.run(LAPS * tasks).unwrap();
    let before = ALLOCATOR.stats().allocations;
    driver.run(LAPS * tasks).unwrap();
    let after = ALLOCATOR.stats().allocations;
    driver.stop().unwrap();
    (after - before) as f64 / LAPS as f64
}

/// One test, because what others allocate would count. Between two numbers of tasks, so that what a lap allocates
/// whatever it creates falls out.
#[test]
fn tasks_are_allocated_as_often_as_the_mechanism_says_they_are_created() {
    const FEW: u64 = 50;
    const MANY: u64 = 250;
    let mut failures = Vec::new();
    for (id, expected) in TASKS {
        let each = (allocations(id, MANY) - allocations(id, FEW)) / (MANY - FEW) as f64;
        println!("{id}: {each} allocations a task");
        if (each - expected).abs() > 0.3 * expected {
            failures.push(format!("{id}: {each} allocations a task, expected {expected}"));
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
