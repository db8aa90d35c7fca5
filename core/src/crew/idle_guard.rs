//! Holds idle CPUs in the state that was asked for while a mechanism is measured.

use nix::errno::Errno;

use crate::sys::dma_latency::PollingIdle;
use crate::sys::spinner::Spinner;
use crate::terms::{Idle, Unsupported};
use crate::units::CpuId;

/// Holds the idle state until it is dropped.
#[derive(Debug)]
pub enum IdleGuard {
    /// The machine's own setting, for which nothing is held.
    Nothing,
    /// The open `/dev/cpu_dma_latency`, which makes idle CPUs poll.
    Polling(PollingIdle),
    /// One spinning process for each CPU.
    Spinning(Vec<Spinner>),
}

impl IdleGuard {
    /// Puts CPUs into the state `idle` until the guard is dropped: `cpus` for [`Idle::Spinner`], all of the machine for
    /// [`Idle::Poll`].
    ///
    /// # Errors
    /// `Unsupported` when the machine has no such device or does not let this user open it, and when no process can be
    /// created.
    pub fn hold(idle: Idle, cpus: &[CpuId]) -> Result<Self, Unsupported> {
        match idle {
            Idle::Default => Ok(Self::Nothing),
            Idle::Spinner => {
                let spinners = cpus.iter().map(|&cpu| Spinner::start(cpu)).collect::<Result<_, _>>();
                spinners.map(Self::Spinning).map_err(|error| {
                    let needed = "idle=spinner: a process for each CPU of the placement";
                    Unsupported::new(needed, error.to_string(), "raise what `switchcost limits` names")
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
