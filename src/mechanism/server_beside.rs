//! A server's process beside the driver, for groups whose operation is a request: where it runs, and what its failures
//! mean.

use super::{Crew, Failure, Placement};
use crate::server::{ServerConfig, ServerError, ServerProcess};
use crate::units::CpuId;

/// Starts the model called `model` on the CPUs of all tasks behind the driver.
///
/// # Errors
/// Those of [`ServerProcess::start`].
pub(super) fn start_beside(model: &'static str, config: &ServerConfig, crew: &Crew) -> Result<ServerProcess, Failure> {
    let assignment = crew.assignment();
    let tasks = 1..assignment.masks().max(2);
    let mut cpus: Vec<CpuId> = tasks.flat_map(|task| assignment.cpu_mask(task).cpus.clone()).collect();
    cpus.sort_unstable();
    cpus.dedup();
    ServerProcess::start(model, config, &cpus).map_err(|error| told(model, error))
}

/// Whether a plan without a placement has one in this: the client beside the server, and pinned apart from it where
/// that can be.
pub(super) fn is_apart(placement: Placement, offered: &[Placement]) -> bool {
    let apart = offered.iter().find(|placement| ![Placement::Unpinned, Placement::SameCpu].contains(placement));
    placement == *apart.unwrap_or(&Placement::Unpinned)
}

/// The failure of the server called `model`.
pub(super) fn told(model: &'static str, error: ServerError) -> Failure {
    match error {
        ServerError::Unsupported(reason) => reason.into(),
        ServerError::Sys(error) => error.into(),
        ServerError::Affinity(error) => error.into(),
        other => Failure::library(model, other),
    }
}
