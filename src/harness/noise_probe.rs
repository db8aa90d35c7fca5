//! What disturbed a measurement, between two moments.

use std::time::Instant;

use crate::host::Root;
use crate::record::Noise;
use crate::sys::usage;
use crate::terms::{Moment, ResourceUsage};
use crate::units::Nanos;

/// The first of the two moments.
#[derive(Debug)]
pub(super) struct NoiseProbe {
    start: Moment,
    began: Instant,
    used: Option<ResourceUsage>,
}

impl NoiseProbe {
    /// Begins to watch.
    pub(super) fn begin() -> Self {
        let start = Moment::observe(&Root::default());
        Self { start, began: Instant::now(), used: usage::of_this_process().ok() }
    }

    /// What there was since then.
    pub(super) fn end(self) -> Noise {
        let lasted = Nanos(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX));
        let own_cpu = self.used.and_then(|before| Some(usage::of_this_process().ok()?.since(before).cpu()));
        Noise { start: self.start, end: Moment::observe(&Root::default()), own_cpu, lasted: Some(lasted) }
    }
}
