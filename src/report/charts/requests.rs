//! Servers and clients over a number of connections: requests a second, as charts of servers have always shown them,
//! beside the CPU time of a request; and what a connection holds.

use super::scaling::{AmountSeries, curves};
use super::{ChartInput, basis, marks};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Figure, LineSeries, Lines, Panels, Picture, Point};
use crate::report::run_view::BenchmarkView;
use crate::report::text;
use crate::stats::{CONFIDENCE, slope};
use crate::terms::MetricKey;
use crate::units::Quantity;

/// How many requests may be under way at once: connections of a server, requests of a client.
const CONCURRENCY: [&str; 2] = ["connections", "outstanding"];

/// What is open beside them.
const IDLE: &str = "idle_connections";

/// For each placement with several numbers of connections: requests a second beside CPU time, and memory.
pub(in crate::report) fn requests(input: ChartInput) -> Vec<Figure> {
    let curves = curves(input).into_iter();
    let of_connections = curves.filter(|(parameter, ..)| CONCURRENCY.contains(parameter) || *parameter == IDLE);
    let figures = of_connections.flat_map(|(parameter, placement, lines)| {
        let beside = if parameter == IDLE { None } else { beside(input, parameter, placement, &lines) };
        beside.into_iter().chain(memory(input, parameter, placement, &lines))
    });
    figures.collect()
}

/// The old axes next to ours.
fn beside(input: ChartInput, parameter: &str, placement: &str, lines: &[AmountSeries]) -> Option<Figure> {
    let rates = metric(parameter, "requests a second", Quantity::Number, lines, &MetricKey::Throughput)?;
    let cpu = |(label, points): &AmountSeries| {
        let point = |(amount, benchmark): &(u64, &BenchmarkView)| {
            let interval = benchmark.summary.per_op.interval;
            let mark = benchmark.mark().into();
            Point { low: interval.low, high: interval.high, mark, ..Point::at(*amount as f64, interval.estimate) }
        };
        LineSeries { label: label.clone(), points: points.iter().map(point).collect() }
    };
    let cpu = Lines {
        across: parameter.into(),
        upwards: format!("CPU time per {}", input.unit()),
        quantity: input.quantity(),
        marks: true,
        over_time: false,
        level: None,
        lines: lines.iter().map(cpu).collect(),
    };
    Some(Figure {
        id: input.anchor(&format!("requests-{}-{}", text::slug(parameter), text::slug(placement))),
        title: input.title(&format!("Requests a second, and what one costs, over {parameter}, {placement}")),
        subtitle: disagreement(lines).unwrap_or_default(),
        key: marks(&benchmarks(lines).collect::<Vec<_>>()),
        basis: basis(benchmarks(lines)),
        picture: Box::new(Panels { pictures: vec![Box::new(rates) as Box<dyn Picture>, Box::new(cpu)] }),
        csv: csv(parameter, lines, &MetricKey::Throughput),
    })
}

/// Whether the fastest at the largest number is also the cheapest.
fn disagreement(lines: &[AmountSeries]) -> Option<String> {
    let largest = lines.iter().filter_map(|(_, points)| points.last()).map(|(amount, _)| *amount).max()?;
    let at = lines.iter().filter_map(|(label, points)| {
        let (_, benchmark) =
            points.iter().find(|(amount, benchmark)| *amount == largest && benchmark.is_comparable())?;
        Some((label, benchmark.figure(&[MetricKey::Throughput])?, *benchmark))
    });
    let at: Vec<_> = at.collect();
    let (fastest, rate, its) = at.iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
    let (cheapest, its_rate, cheap) = at.iter().min_by(|a, b| a.2.per_op().total_cmp(&b.2.per_op()))?;
    let told = |benchmark: &BenchmarkView| benchmark.formatted(benchmark.per_op());
    Some(if fastest == cheapest {
        format!(
            "At {largest}, {fastest} answers most, {} a second, and a request costs least there, {}.",
            text::rate(*rate),
            told(its)
        )
    } else {
        format!(
            "At {largest}, {fastest} answers most, {} a second at {} each; {cheapest} costs least, {}, and answers {}.",
            text::rate(*rate),
            told(its),
            told(cheap),
            text::rate(*its_rate)
        )
    })
}

