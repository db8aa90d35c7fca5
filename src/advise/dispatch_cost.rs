//! What a switch costs a blocking server more than an event loop, from calibrations.

use crate::stats::{CONFIDENCE, Interval, difference_interval, median};
use crate::terms::{CalibrationLap, CalibrationPoint, Dispatch, PointRole, ServerCalibration, SwitchDetail};

/// Below so many switches a request the blocking server found its requests there already, and says nothing of what
/// blocking costs.
const FEWEST_SWITCHES: f64 = 0.1;

/// How far the difference between this suite's servers may lie from that of another program, as a share of it: what
/// caches and buffers another program loses at a switch, and how it would be written as an event loop. A prototype's
/// predictions of 24 such pairs were off by 14 % of the saving near saturation; `scripts/validate-advise` measures it.
const TRANSFER: f64 = 0.25;

/// The same where the difference is near 0, in nanoseconds a switch.
const TRANSFER_FLOOR: f64 = 150.0;

/// What one switch of a blocking server costs more than its share of an event loop's dispatch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct DispatchCost {
    /// CPU time of the server that the loop saves, for each switch of the blocking one, in nanoseconds; below 0 where
    /// the loop is dearer. With the scatter of laps, and without the error of carrying it over to another program.
    pub(super) per_switch: Interval,
    /// CPU time of the blocking server for each of its switches, in nanoseconds: receiving, sending and computing too.
    pub(super) blocking: f64,
    /// The same of the loop.
    pub(super) looped: f64,
    /// CPU time that the loop saves those that wake it, for each switch.
    pub(super) elsewhere: Option<Interval>,
    /// Events for each wake of the loop.
    pub(super) events_per_wake: Option<f64>,
    /// The share of switches at which the blocking server's CPU went straight to another of its threads: those that
    /// the loop makes none for, because it has an event to go on with.
    pub(super) direct: f64,
    /// Requests per second that both answered, the fewer of the two.
    pub(super) rate: f64,
    /// Laps on each side, the fewer of the two.
    pub(super) laps: usize,
}

impl DispatchCost {
    /// At one point; `None` where a side has fewer than two laps, or the blocking server hardly blocked.
    pub(super) fn at(point: &CalibrationPoint, target: Dispatch) -> Option<Self> {
        let sum = |dispatch, of: fn(&CalibrationLap) -> u64| point.laps_of(dispatch).map(of).sum::<u64>() as f64;
        let switches = |dispatch| sum(dispatch, |lap| lap.voluntary) / sum(dispatch, |lap| lap.requests).max(1.0);
        let per_request = switches(Dispatch::Blocking);
        if per_request < FEWEST_SWITCHES {
            return None;
        }
        let figures = |of: fn(&CalibrationLap) -> Option<f64>| {
            [Dispatch::Blocking, target].map(|dispatch| point.figures(dispatch, of))
        };
        let [blocking, looped] = figures(CalibrationLap::cpu_per_request);
        let difference = difference_interval(&blocking, &looped, true, CONFIDENCE)?;
        let [clients, clients_of_loop] = figures(CalibrationLap::client_cpu_per_request);
        let elsewhere = difference_interval(&clients, &clients_of_loop, true, CONFIDENCE);
        let wakes = point.figures(target, CalibrationLap::events_per_wake);
        let rates = [Dispatch::Blocking, target]
            .map(|dispatch| median(&point.figures(dispatch, |lap| Some(lap.rate()))).unwrap_or(0.0));
        Some(Self {
            per_switch: difference.scaled(1.0 / per_request),
            blocking: median(&blocking)? / per_request,
            looped: median(&looped)? / per_request,
            elsewhere: elsewhere.map(|elsewhere| elsewhere.scaled(1.0 / per_request)),
            events_per_wake: median(&wakes),
            direct: (1.0 - switches(target) / per_request).clamp(0.0, 1.0),
            rate: rates[0].min(rates[1]),
            laps: blocking.len().min(looped.len()),
        })
    }

    /// The same for a program of which more, or less, of the switches went straight to another thread than of the
    /// blocking server. What such a switch saves more than one to an idle CPU is the difference between a server that
    /// always has another request waiting and one that never has.
    ///
    /// A switch to another program is taken for one to an idle CPU, after which a loop sleeps too. It may as well have
    /// been one that a loop does without: the scheduler gives the CPU to the other program though a thread of this one
    /// is ready. The interval reaches to where all of them were.
    pub(super) fn as_observed(self, calibration: &ServerCalibration, target: Dispatch, seen: &SwitchDetail) -> Self {
        let at = |role| calibration.point(role).and_then(|point| Self::at(point, target));
        let (Some(direct), Some(alone), Some(full)) = (seen.direct, at(PointRole::Alone), at(PointRole::Full)) else {
            return self;
        };
        let apart = full.direct - alone.direct;
        let slope = (full.per_switch.estimate - alone.per_switch.estimate) / apart;
        // Where the two points hardly differ, their difference is noise.
        if apart < 0.2 || slope <= 0.0 {
            return self;
        }
        let costs = [self, alone, full].map(|cost| cost.per_switch.estimate);
        let (least, most) =
            (costs.iter().copied().fold(f64::MAX, f64::min), costs.iter().copied().fold(f64::MIN, f64::max));
        let own = self.per_switch.estimate;
        let by = |direct: f64| (own + slope * (direct - self.direct)).clamp(least, most) - own;
        let (shift, farthest) = (by(direct), by(direct + seen.to_others.unwrap_or(0.0)));
        let Interval { low, estimate, high, confidence } = self.per_switch;
        let shifted = Interval { low: low + shift, estimate: estimate + shift, high: high + shift, confidence };
        // What is corrected for may be half wrong.
        let wider = shifted.widened_by(shift.abs() / 2.0);
        Self { per_switch: Interval { high: wider.high + farthest - shift, ..wider }, ..self }
    }

    /// The same for a program that pays for a share of its wake-ups itself. A calibrated server's are all charged to
    /// its clients, and what a loop saves of them is `elsewhere`.
    pub(super) fn woken_by_own(self, share: f64) -> Self {
        let Some(elsewhere) = self.elsewhere else { return self };
        let (cost, paid) = (self.per_switch, elsewhere.scaled(share));
        let per_switch = Interval {
            low: cost.low + paid.low,
            estimate: cost.estimate + paid.estimate,
            high: cost.high + paid.high,
            confidence: cost.confidence,
        };
        Self { per_switch, elsewhere: Some(elsewhere.scaled(1.0 - share)), ..self }
    }

    /// With the error of carrying it over to another program.
    pub(super) fn carried_over(&self) -> Interval {
        self.per_switch.widened_by((TRANSFER * self.per_switch.estimate).hypot(TRANSFER_FLOOR))
    }
}
