//! What becomes of pipelines when there are many: throughput over their number, and what explains it.

use std::collections::BTreeSet;

use super::{ChartInput, basis, marks};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Figure, LineSeries, Lines, Panels, Picture, Point};
use crate::report::pooling::pooled_rounds;
use crate::report::run_view::BenchmarkView;
use crate::report::text;
use crate::terms::{Metric, MetricKey, Placement, Value};
use crate::units::Quantity;

/// The number that the axis across shows, and the word that each figure is of.
const ACROSS: &str = "pipelines";
const CAPACITY: &str = "capacity";

/// What tells curves of one figure apart, besides the mechanism.
const OF_A_CURVE: [&str; 2] = ["runtime", "workers"];

/// What one figure holds: benchmarks that differ by their mechanism, how it is run, and the number of pipelines alone.
struct PipelineChart<'a> {
    placement: Placement,
    capacity: String,
    /// What else was chosen: `sink=one,work=json`.
    others: String,
    curves: Vec<PipelineCurve<'a>>,
}

/// A mechanism over the number of pipelines.
struct PipelineCurve<'a> {
    label: String,
    /// By rising number.
    points: Vec<(u64, &'a BenchmarkView<'a>)>,
}

/// One figure for each placement, capacity and work of which there are several numbers of pipelines.
pub(in crate::report) fn pipelines(input: ChartInput) -> Vec<Figure> {
    let of_channels: Vec<&BenchmarkView> =
        input.benchmarks.iter().copied().filter(|benchmark| word(benchmark, CAPACITY).is_some()).collect();
    let facets: BTreeSet<ChartFacet> = of_channels.iter().map(|benchmark| ChartFacet::of(benchmark)).collect();
    let panel = |facet: ChartFacet| {
        let of_facet = of_channels.iter().copied().filter(|benchmark| ChartFacet::of(benchmark) == facet);
        let of_facet: Vec<&BenchmarkView> = of_facet.collect();
        let like = of_facet.first().copied()?;
        // What has no channel stands beside every capacity, and is the baseline.
        let without = input.benchmarks.iter().copied().filter(|benchmark| word(benchmark, CAPACITY).is_none());
        let all: Vec<&BenchmarkView> = without.filter(|benchmark| agrees(benchmark, like)).chain(of_facet).collect();
        PipelineChart::new(facet, &all)
    };
    facets.into_iter().filter_map(panel).map(|panel| panel.figure(input)).collect()
}

/// What benchmarks of one figure have in common; in the order of the figures.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct ChartFacet {
    placement: Placement,
    others: String,
    /// 0 first, and what is no number last.
    order: u64,
    capacity: String,
}

impl ChartFacet {
    fn of(benchmark: &BenchmarkView) -> Self {
        let capacity = word(benchmark, CAPACITY).unwrap_or_default();
        let order = capacity.parse().unwrap_or(u64::MAX);
        Self { placement: benchmark.line().setting.placement, others: others(benchmark), order, capacity }
    }
}

/// What was chosen besides what a figure shows.
fn others(benchmark: &BenchmarkView) -> String {
    let shown = |pair: &&str| {
        let name = pair.split('=').next().unwrap_or_default();
        [ACROSS, CAPACITY].contains(&name) || OF_A_CURVE.contains(&name)
    };
    let chosen = benchmark.chosen().unwrap_or_default().split(',').filter(|pair| !pair.is_empty());
    chosen.filter(|pair| !shown(pair)).collect::<Vec<_>>().join(",")
}

fn value<'a>(benchmark: &'a BenchmarkView, parameter: &str) -> Option<&'a Value> {
    benchmark.line().setting.parameters.iter().find(|(name, _)| *name == parameter).map(|(_, value)| value)
}

fn word(benchmark: &BenchmarkView, parameter: &str) -> Option<String> {
    match value(benchmark, parameter)? {
        Value::Word(word) => Some(word.clone()),
        Value::Number(_) => None,
    }
}

fn amount(benchmark: &BenchmarkView, parameter: &str) -> Option<u64> {
    match value(benchmark, parameter)? {
        Value::Number(amount) => Some(*amount),
        Value::Word(_) => None,
    }
}

