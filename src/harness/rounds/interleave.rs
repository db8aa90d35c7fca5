//! Which two benchmarks can be set up at the same time without disturbing each other.

use crate::harness::BenchmarkSpec;
use crate::terms::Idle;

/// Whether `a` and `b` can take turns: while one is measured the other is set up and must take nothing from it.
pub(super) fn can_interleave(a: &BenchmarkSpec, b: &BenchmarkSpec) -> bool {
    // What idle CPUs do, they do for everybody, and a spinner of one side would run beside the other.
    a.idle == b.idle && a.idle != Idle::Spinner && lies_still(a) && lies_still(b)
}

/// Whether its samples can stand apart and nothing of it runs between them.
fn lies_still(chosen: &BenchmarkSpec) -> bool {
    // Of one that this program does not know nothing can be said.
    chosen.benchmark().is_some_and(|benchmark| {
        // Waits and memory are not divisible, and depend on who else is there.
        benchmark.is_divisible() && !benchmark.mechanism.runs_on(&benchmark.parameters)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism::find;
    use crate::terms::{Placement, Policy};
    use crate::units::CpuId;

    fn chosen(mechanism: &str, set: &[(&str, &str)], idle: Idle) -> BenchmarkSpec {
        let descriptor = find(mechanism).unwrap().descriptor();
        let parameters = set.iter().fold(descriptor.defaults(), |parameters, (name, value)| {
            let parameter = descriptor.parameter(name).unwrap();
            parameters.with(parameter, parameter.parse(value).unwrap())
        });
        let (placement, cpus) = (Placement::SameCpu, vec![CpuId(0)]);
        BenchmarkSpec { mechanism: mechanism.into(), parameters, placement, cpus, idle, policy: Policy::default() }
    }

    #[test]
    fn those_that_disturb_nobody_take_turns() {
        let futex = |idle| chosen("handoff/futex", &[], idle);
        let with = |other: BenchmarkSpec| can_interleave(&futex(Idle::Default), &other);
        assert!(with(futex(Idle::Default)));
        assert!(with(chosen("brigade/thread", &[("work", "2000")], Idle::Default)));
        assert!(with(chosen("brigade/uring", &[("files", "registered")], Idle::Default)));
        assert!(can_interleave(&futex(Idle::Poll), &futex(Idle::Poll)));
        assert!(!with(futex(Idle::Poll)) && !with(futex(Idle::Spinner)));
        assert!(!can_interleave(&futex(Idle::Spinner), &futex(Idle::Spinner)));
        assert!(!with(chosen("brigade/uring", &[("sqpoll", "on")], Idle::Default)));
        assert!(!with(chosen("file/uring", &[("ring", "sqpoll")], Idle::Default)));
        assert!(!with(chosen("footprint/thread", &[], Idle::Default)));
        assert!(!with(chosen("wakeup/timer_timerfd", &[], Idle::Default)));
        assert!(!with(BenchmarkSpec { mechanism: "handoff/unheard_of".into(), ..futex(Idle::Default) }));
    }
}
