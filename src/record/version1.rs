//! Records of version 1, converted while they are read. This is the only place that knows their names and shapes.
//!
//! What differs from version 2: `machine`, `suite`, `circumstances`, `foreign_load`, `in_turns`, `findings` and
//! `figure` are called `host` or `host_id`, `build`, `conditions`, `interference`, `interleaved`, `metrics` and
//! `scalar` there; `what`, `why` and `remedy` have a name of their own in each object ([`Shortfall`]); and the speed
//! probes, `paces` (the shortest stretches) and `longest_paces`, are lists beside the samples.
//! `tests/version1.rs` holds the conversion to fixtures and to all records below `reports/`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::read::{Fault, of_json, one_of};
use super::{
    AuditCheck, AuditRecord, BenchmarkLine, Build, CountedSamples, HostLine, Line, Measured, Noise, Outcome,
    RunConditions, Sample,
};
use crate::terms::{
    CounterSummary, Curve, Distribution, Host, Metric, Moment, ResourceUsage, Scalar, Setting, Shortfall, SpeedProbe,
    Unit, Unsupported,
};
use crate::units::{Amount, Nanos, Ops, Quantity};

/// Reads the text of a line that names version 1.
pub(super) fn line(text: &str) -> Result<Line, Fault> {
    let line: LineV1 = serde_json::from_str(text).map_err(of_json)?;
    let benchmark = line.benchmark.map(|benchmark| benchmark.convert()).transpose().map_err(Fault::Broken)?;
    one_of(line.machine.map(|machine| Box::new(machine.convert())), benchmark.map(Box::new))
}

/// Reads a benchmark alone, as programs of version 1 answer a run.
pub(super) fn benchmark(text: &[u8]) -> Result<BenchmarkLine, String> {
    let benchmark: BenchmarkLineV1 = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    benchmark.convert()
}

/// A line, without a `serde_json::Value` between, which takes thirty times the memory of its text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LineV1 {
    #[serde(rename = "schema")]
    _schema: IgnoredAny,
    machine: Option<Box<HostLineV1>>,
    benchmark: Option<Box<BenchmarkLineV1>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct HostLineV1 {
    id: String,
    host: Host,
    moment: Moment,
    suite: Build,
    argv: Vec<String>,
    started_ms: u64,
}

