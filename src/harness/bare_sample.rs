//! A sample as it was taken, and what a record keeps of many.

use crate::crew::Batch;
use crate::record::{AuditRecord, CountedSamples, Measured, Noise, Sample};
use crate::terms::SpeedProbe;
use crate::terms::{Metric, ResourceUsage};

/// One bare sample, and what the kernel accounted meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BareSample {
    /// The sample, as the record keeps it.
    pub sample: Sample,
    /// What the mechanism's tasks used.
    pub usage: ResourceUsage,
}

impl BareSample {
    /// A batch with the speed probes before and after it; `None` where the driver may run on several CPUs.
    pub(super) fn new(
        batch: Batch,
        usage: ResourceUsage,
        before: Option<SpeedProbe>,
        after: Option<SpeedProbe>,
    ) -> Self {
        let probe = before.zip(after).map(|(before, after)| before.slower(after));
        Self { sample: Sample { ops: batch.ops, amount: batch.amount, probe }, usage }
    }
}

/// What was measured, as a record keeps it.
pub(super) fn measured(
    taken: &[BareSample],
    counted: CountedSamples,
    metrics: Vec<Metric>,
    audit: AuditRecord,
    noise: Noise,
) -> Measured {
    Measured {
        samples: taken.iter().map(|taken| taken.sample).collect(),
        usage: taken.iter().fold(ResourceUsage::default(), |sum, taken| sum.plus(taken.usage)),
        counted,
        metrics,
        audit,
        noise,
    }
}
