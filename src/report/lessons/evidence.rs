//! What the records of a lesson say: its figures with their intervals.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::expression::{Expression, FigureSource, FileSource};
use super::source::Lesson;
use crate::record::{Outcome, Run};
use crate::report::answers::{ACROSS, Beside, beside};
use crate::report::run_view::{BenchmarkView, RunView};
use crate::report::text;
use crate::stats::Interval;
use crate::terms::{Metric, MetricKey};
use crate::units::Quantity;

/// Why there is no figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Lack {
    /// It has not been measured.
    NotMeasured(String),
    /// It cannot be had from what was measured, or the expression is wrong.
    Wrong(String),
}

/// A figure with its 95 % interval. A number without one has its own value for both ends.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct FigureValue {
    /// The interval.
    pub(super) interval: Interval,
    /// What kind of number it is.
    pub(super) quantity: Quantity,
    /// Whether it rests on a single process.
    pub(super) within_only: bool,
}

impl FigureValue {
    /// A number that was not measured.
    pub(super) fn exactly(number: f64) -> Self {
        Self::between(number, number, number, Quantity::Number)
    }

    fn between(low: f64, estimate: f64, high: f64, quantity: Quantity) -> Self {
        let interval = Interval { low, estimate, high, confidence: crate::stats::CONFIDENCE };
        Self { interval, quantity, within_only: false }
    }

    /// How many times one benchmark takes what the other takes, by the same ratio as everywhere.
    pub(super) fn ratio(a: &BenchmarkView, b: &BenchmarkView) -> Result<Self, Lack> {
        match beside(a, b) {
            Beside::More(times, low, high) => Ok(Self::between(low, times, high, Quantity::Number)),
            Beside::Less(times, low, high) => Ok(Self::between(1.0 / high, 1.0 / times, 1.0 / low, Quantity::Number)),
            Beside::NotApart(low, high) if high.is_finite() => {
                Ok(Self::between(low, a.per_op() / b.per_op(), high, Quantity::Number))
            }
            Beside::NotApart(..) => Err(Lack::Wrong("their samples make no ratio".into())),
        }
    }

    /// The two combined. The ends are those of the worst case, so that what holds of them holds of the figures.
    pub(super) fn with(self, operator: char, other: Self) -> Result<Self, Lack> {
        let (a, b) = (self.interval, other.interval);
        let of = |a: f64, b: f64| match operator {
            '+' => a + b,
            '-' => a - b,
            '*' => a * b,
            _ => a / b,
        };
        if operator == '/' && b.low <= 0.0 && b.high >= 0.0 {
            return Err(Lack::Wrong("it divides by what may be nothing".into()));
        }
        let corners = [of(a.low, b.low), of(a.low, b.high), of(a.high, b.low), of(a.high, b.high)];
        let quantity = match operator {
            '/' if other.quantity == self.quantity => Quantity::Number,
            '*' if self.quantity == Quantity::Number => other.quantity,
            _ => self.quantity,
        };
        Ok(Self::between(
            corners.iter().copied().fold(f64::INFINITY, f64::min),
            of(a.estimate, b.estimate),
            corners.iter().copied().fold(f64::NEG_INFINITY, f64::max),
            quantity,
        ))
    }

    /// In words, as `how` asks: `time`, `told`, `times`, `range`, `percent`, `number`.
    pub(super) fn formatted(&self, how: &str) -> Option<String> {
        let Interval { low, estimate, high, .. } = self.interval;
        let amount = |value: f64| text::amount(self.quantity, value);
        Some(match how {
            "time" => amount(estimate),
            "told" if low < high => {
                let half = (high - low) / 2.0 / estimate.abs();
                if half <= 0.5 {
                    format!("{} (±{})", amount(estimate), text::percent(half))
                } else {
                    format!("{} ({} to {})", amount(estimate), amount(low), amount(high))
                }
            }
            "told" => amount(estimate),
            "times" => text::significant(estimate),
            "range" => format!("{} to {}", amount(low), amount(high)),
            "percent" => text::percent(estimate),
            "number" => text::rate(estimate),
            _ => return None,
        })
    }
}

