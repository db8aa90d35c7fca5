//! The negative control of the group `after_syscall`: on a machine where every instruction takes the same time,
//! whatever is in its caches, no call costs anything after it has returned, and every curve is flat.
//!
//! Such a machine is an emulator that counts instructions for a clock (QEMU with `-icount`). On any other the test says
//! that it could not check.
#![allow(clippy::unwrap_used)]

use switchcost::crew::Failure;
use switchcost::harness::{Benchmark, Choice, PlannedBenchmark, Session, plan};
use switchcost::pmu::EventSet;
use switchcost::terms::{Metric, MetricKey, Placement};

/// Enough for a median that no interrupt moves.
const TRIALS: u64 = 300;

fn benchmarks(stream: &str, working_set: u64) -> Vec<Benchmark> {
    let parameters = vec![("stream".into(), stream.into()), ("working_set".into(), working_set.to_string())];
    let choice = Choice { parameters, placements: vec![Placement::SameCpu], ..Choice::default() };
    let planned = plan(&choice, |id| id.starts_with("after_syscall/")).unwrap();
    let ready = |planned: PlannedBenchmark| match planned {
        PlannedBenchmark::Ready(benchmark) => Some(benchmark),
        PlannedBenchmark::Unsupported { .. } => None,
    };
    let benchmarks: Vec<Benchmark> = planned.into_iter().filter_map(ready).collect();
    // Every machine has a CPU for them all to run on.
    assert!(!benchmarks.is_empty(), "no benchmark of after_syscall is planned: nothing is checked");
    benchmarks
}

/// What it finds out, with cycles and without; `None` where it cannot run, which is printed.
fn metrics(benchmark: &Benchmark) -> Option<Vec<Metric>> {
    let id = benchmark.id();
    let mut driver = match benchmark.start(|| Ok(())) {
        Ok(driver) => driver,
        Err(Failure::Unsupported(reason)) => {
            println!("{id}: unsupported: {reason}");
            return None;
        }
        Err(failure) => panic!("{id}: {failure}"),
    };
    driver.run(TRIALS / 10).unwrap();
    driver.metrics().unwrap();
    driver.run(TRIALS).unwrap();
    let mut metrics = driver.metrics().unwrap();
    match driver.counted_metrics() {
        Ok(counted) => metrics.extend(counted),
        Err(Failure::Unsupported(reason)) => println!("not checked: {id}: instructions per cycle: {reason}"),
        Err(failure) => panic!("{id}: {failure}"),
    }
    driver.stop().unwrap();
    Some(metrics)
}

/// The heights of a curve; `None` where there is none.
fn curve(metrics: &[Metric], of: &MetricKey) -> Option<Vec<f64>> {
    metrics.iter().find_map(|metric| match metric {
        Metric::Curve(curve) if curve.of == *of => Some(curve.points.iter().map(|(_, y)| *y).collect()),
        _ => None,
    })
}

const IPC: [MetricKey; 2] = [MetricKey::IpcAfterCall, MetricKey::IpcWithoutCall];

fn number(metrics: &[Metric], of: &MetricKey) -> Option<f64> {
    metrics.iter().find_map(|metric| match metric {
        Metric::Scalar(figure) if figure.of == *of => Some(figure.value),
        _ => None,
    })
}

/// What a block takes when nothing disturbs it.
fn undisturbed_block(working_set: u64) -> f64 {
    let benchmarks = benchmarks("data", working_set);
    let nothing = benchmarks.iter().find(|benchmark| benchmark.id().contains("/nothing/")).unwrap();
    number(&metrics(nothing).unwrap(), &MetricKey::BlockAtEnd).unwrap()
}

#[test]
fn curves_are_flat_where_every_instruction_takes_the_same_time() {
    // A chase through a first-level cache, and one that no first-level cache holds.
    let (near, far) = (undisturbed_block(16 << 10), undisturbed_block(2 << 20));
    if (far / near - 1.0).abs() > 0.02 {
        println!("not checked: {near:.1} ns in 16 KiB and {far:.1} ns in 2 MiB: this machine has caches");
        return;
    }
    for stream in ["data", "code", "branches"] {
        for benchmark in benchmarks(stream, 32 << 10) {
            let Some(metrics) = metrics(&benchmark) else { continue };
            let (id, lost) = (benchmark.id(), number(&metrics, &MetricKey::LostAfterCall).unwrap());
            let (block, step) =
                (number(&metrics, &MetricKey::BlockAtEnd).unwrap(), number(&metrics, &MetricKey::CounterStep).unwrap());
            println!("{id}: {lost:.1} ns lost, blocks of {block:.1} ns, a counter in steps of {step:.1} ns");
            // It is told only of a curve that is not flat.
            assert_eq!(number(&metrics, &MetricKey::UntilMostIsLost), None, "{id}: the curve is not flat");
            assert!(lost.abs() <= block.max(step), "{id}: {lost} ns lost");
            for rates in IPC.iter().filter_map(|of| curve(&metrics, of)) {
                let (low, high) = rates.iter().fold((f64::MAX, 0.0_f64), |(low, high), y| (low.min(*y), high.max(*y)));
                println!("{id}: {low:.3} to {high:.3} instructions per cycle");
                assert!(high / low < 1.01, "{id}: instructions per cycle are not the same in every block: {rates:?}");
            }
        }
    }
}

/// The harness asks for it, and keeps the reason where there is none.
#[test]
fn a_session_tells_instructions_per_cycle_or_why_there_are_none() {
    let benchmarks = benchmarks("data", 8 << 10);
    let nothing = benchmarks.iter().find(|benchmark| benchmark.id().contains("/nothing/")).unwrap();
    let mut session = Session::open(nothing, Some(&EventSet::default())).unwrap();
    session.sample(TRIALS).unwrap();
    let (counted, metrics) = session.close().unwrap();
    let refused = counted.not_counted.iter().any(|refused| refused.what.contains("read in user mode"));
    assert_eq!(curve(&metrics, &IPC[0]).is_none(), refused, "{:?}", counted.not_counted);
}

/// What every machine can check: the metrics are whole.
#[test]
fn every_call_tells_its_curve_and_its_loss() {
    for benchmark in benchmarks("data", 8 << 10) {
        let Some(metrics) = metrics(&benchmark) else { continue };
        let id = benchmark.id();
        assert!(number(&metrics, &MetricKey::LostAfterCall).unwrap().is_finite(), "{id}");
        assert!(number(&metrics, &MetricKey::ReadingCost).unwrap() > 0.0, "{id}");
        let times = [MetricKey::SpeedAfterCall, MetricKey::BlocksAfterCall, MetricKey::BlocksWithoutCall];
        for of in &times {
            assert_eq!(curve(&metrics, of).unwrap().len(), 32, "{id}: {of}");
        }
        let counted = number(&metrics, &MetricKey::InstructionsPerBlock);
        for of in &IPC {
            let rates = curve(&metrics, of);
            assert_eq!(rates.as_ref().map(Vec::len), counted.map(|_| 32), "{id}: {of}");
            assert!(rates.into_iter().flatten().all(|rate| rate > 0.0 && rate < 20.0), "{id}: {of}");
        }
        // A block is 64 loads, and what leads from one to the next.
        assert!(counted.is_none_or(|counted| (64.0..64_000.0).contains(&counted)), "{id}: {counted:?}");
    }
}
