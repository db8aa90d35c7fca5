//! A sample as it was taken, and what a record keeps of many.

use crate::crew::Batch;
use crate::record::{AuditRecord, CountedSamples, Measured, Noise, Sample};
use crate::sys::speed::SpeedProbe;
use crate::terms::{Metric, ResourceUsage};

/// One bare sample, and what the kernel accounted meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BareSample {
    /// The sample.
    pub batch: Batch,
    /// What the mechanism's tasks used.
    pub usage: ResourceUsage,
    /// How fast the driver's CPU was before or after it, whichever was slower; `None` where the driver may run on
    /// several.
    pub probe: Option<SpeedProbe>,
}

/// The slower of two looks at one CPU.
pub(super) fn slower(before: Option<SpeedProbe>, after: Option<SpeedProbe>) -> Option<SpeedProbe> {
    Some(before?.slower(after?))
}

/// What was measured, as a record keeps it.
pub(super) fn measured(
    samples: &[BareSample],
    counted: CountedSamples,
    metrics: Vec<Metric>,
    audit: AuditRecord,
    noise: Noise,
) -> Measured {
    let probes = || samples.iter().filter_map(|sample| sample.probe);
    Measured {
        samples: samples.iter().map(|sample| Sample(sample.batch.ops, sample.batch.elapsed)).collect(),
        min_probes: probes().map(|probe| probe.min).collect(),
        max_probes: probes().map(|probe| probe.max).collect(),
        usage: samples.iter().fold(ResourceUsage::default(), |sum, sample| sum.plus(sample.usage)),
        counted,
        metrics,
        audit,
        noise,
    }
}