/// Whether a benchmark without channels has everything else that it has in common with `other`.
fn agrees(benchmark: &BenchmarkView, other: &BenchmarkView) -> bool {
    let (mine, theirs) = (&benchmark.line().setting, &other.line().setting);
    (mine.placement, mine.idle, mine.policy) == (theirs.placement, theirs.idle, theirs.policy)
        && mine.parameters.iter().all(|(name, own)| name == ACROSS || value(other, name) == Some(own))
}

impl<'a> PipelineChart<'a> {
    /// `None` where no mechanism was measured with several numbers of pipelines.
    fn new(facet: ChartFacet, benchmarks: &[&'a BenchmarkView<'a>]) -> Option<Self> {
        let mut curves: Vec<PipelineCurve> = Vec::new();
        for benchmark in benchmarks.iter().copied() {
            let (label, amount) = (label(benchmark), amount(benchmark, ACROSS)?);
            match curves.iter_mut().find(|curve| curve.label == label) {
                Some(curve) => curve.points.push((amount, benchmark)),
                None => curves.push(PipelineCurve { label, points: vec![(amount, benchmark)] }),
            }
        }
        curves.retain(|curve| curve.points.len() > 1);
        curves.iter_mut().for_each(|curve| curve.points.sort_by_key(|(amount, _)| *amount));
        let ChartFacet { placement, capacity, others, .. } = facet;
        (!curves.is_empty()).then_some(Self { placement, capacity, others, curves })
    }

    fn lines(&self, upwards: &str, quantity: Quantity, point: impl Fn(&BenchmarkView) -> Option<[f64; 3]>) -> Lines {
        let at = |(amount, benchmark): &(u64, &BenchmarkView)| {
            let [low, y, high] = point(benchmark)?;
            Some(Point { low, high, mark: benchmark.mark().into(), ..Point::at(*amount as f64, y) })
        };
        let line = |curve: &PipelineCurve| LineSeries {
            label: curve.label.clone(),
            points: curve.points.iter().filter_map(at).collect(),
        };
        let lines = self.curves.iter().map(line).filter(|line| !line.points.is_empty()).collect();
        Lines {
            across: ACROSS.into(),
            upwards: upwards.into(),
            quantity,
            marks: true,
            level: None,
            over_time: false,
            lines,
        }
    }

    fn figure(&self, input: ChartInput) -> Figure {
        let has_documents = self.curves.iter().flat_map(|curve| &curve.points).any(|(_, b)| document(b).is_some());
        let throughput = if has_documents {
            self.lines("documents per second", Quantity::Bytes, |benchmark| {
                let bytes = document(benchmark)?;
                Some(per_second(benchmark).map(|rate| rate * bytes))
            })
        } else {
            self.lines("messages per second", Quantity::Number, |benchmark| Some(per_second(benchmark)))
        };
        let exact = |value: f64| Some([value; 3]);
        let cpu = self.lines("CPU time per message", Quantity::Nanoseconds, |b| exact(b.summary.cpu_nanos));
        let switches = self.lines("context switches per message", Quantity::Number, |b| exact(b.switches()));
        let latency = self.lines("p99 from source to sink", Quantity::Nanoseconds, |b| latency(b).and_then(exact));
        let pictures = [throughput, cpu, switches, latency].into_iter().filter(|lines| !lines.lines.is_empty());
        let others = if self.others.is_empty() { String::new() } else { format!(", {}", self.others) };
        let (placement, capacity) = (self.placement.name(), &self.capacity);
        let kind = format!("pipelines-{capacity}-{placement}-{}", self.others);
        Figure {
            id: input.anchor(&text::slug(&kind)),
            title: input.title(&format!("Throughput of pipelines, capacity {capacity}, {placement}{others}")),
            subtitle: self.subtitle(),
            key: Some(self.key()),
            basis: basis(self.curves.iter().flat_map(|curve| &curve.points).map(|(_, benchmark)| *benchmark)),
            picture: Box::new(Panels { pictures: pictures.map(|lines| Box::new(lines) as Box<dyn Picture>).collect() }),
            csv: self.csv(),
        }
    }

