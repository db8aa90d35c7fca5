//! The partner as a process of its own.

use std::ffi::CString;
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;

use crate::mechanism::{Crew, Failure};
use crate::sys::SysError;
use crate::sys::process::{die_with_parent, end_by, fork_running};

/// How long a child that was told to end may take before it is killed.
const FAREWELL: Duration = Duration::from_secs(5);

/// A forked partner. Tell it to end before this is dropped.
#[derive(Debug)]
pub(super) struct Child(Pid);

impl Child {
    /// Forks task number 1 of the crew into its seat. `body` returns its exit status and may only do what is safe in a
    /// forked child: system calls on what it holds already.
    pub(super) fn fork(crew: &Crew, body: impl FnOnce() -> i32) -> Result<Self, Failure> {
        let mut mask = CpuSet::new();
        for cpu in &crew.seating().seat(1).cpus {
            mask.set(cpu.0).map_err(|errno| SysError::new("CPU_SET", errno))?;
        }
        let name = CString::new(crew.name(1)).map_err(|error| Failure::Corrupted(error.to_string()))?;
        let parent = Pid::this();
        let life = move || {
            if !die_with_parent(parent) {
                return 1;
            }
            let _ = nix::sys::prctl::set_name(&name);
            match sched_setaffinity(Pid::from_raw(0), &mask) {
                Ok(()) => body(),
                Err(_) => 1,
            }
        };
        Ok(Self(fork_running(life)?))
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        end_by(self.0, Instant::now() + FAREWELL);
    }
}
