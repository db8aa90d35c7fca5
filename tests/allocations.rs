//! Tasks that make no system call are counted by nobody but the mechanism that claims them. Each is an allocation at
//! least, and the allocator is this test's own.
#![allow(clippy::unwrap_used)]

use std::alloc::System;
use std::collections::BTreeMap;

use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use switchcost::harness::{Choice, Planned, plan};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// Allocations of a task.
const TASKS: &[(&str, f64)] = &[
    ("creation/boxed_future", 1.0),
    ("creation/tokio_task", 1.0),
    ("creation/smol_task", 1.0),
    ("creation/may_coroutine", 1.0),
    ("creation/rayon_scope", 1.0),
    ("footprint/tokio_task", 1.0),
    ("footprint/smol_task", 1.0),
    ("footprint/may_coroutine", 1.0),
];

/// One test, because what others allocate would count.
#[test]
fn tasks_are_allocated_as_often_as_the_mechanism_says_they_are_created() {
    let alive = 50;
    for (id, expected) in TASKS {
        let group_parameter = if id.starts_with("creation") { "alive" } else { "tasks" };
        let parameters = BTreeMap::from([(group_parameter.to_string(), alive.to_string())]);
        let choice = Choice { parameters: parameters.into_iter().collect(), ..Choice::default() };
        let planned = plan(&choice, |planned| planned.starts_with(&format!("{id}/unpinned"))).unwrap();
        let Some(Planned::Ready(benchmark)) = planned.first() else { panic!("{id}: {planned:?}") };
        let mut driver = benchmark.start(|| Ok(())).unwrap();
        let mut allocations = |laps: u64| {
            let before = ALLOCATOR.stats().allocations;
            driver.run(laps * alive).unwrap();
            (ALLOCATOR.stats().allocations - before) as f64
        };
        // What grows once has grown.
        allocations(4);
        let (few, many) = (allocations(2), allocations(12));
        let a_task = (many - few) / (10 * alive) as f64;
        driver.stop().unwrap();
        println!("{id}: {a_task} allocations a task");
        assert!((a_task - expected).abs() < 0.3, "{id}: {a_task} allocations a task, expected {expected}");
    }
}
