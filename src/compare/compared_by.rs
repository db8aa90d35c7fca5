//! Comparing by something else than time: CPU time, switches, or any event that was counted.

use std::collections::BTreeSet;
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;

use serde::{Serialize, Serializer};

use crate::record::{BenchmarkLine, Measured, Outcome, Run, Sample};
use crate::units::{Amount, Ops, Quantity};

/// What runs are compared by.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ComparedBy {
    /// What their groups measure: time, or memory where a group measures that.
    #[default]
    Time,
    /// CPU time of the tasks, user and system, in the bare samples.
    Cpu,
    /// Switches away from a task, voluntary and not, in the bare samples.
    Switches,
    /// An event's count in the counted samples, by its name in the record: `instructions:u`.
    Event(String),
}

impl FromStr for ComparedBy {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "" => Err("name time, cpu, switches or an event, such as instructions:u".into()),
            "time" => Ok(Self::Time),
            "cpu" => Ok(Self::Cpu),
            "switches" => Ok(Self::Switches),
            event => Ok(Self::Event(event.into())),
        }
    }
}

impl Display for ComparedBy {
    /// As it is given: `switches`, `instructions:u`.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Time => "time",
            Self::Cpu => "cpu",
            Self::Switches => "switches",
            Self::Event(event) => event,
        })
    }
}

impl Serialize for ComparedBy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// A part of a count that is kept: records hold whole amounts, and counts per operation are often below one.
const PARTS: u64 = 1_000_000_000;

impl ComparedBy {
    /// What stands above a column of figures.
    pub(super) fn of_an_operation(&self) -> String {
        match self {
            Self::Time => "ns/op".into(),
            Self::Cpu => "CPU ns/op".into(),
            Self::Switches | Self::Event(_) => format!("{self}/op"),
        }
    }

    /// What a figure that has grown is, and what its growth is called.
    pub fn growth(&self) -> (&'static str, &'static str) {
        if *self == Self::Time { ("slower", "a slowdown") } else { ("higher", "a rise") }
    }

    /// `run` with this in the place of what its benchmarks measured: one sample of each round. Benchmarks in which it
    /// was not counted are left out, as are those that came to 0 in a round, which have no ratio; their ids are
    /// returned.
    pub fn apply(&self, mut run: Run) -> (Run, BTreeSet<String>) {
        if *self == Self::Time {
            return (run, BTreeSet::new());
        }
        let mut lacking = BTreeSet::new();
        for line in &mut run.benchmarks {
            if !self.replace(line) {
                lacking.insert(line.id.clone());
            }
        }
        run.benchmarks.retain(|line| !lacking.contains(&line.id));
        (run, lacking)
    }

    /// The events that were counted in `run`, by name.
    pub fn events(run: &Run) -> BTreeSet<String> {
        let measured = run.benchmarks.iter().filter_map(|line| match &line.outcome {
            Outcome::Measured(measured) => Some(measured),
            _ => None,
        });
        measured.flat_map(|measured| &measured.counted.counters).map(|counter| counter.event.clone()).collect()
    }

    fn replace(&self, line: &mut BenchmarkLine) -> bool {
        let Outcome::Measured(measured) = &mut line.outcome else { return true };
        let Some(sample) = self.sample(measured).filter(|sample| sample.amount.0 > 0) else { return false };
        measured.samples = vec![sample];
        line.measures = if *self == Self::Cpu { Quantity::Nanoseconds } else { Quantity::Number };
        true
    }

    fn sample(&self, measured: &Measured) -> Option<Sample> {
        let ops = measured.samples.iter().map(|sample| sample.ops.0).sum::<u64>();
        let usage = &measured.usage;
        let per_op = |count: u64| (ops > 0).then(|| Sample::new(Ops(ops), Amount(count)));
        match self {
            Self::Time => None,
            Self::Cpu => per_op(usage.cpu().0),
            Self::Switches => per_op(usage.voluntary.saturating_add(usage.involuntary)),
            Self::Event(event) => {
                let count = measured.counted.per_op(event).filter(|count| count.is_finite())?;
                Some(Sample::new(Ops(PARTS), Amount((count * PARTS as f64).round() as u64)))
            }
        }
    }
}
