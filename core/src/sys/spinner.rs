//! A process that keeps a CPU from idling: it spins under `SCHED_IDLE`, and every other task preempts it at once.

use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::SysError;
use super::affinity::AffinityMask;
use super::channel::{ReadOutcome, pipe, read_byte, write_byte};
use super::process::{die_with_parent, end_by, fork_running};
use super::sched::{self, Attributes};
use crate::units::CpuId;

/// One spinning process, on one CPU. A process and not a thread: its CPU time is then not this process's.
#[derive(Debug)]
pub struct Spinner(Pid);

impl Spinner {
    /// Starts the process. It spins under `SCHED_IDLE` on `cpu` when this returns.
    ///
    /// # Errors
    /// When no process can be created, or the process may not run on `cpu`.
    pub fn start(cpu: CpuId) -> Result<Self, SysError> {
        let mask = AffinityMask::of(&[cpu])?;
        let said = pipe(false)?;
        let idle = Attributes { policy: libc::SCHED_IDLE.unsigned_abs(), priority: 0, slice_ns: 0 };
        let parent = Pid::this();
        let life = || {
            if !die_with_parent(parent) {
                return 3;
            }
            let _ = nix::sys::prctl::set_name(c"switchcost-idle");
            let me = Pid::from_raw(0);
            if mask.apply(me).is_err() || sched::set(me, idle).is_err() {
                return 1;
            }
            if write_byte(&said.writer, 1).is_err() {
                return 2;
            }
            loop {
                std::hint::spin_loop();
            }
        };
        let spinner = Self(fork_running(life)?);
        drop(said.writer);
        match read_byte(&said.reader)? {
            ReadOutcome::Byte(_) => Ok(spinner),
            _ => Err(SysError::new(format!("SCHED_IDLE on CPU {cpu}"), nix::errno::Errno::EPERM)),
        }
    }
}

impl Drop for Spinner {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
        end_by(self.0, Instant::now() + Duration::from_secs(5));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::affinity::allowed_cpus;

    #[test]
    fn it_spins_under_sched_idle_and_is_gone_afterwards() {
        let spinner = Spinner::start(allowed_cpus().unwrap()[0]).unwrap();
        let process = spinner.0;
        assert_eq!(sched::get(process).unwrap().policy, libc::SCHED_IDLE.unsigned_abs());
        drop(spinner);
        assert!(sched::get(process).is_err());
    }

    #[test]
    fn a_cpu_that_is_not_there_is_an_error() {
        assert!(Spinner::start(CpuId(1023)).is_err());
    }
}
