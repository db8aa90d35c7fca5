//! What `switchcost load` leaves in a run's folder, for `show`, `report` and `compare`: one line for each load.

use std::path::{Path, PathBuf};

use super::options::UsageError;
use super::run_session::host_line;
use crate::harness::now_ms;
use crate::host::Root;
use crate::load::{LoadDriver, LoadInterval, LoadOutcome, LoadPlan};
use crate::record::{
    AuditRecord, BenchmarkLine, Build, CountedSamples, Line, Measured, Noise, Outcome, RecordWriter, Run, Sample, read,
};
use crate::sys::usage;
use crate::terms::{
    Domain, Host, Metric, MetricKey, Moment, Parameter, Parameters, Placement, ResourceUsage, Setting, Unit, Value,
};
use crate::units::{Amount, Nanos, Ops, Quantity};

/// The group of a record's lines that loads have made, which is none of the catalogue's.
pub(super) const GROUP: &str = "load";

/// What its figures answer: the mean response time of a tenth of a second or longer, from the intended time where there
/// was one.
pub(super) const QUESTION: &str = "How long does a server take to answer?";

const CONNECTIONS: Parameter = Parameter {
    name: "connections",
    meaning: "connections that carry requests, one at a time",
    domain: Domain::Number { default: 64, min: 1, max: u64::MAX },
};

const IDLE: Parameter = Parameter {
    name: "idle_connections",
    meaning: "connections that ask nothing, beside the others",
    domain: Domain::Number { default: 0, min: 0, max: u64::MAX },
};

const PERIOD: Parameter = Parameter {
    name: "period_ns",
    meaning: "mean time between two requests that come whatever the server does, in nanoseconds; 0 is a closed loop",
    domain: Domain::Number { default: 0, min: 0, max: u64::MAX },
};

const ARRIVALS: Parameter = Parameter {
    name: "arrivals",
    meaning: "how requests arrive",
    domain: Domain::Word { words: &["closed", "uniform", "poisson", "bursts", "times"] },
};

const PROTOCOL: Parameter =
    Parameter { name: "protocol", meaning: "what is spoken", domain: Domain::Word { words: &["http", "tcp", "udp"] } };

const DECLARED: &[Parameter] = &[CONNECTIONS, IDLE, PERIOD, ARRIVALS, PROTOCOL];

/// A folder that is to hold what comes of a load.
pub(super) struct LoadRecord {
    folder: PathBuf,
    writer: RecordWriter,
    before: Option<Run>,
    start: Moment,
    used: Option<ResourceUsage>,
    started_ms: u64,
}

impl LoadRecord {
    /// Opens `folder`, which may hold loads of the same `url`.
    ///
    /// # Errors
    /// A folder that cannot be written, a file in it that is no record, one that holds the loads of another server.
    pub(super) fn open(folder: &Path, url: &str) -> anyhow::Result<Self> {
        let refused = |why: String| UsageError::Unknown(format!("--record {}: {why}", folder.display()));
        let writer = RecordWriter::open(folder).map_err(|error| refused(error.to_string()))?;
        let before = if writer.is_new() { None } else { Some(read(writer.path())?) };
        let others = before.iter().flat_map(|run| &run.hosts).find(|host| !host.argv.iter().any(|word| word == url));
        if let Some(other) = others {
            let then = other.argv.join(" ");
            return Err(refused(format!("it holds what `{then}` measured; take a folder for each URL")).into());
        }
        let (start, used) = (Moment::observe(&Root::default()), usage::of_this_process().ok());
        Ok(Self { folder: folder.to_path_buf(), writer, before, start, used, started_ms: now_ms() })
    }

