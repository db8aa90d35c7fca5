//! Where a program's CPU time goes, as far as switches are concerned.

use serde::{Deserialize, Serialize};

use super::dispatch_cost::DispatchCost;
use super::waits::{cpu, seconds};
use crate::stats::Interval;
use crate::terms::{Dispatch, Observation, PointRole, ServerCalibration};

/// CPU time by cause, in CPU seconds per second.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct CpuCauses {
    /// All of it.
    pub whole: f64,
    /// In user mode.
    pub user: f64,
    /// In the kernel.
    pub system: f64,
    /// Of `system`: giving the CPU up and being woken, where an event loop would have had the next event at hand.
    /// `None` without a calibration.
    pub blocking: Option<Interval>,
}

/// A loop that takes so many events at a wake has next to nothing left to save.
const AMORTISED: f64 = 4.0;

impl CpuCauses {
    /// From what was seen, and what servers cost that always have another request waiting: an event loop then hardly
    /// waits, so that the difference to it is what blocking costs.
    pub(super) fn of(observation: &Observation, convertible: Interval, after: Option<&ServerCalibration>) -> Self {
        let seconds = seconds(observation);
        let of = |time: crate::units::Nanos| time.0 as f64 / 1e9 / seconds;
        let blocking = after.and_then(|after| {
            let full = DispatchCost::at(after.point(PointRole::Full)?, Dispatch::Epoll)?;
            full.events_per_wake.filter(|events| *events >= AMORTISED)?;
            let own = DispatchCost::at(after.point(PointRole::Load(1.0))?, Dispatch::Epoll)?;
            // What the blocking server costs here beyond a loop that hardly waits.
            let cost = Interval::exactly(own.blocking - full.looped, full.per_switch.confidence);
            let reach = (full.per_switch.high - full.per_switch.low) / 2.0;
            let spent = convertible.times(cost.widened_by(reach)).scaled(1e-9);
            let most = cpu(observation);
            let held = |value: f64| value.clamp(0.0, most);
            Some(Interval { low: held(spent.low), estimate: held(spent.estimate), high: held(spent.high), ..spent })
        });
        Self { whole: cpu(observation), user: of(observation.user), system: of(observation.system), blocking }
    }
}