    fn key(&self) -> String {
        let reading = "Below it, what explains it: CPU time and context switches per message, and the 99th percentile \
                       of the time from source to sink while sources send as fast as they can.";
        let of_curves = self.curves.iter().flat_map(|curve| &curve.points);
        let benchmarks: Vec<&BenchmarkView> = of_curves.map(|(_, benchmark)| *benchmark).collect();
        marks(&benchmarks).map_or_else(|| reading.into(), |marks| format!("{reading} {marks}"))
    }

    /// The curve that falls most from its best, and the one that falls least.
    fn subtitle(&self) -> String {
        let of_channels: Vec<&PipelineCurve> =
            self.curves.iter().filter(|curve| word(curve.points[0].1, CAPACITY).is_some()).collect();
        let by_fall = |a: &&&PipelineCurve, b: &&&PipelineCurve| a.fall().total_cmp(&b.fall());
        let (Some(most), Some(least)) = (of_channels.iter().max_by(by_fall), of_channels.iter().min_by(by_fall)) else {
            return String::new();
        };
        let told = |curve: &PipelineCurve| {
            let (number, last) = curve.last();
            let switches = text::significant(last.switches());
            let share = text::percent(1.0 / curve.fall());
            format!(
                "has {share} of its best throughput with {number} pipelines and makes {switches} switches a message"
            )
        };
        let first = format!("{} {}", most.label, told(most));
        if most.label == least.label {
            format!("{first}.")
        } else {
            format!("{first}; {} {}.", least.label, told(least))
        }
    }

    fn csv(&self) -> String {
        let mut csv = Csv::new(&[
            "curve",
            ACROSS,
            "messages_per_second",
            "low_95",
            "high_95",
            "document_bytes_per_second",
            "cpu_ns_per_message",
            "switches_per_message",
            "p99_source_to_sink_ns",
            "id",
        ]);
        let written = |value: Option<f64>| value.map(number).unwrap_or_default();
        for curve in &self.curves {
            for (amount, benchmark) in &curve.points {
                let [low, rate, high] = per_second(benchmark);
                csv.row([
                    curve.label.clone(),
                    amount.to_string(),
                    number(rate),
                    number(low),
                    number(high),
                    written(document(benchmark).map(|bytes| bytes * rate)),
                    number(benchmark.summary.cpu_nanos),
                    number(benchmark.switches()),
                    written(latency(benchmark)),
                    benchmark.line().id.clone(),
                ]);
            }
        }
        csv.into_text()
    }
}

impl<'a> PipelineCurve<'a> {
    fn last(&self) -> (u64, &'a BenchmarkView<'a>) {
        self.points[self.points.len() - 1]
    }

    /// How many times the throughput of the most pipelines goes into the best.
    fn fall(&self) -> f64 {
        let best = self.points.iter().map(|(_, benchmark)| benchmark.per_op()).fold(f64::MAX, f64::min);
        self.last().1.per_op() / best
    }
}

/// `tokio_mpsc runtime=current_thread`.
fn label(benchmark: &BenchmarkView) -> String {
    let chosen = benchmark.chosen().unwrap_or_default().split(',');
    let own = chosen.filter(|pair| OF_A_CURVE.contains(&pair.split('=').next().unwrap_or_default()));
    own.fold(benchmark.name().into(), |label, pair| format!("{label} {pair}"))
}

/// Messages in a second, with the ends of the interval.
fn per_second(benchmark: &BenchmarkView) -> [f64; 3] {
    let interval = benchmark.summary.per_op.interval;
    [interval.high, interval.estimate, interval.low].map(|nanos| 1e9 / nanos)
}

/// Bytes of a document, of benchmarks whose messages carry one.
fn document(benchmark: &BenchmarkView) -> Option<f64> {
    benchmark.figure(&[MetricKey::DocumentBytesPerSecond])?;
    amount(benchmark, "document").map(|bytes| bytes as f64)
}

/// The 99th percentile of the time from source to sink.
fn latency(benchmark: &BenchmarkView) -> Option<f64> {
    pooled_rounds(&benchmark.rounds).into_iter().find_map(|metric| match metric {
        Metric::Distribution(pooled) if pooled.of == MetricKey::SourceToSink && pooled.values.count() > 0 => {
            Some(pooled.values.quantile(0.99) as f64)
        }
        _ => None,
    })
}
