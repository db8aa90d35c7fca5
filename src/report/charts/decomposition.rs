//! What a cost is made of, by subtraction.
//!
//! A benchmark is led up to by others that do less, one step at a time: the baseline, the event loop below a runtime,
//! the same mechanism on one CPU, the same placement with idle CPUs that poll. Each part is one benchmark minus the one
//! before, so the parts add up to the figure exactly.
//!
//! Subtraction assumes that the smaller work is wholly inside the larger one. A step is therefore taken only where the
//! larger one switches, waits and calls at least as often, and where the data do not say that it costs less: a channel
//! that spins does not contain a futex's sleep, and a queue within a process does not contain reads and writes.

use super::{ChartInput, CostPartKind, basis, left_out, named};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Bar, Bars, Figure, Segment};
use crate::report::run_view::BenchmarkView;
use crate::report::text;
use crate::terms::{Idle, Placement, Unit};

/// Switches per operation by which a step must exceed the one before to be called a switch.
const A_SWITCH: f64 = 0.3;

/// What counts of switches and calls may differ by and still be the same.
const SLACK: f64 = 0.1;

/// Runtimes whose own event loop is epoll behind mio or the like: [`LOOP`] is inside them.
const RUNTIMES: [&str; 2] = ["tokio", "smol"];

/// The event loop without a runtime.
const LOOP: &str = "mio";

/// The baseline as a part: input and output for hops that call and never wait for another task.
fn baseline(benchmark: &BenchmarkView) -> CostPartKind {
    let line = benchmark.line();
    let calls = benchmark.summary.calls.is_none_or(|calls| calls > A_SWITCH);
    let reads_and_writes = line.unit == Unit::Hop && line.mechanism == line.baseline && calls && !waits(benchmark);
    if reads_and_writes { CostPartKind::InputAndOutput } else { CostPartKind::Baseline }
}

/// The figure; `None` where nothing has more than one part.
pub(in crate::report) fn decomposition(input: ChartInput) -> Option<Figure> {
    let (chains, invalid) = chains(input);
    if chains.is_empty() {
        return None;
    }
    let unit = input.unit();
    Some(Figure {
        id: input.anchor("parts"),
        title: input.title(&format!("What a {unit} is made of")),
        subtitle: subtitle(&chains, unit),
        key: Some(format!(
            "Each part is the difference between two benchmarks of which one does a step more; the line across a bar \
             is the total, the line below it its 95 % interval. Pale parts are not told from 0, on either side of \
             it. Bars too short for this scale have a scale of their own below.{}",
            left_out("bar", invalid)
        )),
        basis: basis(chains.iter().flat_map(Chain::benchmarks)),
        picture: Box::new(Bars {
            axis: format!("time per {unit}"),
            several_scales: true,
            rows: chains.iter().map(Chain::bar).collect(),
        }),
        csv: csv(&chains),
    })
}

/// What can be taken apart, the cheapest first, and how many of them rest on a figure that is not to be compared.
fn chains(input: ChartInput<'_>) -> (Vec<Chain<'_>>, usize) {
    // What is late is made of waiting, and no mechanism's waiting contains another's.
    let late = |benchmark: &&BenchmarkView| matches!(benchmark.line().unit, Unit::Wakeup | Unit::Request | Unit::Trial);
    if input.benchmarks.iter().any(late) {
        return (Vec::new(), 0);
    }
    // Polling is a step on the way to another benchmark.
    let wholes =
        input.apart_from_curves().into_iter().filter(|benchmark| benchmark.line().setting.idle == Idle::Default);
    let all: Vec<Chain> = wholes.filter_map(|benchmark| chain(benchmark, input.benchmarks)).collect();
    let (mut chains, invalid): (Vec<Chain>, Vec<Chain>) = all.into_iter().partition(Chain::is_comparable);
    chains.sort_by(|a, b| a.whole().per_op().total_cmp(&b.whole().per_op()));
    (chains, invalid.len())
}

