//! What a cost is made of, by subtraction.
//!
//! A benchmark is led up to by others that do less, one step at a time: the baseline, the event loop below a runtime,
//! the same mechanism on one CPU, the same placement with idle CPUs that poll. Each part is one benchmark minus the one
//! before, so the parts add up to the figure exactly. What came out negative is a metric and stays in.
//!
//! Subtraction assumes that the smaller work is wholly inside the larger one. A baseline is therefore used only where
//! the mechanism switches at least as often as it does; a channel that spins does not contain a futex's sleep.

use std::borrow::Cow;

use super::{ChartInput, named};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Bar, Bars, Figure, Segment};
use crate::report::run_view::BenchmarkView;
use crate::report::text;
use crate::terms::{Idle, Placement, Unit};

/// Switches per operation by which a step must exceed the one before to be called a switch.
const A_SWITCH: f64 = 0.3;

/// Runtimes whose own event loop is epoll behind mio or the like: [`LOOP`] is inside them.
const RUNTIMES: [&str; 2] = ["tokio", "smol"];

/// The event loop without a runtime.
const LOOP: &str = "mio";

/// A kind of part: its colour, and its name.
type PartKind = (usize, Cow<'static, str>);
const SWITCH: PartKind = (1, Cow::Borrowed("handoff (switch)"));
const READINESS: PartKind = (2, Cow::Borrowed("finding who is ready"));
const RUNTIME: PartKind = (3, Cow::Borrowed("runtime"));
const OWN: PartKind = (4, Cow::Borrowed("the mechanism itself"));
const CROSSING: PartKind = (6, Cow::Borrowed("other CPUs, migration"));
const IDLE: PartKind = (5, Cow::Borrowed("leaving idle"));
const CROSSING_AND_IDLE: PartKind = (5, Cow::Borrowed("idle exit and migration"));

/// The baseline as a part. For hops of which none waits for another task, the baseline is the input and output.
fn baseline(benchmark: &BenchmarkView) -> PartKind {
    let name = benchmark.name();
    let input_and_output = benchmark.line().unit == Unit::Hop && !waits(benchmark);
    (0, Cow::Owned(if input_and_output { format!("input and output ({name})") } else { format!("baseline ({name})") }))
}

/// The figure; `None` where nothing has more than one part.
pub(in crate::report) fn decomposition(input: ChartInput) -> Option<Figure> {
    // What is late is made of waiting, and no mechanism's waiting contains another's.
    if input
        .benchmarks
        .iter()
        .any(|benchmark| matches!(benchmark.line().unit, Unit::Wakeup | Unit::Request | Unit::Trial))
    {
        return None;
    }
    // Polling is a step on the way to another benchmark.
    let wholes =
        input.apart_from_curves().into_iter().filter(|benchmark| benchmark.line().setting.idle == Idle::Default);
    let chains: Vec<Chain> = wholes.filter_map(|benchmark| chain(benchmark, input.benchmarks)).collect();
    if chains.is_empty() {
        return None;
    }
    let unit = input.unit();
    Some(Figure {
        id: input.anchor("parts"),
        title: input.title(&format!("What a {unit} is made of")),
        subtitle: subtitle(&chains, unit),
        key: Some(
            "Each part is the difference between two benchmarks of which one does a step more; the line across a bar \
             is the total. Outlined parts left of 0 are negative: that step made the operation cheaper. Pale parts \
             cannot be told from 0. Bars too short for this scale have a scale of their own below."
                .into(),
        ),
        picture: Box::new(Bars { axis: format!("time per {unit}"), rows: chains.iter().map(Chain::bar).collect() }),
        csv: csv(&chains),
    })
}

/// A benchmark and those that lead up to it, the least first.
struct Chain<'a> {
    steps: Vec<(PartKind, &'a BenchmarkView<'a>)>,
}

impl<'a> Chain<'a> {
    fn whole(&self) -> &'a BenchmarkView<'a> {
        self.steps[self.steps.len() - 1].1
    }

    /// Kind, the benchmark, what it adds, and whether that is told from 0.
    fn parts(&self) -> Vec<(PartKind, &'a BenchmarkView<'a>, f64, bool)> {
        let mut before: Option<&BenchmarkView> = None;
        let mut parts = Vec::new();
        for (kind, benchmark) in &self.steps {
            let nanos = benchmark.per_op() - before.map_or(0.0, BenchmarkView::per_op);
            // The intervals of independent figures: their half widths add up as standard deviations do.
            let half_width = benchmark.half_width().hypot(before.map_or(0.0, BenchmarkView::half_width));
            parts.push((kind.clone(), *benchmark, nanos, nanos.abs() > half_width));
            before = Some(benchmark);
        }
        parts
    }

    fn bar(&self) -> Bar {
        let whole = self.whole();
        let part = |(kind, _, nanos, told_from_zero): (PartKind, &BenchmarkView, f64, bool)| Segment {
            name: kind.1.into_owned(),
            series: kind.0,
            nanos,
            told_from_zero,
        };
        Bar { label: whole.name().into(), detail: whole.detail(), parts: self.parts().into_iter().map(part).collect() }
    }
}