/// The records of a lesson, sorted out.
#[derive(Debug)]
pub struct Evidence<'a> {
    pub(super) lesson: &'a Lesson,
    views: BTreeMap<&'a str, RunView<'a>>,
    files: BTreeMap<String, Json>,
    is_readers: bool,
}

impl<'a> Evidence<'a> {
    /// The committed records that are there, by the names that the lesson gives them.
    pub fn committed(lesson: &'a Lesson, runs: &'a BTreeMap<String, Run>) -> Self {
        let views = runs.iter().map(|(name, run)| (name.as_str(), RunView::new(String::new(), run))).collect();
        Self { lesson, views, files: BTreeMap::new(), is_readers: false }
    }

    /// One run of a reader's, which stands for all records of the lesson.
    pub fn readers(lesson: &'a Lesson, run: &'a Run) -> Self {
        let names = lesson.source.records.keys();
        let views = names.map(|name| (name.as_str(), RunView::new(String::new(), run))).collect();
        Self { lesson, views, files: BTreeMap::new(), is_readers: true }
    }

    /// The same with files that lie beside the records, by the names of both: `pairs/advice.json`.
    #[must_use]
    pub fn with_files(self, files: BTreeMap<String, Json>) -> Self {
        Self { files, ..self }
    }

    /// The records that are not there, by name.
    pub fn absent(&self) -> Vec<(&'a str, &'a super::RecordSource)> {
        self.lesson.records().filter(|(name, _)| !self.views.contains_key(name)).collect()
    }

    /// The machine and the day of the record `name`, and where it lies; `None` where it is not there.
    pub(super) fn machine(&self, name: &str) -> Option<String> {
        Some(self.views.get(name)?.described())
    }

    /// The file of the record `name`.
    pub(super) fn path(&self, name: &str) -> Option<&std::path::Path> {
        Some(&self.views.get(name)?.run.path)
    }

    /// The machine of any of its records.
    pub(super) fn source(&self) -> String {
        let mut machines: Vec<String> = self.views.values().map(RunView::described).collect();
        machines.dedup();
        machines.first().cloned().unwrap_or_default()
    }

