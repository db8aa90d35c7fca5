//! What the program would use with an event loop, at the observed load and around it.

use serde::{Deserialize, Serialize};

use super::crossover::{LoadRange, crossover, holds};
use super::decision::by_interval;
use super::dispatch_cost::DispatchCost;
use super::waits::{WaitCounts, cpu, seconds};
use crate::stats::Interval;
use crate::terms::{Dispatch, Observation, PointRole, ServerCalibration, WaitKind};

/// What the program would use with one kind of event loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TargetPrediction {
    /// The kind.
    pub target: Dispatch,
    /// CPU time that is saved for each switch that goes, in nanoseconds; below 0 where the loop is dearer.
    pub per_switch: Interval,
    /// CPU seconds per second that are saved.
    pub saving: Interval,
    /// The same as a share of all that the program uses.
    pub share: Interval,
    /// CPU seconds per second that it would use.
    pub predicted: Interval,
    /// The same for each request, where requests are known.
    pub per_request: Option<RequestPrediction>,
    /// CPU seconds per second that are saved on the CPUs that wake the program, which its own account does not show.
    pub elsewhere: Option<Interval>,
    /// Events that the loop would take at a wake.
    pub events_per_wake: Option<f64>,
    /// Laps of each server that this rests on.
    pub laps: usize,
    /// By rising load.
    pub curve: Vec<LoadPrediction>,
    /// The factor of the load below which the loop costs more; `None` where no two measured loads have it between them.
    pub crossover: Option<f64>,
    /// The loads at which the verdict is the one at the observed load.
    pub holds: Option<LoadRange>,
}

/// CPU time for each request, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RequestPrediction {
    /// As observed.
    pub now: f64,
    /// As predicted.
    pub predicted: Interval,
}

/// The prediction at one load.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LoadPrediction {
    /// The load, as a multiple of the observed one.
    pub factor: f64,
    /// Voluntary switches per second that would go.
    pub switches: f64,
    /// CPU seconds per second of the program as it is.
    pub blocking: f64,
    /// CPU seconds per second with the loop.
    pub predicted: Interval,
    /// The saving as a share of `blocking`.
    pub share: Interval,
    /// CPU time saved for each switch, in nanoseconds.
    pub per_switch: Interval,
    /// Events for each wake of the loop.
    pub events_per_wake: Option<f64>,
    /// Whether the calibrated servers answered all that came: else this is their ceiling.
    pub reached: bool,
}

/// Servers that answer this share of what comes keep up: arrivals are drawn, and vary.
const REACHED: f64 = 0.9;

impl TargetPrediction {
    /// The least share that is saved, as far as the data tell.
    pub(super) fn low(&self) -> f64 {
        self.share.low
    }

    /// From calibrated servers; `None` where those of this kind, or the blocking ones, could not be measured at the
    /// observed load.
    pub(super) fn of(
        observation: &Observation,
        waits: &WaitCounts,
        after: &ServerCalibration,
        target: Dispatch,
    ) -> Option<Self> {
        let convertible = waits.convertible();
        let costs = costs(observation, after, target);
        let own = costs.iter().find(|(factor, _)| *factor == 1.0)?.1;
        let now = cpu(observation);
        let per_switch = own.carried_over();
        // No loop saves more than there is.
        let saving = at_most(convertible.times(per_switch).scaled(1e-9), now);
        let share = saving.scaled(1.0 / now.max(f64::MIN_POSITIVE));
        let curve: Vec<LoadPrediction> =
            costs.iter().map(|&(factor, cost)| at_load(factor, (cost, own), waits, now)).collect();
        let per_request = observation.requests.as_ref().filter(|requests| requests.count > 0.0).map(|requests| {
            let of_each = 1e9 * seconds(observation) / requests.count;
            RequestPrediction { now: now * of_each, predicted: saving.taken_from(now).scaled(of_each) }
        });
        Some(Self {
            target,
            per_switch,
            saving,
            share,
            predicted: saving.taken_from(now),
            per_request,
            elsewhere: own.elsewhere.map(|elsewhere| convertible.times(elsewhere).scaled(1e-9)),
            events_per_wake: own.events_per_wake,
            laps: own.laps,
            crossover: crossover(&curve),
            holds: holds(&curve, by_interval(&share)),
            curve,
        })
    }
}

/// What a switch costs at each measured load, by rising load.
fn costs(observation: &Observation, after: &ServerCalibration, target: Dispatch) -> Vec<(f64, DispatchCost)> {
    let own = woken_by_own(observation);
    let of = |point: &crate::terms::CalibrationPoint| match point.role {
        PointRole::Load(factor) => {
            let cost = DispatchCost::at(point, target)?;
            // Who wakes whom is a matter of how the program is made, at any load.
            let cost = own.map_or(cost, |share| cost.woken_by_own(share));
            // What the switches went to was seen at the observed load alone.
            let seen = observation.switches.as_ref().filter(|_| factor == 1.0);
            Some((factor, seen.map_or(cost, |seen| cost.as_observed(after, target, seen))))
        }
        _ => None,
    };
    let mut costs: Vec<(f64, DispatchCost)> = after.points.iter().filter_map(of).collect();
    costs.sort_by(|a, b| a.0.total_cmp(&b.0));
    costs
}

/// The share of the wake-ups from waits for one descriptor that the program itself pays for, where that was seen.
pub(super) fn woken_by_own(observation: &Observation) -> Option<f64> {
    let waits = observation.waits.iter().filter(|wait| wait.kind == WaitKind::OneDescriptor);
    let seen = waits.filter_map(|wait| Some((wait.woken_by_own?, wait.switches.max(0.0))));
    let (sum, weight) =
        seen.fold((0.0, 0.0), |(sum, weight), (share, switches)| (sum + share * switches, weight + switches));
    (weight > 0.0).then(|| (sum / weight).clamp(0.0, 1.0))
}

/// At `factor` times the load. What the program does besides waiting grows with the load; what it pays for waiting
/// changes as the calibrated blocking server's does.
fn at_load(factor: f64, (cost, own): (DispatchCost, DispatchCost), waits: &WaitCounts, now: f64) -> LoadPrediction {
    let convertible = waits.convertible();
    let switches = convertible.scaled(factor);
    let dearer = convertible.estimate * (cost.blocking - own.blocking) * 1e-9;
    let blocking = (factor * (now + dearer)).max(f64::MIN_POSITIVE);
    let per_switch = cost.carried_over();
    let saving = at_most(switches.times(per_switch).scaled(1e-9), blocking);
    LoadPrediction {
        factor,
        switches: switches.estimate,
        blocking,
        predicted: saving.taken_from(blocking),
        share: saving.scaled(1.0 / blocking),
        per_switch,
        events_per_wake: cost.events_per_wake,
        reached: cost.rate >= REACHED * switches.estimate * waits.requests_per_switch(),
    }
}

fn at_most(saving: Interval, whole: f64) -> Interval {
    let held = |value: f64| value.min(whole);
    Interval { low: held(saving.low), estimate: held(saving.estimate), high: held(saving.high), ..saving }
}