/// A benchmark and those that lead up to it, the least first.
pub(super) struct Chain<'a> {
    steps: Vec<(CostPartKind, &'a BenchmarkView<'a>)>,
}

/// One part of a cost.
struct CostStep<'a> {
    kind: CostPartKind,
    /// The benchmark that has it and not the next part.
    up_to: &'a BenchmarkView<'a>,
    nanos: f64,
    told_from_zero: bool,
}

impl<'a> Chain<'a> {
    pub(super) fn whole(&self) -> &'a BenchmarkView<'a> {
        self.steps[self.steps.len() - 1].1
    }

    pub(super) fn benchmarks(&self) -> impl Iterator<Item = &'a BenchmarkView<'a>> {
        self.steps.iter().map(|(_, benchmark)| *benchmark)
    }

    /// Whether all of its figures may be compared.
    pub(super) fn is_comparable(&self) -> bool {
        self.benchmarks().all(|benchmark| benchmark.is_comparable())
    }

    fn parts(&self) -> Vec<CostStep<'a>> {
        let mut before: Option<&BenchmarkView> = None;
        let mut parts = Vec::new();
        for (kind, benchmark) in &self.steps {
            let nanos = benchmark.per_op() - before.map_or(0.0, BenchmarkView::per_op);
            // The intervals of independent figures: their half widths add up as standard deviations do.
            let half_width = benchmark.half_width().hypot(before.map_or(0.0, BenchmarkView::half_width));
            parts.push(CostStep { kind: *kind, up_to: benchmark, nanos, told_from_zero: nanos.abs() > half_width });
            before = Some(benchmark);
        }
        parts
    }

    pub(super) fn bar(&self) -> Bar {
        let whole = self.whole();
        let part = |step: CostStep| Segment {
            name: step.kind.name().into(),
            series: step.kind.series(),
            nanos: step.nanos,
            told_from_zero: step.told_from_zero,
        };
        Bar {
            label: whole.name().into(),
            detail: whole.detail(),
            mark: String::new(),
            parts: self.parts().into_iter().map(part).collect(),
            interval: whole.is_known().then_some(whole.summary.per_op.interval),
        }
    }
}

/// A benchmark with what leads up to it, or by itself where nothing does.
pub(super) fn chain_of<'a>(whole: &'a BenchmarkView<'a>, all: &[&'a BenchmarkView<'a>]) -> Chain<'a> {
    chain(whole, all).unwrap_or_else(|| Chain { steps: vec![(CostPartKind::Own, whole)] })
}

/// What leads up to a benchmark; `None` where nothing does.
fn chain<'a>(whole: &'a BenchmarkView<'a>, all: &[&'a BenchmarkView<'a>]) -> Option<Chain<'a>> {
    let own = one_cpu(whole, all).unwrap_or(whole);
    let elsewhere = own.line().id != whole.line().id;
    // What runs at the same time on several CPUs does not contain what runs on one.
    if elsewhere && !contains(whole, own) {
        return None;
    }
    let mut steps = own_steps(own, all);
    if elsewhere {
        let crossing = if waits(whole) { CostPartKind::OtherCpusAndIdle } else { CostPartKind::OtherCpus };
        match polling(whole, all).filter(|polling| contains(whole, polling) && contains(polling, own)) {
            Some(polling) => {
                steps.extend([(CostPartKind::OtherCpus, polling), (CostPartKind::LeavingIdle, whole)]);
            }
            None => steps.push((crossing, whole)),
        }
    }
    (steps.len() > 1).then_some(Chain { steps })
}

