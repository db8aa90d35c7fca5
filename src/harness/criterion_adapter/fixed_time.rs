//! What Criterion's samples become in a record: with an operation of a fixed time.

use std::time::Duration;

use super::*;
use crate::harness::fake::{BARE, BATCHES, COUNTED, FixedTime, LAP};
use crate::pmu::EventSet;
use crate::record::Measured;
use crate::terms::Metric;

struct CollectedLines(Vec<BenchmarkLine>);

impl BenchmarkObserver for CollectedLines {
    fn finished(&mut self, line: BenchmarkLine) {
        self.0.push(line);
    }
}

const SAMPLES: usize = 10;

fn record_of(fake: FixedTime) -> Measured {
    let folder = tempfile::tempdir().unwrap();
    let timing = Timing { warm_up: Duration::from_millis(5), measure: Duration::from_millis(20), samples: SAMPLES };
    let options = MeasureOptions {
        mode: Mode::Measure,
        counters: Some(EventSet::default()),
        auditor: None,
        round: 0,
        host_id: "none".into(),
        criterion_output: true,
    };
    let planned = PlannedBenchmark::Ready(fake.kept().benchmark());
    let mut lines = CollectedLines(Vec::new());
    measure_one(&planned, &timing, folder.path(), &options, InterleaveToken::alone(), &mut lines);
    match lines.0.pop().map(|line| line.outcome) {
        Some(Outcome::Measured(measured)) => *measured,
        other => panic!("{other:?}"),
    }
}

fn batches(measured: &Measured) -> usize {
    match measured.metrics.as_slice() {
        [Metric::Scalar(figure)] if figure.of.as_str() == BATCHES => figure.value as usize,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_record_holds_the_bare_samples_to_the_nanosecond_and_none_of_warming_up() {
    let measured = record_of(FixedTime::default());
    let samples = &measured.samples;
    assert!(samples.len() >= SAMPLES, "{samples:?}");
    assert!(
        samples.iter().all(|sample| sample.amount.0 == sample.ops.0 * BARE && sample.ops.0 % LAP == 0),
        "{samples:?}"
    );
    assert!(samples.iter().all(|sample| sample.probe.is_some()), "a speed probe beside each: {samples:?}");
    let counted = &measured.counted;
    assert!(counted.samples.iter().all(|sample| sample.amount.0 == sample.ops.0 * COUNTED), "{:?}", counted.samples);
    if counted.samples.is_empty() {
        println!("counted samples were not checked: {:?}", counted.not_counted);
    }
    assert!(counted.samples.len() <= SAMPLES / 3, "none of warming up: {:?}", counted.samples);
    // Warming up has more batches than there are samples. That it is over is seen at the second sample.
    let found = batches(&measured);
    assert!(found < samples.len() && 2 * found > samples.len(), "{found} batches found out about: {samples:?}");
}

/// Samples are set aside for the CPU's pace, never for being slow.
#[test]
fn samples_that_are_ten_times_slower_stay_in_the_record() {
    let measured = record_of(FixedTime { every: Some(3), ..FixedTime::default() });
    let slow = measured.samples.iter().filter(|sample| sample.amount.0 == sample.ops.0 * 10 * BARE).count();
    assert!(measured.samples.len() > batches(&measured) && slow >= batches(&measured) / 3, "{:?}", measured.samples);
    assert!(measured.samples.iter().all(|sample| [BARE, 10 * BARE].contains(&(sample.amount.0 / sample.ops.0))));
}
