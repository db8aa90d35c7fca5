//! What is in a sample, and what is not: with an operation of a fixed time.

use super::*;
use crate::harness::fake::{BARE, COUNTED, FixedTime, LAP, Step, speed_probe_of};
use crate::mechanism::find;
use crate::pmu::Event;
use crate::terms::Idle;
use crate::units::{Amount, Ops};

fn open(fake: &'static FixedTime, plan: Option<&EventSet>) -> Session {
    let mut session = Session::open(&fake.benchmark(), plan).unwrap();
    session.probe_fn = speed_probe_of(fake);
    session
}

fn steady() -> &'static FixedTime {
    FixedTime { probes: vec![10], ..FixedTime::default() }.kept()
}

#[test]
fn a_sample_takes_exactly_as_long_as_the_operation_says() {
    let mut session = open(steady(), Some(&EventSet::default()));
    for ops in [1, LAP, 10 * LAP, 100 * LAP] {
        let sample = session.sample(ops).unwrap().sample;
        assert_eq!(sample.amount, Amount(sample.ops.0 * BARE), "{ops}");
    }
    // A millisecond an operation: portions of a lap each.
    session.nanos_per_op = Some(1e6);
    let portions = session.sample_in_portions(5 * LAP).unwrap();
    assert_eq!(portions.len(), 5);
    for portion in portions {
        assert_eq!(portion.sample.amount, Amount(portion.sample.ops.0 * BARE));
    }
    session.close().unwrap();
}

#[test]
fn bare_samples_are_the_bare_instances_and_counted_ones_the_counted_ones() {
    let fake = steady();
    let mut session = open(fake, Some(&EventSet::default()));
    fake.take_steps();
    let taken: Vec<BareSample> = (0..9).map(|_| session.sample(LAP).unwrap()).collect();
    assert!(taken.iter().all(|taken| taken.sample.amount == Amount(LAP * BARE)), "{taken:?}");
    let steps = fake.take_steps();
    let batches = |instance: usize| steps.iter().filter(|step| **step == Step::Batch(instance, LAP)).count();
    assert_eq!(batches(0), taken.len(), "a bare batch for each sample, and no other: {steps:?}");
    let (counted, _) = session.close().unwrap();
    assert_eq!(counted.samples.len(), batches(1), "a counted batch for each counted sample: {steps:?}");
    let of_counted = Sample::new(Ops(LAP), Amount(LAP * COUNTED));
    assert!(counted.samples.iter().all(|sample| *sample == of_counted), "{:?}", counted.samples);
    match counted.samples.len() {
        0 => println!("counted samples were not checked: {:?}", counted.not_counted),
        samples => assert_eq!(samples, 3),
    }
}

/// A neighbour that comes during a sample is seen behind it, and not before it.
#[test]
fn a_sample_carries_the_slower_of_the_probes_before_and_behind_it() {
    let fake = FixedTime { probes: vec![10, 50, 20, 15], ..FixedTime::default() }.kept();
    let mut session = open(fake, None);
    let probes = |taken: &[BareSample]| -> Vec<(u64, u64)> {
        taken.iter().map(|taken| taken.sample.probe.map_or((0, 0), |probe| (probe.min.0, probe.max.0))).collect()
    };
    let samples = [session.sample(LAP).unwrap(), session.sample(LAP).unwrap()];
    assert_eq!(probes(&samples), [(50, 100), (20, 40)]);
    // Neighbouring portions share the probe between them.
    session.nanos_per_op = Some(1e6);
    assert_eq!(probes(&session.sample_in_portions(3 * LAP).unwrap()), [(50, 100), (50, 100), (20, 40)]);
    session.close().unwrap();
}

#[test]
fn there_is_a_probe_before_a_batch_and_one_behind_it() {
    let fake = steady();
    let mut session = open(fake, None);
    assert_eq!(fake.take_steps(), [Step::Batch(0, LAP)], "a lap, when it is set up");
    session.sample(LAP).unwrap();
    assert_eq!(fake.take_steps(), [Step::Probe, Step::Batch(0, LAP), Step::Probe]);
    session.nanos_per_op = Some(1e6);
    session.sample_in_portions(2 * LAP).unwrap();
    let (probe, batch) = (Step::Probe, Step::Batch(0, LAP));
    assert_eq!(fake.take_steps(), [probe, batch, probe, batch, probe]);
    session.warm_caches().unwrap();
    assert!(matches!(fake.take_steps()[..], [Step::Batch(0, _)]), "what warms up is no sample");
    session.close().unwrap();
}

#[test]
fn what_was_found_out_before_the_end_of_warming_up_is_discarded() {
    let mut session = open(steady(), None);
    session.sample(LAP).unwrap();
    session.discard_warm_up().unwrap();
    session.sample(LAP).unwrap();
    session.sample(LAP).unwrap();
    let (_, metrics) = session.close().unwrap();
    assert_eq!(metrics, [Metric::scalar(crate::harness::fake::BATCHES.into(), crate::units::Quantity::Number, 2.0)]);
}

/// The counters are opened before the tasks exist: those that came later would be counted without the others.
#[test]
fn both_tasks_of_a_handoff_are_counted() {
    let mechanism = find("handoff/pipe").unwrap();
    let parameters = mechanism.descriptor().defaults();
    let benchmark = Benchmark { mechanism, ..steady().benchmark().with_parameters(parameters) };
    let mut session = Session::open(&benchmark, Some(&EventSet::default())).unwrap();
    for _ in 0..BARE_PER_COUNTED {
        session.sample(1000).unwrap();
    }
    let (counted, _) = session.close().unwrap();
    match counted.counters.iter().find(|counter| counter.event == "context-switches") {
        // On one CPU a handoff is a switch. Neighbours add some; one task alone would be half of it.
        Some(switches) => assert!((0.95..3.0).contains(&switches.per_op), "{switches:?}"),
        None => {
            let reason = counted.not_counted.iter().find(|not| not.what == "context-switches");
            println!("context switches were not checked: {:?}", reason.expect("what is not counted has a reason"));
        }
    }
}

#[test]
fn the_sets_of_events_are_counted_round_robin() {
    let event = |name: &str| Event::parse_list(name).unwrap();
    let further = ["minor-faults", "major-faults"];
    let plan = further.iter().fold(EventSet::default(), |plan, name| plan.with_events(&event(name)));
    let mut session = open(steady(), Some(&plan));
    for _ in 0..BARE_PER_COUNTED * plan.sets().len() as u64 {
        session.sample(LAP).unwrap();
    }
    let (counted, _) = session.close().unwrap();
    for name in further {
        let found = counted.counters.iter().find(|counter| counter.event == name);
        let refused = counted.not_counted.iter().find(|not| not.what == name);
        assert!(found.is_some() || refused.is_some(), "{name} is neither counted nor refused: {counted:?}");
        refused.iter().for_each(|refused| println!("{name} was not checked: {refused:?}"));
    }
}

/// Where idle CPUs are kept from sleeping, they are so from before an instance is set up until it is gone.
#[test]
fn idle_cpus_are_kept_as_asked_for_until_the_instances_are_gone() {
    let fake = FixedTime { probes: vec![10], watch_spinners: true, ..FixedTime::default() }.kept();
    let mut benchmark = fake.benchmark();
    benchmark.setting.idle = Idle::Spinner;
    let session = match Session::open(&benchmark, None) {
        Ok(session) => session,
        Err(Failure::Unsupported(reason)) => return println!("not checked: {reason}"),
        Err(failure) => panic!("{failure}"),
    };
    session.close().unwrap();
    assert_eq!(fake.spinners(), [true, true], "at set-up, and at the end");
}
