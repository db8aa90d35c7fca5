//! What a run says of single benchmarks, as the rules of the answers ask for it, and how two of them compare.

use std::cell::RefCell;

use crate::record::{Outcome, Run};
use crate::report::counters;
use crate::report::run_view::{BenchmarkView, RunView};
use crate::report::summary::SEED;
use crate::report::text;
use crate::stats::{Basis, CONFIDENCE, Ratio, ratio_interval};
use crate::terms::{Idle, Metric, MetricKey, Placement, ValueHistogram};

/// How many times as much one of two benchmarks must take before a single process of each tells them apart: medians of
/// processes differ by up to 11 % where the kernel places the tasks (docs/method/rounds.md), a busy neighbour makes
/// entering the kernel 30 % dearer while its phase lasts (docs/method/noise.md), and one process of either side can
/// show neither. 1.5 is beyond both together.
const APART_BY_ONE_PROCESS: f64 = 1.5;

/// Placements on two CPUs, the nearest to what most services meet first: two cores that share a cache.
pub(in crate::report) const ACROSS: [Placement; 5] =
    [Placement::SameLlc, Placement::CrossLlc, Placement::CrossNode, Placement::SmtSibling, Placement::OnePerCpu];

/// Why a rule says nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Silence {
    /// The run was not asked for a benchmark: its id.
    NotMeasured(String),
    /// A benchmark gave no figure that may be used: its id, and why, with the remedy where there is one.
    NoFigure(String, String),
}

/// The figures of a run, by what rules ask for. It remembers which benchmarks were asked for.
pub(super) struct Facts<'a> {
    view: &'a RunView<'a>,
    used: RefCell<Vec<String>>,
}

impl<'a> Facts<'a> {
    /// Of `view`; nothing was asked for yet.
    pub(super) fn new(view: &'a RunView<'a>) -> Self {
        Self { view, used: RefCell::default() }
    }

    /// The ids of the benchmarks that were used since the last call, in the order of their use.
    pub(super) fn take_used(&self) -> Vec<String> {
        self.used.take()
    }

    /// A mechanism in a placement, with everything else at its default.
    pub(super) fn get(&self, mechanism: &str, placement: Placement) -> Result<&'a BenchmarkView<'a>, Silence> {
        self.by_id(&format!("{mechanism}/{placement}"))
    }

    /// The same with one parameter at another value, by their names.
    pub(super) fn with(
        &self,
        mechanism: &str,
        placement: Placement,
        (parameter, value): (&str, &str),
    ) -> Result<&'a BenchmarkView<'a>, Silence> {
        self.by_id(&format!("{mechanism}/{placement}/{parameter}={value}"))
    }

    /// A mechanism whose tasks are on two CPUs, with everything else at its default.
    pub(super) fn across(&self, mechanism: &str) -> Result<&'a BenchmarkView<'a>, Silence> {
        let first = ACROSS.iter().find_map(|placement| self.get(mechanism, *placement).ok());
        first.ok_or_else(|| {
            let cell = ACROSS.iter().filter_map(|placement| self.get(mechanism, *placement).err());
            let refused = cell.into_iter().find(|silence| matches!(silence, Silence::NoFigure(..)));
            refused.unwrap_or_else(|| Silence::NotMeasured(format!("{mechanism}/{}", ACROSS[0])))
        })
    }

    /// `benchmark` again, with CPUs that do not sleep while they are idle: those that poll, else those that a task of
    /// the lowest priority keeps busy.
    pub(super) fn awake(&self, benchmark: &BenchmarkView) -> Result<&'a BenchmarkView<'a>, Silence> {
        let id = &benchmark.line().id;
        let with = |idle: Idle| self.by_id(&format!("{id}/idle={idle}"));
        with(Idle::Poll).or_else(|_| with(Idle::Spinner))
    }

    fn by_id(&self, id: &str) -> Result<&'a BenchmarkView<'a>, Silence> {
        let no_figure = |why: &str| Err(Silence::NoFigure(id.into(), why.into()));
        let Some(benchmark) = self.view.benchmarks.iter().find(|benchmark| benchmark.line().id == id) else {
            return Err(silence(self.view.run, id));
        };
        if benchmark.summary.audit == "DIFFERS" {
            return no_figure("by its audit, it did not do what its name says");
        }
        if benchmark.summary.invalid {
            return no_figure("what generates its requests was late itself");
        }
        self.used.borrow_mut().push(id.into());
        Ok(benchmark)
    }
}

