//! The two calibrations around the watching of a program.

use super::advise::AdviseArgs;
use super::terminal::errln;
use crate::advise::operating_point;
use crate::harness::{CalibrationError, CalibrationRequest, calibrate};
use crate::terms::{CalibrationTime, Observation, ServerCalibration};
use crate::units::CpuId;

/// The part of the time for calibration that the reference before watching takes.
const BEFORE: u32 = 7;

/// Measures servers before a program is watched, and after.
pub(super) struct CalibrationStages<'a> {
    pub(super) args: &'a AdviseArgs,
    /// The CPUs of the servers.
    pub(super) on: Vec<CpuId>,
    /// Those of the program while they are measured; empty when it does not run.
    pub(super) program: Vec<CpuId>,
    /// Whether it is to end.
    pub(super) stopped: &'a dyn Fn() -> bool,
}

impl CalibrationStages<'_> {
    fn request(&self, time: CalibrationTime) -> CalibrationRequest {
        let before = self.args.calibrate_for / BEFORE;
        CalibrationRequest {
            time,
            point: None,
            targets: self.args.targets(),
            cpus: self.on.clone(),
            budget: if time == CalibrationTime::Before { before } else { self.args.calibrate_for - before },
            program_cpus: self.program.clone(),
        }
    }

    fn measured(&self, request: &CalibrationRequest) -> Result<ServerCalibration, CalibrationError> {
        calibrate(request, &mut |_| !(self.stopped)())
    }

    /// The reference.
    pub(super) fn before(&self) -> Result<ServerCalibration, CalibrationError> {
        self.args.say(format_args!("measuring servers for reference"));
        self.measured(&self.request(CalibrationTime::Before))
    }

    /// The reference again, and servers under the load that was observed; `None` where none is needed, and where it
    /// failed, which is told: what was watched is not lost for it.
    pub(super) fn after(&self, observation: &Observation, before: &ServerCalibration) -> Option<ServerCalibration> {
        let point = operating_point(observation, before)?;
        let (connections, rate) = (point.connections, point.rate);
        self.args.say(format_args!("measuring servers with {connections} connections and {rate:.0} requests/s"));
        let request = CalibrationRequest { point: Some(point), ..self.request(CalibrationTime::After) };
        self.measured(&request).inspect_err(|error| errln!("switchcost: {error}")).ok()
    }
}
