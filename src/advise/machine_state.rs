//! Whether the machine was in the same state before and after a program was watched.

use crate::stats::median;
use crate::terms::{CalibrationLap, CalibrationTime, Dispatch, PointRole, ServerCalibration};

/// By so much servers may differ before and after. Laps of a fraction of a second vary by some percent; the slow state
/// of a shared host is a factor of 1.36.
const SAME: f64 = 1.15;

/// What two calibrations say of the machine.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum MachineState {
    /// The same servers cost the same.
    Same,
    /// They cost so many times as much after watching.
    Moved(f64),
    /// One of the two is missing.
    Unchecked,
}

/// Compares what the same servers cost a request before and after.
pub(super) fn machine_state(calibrations: &[ServerCalibration]) -> MachineState {
    let reference = |time| {
        let calibration = calibrations.iter().find(|calibration| calibration.time == time)?;
        calibration.point(PointRole::Reference)
    };
    let (Some(before), Some(after)) = (reference(CalibrationTime::Before), reference(CalibrationTime::After)) else {
        return MachineState::Unchecked;
    };
    let of_kind = |dispatch| {
        let cost = |point: &crate::terms::CalibrationPoint| {
            median(&point.figures(dispatch, CalibrationLap::cpu_per_request)).filter(|cost| *cost > 0.0)
        };
        Some((cost(after)? / cost(before)?).ln())
    };
    // One server may have been disturbed; a change of the machine's state shows in all of them.
    let kinds = [Dispatch::Blocking].into_iter().chain(Dispatch::TARGETS.iter().copied());
    let logs: Vec<f64> = kinds.filter_map(of_kind).collect();
    if logs.is_empty() {
        return MachineState::Unchecked;
    }
    let moved = (logs.iter().sum::<f64>() / logs.len() as f64).exp();
    if moved.max(1.0 / moved) > SAME { MachineState::Moved(moved) } else { MachineState::Same }
}
