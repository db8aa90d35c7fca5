//! A record as a round writes it, with every field and every kind of outcome, on a machine of the fixtures.

use std::path::{Path, PathBuf};

use switchcost::host::Root;
use switchcost::record::{
    AuditCheck, AuditRecord, BenchmarkLine, Build, CountedSamples, HostLine, Line, Measured, Noise, Outcome,
    RunConditions, Sample,
};
use switchcost::terms::{
    Class, CounterSummary, Curve, CurveAxis, Host, Idle, Metric, MetricKey, Moment, Placement, Policy, ResourceUsage,
    Scalar, Setting, Shortfall, SpeedProbe, Unit, Unsupported, ValueHistogram, host::CpuTicks,
};
use switchcost::units::{Amount, CpuId, Nanos, Ops, Quantity};

/// The folder of a fixture.
pub(crate) fn fixture(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(path)
}

/// A round of four benchmarks: two that were measured, one that cannot run, one that failed.
pub(crate) fn lines() -> Vec<Line> {
    let host_id = host_line("intel-2socket-smt");
    let id = host_id.id.clone();
    let measured = |nanos, audit| Outcome::Measured(Box::new(measured(nanos, audit)));
    let unsupported = Unsupported::new("two CPUs for placement cross-llc", "none among CPUs 0-7", "another machine");
    let failed = "brigade/mio/same-cpu: a batch did not finish within 60s";
    [
        benchmark("brigade/one_thread", Placement::SameCpu, &id, measured(600, agreeing())),
        benchmark("brigade/thread", Placement::SameCpu, &id, measured(3000, differing())),
        benchmark("brigade/thread", Placement::CrossLlc, &id, Outcome::Unsupported(unsupported)),
        benchmark("brigade/mio", Placement::SameCpu, &id, Outcome::Failed(failed.into())),
    ]
    .into_iter()
    .fold(vec![Line::Host(Box::new(host_id))], |mut lines, line| {
        lines.push(Line::Benchmark(Box::new(line)));
        lines
    })
}

/// The first line of a round on the machine of a host fixture.
pub(crate) fn host_line(host: &str) -> HostLine {
    let host = Host::observe(&Root::at(fixture("host").join(host)));
    HostLine {
        id: host.id(),
        host,
        moment: moment(),
        build: Build {
            version: "0.1.0".into(),
            revision: Some("0123456789ab".into()),
            changed: Some(false),
            rustc: "rustc 1.95.0".into(),
            target: "x86_64-unknown-linux-gnu".into(),
            profile: "release, opt-level 3".into(),
            allocator: None,
        },
        argv: vec!["brigade".into(), "--bench".into()],
        started_ms: 1_790_000_000_000,
    }
}

/// One benchmark of the sample's round.
pub(crate) fn benchmark(mechanism: &str, placement: Placement, host_id: &str, outcome: Outcome) -> BenchmarkLine {
    BenchmarkLine {
        id: format!("{mechanism}/{placement}"),
        mechanism: mechanism.into(),
        unit: Unit::Hop,
        measures: Quantity::Nanoseconds,
        baseline: "brigade/one_thread".into(),
        setting: Setting {
            placement,
            cpus: vec![CpuId(0)],
            idle: Idle::Default,
            policy: Policy { class: Class::Batch, slice_us: Some(500) },
            parameters: serde_json::from_value(serde_json::json!({ "tasks": 500, "transport": "pipe" }))
                .expect("parameters are names and values"),
        },
        round: 0,
        host_id: host_id.into(),
        started_ms: 1_790_000_001_000,
        outcome,
        conditions: Some(RunConditions {
            took_ms: 5_400,
            discarded: 1,
            interference: vec!["steal 2.0 %".into()],
            interleaved: false,
        }),
    }
}

/// Samples around `nanos` per operation.
pub(crate) fn measured(nanos: u64, audit: AuditRecord) -> Measured {
    let sample = |extra: u64| Sample::new(Ops(1000), Amount(1000 * nanos + extra));
    let probe = Some(SpeedProbe { min: Nanos(11_000), max: Nanos(12_000) });
    let samples = (0..10).map(|step| Sample { probe, ..sample(100 * step) }).collect();
    Measured {
        samples,
        usage: ResourceUsage {
            user: Nanos(2_000 * nanos),
            system: Nanos(8_000 * nanos),
            voluntary: 10_000,
            involuntary: 12,
            minor_faults: 3,
            major_faults: 0,
        },
        counted: CountedSamples {
            samples: vec![sample(90_000)],
            counters: vec![CounterSummary {
                event: "cycles:u".into(),
                per_op: 412.25,
                count: 412_250,
                ops: 1000,
                enabled_ns: 700_000,
                running_ns: 350_000,
                estimated: true,
                unit: Some("cycles".into()),
            }],
            not_counted: vec![Shortfall {
                what: "LLC-load-misses".into(),
                why: "this processor has no such event".into(),
                remedy: "none".into(),
            }],
        },
        metrics: metrics(),
        audit,
        noise: Noise {
            start: moment(),
            end: moment(),
            own_cpu: Some(Nanos(2_500_000_000)),
            lasted: Some(Nanos(3_000_000_000)),
        },
    }
}

/// One of each kind.
fn metrics() -> Vec<Metric> {
    let mut values = ValueHistogram::new();
    (1..=100).for_each(|value| values.record(1000 * value));
    let axis = |of: &str, quantity| CurveAxis { of: of.into(), quantity };
    vec![
        Metric::Scalar(Scalar {
            of: MetricKey::Other("kernel stack".into()),
            quantity: Quantity::Bytes,
            value: 16_384.0,
            interval: Some((16_380.5, 16_390.0)),
        }),
        Metric::latencies(MetricKey::ResponseTime, values),
        Metric::Curve(Curve {
            of: MetricKey::Other("time per block".into()),
            x: axis("blocks", Quantity::Number),
            y: axis("time", Quantity::Nanoseconds),
            points: vec![(0.0, 310.5), (1.0, 250.0)],
        }),
    ]
}

fn agreeing() -> AuditRecord {
    AuditRecord {
        attempts: 1,
        checks: vec![
            AuditCheck { what: "read".into(), observed: 1.0, expected: "exactly 1".into(), holds: true },
            AuditCheck { what: "other calls".into(), observed: 0.0, expected: "exactly 0".into(), holds: true },
        ],
        unchecked: vec![Shortfall {
            what: "wakeups".into(),
            why: "tracefs cannot be read".into(),
            remedy: "run as root".into(),
        }],
        calls: [("read".into(), 1.0), ("write".into(), 1.0)].into(),
    }
}

fn differing() -> AuditRecord {
    let check = AuditCheck { what: "write".into(), observed: 2.0, expected: "exactly 1".into(), holds: false };
    AuditRecord { checks: vec![check], ..agreeing() }
}

fn moment() -> Moment {
    Moment {
        load: Some([0.25, 0.5, 0.125]),
        runnable_tasks: Some(1),
        tasks: Some(312),
        ticks: Some(CpuTicks { steal: 7, total: 123_456, busy: Some(4_321) }),
        cpu_mhz: vec![2400.0, 2399.998],
        cpu_pressure_percent: Some(1.5),
        ..Moment::default()
    }
}
