//! Which of a program's voluntary switches an event loop would do without.

use serde::{Deserialize, Serialize};

use crate::stats::{CONFIDENCE, Interval};
use crate::terms::{Observation, ServingSleeps, WaitKind};
use crate::units::Nanos;

/// Voluntary switches per second, by what the thread waited for.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct WaitCounts {
    /// All that the kernel counted.
    pub voluntary: f64,
    /// For one descriptor: an event loop would do without.
    pub one_descriptor: f64,
    /// For several descriptors: it is an event loop.
    pub many_descriptors: f64,
    /// For a lock or another thread of the program.
    pub lock: f64,
    /// For time to pass.
    pub sleep: f64,
    /// Of `sleep`: in threads that also wait for one descriptor. An event loop would keep a timer instead.
    #[serde(default)]
    pub timers: f64,
    /// For a file system or a block device.
    pub disk: f64,
    /// For a child process.
    pub child: f64,
    /// For what could not be told.
    pub unknown: f64,
}

/// Waits that would be there with an event loop too.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StayingWait {
    /// What is waited for.
    pub kind: WaitKind,
    /// The call in which most of it is waited.
    pub call: String,
    /// Voluntary switches per second.
    pub switches: f64,
    /// Threads that wait in it at once, in the mean.
    pub threads: f64,
}

/// How far the division of switches among waits may be wrong, as a share: it goes by the time that threads were seen
/// in each, in some hundred looks.
const DIVISION: f64 = 0.1;

/// Sleeps for each wait for one descriptor, in the threads that do both, below which they are no part of serving: a
/// thread that wakes now and then to tidy up.
const OFTEN: f64 = 0.1;

/// Waits that end less often in a second are not worth a line.
const SELDOM: f64 = 0.1;

impl WaitCounts {
    /// From what was seen.
    pub fn of(observation: &Observation) -> Self {
        let seconds = seconds(observation);
        let of = |kind| {
            let waits = observation.waits.iter().filter(|wait| wait.kind == kind);
            // A sum of nothing is -0.
            (waits.map(|wait| wait.switches.max(0.0)).sum::<f64>() + 0.0) / seconds
        };
        let one_descriptor = of(WaitKind::OneDescriptor);
        let timers = (serving(observation).map(|part| part.switches).sum::<f64>() + 0.0) / seconds;
        Self {
            voluntary: observation.voluntary as f64 / seconds,
            one_descriptor,
            many_descriptors: of(WaitKind::ManyDescriptors),
            lock: of(WaitKind::Lock),
            sleep: of(WaitKind::Sleep),
            timers: if timers > OFTEN * one_descriptor { timers } else { 0.0 },
            disk: of(WaitKind::Disk),
            child: of(WaitKind::Child),
            unknown: of(WaitKind::Unknown),
        }
    }

    /// What is known of what threads wait for: those that could be told.
    fn told(&self) -> f64 {
        self.one_descriptor + self.many_descriptors + self.lock + self.sleep + self.disk + self.child
    }

    /// Whether it could be told of any switch.
    pub fn is_told(&self) -> bool {
        self.told() > 0.0 || self.voluntary == 0.0
    }

    /// Switches per second that an event loop would do without. Those of which nothing is known are divided like the
    /// others, and may be all of them or none.
    pub fn convertible(&self) -> Interval {
        if !self.is_told() {
            return Interval { low: 0.0, estimate: self.voluntary, high: self.voluntary, confidence: CONFIDENCE };
        }
        // Switches outside of all waits that were seen.
        let unseen = (self.voluntary - self.told() - self.unknown).max(0.0) + self.unknown;
        let loops = self.one_descriptor + self.timers;
        let share = if self.told() > 0.0 { loops / self.told() } else { 0.0 };
        let low = loops * (1.0 - DIVISION);
        let high = (loops * (1.0 + DIVISION) + unseen).min(self.voluntary.max(loops));
        let estimate = loops + unseen * share;
        Interval { low, estimate: estimate.clamp(low, high), high, confidence: CONFIDENCE }
    }

    /// The part of the convertible switches that each stand for a request: the others are sleeps in the middle of one.
    pub fn requests_per_switch(&self) -> f64 {
        let loops = self.one_descriptor + self.timers;
        if loops > 0.0 { self.one_descriptor / loops } else { 1.0 }
    }

    /// What most of the switches are for, with their share of all; `None` where nothing was told.
    pub fn dominant(&self) -> Option<(WaitKind, f64)> {
        let kinds = [
            (WaitKind::OneDescriptor, self.one_descriptor),
            (WaitKind::ManyDescriptors, self.many_descriptors),
            (WaitKind::Lock, self.lock),
            (WaitKind::Sleep, self.sleep - self.timers),
            (WaitKind::Disk, self.disk),
            (WaitKind::Child, self.child),
        ];
        let (kind, most) = kinds.into_iter().max_by(|a, b| a.1.total_cmp(&b.1))?;
        (most > 0.0).then(|| (kind, most / self.voluntary.max(most)))
    }
}

/// The sleeps of threads that also wait for one descriptor.
fn serving(observation: &Observation) -> impl Iterator<Item = ServingSleeps> {
    observation.waits.iter().filter_map(|wait| wait.serving)
}

/// How long a request sleeps, in the mean, where its thread sleeps in it.
pub(super) fn delay(observation: &Observation) -> Nanos {
    let waits = WaitCounts::of(observation);
    if waits.timers == 0.0 {
        return Nanos(0);
    }
    let slept: u64 = serving(observation).map(|part| part.blocked.0).sum();
    Nanos((slept as f64 / (waits.one_descriptor * seconds(observation))) as u64)
}

/// How long it was watched, in seconds; above 0.
pub(super) fn seconds(observation: &Observation) -> f64 {
    observation.wall.0.max(1) as f64 / 1e9
}

/// CPU time per second, in seconds: how many CPUs it kept busy.
pub(super) fn cpu(observation: &Observation) -> f64 {
    (observation.user.0 + observation.system.0) as f64 / 1e9 / seconds(observation)
}

/// The waits that would stay, those with most switches first.
pub(super) fn staying(observation: &Observation) -> Vec<StayingWait> {
    let seconds = seconds(observation);
    let keeps_timers = WaitCounts::of(observation).timers > 0.0;
    let mut staying: Vec<StayingWait> = Vec::new();
    // Of one kind the first has most switches, and names the call.
    for wait in &observation.waits {
        let timers = wait.serving.filter(|_| keeps_timers);
        let (switches, blocked) = timers.map_or((0.0, 0), |timers| (timers.switches, timers.blocked.0));
        let switches = (wait.switches - switches) / seconds;
        let threads = wait.blocked.0.saturating_sub(blocked) as f64 / 1e9 / seconds;
        match staying.iter_mut().find(|known| known.kind == wait.kind) {
            Some(known) => {
                known.switches += switches;
                known.threads += threads;
            }
            None if matches!(wait.kind, WaitKind::Lock | WaitKind::Sleep | WaitKind::Disk | WaitKind::Child) => {
                staying.push(StayingWait { kind: wait.kind, call: wait.call.clone(), switches, threads });
            }
            None => {}
        }
    }
    // A main thread that waits for its end all the time is none of the program's waits.
    staying.retain(|wait| wait.switches >= SELDOM);
    staying.sort_by(|a, b| b.switches.total_cmp(&a.switches));
    staying
}
