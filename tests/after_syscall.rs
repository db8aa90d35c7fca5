//! The negative control of the group `after_syscall`: on a machine where every instruction takes the same time, whatever
//! is in its caches, no call costs anything after it has returned, and every curve is flat.
//!
//! Such a machine is an emulator that counts instructions for a clock (QEMU with `-icount`). On any other the test says
//! that it could not check.
#![allow(clippy::unwrap_used)]

use switchcost::crew::{Failure, Finding};
use switchcost::harness::{Benchmark, Choice, Planned, plan};
use switchcost::mechanism::Placement;

/// Enough for a median that no interrupt moves.
const TRIALS: u64 = 300;

fn benchmarks(stream: &str, working_set: u64) -> Vec<Benchmark> {
    let parameters = vec![("stream".into(), stream.into()), ("working_set".into(), working_set.to_string())];
    let choice = Choice { parameters, placements: vec![Placement::SameCpu], ..Choice::default() };
    let planned = plan(&choice, |id| id.starts_with("after_syscall/")).unwrap();
    let ready = |planned: Planned| match planned {
        Planned::Ready(benchmark) => Some(benchmark),
        Planned::Unsupported { .. } => None,
    };
    planned.into_iter().filter_map(ready).collect()
}

/// What it finds out; `None` where it cannot run, which is printed.
fn findings(benchmark: &Benchmark) -> Option<Vec<Finding>> {
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
    driver.findings().unwrap();
    driver.run(TRIALS).unwrap();
    let findings = driver.findings().unwrap();
    driver.stop().unwrap();
    Some(findings)
}

fn number(findings: &[Finding], of: &str) -> Option<f64> {
    findings.iter().find_map(|finding| match finding {
        Finding::Figure(figure) if figure.of == of => Some(figure.value),
        _ => None,
    })
}

/// What a block takes when nothing disturbs it.
fn undisturbed_block(working_set: u64) -> f64 {
    let benchmarks = benchmarks("data", working_set);
    let nothing = benchmarks.iter().find(|benchmark| benchmark.id().contains("/nothing/")).unwrap();
    number(&findings(nothing).unwrap(), "block at the end of the trial").unwrap()
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
            let Some(findings) = findings(&benchmark) else { continue };
            let (id, lost) = (benchmark.id(), number(&findings, "lost after the call").unwrap());
            let (block, step) = (
                number(&findings, "block at the end of the trial").unwrap(),
                number(&findings, "step of the counter").unwrap(),
            );
            println!("{id}: {lost:.1} ns lost, blocks of {block:.1} ns, a counter in steps of {step:.1} ns");
            // It is told only of a curve that is not flat.
            assert_eq!(number(&findings, "until nine tenths of it are lost"), None, "{id}: the curve is not flat");
            assert!(lost.abs() <= block.max(step), "{id}: {lost} ns lost");
        }
    }
}

/// What every machine can check: the findings are whole.
#[test]
fn every_call_tells_its_curve_and_its_loss() {
    for benchmark in benchmarks("data", 8 << 10) {
        let Some(findings) = findings(&benchmark) else { continue };
        let id = benchmark.id();
        assert!(number(&findings, "lost after the call").unwrap().is_finite(), "{id}");
        assert!(number(&findings, "cost of a reading, taken off").unwrap() > 0.0, "{id}");
        let curves = findings.iter().filter_map(|finding| match finding {
            Finding::Curve(curve) => Some(curve),
            _ => None,
        });
        let lengths: Vec<usize> = curves.map(|curve| curve.points.len()).collect();
        assert_eq!(lengths, [32; 3], "{id}");
    }
}
