//! Threads against async: what a hop from one task to the next costs, on one CPU and where tasks run by default, and
//! what the difference is made of.

use super::decomposition::{Chain, chain_of};
use super::{ChartInput, basis};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Bars, Figure};
use crate::report::run_view::BenchmarkView;
use crate::report::text;
use crate::terms::Placement;

/// Mechanisms that do the same work, by what a task is.
const THREADS: &str = "brigade/thread";
const ASYNC: [&str; 2] = ["brigade/tokio_current_thread", "brigade/tokio_multi_thread"];
const PLACEMENTS: [Placement; 2] = [Placement::SameCpu, Placement::Unpinned];

/// The figure; `None` where threads and a runtime were not measured in one placement at least.
pub(in crate::report) fn threads_and_async(input: ChartInput) -> Option<Figure> {
    let mut shown: Vec<Chain> = Vec::new();
    for placement in PLACEMENTS {
        let of = |mechanism: &str| {
            let found = input.benchmarks.iter().copied().find(|benchmark| {
                let line = benchmark.line();
                line.mechanism == mechanism && line.setting.placement == placement && benchmark.chosen().is_none()
            });
            found.map(|whole| chain_of(whole, input.benchmarks)).filter(Chain::is_comparable)
        };
        let tasks: Vec<Chain> = ASYNC.iter().filter_map(|mechanism| of(mechanism)).collect();
        if let (Some(threads), false) = (of(THREADS), tasks.is_empty()) {
            shown.push(threads);
            shown.extend(tasks);
        }
    }
    let unit = shown.first()?.whole().line().unit;
    Some(Figure {
        id: input.anchor("threads-and-async"),
        title: input.title(&format!("Threads against async: what a {unit} costs and what it is made of")),
        subtitle: subtitle(&shown),
        key: Some(format!(
            "A byte goes from pipe to pipe along a line of tasks; a {unit} is its way through one task. Each task of \
             thread is a thread, each task of tokio a future on one thread or on several. The line below a bar is its \
             95 % interval; pale parts are not told from 0."
        )),
        basis: basis(shown.iter().flat_map(Chain::benchmarks)),
        picture: Box::new(Bars {
            axis: format!("time per {unit}"),
            several_scales: false,
            rows: shown.iter().map(Chain::bar).collect(),
        }),
        csv: csv(&shown),
    })
}

/// For each placement how much dearer or cheaper a thread is than the cheapest runtime, where the data say so.
fn subtitle(shown: &[Chain]) -> String {
    let compared = |placement: Placement| {
        let here = || shown.iter().map(|chain| chain.whole()).filter(|it| it.line().setting.placement == placement);
        let threads = here().find(|benchmark| benchmark.line().mechanism == THREADS)?;
        let tasks = here().filter(|benchmark| benchmark.line().mechanism != THREADS);
        let tasks = tasks.min_by(|a, b| a.per_op().total_cmp(&b.per_op()))?;
        Some(format!("{placement}: {}", difference(threads, tasks)))
    };
    let sentences: Vec<String> = PLACEMENTS.into_iter().filter_map(compared).collect();
    format!("{}.", text::capitalised(&sentences.join("; ")))
}

fn difference(threads: &BenchmarkView, tasks: &BenchmarkView) -> String {
    let (a, b) = (threads.summary.per_op.interval, tasks.summary.per_op.interval);
    let figures = format!("{} and {}", text::nanos(a.estimate), text::nanos(b.estimate));
    let name = tasks.name();
    if a.low > b.high {
        format!("a thread takes {} the time of {name} ({figures})", text::times(a.estimate / b.estimate))
    } else if b.low > a.high {
        format!(
            "{name} takes {} the time of a thread ({figures}, the thread first)",
            text::times(b.estimate / a.estimate)
        )
    } else {
        format!("a thread and {name} are not told apart ({figures})")
    }
}

fn csv(shown: &[Chain]) -> String {
    let mut csv = Csv::new(&["id", "ns_per_op", "low_95", "high_95", "rounds"]);
    for chain in shown {
        let (id, per_op) = (chain.whole().line().id.clone(), &chain.whole().summary.per_op);
        let figures = [per_op.interval.estimate, per_op.interval.low, per_op.interval.high].map(number);
        csv.row([id].into_iter().chain(figures).chain([per_op.rounds.to_string()]));
    }
    csv.into_text()
}