/// What leads up to a mechanism where it runs on one CPU.
fn own_steps<'a>(
    own: &'a BenchmarkView<'a>,
    all: &[&'a BenchmarkView<'a>],
) -> Vec<(CostPartKind, &'a BenchmarkView<'a>)> {
    let Some(base) = base(own, all) else {
        let is_base = own.line().mechanism == own.line().baseline;
        return vec![(if is_base { baseline(own) } else { CostPartKind::Own }, own)];
    };
    let below = below_runtime(own, all)
        .filter(|below| below.line().id != base.line().id && contains(own, below) && contains(below, base));
    let switches = waits(own) && !waits(base) && own.switches() - base.switches() > A_SWITCH;
    let kind = match below {
        Some(_) => CostPartKind::Runtime,
        None if switches => CostPartKind::Switch,
        None if own.name().starts_with(LOOP) => CostPartKind::Readiness,
        None => CostPartKind::Own,
    };
    let mut steps = vec![(baseline(base), base)];
    steps.extend(below.map(|below| (CostPartKind::Readiness, below)));
    steps.push((kind, own));
    steps
}

/// Whether `larger` can be thought to contain `smaller`: it switches as often as that waits, waits if it does, calls as
/// often, and the data do not say that it costs less. Involuntary switches of the smaller one are left out: tasks that
/// share a CPU preempt each other, and on CPUs of their own do not.
fn contains(larger: &BenchmarkView, smaller: &BenchmarkView) -> bool {
    let calls = match (larger.summary.calls, smaller.summary.calls) {
        (Some(larger), Some(smaller)) => smaller <= larger + SLACK,
        _ => true,
    };
    let doubt = larger.half_width().hypot(smaller.half_width());
    smaller.summary.voluntary <= larger.switches() + SLACK
        && (waits(larger) || !waits(smaller))
        && calls
        && larger.per_op() + doubt >= smaller.per_op()
}

/// Whether its tasks give up their CPU. Those that never do are switched by the scheduler alone, for the sake of
/// others, and their CPU never becomes idle.
fn waits(benchmark: &BenchmarkView) -> bool {
    benchmark.summary.voluntary > A_SWITCH
}

/// The same mechanism with the same parameters, all on one CPU: what `whole` adds is where it runs.
fn one_cpu<'a>(whole: &BenchmarkView, all: &[&'a BenchmarkView<'a>]) -> Option<&'a BenchmarkView<'a>> {
    let same = |benchmark: &&&BenchmarkView| {
        let (a, b) = (&benchmark.line().setting, &whole.line().setting);
        benchmark.line().mechanism == whole.line().mechanism
            && a.parameters == b.parameters
            && a.policy == b.policy
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
            && a.policy == b.policy
            && a.placement == b.placement
            && (a.idle, b.idle) == (Idle::Poll, Idle::Default)
    };
    all.iter().find(same).copied()
}

/// The baseline beside `own`, if `own` can be thought to contain it.
fn base<'a>(own: &BenchmarkView, all: &[&'a BenchmarkView<'a>]) -> Option<&'a BenchmarkView<'a>> {
    let line = own.line();
    let base = (line.mechanism != line.baseline).then(|| alike(own, &line.baseline, all)).flatten()?;
    contains(own, base).then_some(base)
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

/// The largest part of the dearest benchmark.
fn subtitle(chains: &[Chain], unit: &str) -> String {
    let Some(dearest) = chains.last() else { return String::new() };
    let whole = dearest.whole();
    let Some(largest) = dearest.parts().into_iter().max_by(|a, b| a.nanos.total_cmp(&b.nanos)) else {
        return String::new();
    };
    format!(
        "Of the {} per {unit} of {}, {} ({}) is {}.",
        text::nanos(whole.per_op()),
        named(whole),
        text::percent(largest.nanos / whole.per_op()),
        text::nanos(largest.nanos),
        largest.kind.name(),
    )
}

fn csv(chains: &[Chain]) -> String {
    let mut csv = Csv::new(&["id", "part", "ns_per_op", "told_from_0", "up_to"]);
    for chain in chains {
        for step in chain.parts() {
            csv.row([
                chain.whole().line().id.clone(),
                step.kind.name().into(),
                number(step.nanos),
                step.told_from_zero.to_string(),
                step.up_to.line().id.clone(),
            ]);
        }
    }
    csv.into_text()
}
