//! The load that servers are to be calibrated under.

use super::waits::{WaitCounts, cpu, delay};
use super::{WORTHWHILE, decision};
use crate::terms::{Dispatch, Observation, OperatingPoint, PointRole, ServerCalibration, WaitKind};
use crate::units::Nanos;

/// More CPU time than a switch away from a thread and back costs on any machine that was measured: 2.2 to 3.4 µs where
/// the CPU is busy, up to 6.4 µs among 30,000 threads. A saving that this would not make worthwhile needs no
/// calibration.
pub(super) const DEAREST_SWITCH: f64 = 20_000.0;

/// Work for each request beyond which nothing is to be saved: 5 % of it is the dearest switch.
const MOST_WORK: f64 = DEAREST_SWITCH / WORTHWHILE;

/// Idle connections make event loops no dearer, and a thousand show it.
const MOST_IDLE: u64 = 4096;

/// The share of a CPU that a single event loop is trusted with.
const OF_ONE_LOOP: f64 = 0.7;

/// The share of its CPUs that a program uses which could do with more.
const SATURATED: f64 = 0.95;

/// The load under which servers are to be calibrated for `observation`, from what they cost `before`. `None` where no
/// calibration is needed, because even the dearest switches would save too little, or because the program did nothing.
pub fn operating_point(observation: &Observation, before: &ServerCalibration) -> Option<OperatingPoint> {
    let waits = WaitCounts::of(observation);
    let rate = waits.convertible().scaled(waits.requests_per_switch());
    let cpu = cpu(observation);
    if rate.estimate < 1.0 || cpu < decision::IDLE || most_saved(observation) < WORTHWHILE {
        return None;
    }
    let reference = before.point(PointRole::Reference)?;
    let blocking = reference.figures(Dispatch::Blocking, |lap| lap.cpu_per_request());
    // A sleep has the switch of a request, and neither its receiving nor its sending.
    let sleeps = 1.0 / waits.requests_per_switch() - 1.0;
    let handled = crate::stats::median(&blocking)? * (1.0 + sleeps / 2.0);
    let work = (cpu * 1e9 / rate.estimate - handled).clamp(0.0, MOST_WORK);
    let waiting: u64 = observation.waits.iter().filter(|w| w.kind == WaitKind::OneDescriptor).map(|w| w.threads).sum();
    let connections = match active_threads(observation) {
        // Threads that wait for something else are none of a connection.
        active if waiting > 0 => active.min(waiting),
        active => active,
    };
    Some(OperatingPoint {
        connections: connections.max(1),
        idle_connections: waiting.saturating_sub(connections).min(MOST_IDLE),
        rate: rate.estimate,
        saturated: cpu >= SATURATED * observation.cpus_allowed.len().max(1) as f64,
        // Below half a microsecond it is a matter of how the two handlers differ.
        delay: delay(observation),
        work: Nanos(if work < 500.0 { 0 } else { work as u64 }),
        workers: ((cpu / OF_ONE_LOOP).ceil() as u64).clamp(1, observation.cpus_allowed.len().max(1) as u64),
        cpus: observation.cpus_allowed.clone(),
    })
}

/// The most that could be saved, as a share of the CPU time: every switch that may be convertible, at the dearest.
pub(super) fn most_saved(observation: &Observation) -> f64 {
    let cpu = cpu(observation);
    if cpu > 0.0 { WaitCounts::of(observation).convertible().high * DEAREST_SWITCH / 1e9 / cpu } else { 0.0 }
}

/// Threads that ran in the same tenth of a second, in nine of ten of these at most.
fn active_threads(observation: &Observation) -> u64 {
    let active: Vec<f64> = observation.moments.iter().map(|moment| moment.active_threads as f64).collect();
    crate::stats::quantile(&active, 0.9).map_or(1, |active| active.ceil() as u64)
}