/// Why the run has no figure of the benchmark `id`.
fn silence(run: &Run, id: &str) -> Silence {
    let line = run.benchmarks.iter().find(|line| line.id == id);
    let why = line.map(|line| match &line.outcome {
        Outcome::Unsupported(not) => format!("it {}; {}", not.why(), not.0.remedy),
        Outcome::Failed(reason) => format!("it failed: {reason}"),
        Outcome::Measured(_) => "none of its rounds has samples that count".into(),
    });
    why.map_or_else(|| Silence::NotMeasured(id.into()), |why| Silence::NoFigure(id.into(), why))
}

/// The figure of a benchmark with its interval: `2.33 µs (±3.0 %)`.
pub(super) fn told(benchmark: &BenchmarkView) -> String {
    format!("{} ({})", counters::time(benchmark), counters::interval(benchmark))
}

/// The distribution that a benchmark reports under `key`, over all rounds.
pub(super) fn distribution<'a>(benchmark: &'a BenchmarkView, key: &MetricKey) -> Result<&'a ValueHistogram, Silence> {
    let found = benchmark.metrics().iter().find_map(|metric| match metric {
        Metric::Distribution(distribution) if distribution.of == *key => Some(&distribution.values),
        _ => None,
    });
    found.ok_or_else(|| lacks(benchmark, key))
}

/// The number that a benchmark reports under `key`, and its 95 % interval where it has one.
pub(super) fn scalar(benchmark: &BenchmarkView, key: &MetricKey) -> Result<(f64, Option<(f64, f64)>), Silence> {
    let found = benchmark.metrics().iter().find_map(|metric| match metric {
        Metric::Scalar(scalar) if scalar.of == *key => Some((scalar.value, scalar.interval)),
        _ => None,
    });
    found.ok_or_else(|| lacks(benchmark, key))
}

fn lacks(benchmark: &BenchmarkView, key: &MetricKey) -> Silence {
    Silence::NoFigure(benchmark.line().id.clone(), format!("its record has no {key}"))
}

/// What the data say of a benchmark beside another one.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::report) enum Beside {
    /// It takes more: how many times as much, at least and at most.
    More(f64, f64, f64),
    /// It takes less: how many times as much the other takes, at least and at most.
    Less(f64, f64, f64),
    /// The data support neither: the ends of the ratio's interval.
    NotApart(f64, f64),
}

/// `benchmark` beside `other`, by the same ratio as everywhere.
pub(in crate::report) fn beside(benchmark: &BenchmarkView, other: &BenchmarkView) -> Beside {
    let counting = |of: &BenchmarkView| -> Vec<Vec<f64>> {
        of.counting().iter().filter(|round| !round.is_empty()).cloned().collect()
    };
    match ratio_interval(&counting(benchmark), &counting(other), false, CONFIDENCE, SEED) {
        Some(ratio) => judged(&ratio),
        // Without an interval nothing is told apart.
        None => Beside::NotApart(0.0, f64::INFINITY),
    }
}

fn judged(ratio: &Ratio) -> Beside {
    let interval = ratio.interval;
    let margin = if ratio.basis == Basis::WithinRunOnly { APART_BY_ONE_PROCESS } else { 1.0 };
    if interval.low > 1.0 && interval.estimate > margin {
        Beside::More(interval.estimate, interval.low, interval.high)
    } else if interval.high < 1.0 && interval.estimate < 1.0 / margin {
        Beside::Less(1.0 / interval.estimate, 1.0 / interval.high, 1.0 / interval.low)
    } else {
        Beside::NotApart(interval.low, interval.high)
    }
}

impl Beside {
    /// `8.5 times as much (6.1 to 12)`, `0.12 times as much …`, or that the two are not told apart.
    pub(in crate::report) fn times(self) -> String {
        match self {
            Self::More(times, low, high) => times_as_much(times, low, high),
            Self::Less(times, low, high) => times_as_much(1.0 / times, 1.0 / high, 1.0 / low),
            // The samples of the two do differ; whether the mechanisms do, a single process cannot say.
            Self::NotApart(low, high) if high.is_finite() && (low > 1.0 || high < 1.0) => {
                let of = text::significant;
                format!(
                    "not told apart while a figure is of one process ({} to {} times as much there)",
                    of(low),
                    of(high)
                )
            }
            Self::NotApart(low, high) if high.is_finite() => {
                format!("not told apart ({} to {} times as much)", text::significant(low), text::significant(high))
            }
            Self::NotApart(..) => "not told apart".into(),
        }
    }
}

fn times_as_much(times: f64, low: f64, high: f64) -> String {
    let of = text::significant;
    format!("{} times as much ({} to {})", of(times), of(low), of(high))
}
