//! Whether something else ran on the machine while a benchmark was measured: what is read before and after it, and what
//! follows from that.

use std::time::Instant;

use crate::host::Root;
use crate::record::Noise;
use crate::sys::{timer, usage};
use crate::terms::host::Stoppages;
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
        let start = moment();
        Self { start, began: Instant::now(), used: usage::of_this_process().ok() }
    }

    /// What there was since then.
    pub(super) fn end(self) -> Noise {
        let lasted = Nanos(u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX));
        let own_cpu = self.used.and_then(|before| Some(usage::of_this_process().ok()?.since(before).cpu()));
        Noise { start: self.start, end: moment(), own_cpu, lasted: Some(lasted) }
    }
}

fn moment() -> Moment {
    let mut moment = Moment::observe(&Root::default());
    moment.stoppages.suspended = timer::suspended().ok();
    moment
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
    found.extend(stopped(&noise.start.stoppages, &noise.end.stoppages));
    found
}

/// A quota's period is 100 ms: one that held a task back for less hardly shows among samples of seconds.
const MOST_HELD: Nanos = Nanos(1_000_000);

/// A megabyte: the kernel trims what other programs have not touched for long by a few pages.
const MOST_SWAPPED: u64 = 256;

/// What the two clocks are read apart by, and what their adjustment moves them.
const LEAST_SUSPENDED: Nanos = Nanos(1_000_000);

/// What stopped or slowed tasks between the two.
fn stopped(start: &Stoppages, end: &Stoppages) -> Vec<String> {
    let time = |of: fn(&Stoppages) -> Option<Nanos>| Some(of(end)?.0.saturating_sub(of(start)?.0));
    let count = |of: fn(&Stoppages) -> Option<u64>| of(end)?.checked_sub(of(start)?).filter(|count| *count > 0);
    let mut found = Vec::new();
    if let Some(held) = time(|seen| seen.held_by_quota).filter(|held| *held > MOST_HELD.0) {
        found.push(format!("a CPU quota held tasks back for {} ms", held / 1_000_000));
    }
    if let Some(times) = count(|seen| seen.overheated) {
        found.push(format!("CPUs were slowed {times} times because they were hot"));
    }
    if let Some(pages) = count(|seen| seen.swapped_pages).filter(|pages| *pages > MOST_SWAPPED) {
        found.push(format!("{pages} pages went to swap or came from it"));
    }
    if let Some(slept) = time(|seen| seen.suspended).filter(|slept| *slept > LEAST_SUSPENDED.0) {
        found.push(format!("the machine was suspended for {} ms", slept / 1_000_000));
    }
    let lists = [
        ("the CPUs online", &start.online, &end.online),
        ("the CPUs that the cpuset grants", &start.granted, &end.granted),
    ];
    for (what, before, after) in lists {
        if let (Some(before), Some(after)) = (before, after)
            && before != after
        {
            found.push(format!("{what} changed from {before} to {after}"));
        }
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
    fn what_stops_tasks_disturbs_however_idle_the_machine_is() {
        let quiet = |stoppages: Stoppages| {
            let mut noise = noise(10, 10);
            noise.start.stoppages = Stoppages {
                held_by_quota: Some(Nanos(5_000_000)),
                overheated: Some(3),
                swapped_pages: Some(70),
                suspended: Some(Nanos(0)),
                online: Some("0-3".into()),
                granted: Some("0-3".into()),
            };
            noise.end.stoppages = stoppages;
            interference(&[&noise])
        };
        let start = Stoppages {
            held_by_quota: Some(Nanos(5_900_000)),
            swapped_pages: Some(326),
            suspended: Some(Nanos(40_000)),
            ..Stoppages::default()
        };
        assert_eq!(quiet(start), Vec::<String>::new(), "what is not known at the end is not judged");
        let all = Stoppages {
            held_by_quota: Some(Nanos(205_000_000)),
            overheated: Some(5),
            swapped_pages: Some(5070),
            suspended: Some(Nanos(2_000_000_000)),
            online: Some("0-2".into()),
            granted: Some("0,2".into()),
        };
        assert_eq!(
            quiet(all),
            [
                "a CPU quota held tasks back for 200 ms",
                "CPUs were slowed 2 times because they were hot",
                "5000 pages went to swap or came from it",
                "the machine was suspended for 2000 ms",
                "the CPUs online changed from 0-3 to 0-2",
                "the CPUs that the cpuset grants changed from 0-3 to 0,2",
            ]
        );
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
