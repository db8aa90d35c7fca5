//! How benchmarks are measured: with what, and what Criterion shows of it.

use super::Auditor;
use crate::pmu::EventSet;
use crate::sys::silence::DiscardedOutput;

/// What Criterion is asked to do with benchmarks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// To measure them.
    Measure,
    /// To run each once (`--test`).
    Test,
    /// To run them for a profiler, without figures (`--profile-time`).
    Profile,
    /// To show saved results (`--load-baseline`): nothing is set up or run.
    DryRun,
    /// To name them (`--list`): Criterion has no part in it.
    List,
}

/// What a group is measured with.
#[derive(Debug)]
pub struct MeasureOptions {
    /// What Criterion does.
    pub mode: Mode,
    /// The counters; none leaves the counted samples out.
    pub counters: Option<EventSet>,
    /// The auditor; none leaves the audit out.
    pub auditor: Option<Auditor>,
    /// Which round of the run this is, from 0.
    pub round: u32,
    /// The machine's id, for the record.
    pub host_id: String,
    /// Whether Criterion prints its own text and draws its own pages. Its figures are kept in either case, for
    /// comparisons with a baseline.
    pub criterion_output: bool,
}

impl MeasureOptions {
    /// Keeps Criterion from printing while it lives, where that is not asked for.
    pub(super) fn silence(&self) -> Option<DiscardedOutput> {
        if self.criterion_output { None } else { DiscardedOutput::begin() }
    }
}