impl HostLineV1 {
    fn convert(self) -> HostLine {
        let Self { id, host, moment, suite, argv, started_ms } = self;
        HostLine { id, host, moment, build: suite, argv, started_ms }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct BenchmarkLineV1 {
    id: String,
    mechanism: String,
    unit: Unit,
    #[serde(default)]
    measures: Quantity,
    baseline: String,
    setting: Setting,
    round: u32,
    machine: String,
    started_ms: u64,
    outcome: OutcomeV1,
    #[serde(default)]
    circumstances: Option<ConditionsV1>,
}

impl BenchmarkLineV1 {
    fn convert(self) -> Result<BenchmarkLine, String> {
        Ok(BenchmarkLine {
            id: self.id,
            mechanism: self.mechanism,
            unit: self.unit,
            measures: self.measures,
            baseline: self.baseline,
            setting: self.setting,
            round: self.round,
            host_id: self.machine,
            started_ms: self.started_ms,
            outcome: match self.outcome {
                OutcomeV1::Measured(measured) => Outcome::Measured(Box::new(measured.convert()?)),
                OutcomeV1::Unsupported(unsupported) => Outcome::Unsupported(unsupported.convert()),
                OutcomeV1::Failed(reason) => Outcome::Failed(reason),
            },
            conditions: self.circumstances.map(ConditionsV1::convert),
        })
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ConditionsV1 {
    took_ms: u64,
    discarded: u32,
    foreign_load: Vec<String>,
    #[serde(default)]
    in_turns: bool,
}

impl ConditionsV1 {
    fn convert(self) -> RunConditions {
        let Self { took_ms, discarded, foreign_load, in_turns } = self;
        RunConditions { took_ms, discarded, interference: foreign_load, interleaved: in_turns }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum OutcomeV1 {
    Measured(Box<MeasuredV1>),
    Unsupported(UnsupportedV1),
    Failed(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MeasuredV1 {
    samples: Vec<SampleV1>,
    #[serde(default)]
    paces: Vec<Nanos>,
    #[serde(default)]
    longest_paces: Vec<Nanos>,
    usage: ResourceUsage,
    counted: CountedSamplesV1,
    #[serde(default)]
    findings: Vec<MetricV1>,
    audit: AuditRecordV1,
    noise: Noise,
}

impl MeasuredV1 {
    fn convert(self) -> Result<Measured, String> {
        let (shortest, longest) = (self.paces, self.longest_paces);
        for (name, probes) in [("paces", &shortest), ("longest_paces", &longest)] {
            if !probes.is_empty() && probes.len() != self.samples.len() {
                return Err(format!("{name}: {} of them beside {} samples", probes.len(), self.samples.len()));
            }
        }
        // Records of before the longest stretches were kept have the shortest alone, and are judged by them; one that
        // has the longest alone never was.
        let probe = |at: usize| {
            let min = *shortest.get(at)?;
            Some(SpeedProbe { min, max: longest.get(at).copied().unwrap_or(min) })
        };
        let samples = self.samples.iter().enumerate();
        Ok(Measured {
            samples: samples.map(|(at, sample)| Sample { probe: probe(at), ..sample.convert() }).collect(),
            usage: self.usage,
            counted: self.counted.convert(),
            metrics: self.findings.into_iter().map(MetricV1::convert).collect(),
            audit: self.audit.convert(),
            noise: self.noise,
        })
    }
}

/// `[ops, amount]`, in what the line measures.
#[derive(Deserialize)]
struct SampleV1(Ops, Amount);

impl SampleV1 {
    fn convert(&self) -> Sample {
        Sample::new(self.0, self.1)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CountedSamplesV1 {
    samples: Vec<SampleV1>,
    counters: Vec<CounterSummary>,
    not_counted: Vec<NotCountedV1>,
}

impl CountedSamplesV1 {
    fn convert(self) -> CountedSamples {
        let Self { samples, counters, not_counted } = self;
        CountedSamples {
            samples: samples.iter().map(SampleV1::convert).collect(),
            counters,
            not_counted: not_counted.into_iter().map(NotCountedV1::convert).collect(),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct UnsupportedV1 {
    requirement: String,
    observed: String,
    remedy: String,
}

impl UnsupportedV1 {
    fn convert(self) -> Unsupported {
        Unsupported::new(self.requirement, self.observed, self.remedy)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NotCountedV1 {
    event: String,
    reason: String,
    remedy: String,
}

impl NotCountedV1 {
    fn convert(self) -> Shortfall {
        Shortfall::new(self.event, self.reason, self.remedy)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditRecordV1 {
    #[serde(default)]
    attempts: u32,
    checks: Vec<AuditCheck>,
    unchecked: Vec<AuditGapV1>,
    calls: BTreeMap<String, f64>,
}

impl AuditRecordV1 {
    fn convert(self) -> AuditRecord {
        let Self { attempts, checks, unchecked, calls } = self;
        AuditRecord { attempts, checks, unchecked: unchecked.into_iter().map(AuditGapV1::convert).collect(), calls }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AuditGapV1 {
    what: String,
    reason: String,
    remedy: String,
}

impl AuditGapV1 {
    fn convert(self) -> Shortfall {
        Shortfall::new(self.what, self.reason, self.remedy)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum MetricV1 {
    Figure(Scalar),
    Distribution(Distribution),
    Curve(Curve),
}

impl MetricV1 {
    fn convert(self) -> Metric {
        match self {
            Self::Figure(scalar) => Metric::Scalar(scalar),
            Self::Distribution(distribution) => Metric::Distribution(distribution),
            Self::Curve(curve) => Metric::Curve(curve),
        }
    }
}
