//! Whether something else ran on the machine while a benchmark was measured: what is read before and after it, and what
//! follows from that.

use std::time::Instant;

use crate::host::Root;
use crate::record::Noise;
use crate::sys::usage;
use crate::terms::{Moment, ResourceUsage};
use crate::units::Nanos;

/// The first of the two moments between which a benchmark is measured.
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

/// `/proc/stat` counts in hundredths of a second on every architecture that Rust's standard library supports
/// (`USER_HZ`, include/asm-generic/param.h).
const TICKS_PER_SECOND: f64 = 100.0;

/// Below this a tick more or less decides: nothing is said.
const SHORTEST_SECONDS: f64 = 0.5;

/// Of one CPU. Ticks sample what a CPU does: over three seconds of a CPU that is busy half of the time they are off by
/// some three hundredths of it.
const MOST_OTHERS: f64 = 0.10;

/// Of all CPU time: one sample in a hundred then has lost its CPU for a while.
const MOST_STEAL: f64 = 0.01;

/// What else the machine did, in words; empty when it was quiet or when that is not known.
///
/// Processes whose samples were interleaved are judged together, by the longest of their stretches of time, which
/// contains the others: what one of them used is not foreign to the other.
///
/// Load averages are evidence of neither: they remember the benchmark before. Involuntary switches are in the record
/// but not judged, because a woken task that preempts its waker makes them too; what others take in CPU time, they take
/// by preempting.
pub(super) fn interference(together: &[&Noise]) -> Vec<String> {
    let mut found = Vec::new();
    let Some(noise) = together.iter().max_by_key(|noise| noise.lasted) else { return found };
    let Some(seconds) = noise.lasted.map(|lasted| lasted.0 as f64 / 1e9).filter(|s| *s >= SHORTEST_SECONDS) else {
        return found;
    };
    if let Some(share) = Moment::steal_share(&noise.start, &noise.end).filter(|share| *share > MOST_STEAL) {
        found.push(format!("{:.1} % of CPU time was stolen by the hypervisor", share * 100.0));
    }
    if let Some(others) = others(noise, own_cpu(together), seconds).filter(|others| *others > MOST_OTHERS) {
        found.push(format!("other processes used {:.0} % of a CPU", others * 100.0));
    }
    found
}

fn own_cpu(together: &[&Noise]) -> Option<f64> {
    together.iter().map(|noise| Some(noise.own_cpu?.0 as f64 / 1e9)).sum()
}

/// CPUs that other processes and interrupts kept busy.
fn others(noise: &Noise, own: Option<f64>, seconds: f64) -> Option<f64> {
    let busy = |moment: &Moment| moment.ticks?.busy;
    let ticks = busy(&noise.end)?.checked_sub(busy(&noise.start)?)?;
    Some((ticks as f64 / TICKS_PER_SECOND - own?) / seconds)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::terms::host::CpuTicks;
    use crate::units::Nanos;

    /// Of a process that used one CPU for so many seconds, while all CPUs together were busy for `busy`.
    fn noise(seconds: u64, busy: u64) -> Noise {
        let at = |busy| Moment { ticks: Some(CpuTicks { steal: 0, total: 0, busy: Some(busy) }), ..Moment::default() };
        let nanos = Nanos(seconds * 1_000_000_000);
        Noise { start: at(0), end: at(busy * 100), own_cpu: Some(nanos), lasted: Some(nanos) }
    }

    #[test]
    fn of_two_sides_the_longer_one_is_looked_at_and_what_both_used_is_their_own() {
        let (shorter, longer) = (noise(2, 2), noise(10, 12));
        assert_eq!(interference(&[&shorter, &longer]), Vec::<String>::new(), "12 s of CPU, and both used 12");
        assert_eq!(interference(&[&longer, &shorter]), Vec::<String>::new());
        assert_eq!(interference(&[&longer]), ["other processes used 20 % of a CPU"], "its partner's 2 s of 10");
        let disturbed = noise(10, 17);
        assert_eq!(interference(&[&shorter, &disturbed]), ["other processes used 50 % of a CPU"], "5 s of 10");
    }
}
