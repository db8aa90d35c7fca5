//! What a run could not measure, count or audit, and why: grouped by the reason, since one setting often prevents many.

use std::collections::BTreeMap;

use super::run_view::RunView;
use crate::record::{BenchmarkLine, Outcome};
use crate::terms::Shortfall;

/// Shortfalls of one kind that have one reason and one remedy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gap {
    /// What kind of gap it is.
    pub(super) kind: GapKind,
    /// Events, audited quantities or benchmarks.
    pub(super) what: Vec<String>,
    /// Why they are missing.
    pub(super) why: String,
    /// What would help.
    pub(super) remedy: String,
}

/// Kinds of gaps, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum GapKind {
    /// Benchmarks that cannot run here.
    Unsupported,
    /// Events that were not counted.
    NotCounted,
    /// Quantities that the audit could not check.
    Unchecked,
}

impl GapKind {
    /// In words.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Unsupported => "cannot run here",
            Self::NotCounted => "not counted",
            Self::Unchecked => "not audited",
        }
    }
}

/// All gaps of a run.
pub(super) fn gaps(view: &RunView) -> Vec<Gap> {
    let mut gaps: BTreeMap<(GapKind, String, String), Vec<String>> = BTreeMap::new();
    let mut add = |kind: GapKind, Shortfall { what, why, remedy }: Shortfall| {
        let entry = gaps.entry((kind, why, remedy)).or_default();
        if !entry.contains(&what) {
            entry.push(what);
        }
    };
    for line in &view.run.benchmarks {
        match &line.outcome {
            Outcome::Unsupported(not) => {
                add(GapKind::Unsupported, Shortfall::new(&line.id, not.why(), &not.0.remedy));
            }
            Outcome::Failed(_) => {}
            Outcome::Measured(measured) => {
                measured.counted.not_counted.iter().for_each(|not| add(GapKind::NotCounted, not.clone()));
                measured.audit.unchecked.iter().for_each(|not| add(GapKind::Unchecked, not.clone()));
            }
        }
    }
    let gap = |((kind, why, remedy), what)| Gap { kind, what, why, remedy };
    gaps.into_iter().map(gap).collect()
}

/// A benchmark that should have run and did not, or did something else than its mechanism says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    /// The benchmark.
    pub(super) id: String,
    /// What happened, in a sentence without full stop.
    pub(super) what: String,
}

/// Failures, each once.
pub(super) fn failures(view: &RunView) -> Vec<Problem> {
    let failed = |line: &BenchmarkLine| match &line.outcome {
        Outcome::Failed(reason) => Some(Problem { id: line.id.clone(), what: reason.clone() }),
        _ => None,
    };
    once(view.run.benchmarks.iter().filter_map(failed))
}

/// Audit differences: each quantity of each benchmark once, as first seen.
pub(super) fn differences(view: &RunView) -> Vec<Problem> {
    let mut pooled: Vec<(String, Problem)> = Vec::new();
    for line in &view.run.benchmarks {
        let Outcome::Measured(measured) = &line.outcome else { continue };
        for check in measured.audit.differences() {
            let key = format!("{} {}", line.id, check.what);
            if !pooled.iter().any(|(known, _)| *known == key) {
                let what = format!("{}: {}, expected {}", check.what, check.seen(), check.expected);
                pooled.push((key, Problem { id: line.id.clone(), what }));
            }
        }
    }
    pooled.into_iter().map(|(_, trouble)| trouble).collect()
}

fn once(troubles: impl Iterator<Item = Problem>) -> Vec<Problem> {
    let mut all: Vec<Problem> = Vec::new();
    for trouble in troubles {
        if !all.contains(&trouble) {
            all.push(trouble);
        }
    }
    all
}