fn chain<'a>(whole: &'a BenchmarkView<'a>, all: &[&'a BenchmarkView<'a>]) -> Option<Chain<'a>> {
    let on_one_cpu = one_cpu(whole, all);
    let mut steps: Vec<(PartKind, &BenchmarkView)> = Vec::new();
    let own = on_one_cpu.unwrap_or(whole);
    if let Some(base) = base(own, all) {
        steps.push((baseline(base), base));
        let below = below_runtime(own, all).filter(|below| below.line().id != base.line().id);
        if let Some(below) = below {
            steps.push((READINESS, below));
        }
        let switches = waits(own) && !waits(base) && own.switches() - base.switches() > A_SWITCH;
        let kind = match below {
            Some(_) => RUNTIME,
            None if switches => SWITCH,
            None if own.name().starts_with(LOOP) => READINESS,
            None => OWN,
        };
        steps.push((kind, own));
    } else {
        let is_base = own.line().mechanism == own.line().baseline;
        steps.push((if is_base { baseline(own) } else { OWN }, own));
    }
    if own.line().id != whole.line().id {
        match polling(whole, all) {
            Some(polling) => steps.extend([(CROSSING, polling), (IDLE, whole)]),
            None => steps.push((CROSSING_AND_IDLE, whole)),
        }
    }
    (steps.len() > 1).then_some(Chain { steps })
}

/// Whether its tasks give up their CPU. Those that never do are switched by the scheduler alone, for the sake of
/// others.
fn waits(benchmark: &BenchmarkView) -> bool {
    benchmark.summary.voluntary > A_SWITCH
}

/// The same mechanism with the same parameters, all on one CPU: what `whole` adds is where it runs.
fn one_cpu<'a>(whole: &BenchmarkView, all: &[&'a BenchmarkView<'a>]) -> Option<&'a BenchmarkView<'a>> {
    let same = |benchmark: &&&BenchmarkView| {
        let (a, b) = (&benchmark.line().setting, &whole.line().setting);
        benchmark.line().mechanism == whole.line().mechanism
            && a.parameters == b.parameters
            && a.placement == Placement::SameCpu
            && a.idle == Idle::Default
    };
    all.iter().find(same).copied()
}

/// The same benchmark with idle CPUs that poll.
fn polling<'a>(whole: &BenchmarkView, all: &[&'a BenchmarkView<'a>]) -> Option<&'a BenchmarkView<'a>> {
    let same = |benchmark: &&&BenchmarkView| {
        let (a, b) = (&benchmark.line().setting, &whole.line().setting);
        benchmark.line().mechanism == whole.line().mechanism
            && a.parameters == b.parameters
            && a.placement == b.placement
            && (a.idle, b.idle) == (Idle::Poll, Idle::Default)
    };
    all.iter().find(same).copied()
}

/// The baseline beside `own`, if `own` can be thought to contain it.
fn base<'a>(own: &BenchmarkView, all: &[&'a BenchmarkView<'a>]) -> Option<&'a BenchmarkView<'a>> {
    let line = own.line();
    let base = (line.mechanism != line.baseline).then(|| alike(own, &line.baseline, all)).flatten()?;
    (base.switches() <= own.switches() + 0.1 && (waits(own) || !waits(base))).then_some(base)
}

/// The event loop that a runtime is built on.
fn below_runtime<'a>(own: &BenchmarkView, all: &[&'a BenchmarkView<'a>]) -> Option<&'a BenchmarkView<'a>> {
    let runtime = RUNTIMES.iter().any(|runtime| own.name().starts_with(runtime));
    if runtime { alike(own, &format!("{}/{LOOP}", own.group()), all) } else { None }
}

/// `mechanism` in `own`'s placement, with the values that `own` has of the parameters they share. In another placement
/// the difference would be of two things at once.
fn alike<'a>(own: &BenchmarkView, mechanism: &str, all: &[&'a BenchmarkView<'a>]) -> Option<&'a BenchmarkView<'a>> {
    let (mine, placement) = (&own.line().setting.parameters, own.line().setting.placement);
    let agrees = |benchmark: &&&BenchmarkView| {
        let theirs = &benchmark.line().setting;
        let shared = |name: &str| theirs.parameters.iter().find(|(other, _)| *other == name).map(|(_, value)| value);
        benchmark.line().mechanism == mechanism
            && (theirs.placement, theirs.idle) == (placement, Idle::Default)
            && mine.iter().all(|(name, value)| shared(name).is_none_or(|other| other == value))
    };
    all.iter().find(agrees).copied()
}

/// The largest part of the dearest benchmark, and how many parts are negative.
fn subtitle(chains: &[Chain], unit: &str) -> String {
    let Some(dearest) = chains.iter().max_by(|a, b| a.whole().per_op().total_cmp(&b.whole().per_op())) else {
        return String::new();
    };
    let whole = dearest.whole();
    let Some((kind, _, nanos, _)) = dearest.parts().into_iter().max_by(|a, b| a.2.total_cmp(&b.2)) else {
        return String::new();
    };
    let negative = chains.iter().flat_map(Chain::parts).filter(|part| part.2 < 0.0).count();
    let below = match negative {
        0 => String::new(),
        1 => " One part is negative and shown as such.".into(),
        several => format!(" {several} parts are negative and shown as such."),
    };
    format!(
        "Of the {} per {unit} of {}, {} ({}) is {}.{below}",
        text::nanos(whole.per_op()),
        named(whole),
        text::percent(nanos / whole.per_op()),
        text::nanos(nanos),
        kind.1,
    )
}

fn csv(chains: &[Chain]) -> String {
    let mut csv = Csv::new(&["id", "part", "ns_per_op", "told_from_0", "up_to"]);
    for chain in chains {
        for (kind, benchmark, nanos, told_from_zero) in chain.parts() {
            let id = chain.whole().line().id.clone();
            csv.row([id, kind.1.into(), number(nanos), told_from_zero.to_string(), benchmark.line().id.clone()]);
        }
    }
    csv.into_text()
}