fn memory(input: ChartInput, parameter: &str, placement: &str, lines: &[AmountSeries]) -> Option<Figure> {
    let picture = metric(parameter, "memory per connection", Quantity::Bytes, lines, &MetricKey::MemoryPerConnection)?;
    let held = |(label, points): &AmountSeries| {
        let (_, benchmark) = points.last()?;
        Some((label.clone(), benchmark.figure(&[MetricKey::MemoryPerConnection])?))
    };
    let most = lines.iter().filter_map(held).max_by(|a, b| a.1.total_cmp(&b.1));
    let subtitle = most.map_or_else(String::new, |(label, bytes)| {
        format!(
            "User memory, page tables and kernel stacks of the server; sockets are not in it. {label} holds most, {} a \
             connection.",
            text::amount(Quantity::Bytes, bytes)
        )
    });
    Some(Figure {
        id: input.anchor(&format!("memory-{}-{}", text::slug(parameter), text::slug(placement))),
        title: input.title(&format!("Memory per connection over {parameter}, {placement}")),
        subtitle,
        key: marks(&benchmarks(lines).collect::<Vec<_>>()),
        basis: basis(benchmarks(lines)),
        picture: Box::new(picture),
        csv: csv(parameter, lines, &MetricKey::MemoryPerConnection),
    })
}

/// What a connection that asks nothing costs each request beside it, by curve; nothing over another number.
pub(super) fn cost_of_idle(parameter: &str, lines: &[AmountSeries]) -> String {
    if parameter != IDLE {
        return String::new();
    }
    let told = |(label, points): &AmountSeries| {
        let points: Vec<(f64, f64)> =
            points.iter().map(|(amount, benchmark)| (*amount as f64, benchmark.per_op())).collect();
        let slope = slope(&points, CONFIDENCE)?.slope;
        let [estimate, low, high] = [slope.estimate, slope.low, slope.high].map(text::nanos);
        Some(format!("with {label} {estimate} ({low} to {high})"))
    };
    let each: Vec<String> = lines.iter().filter_map(told).collect();
    if each.is_empty() {
        String::new()
    } else {
        format!("Each idle connection costs a request beside it, in CPU time: {}.", text::list(&each))
    }
}

fn metric(
    parameter: &str,
    upwards: &str,
    quantity: Quantity,
    lines: &[AmountSeries],
    key: &MetricKey,
) -> Option<Lines> {
    let line = |(label, points): &AmountSeries| {
        let point = |(amount, benchmark): &(u64, &BenchmarkView)| {
            let value = benchmark.figure(std::slice::from_ref(key))?;
            Some(Point { mark: benchmark.mark().into(), ..Point::at(*amount as f64, value) })
        };
        let points: Vec<Point> = points.iter().filter_map(point).collect();
        (points.len() > 1).then(|| LineSeries { label: label.clone(), points })
    };
    let lines: Vec<LineSeries> = lines.iter().filter_map(line).collect();
    let (across, upwards) = (parameter.into(), upwards.into());
    (!lines.is_empty()).then_some(Lines {
        across,
        upwards,
        quantity,
        marks: true,
        over_time: false,
        level: None,
        lines,
    })
}

fn benchmarks<'a>(lines: &[AmountSeries<'a>]) -> impl Iterator<Item = &'a BenchmarkView<'a>> {
    lines.iter().flat_map(|(_, points)| points).map(|(_, benchmark)| *benchmark)
}

fn csv(parameter: &str, lines: &[AmountSeries], key: &MetricKey) -> String {
    let mut csv = Csv::new(&["curve", parameter, key.as_str(), "cpu_ns_per_request", "id"]);
    for (label, points) in lines {
        for (amount, benchmark) in points {
            let figure = benchmark.figure(std::slice::from_ref(key)).map_or_else(String::new, number);
            let id = benchmark.line().id.clone();
            csv.row([label.clone(), amount.to_string(), figure, number(benchmark.per_op()), id]);
        }
    }
    csv.into_text()
}