    /// Where it is.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Appends what came of a load.
    ///
    /// # Errors
    /// What the file system says.
    pub(super) fn append(
        mut self,
        plan: &LoadPlan,
        outcome: &LoadOutcome,
        intervals: &[LoadInterval],
    ) -> anyhow::Result<()> {
        let host = Host::observe(&Root::default());
        let line = host_line(super::command_line(), &host, Build::current());
        let host_id = line.id.clone();
        self.writer.append(&Line::Host(Box::new(line)))?;
        let setting = setting(plan);
        let mechanism = format!("{GROUP}/{}", outcome.engine);
        let id = id(&mechanism, &setting);
        let known = self.before.iter().flat_map(|run| &run.benchmarks).filter(|line| line.id == id);
        let round = known.map(|line| line.round + 1).max().unwrap_or(0);
        let now = usage::of_this_process().ok();
        let used = self.used.and_then(|before| Some(now?.since(before)));
        let lasted = Nanos(now_ms().saturating_sub(self.started_ms).saturating_mul(1_000_000));
        let noise = Noise {
            start: self.start,
            end: Moment::observe(&Root::default()),
            own_cpu: used.map(|used| used.cpu()),
            lasted: Some(lasted),
        };
        let samples = samples(outcome, intervals);
        let outcome = if samples.is_empty() {
            Outcome::Failed(format!("no request was answered: {}", outcome.ended))
        } else {
            Outcome::Measured(Box::new(Measured {
                samples,
                usage: used.unwrap_or_default(),
                counted: CountedSamples::default(),
                metrics: metrics(outcome),
                audit: AuditRecord::default(),
                noise,
            }))
        };
        let line = BenchmarkLine {
            id,
            baseline: mechanism.clone(),
            mechanism,
            unit: Unit::Request,
            measures: Quantity::Nanoseconds,
            setting: setting.for_the_record(),
            round,
            host_id,
            started_ms: self.started_ms,
            outcome,
            conditions: None,
        };
        Ok(self.writer.append(&Line::Benchmark(Box::new(line)))?)
    }
}

fn setting(plan: &LoadPlan) -> Setting {
    let period = match &plan.driver {
        LoadDriver::Closed { .. } => 0,
        driver @ LoadDriver::Open(_) => driver.mean_gap().map_or(0, |gap| gap.0),
    };
    let number = |number: usize| Value::Number(number as u64);
    let parameters = Parameters::defaults(DECLARED)
        .with(&CONNECTIONS, number(plan.connections))
        .with(&IDLE, number(plan.idle_connections))
        .with(&PERIOD, Value::Number(period))
        .with(&ARRIVALS, Value::Word(plan.driver.name().into()))
        .with(&PROTOCOL, Value::Word(plan.protocol.scheme().into()));
    // Where the server runs is not known, so that this is no placement of the two.
    Setting::new(Placement::Unpinned, plan.cpus.clone(), parameters)
}

/// As those of benchmarks.
fn id(mechanism: &str, setting: &Setting) -> String {
    let base = format!("{mechanism}/{}", setting.placement);
    match setting.parameters.differing_from_defaults(DECLARED) {
        differing if differing.is_empty() => base,
        differing => format!("{base}/{differing}"),
    }
}

/// A sample for each interval, of the response times in it; where there were no intervals, one of the whole.
fn samples(outcome: &LoadOutcome, intervals: &[LoadInterval]) -> Vec<Sample> {
    let sample = |values: &crate::terms::ValueHistogram| {
        let amount = values.mean() * values.count() as f64;
        (values.count() > 0).then(|| Sample::new(Ops(values.count()), Amount(amount as u64)))
    };
    let of_intervals: Vec<Sample> = intervals.iter().filter_map(|interval| sample(&interval.response)).collect();
    if of_intervals.is_empty() { sample(&outcome.response).into_iter().collect() } else { of_intervals }
}

fn metrics(outcome: &LoadOutcome) -> Vec<Metric> {
    let counts = &outcome.counts;
    let (sent, seconds) = (counts.sent.max(1) as f64, outcome.lasted.0.max(1) as f64 / 1e9);
    let number = |of, value: f64| Metric::scalar(of, Quantity::Number, value);
    let mut metrics = vec![
        number(MetricKey::Throughput, counts.answered as f64 / seconds),
        number(MetricKey::RequestsInFlight, outcome.in_flight),
        Metric::scalar(MetricKey::ClientCpu, Quantity::Nanoseconds, outcome.client.cpu.0 as f64 / sent),
    ];
    metrics.extend(outcome.client.events_per_wake().map(|events| number(MetricKey::EventsPerWake, events)));
    if outcome.asked_rate.is_some() {
        let share = |of, count: u64| Metric::scalar(of, Quantity::Share, count as f64 / sent);
        let slip = outcome.lateness.quantile(0.99) as f64;
        metrics.push(Metric::scalar(MetricKey::ScheduleSlip, Quantity::Nanoseconds, slip));
        metrics.push(share(MetricKey::SentLate, counts.late));
        metrics.push(share(MetricKey::HeldForConnection, counts.held));
    }
    if !outcome.void.is_empty() {
        let share = (counts.late + counts.unsent) as f64 / counts.intended.max(1) as f64;
        metrics.push(Metric::scalar(MetricKey::GeneratorBottleneck, Quantity::Share, share));
    }
    metrics.push(Metric::latencies(MetricKey::ServiceTime, outcome.service.clone()));
    metrics.push(Metric::latencies(MetricKey::ResponseTime, outcome.response.clone()));
    metrics
}
