//! Made-up records whose truth is known.

use std::path::Path;

use switchcost::record::{AuditCheck, AuditRecord, BenchmarkLine, Outcome, Run, Sample, read};
use switchcost::terms::{Idle, Metric, MetricKey, Placement, Policy, SpeedProbe, Unit};
use switchcost::units::{Nanos, Ops, Quantity};

use super::{CONFIDENCE, Interval, rounds_interval};

/// One benchmark. Its rounds lie evenly around its figure.
#[derive(Debug, Clone)]
pub(crate) struct Made {
    pub(crate) mechanism: String,
    pub(crate) placement: Placement,
    pub(crate) idle: Idle,
    /// Names and values that differ from the defaults.
    pub(crate) chosen: Vec<(String, String)>,
    /// Nanoseconds per operation.
    pub(crate) nanos: u64,
    /// How far the outer rounds are from the middle one, in nanoseconds.
    pub(crate) spread: u64,
    pub(crate) rounds: u64,
    /// How far the samples of a round are from one another, in nanoseconds.
    pub(crate) within: u64,
    /// Voluntary switches per operation.
    pub(crate) waits: u64,
    /// System calls per operation.
    pub(crate) calls: u64,
    pub(crate) metrics: Vec<Metric>,
    /// Whether the generator was late, which makes figures invalid.
    pub(crate) late: bool,
    /// Whether the audit differs.
    pub(crate) differs: bool,
    /// The speed probes of each round.
    pub(crate) probes: Vec<u64>,
    pub(crate) interleaved: bool,
}

impl Made {
    pub(crate) fn new(mechanism: &str, placement: Placement, nanos: u64) -> Self {
        Self {
            mechanism: mechanism.into(),
            placement,
            idle: Idle::Default,
            chosen: Vec::new(),
            nanos,
            spread: nanos / 200,
            rounds: 3,
            within: 0,
            waits: 1,
            calls: 2,
            metrics: Vec::new(),
            late: false,
            differs: false,
            probes: Vec::new(),
            interleaved: false,
        }
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.chosen.push((name.into(), value.into()));
        self
    }

    pub(crate) fn id(&self) -> String {
        let idle = (self.idle != Idle::Default).then(|| format!("idle={}", self.idle));
        let chosen: Vec<String> =
            self.chosen.iter().map(|(name, value)| format!("{name}={value}")).chain(idle).collect();
        let differing = if chosen.is_empty() { String::new() } else { format!("/{}", chosen.join(",")) };
        format!("{}/{}{differing}", self.mechanism, self.placement)
    }

    /// The middles of its rounds.
    pub(crate) fn medians(&self) -> Vec<u64> {
        let step = |round: u64| self.nanos + round * 2 * self.spread / (self.rounds - 1).max(1) - self.spread;
        (0..self.rounds).map(step).collect()
    }

    /// The samples of a round around its middle, which is the median.
    pub(crate) fn samples(&self, median: u64) -> [u64; 7] {
        [0, 1, 2, 3, 5, 8, 13].map(|step| median + self.within * step - self.within * 3)
    }

    /// The interval of its figure.
    pub(crate) fn interval(&self) -> Interval {
        let rounds: Vec<Vec<f64>> = self.medians().iter().map(|nanos| vec![*nanos as f64; 7]).collect();
        rounds_interval(&rounds, CONFIDENCE, 1).unwrap().interval
    }

    /// Its lines in a record, one a round.
    fn lines(&self, like: &BenchmarkLine) -> Vec<BenchmarkLine> {
        let group = self.mechanism.split('/').next().unwrap();
        let (unit, baseline) = match group {
            "brigade" => (Unit::Hop, "brigade/one_thread"),
            "handoff" => (Unit::Handoff, "handoff/futex"),
            "switch_working_set" => (Unit::Handoff, "switch_working_set/touching"),
            "after_syscall" => (Unit::Trial, "after_syscall/nothing"),
            _ => (Unit::Call, "syscall/getppid"),
        };
        let word = |value: &String| match value.parse::<u64>() {
            Ok(number) => serde_json::json!(number),
            Err(_) => serde_json::json!(value),
        };
        let parameters = self.chosen.iter().filter(|(name, _)| name != "cpus");
        let parameters: serde_json::Map<_, _> = parameters.map(|(name, value)| (name.clone(), word(value))).collect();
        let line = |(round, nanos): (usize, u64)| {
            let mut line = like.clone();
            line.id = self.id();
            line.mechanism = self.mechanism.clone();
            (line.unit, line.baseline) = (unit, baseline.into());
            line.setting.placement = self.placement;
            line.setting.idle = self.idle;
            line.setting.policy = Policy::default();
            line.setting.parameters = serde_json::from_value(parameters.clone().into()).unwrap();
            line.round = round as u32;
            line.started_ms = 1_790_000_000_000 + 10_000 * round as u64;
            line.conditions =
                self.interleaved.then(|| switchcost::record::RunConditions { interleaved: true, ..Default::default() });
            let Outcome::Measured(measured) = &mut line.outcome else { panic!("{line:?}") };
            let probe = self.probes.get(round).map(|nanos| SpeedProbe { min: Nanos(*nanos), max: Nanos(*nanos) });
            let sample = |nanos: u64| Sample { probe, ..Sample::new(Ops(10), Nanos(10 * nanos)) };
            measured.samples = self.samples(nanos).into_iter().map(sample).collect();
            measured.usage = switchcost::terms::ResourceUsage { voluntary: 70 * self.waits, ..Default::default() };
            measured.counted = Default::default();
            measured.metrics = self.metrics.clone();
            if self.late {
                measured.metrics.push(Metric::scalar(MetricKey::GeneratorBottleneck, Quantity::Share, 0.5));
            }
            let check =
                |what: &str, holds| AuditCheck { what: what.into(), observed: 0.0, expected: "0".into(), holds };
            measured.audit = AuditRecord {
                attempts: 1,
                checks: vec![check("other calls", true), check("read", !self.differs)],
                unchecked: Vec::new(),
                calls: [("read".to_string(), self.calls as f64)].into(),
            };
            line
        };
        self.medians().into_iter().enumerate().map(line).collect()
    }
}

/// A run of these benchmarks on the machine of a fixture.
pub(crate) fn run(made: Vec<Made>) -> Run {
    let mut run = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/report/three-rounds")).unwrap();
    let like = run.benchmarks.iter().find(|line| line.id == "handoff/futex/same-cpu").unwrap().clone();
    run.benchmarks = made.iter().flat_map(|made| made.lines(&like)).collect();
    run
}
