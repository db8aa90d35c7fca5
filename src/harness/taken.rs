//! A sample as it was taken, and what a record keeps of many.

use crate::crew::{Batch, Finding};
use crate::record::{AuditRecord, Counted, Measured, Noise, Sample};
use crate::sys::pace::Pace;
use crate::sys::usage::Usage;

/// One bare sample, and what the kernel accounted meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// The sample.
    pub batch: Batch,
    /// What the mechanism's tasks used.
    pub usage: Usage,
    /// How fast the driver's CPU was before or after it, whichever was slower; `None` where the driver may run on
    /// several.
    pub pace: Option<Pace>,
}

/// The slower of two looks at one CPU.
pub(super) fn slower(before: Option<Pace>, after: Option<Pace>) -> Option<Pace> {
    Some(before?.slower(after?))
}

/// What was measured, as a record keeps it.
pub(super) fn measured(
    taken: &[Taken],
    counted: Counted,
    findings: Vec<Finding>,
    audit: AuditRecord,
    noise: Noise,
) -> Measured {
    let paces = || taken.iter().filter_map(|taken| taken.pace);
    Measured {
        samples: taken.iter().map(|taken| Sample(taken.batch.ops, taken.batch.elapsed)).collect(),
        paces: paces().map(|pace| pace.shortest).collect(),
        longest_paces: paces().map(|pace| pace.longest).collect(),
        usage: taken.iter().fold(Usage::default(), |sum, taken| sum.plus(taken.usage)),
        counted,
        findings,
        audit,
        noise,
    }
}
