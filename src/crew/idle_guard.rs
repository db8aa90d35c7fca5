//! Holds idle CPUs in the state that was asked for while a mechanism is measured.

use nix::errno::Errno;

use crate::sys::dma_latency::PollingIdle;
use crate::sys::spinner::Spinner;
use crate::terms::{Idle, Unsupported};
use crate::units::CpuId;

/// Keeps the machine as it was asked to be.
#[derive(Debug)]
pub enum IdleGuard {
    /// Nothing to keep.
    Nothing,
    /// The request for polling.
    Polling(PollingIdle),
    /// The spinning processes.
    Spinning(Vec<Spinner>),
}

impl IdleGuard {
    /// Puts the machine, or of it `cpus`, in the state `idle` until the guard is dropped.
    ///
    /// # Errors
    /// When the machine has no such device or does not let this user hold it; when no process can be made.
    pub fn hold(idle: Idle, cpus: &[CpuId]) -> Result<Self, Unsupported> {
        match idle {
            Idle::Default => Ok(Self::Nothing),
            Idle::Spinner => {
                let spinners = cpus.iter().map(|&cpu| Spinner::start(cpu)).collect::<Result<_, _>>();
                spinners.map(Self::Spinning).map_err(|error| {
                    let requirement = "idle=spinner: a process for each CPU of the placement";
                    Unsupported::new(requirement, error.to_string(), "raise what `switchcost limits` names")
                })
            }
            Idle::Poll => PollingIdle::hold().map(Self::Polling).map_err(|error| {
                let remedy = match error.errno {
                    Errno::ENOENT => "mount devtmpfs on /dev, or measure with idle=spinner",
                    _ => "run as root, or `sudo chmod o+w /dev/cpu_dma_latency`",
                };
                Unsupported::new("idle=poll: /dev/cpu_dma_latency open for writing", error.to_string(), remedy)
            }),
        }
    }
}