    fn defined(&self, name: &str) -> Result<&'a FigureSource, Lack> {
        let defined = self.lesson.source.defined.get(name);
        defined.ok_or_else(|| Lack::Wrong(format!("there is no figure `{name}` in {}.toml", self.lesson.name)))
    }

    /// The number in a file.
    fn in_file(&self, record: &str, file: &FileSource) -> Result<FigureValue, Lack> {
        let name = format!("{record}/{}", file.name);
        let Some(json) = self.files.get(&name) else {
            return Err(Lack::NotMeasured(format!("there is no {} beside the record", file.name)));
        };
        let found = json.pointer(&file.pointer);
        let found = found.ok_or_else(|| Lack::Wrong(format!("{name} has nothing at {}", file.pointer)))?;
        let number = |at: &str| found.get(at).and_then(Json::as_f64);
        let ends = number("low").zip(number("estimate")).zip(number("high"));
        let value = found.as_f64().map(|value| (value, value, value));
        let (low, estimate, high) = ends
            .map(|((low, estimate), high)| (low, estimate, high))
            .or(value)
            .ok_or_else(|| Lack::Wrong(format!("{name}: {} is no number", file.pointer)))?;
        Ok(FigureValue::between(low, estimate, high, file.quantity))
    }

    /// The benchmark of a figure.
    pub(super) fn benchmark(&self, name: &str) -> Result<&BenchmarkView<'a>, Lack> {
        let FigureSource { record, id, .. } = self.defined(name)?;
        let Some(view) = self.views.get(record.as_str()) else {
            return Err(Lack::NotMeasured(format!("there is no record `{record}` yet")));
        };
        let lacking = |why: String| if self.is_readers { Lack::NotMeasured(why) } else { Lack::Wrong(why) };
        let find = |id: &str| view.benchmarks.iter().find(|benchmark| benchmark.line().id == id);
        // A reader's two nearest CPUs may share less, or more, than those of the committed record.
        let nearest = || {
            let near = |placement: &crate::terms::Placement| id.replace("/same-llc", &format!("/{placement}"));
            ACROSS.iter().filter(|_| self.is_readers && id.contains("/same-llc")).find_map(|other| find(&near(other)))
        };
        let Some(benchmark) = find(id).or_else(nearest) else {
            return Err(lacking(format!("{id}: {}", self.why_not(view.run, id))));
        };
        if !benchmark.is_comparable() {
            let why = if benchmark.summary.invalid { "its generator was late" } else { "its audit differs" };
            return Err(lacking(format!("{id}: {why}")));
        }
        Ok(benchmark)
    }

    fn why_not(&self, run: &Run, id: &str) -> String {
        let line = run.benchmarks.iter().find(|line| line.id == id);
        match line.map(|line| &line.outcome) {
            Some(Outcome::Unsupported(not)) => format!("it {}; {}", not.why(), not.0.remedy),
            Some(Outcome::Failed(reason)) => format!("it failed: {reason}"),
            Some(Outcome::Measured(_)) => "none of its samples count".into(),
            None => "the record does not have it".into(),
        }
    }

    /// The two benchmarks where both expressions are figures per operation, and nothing else.
    pub(super) fn pair(
        &self,
        a: &Expression,
        b: &Expression,
    ) -> Result<Option<(&BenchmarkView<'a>, &BenchmarkView<'a>)>, Lack> {
        let plain = |of: &Expression| -> Result<Option<&BenchmarkView<'a>>, Lack> {
            match of.figure() {
                Some(name) if self.defined(name)?.is_per_op() => self.benchmark(name).map(Some),
                _ => Ok(None),
            }
        };
        Ok(plain(a)?.zip(plain(b)?))
    }

    /// The figure called `name`, or one of its other numbers.
    pub(super) fn value(&self, name: &str, part: Option<&str>) -> Result<FigureValue, Lack> {
        if let FigureSource { record, file: Some(file), .. } = self.defined(name)? {
            return self.in_file(record, file);
        }
        let benchmark = self.benchmark(name)?;
        let lacks = |what: &str| Lack::NotMeasured(format!("{}: {what}", benchmark.line().id));
        let exactly = |value: f64, quantity| Ok(FigureValue::between(value, value, value, quantity));
        match (part, &self.defined(name)?.metric) {
            (Some("cpu"), _) => return exactly(benchmark.summary.cpu_nanos, Quantity::Nanoseconds),
            (Some("switches"), _) => return exactly(benchmark.switches(), Quantity::Number),
            (Some("calls"), _) => {
                let calls = benchmark.summary.calls.ok_or_else(|| lacks("no audit counted its calls"))?;
                return exactly(calls, Quantity::Number);
            }
            (Some(other), _) => return Err(Lack::Wrong(format!("{name}.{other}: use cpu, switches or calls"))),
            (None, None) => {
                let Interval { low, estimate, high, .. } = benchmark.summary.per_op.interval;
                let value = FigureValue::between(low, estimate, high, benchmark.quantity());
                return Ok(FigureValue { within_only: benchmark.summary.rests_on_one_round(), ..value });
            }
            (None, Some(_)) => {}
        }
        let Some(asked) = &self.defined(name)?.metric else { return Err(lacks("no figure")) };
        let known = MetricKey::ALL.iter().find(|key| key.as_str() == asked.key).cloned();
        let key = known.ok_or_else(|| Lack::Wrong(format!("{name}: nothing reports `{}`", asked.key)))?;
        let found = benchmark.metrics().iter().find_map(|metric| match (metric, asked.thousandth) {
            (Metric::Scalar(scalar), None) if scalar.of == key => {
                let (low, high) = scalar.interval.unwrap_or((scalar.value, scalar.value));
                Some(FigureValue::between(low, scalar.value, high, scalar.quantity))
            }
            (Metric::Distribution(values), Some(thousandth)) if values.of == key => {
                let value = values.values.quantile(f64::from(thousandth) / 1000.0) as f64;
                Some(FigureValue::between(value, value, value, values.quantity))
            }
            _ => None,
        });
        found.ok_or_else(|| lacks(&format!("its record has no {key}")))
    }
}
