//! What an operation did: the tables of time, switches, system calls and events.

use super::csv::{Csv, number, optional};
use super::run_view::BenchmarkView;
use super::summary::{INVALID, INVALID_NOTE};
use super::text::{self, nanos, rate};
use crate::units::Quantity;

/// One row of the main table, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CounterRow {
    /// The mechanism.
    pub(super) name: String,
    /// Placement and what was chosen.
    pub(super) detail: String,
    /// Time per operation, or what else is measured.
    pub(super) time: String,
    /// The 95 % interval.
    pub(super) interval: String,
    /// CPU time per operation.
    pub(super) cpu: String,
    /// Voluntary and involuntary switches per operation.
    pub(super) switches: String,
    /// System calls per operation, by name.
    pub(super) calls: String,
    /// The audit's verdict.
    pub(super) audit: &'static str,
    /// How much slower the counted samples were.
    pub(super) counting: String,
    /// The rounds that count, and of how many.
    pub(super) rounds: String,
    /// Which share of the samples was discarded; nothing where all count.
    pub(super) discarded: Option<String>,
}

/// The row of a benchmark.
pub(super) fn row(benchmark: &BenchmarkView) -> CounterRow {
    let summary = &benchmark.summary;
    CounterRow {
        name: benchmark.name().into(),
        detail: benchmark.detail(),
        time: time(benchmark),
        interval: interval(benchmark),
        cpu: nanos(summary.cpu_nanos),
        switches: format!("{} + {}", rate(summary.voluntary), rate(summary.involuntary)),
        calls: calls(benchmark),
        audit: summary.audit,
        counting: summary.counting_cost.map_or("–".into(), signed_percent),
        rounds: summary.rounds_counting(),
        discarded: (summary.discarded > 0.0).then(|| format!("{} discarded", text::percent(summary.discarded))),
    }
}

/// The figure, with a mark where it is invalid.
pub(super) fn time(benchmark: &BenchmarkView) -> String {
    let mark = if benchmark.summary.invalid { INVALID } else { "" };
    format!("{}{mark}", benchmark.formatted(benchmark.per_op()))
}

/// What stands below a table that has invalid figures.
pub(super) fn invalid_note(benchmarks: &[&BenchmarkView]) -> Option<&'static str> {
    benchmarks.iter().any(|benchmark| benchmark.summary.invalid).then_some(INVALID_NOTE)
}

/// The interval: half its width relative to the figure, or its ends where it is so wide that it is not one about the
/// figure in any useful sense.
pub(super) fn interval(benchmark: &BenchmarkView) -> String {
    const WIDE: f64 = 0.5;
    let interval = benchmark.summary.per_op.interval;
    match interval.relative_half_width() {
        None => "–".into(),
        Some(half) if half <= WIDE => format!("±{}", text::percent(half)),
        Some(half) if half > text::HARDLY_KNOWN => text::BEYOND.into(),
        Some(_) => format!("{} to {}", benchmark.formatted(interval.low), benchmark.formatted(interval.high)),
    }
}

fn signed_percent(share: f64) -> String {
    // "−0 %" says nothing that "0 %" does not.
    let percent = (share * 100.0).round();
    match percent {
        0.0 => "0 %".into(),
        percent if percent > 0.0 => format!("+{percent} %"),
        percent => format!("−{} %", -percent),
    }
}

/// `read 1, write 1`; those that hardly ever happen come last, together.
fn calls(benchmark: &BenchmarkView) -> String {
    const RARE: f64 = 0.0005;
    // More names than this make the row too long to read; the data have them all.
    const NAMED: usize = 5;
    if benchmark.summary.calls.is_none() {
        return "not counted".into();
    }
    let calls = benchmark.calls();
    let mut often: Vec<(&str, f64)> = calls.into_iter().filter(|(_, rate)| *rate >= RARE).collect();
    often.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(b.0)));
    match often.as_slice() {
        [] => "none".into(),
        often => {
            let mut names: Vec<String> =
                often.iter().take(NAMED).map(|(name, value)| format!("{name}\u{a0}{}", rate(*value))).collect();
            if let Some(others) = often.get(NAMED..).filter(|others| !others.is_empty()) {
                let sum: f64 = others.iter().map(|(_, value)| value).sum();
                names.push(format!("{} {}", text::count(others.len(), "other"), rate(sum)));
            }
            names.join(", ")
        }
    }
}

/// Every event counted in any of `benchmarks`, in alphabetical order.
pub(super) fn events<'a>(benchmarks: &[&'a BenchmarkView<'a>]) -> Vec<&'a str> {
    let mut events: Vec<&str> = benchmarks.iter().flat_map(|benchmark| benchmark.events().into_keys()).collect();
    events.sort_unstable();
    events.dedup();
    events
}

/// The rates of `events` in a benchmark, in words.
pub(super) fn event_rates(benchmark: &BenchmarkView, events: &[&str]) -> Vec<String> {
    let counted = benchmark.events();
    let cell = |event: &&str| match counted.get(event) {
        Some((value, true)) => format!("≈ {}", rate(*value)),
        Some((value, false)) => rate(*value),
        None => "–".into(),
    };
    events.iter().map(cell).collect()
}

/// Everything in the tables, to compute with.
pub(super) fn csv(benchmarks: &[&BenchmarkView]) -> String {
    let events = events(benchmarks);
    let mut calls: Vec<&str> = benchmarks.iter().flat_map(|benchmark| benchmark.calls().into_keys()).collect();
    calls.sort_unstable();
    calls.dedup();
    let named = |prefix: &str, names: &[&str]| names.iter().map(|name| format!("{prefix}{name}")).collect::<Vec<_>>();
    let figure = text::column(benchmarks.first().map_or(Quantity::default(), |benchmark| benchmark.quantity()));
    let fixed = ["id", figure, "cpu_ns", "voluntary", "involuntary", "calls", "audit", "counting_cost"];
    let screened = ["rounds_counting", "rounds_measured", "discarded", "disturbed_rounds"];
    let columns = [
        fixed.map(String::from).to_vec(),
        screened.map(String::from).to_vec(),
        named("call:", &calls),
        named("event:", &events),
    ]
    .concat();
    let mut csv = Csv::new(&columns.iter().map(String::as_str).collect::<Vec<_>>());
    for benchmark in benchmarks {
        let summary = &benchmark.summary;
        let (rates, counted) = (benchmark.calls(), benchmark.events());
        let audited = summary.calls.is_some();
        let start = [
            benchmark.line().id.clone(),
            number(benchmark.per_op()),
            number(summary.cpu_nanos),
            number(summary.voluntary),
            number(summary.involuntary),
            optional(summary.calls),
            summary.audit.into(),
            optional(summary.counting_cost),
            summary.per_op.rounds.to_string(),
            summary.rounds.to_string(),
            number(summary.discarded),
            summary.disturbed_rounds.to_string(),
        ];
        let of_call = |name: &&str| optional(audited.then(|| rates.get(name).copied().unwrap_or(0.0)));
        let of_event = |name: &&str| optional(counted.get(name).map(|(value, _)| *value));
        csv.row(start.into_iter().chain(calls.iter().map(of_call)).chain(events.iter().map(of_event)));
    }
    csv.into_text()
}
