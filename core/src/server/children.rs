//! The child processes of a server: forked, told to end, and waited for.

use std::collections::HashSet;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::ServedInstance;
use super::stop::GRACE;
use crate::sys::SysError;
use crate::sys::process::{die_with_parent, fork_running, keep_only, reap_own_child};
use crate::sys::signal::interrupt_by_sigterm;

/// How often a child is told again: a signal that comes just before a wait does not end the wait.
const AGAIN: Duration = Duration::from_millis(5);

/// The children that the calling thread has forked and that were not waited for. When it is dropped, all have ended.
#[derive(Debug, Default)]
pub(super) struct Children {
    alive: HashSet<Pid>,
}

/// Those of all servers of this process, for the thread that says what they have used.
static ALIVE: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

fn all_alive() -> MutexGuard<'static, Vec<Pid>> {
    // A panic in between leaves a list that is whole.
    ALIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What `read` finds out of the children that are alive. None of them is waited for meanwhile: what one has used is
/// then either its own still or that of those waited for.
pub(super) fn with_live_children<T>(read: impl FnOnce(&[Pid]) -> T) -> T {
    read(&all_alive())
}

impl Children {
    /// Forks a child that runs `body` and ends. It holds the descriptors `kept` and those of the instance that every
    /// child needs, and no others. `body` must not allocate (`fork_running`).
    ///
    /// # Errors
    /// `EAGAIN` and `ENOMEM` at a limit on processes.
    pub(super) fn fork(
        &mut self,
        instance: &ServedInstance,
        kept: &[RawFd],
        body: impl FnOnce(),
    ) -> Result<Pid, SysError> {
        let file = instance.handling.file.as_ref().map(|file| file.file.as_raw_fd());
        let event = instance.stop.event().as_fd().as_raw_fd();
        let mut kept: Vec<RawFd> = [0, 1, 2, event].into_iter().chain(kept.iter().copied()).chain(file).collect();
        kept.sort_unstable();
        let parent = Pid::this();
        let child = fork_running(|| {
            if !die_with_parent(parent) || interrupt_by_sigterm().is_err() {
                return 1;
            }
            keep_only(&kept);
            body();
            0
        })?;
        self.alive.insert(child);
        all_alive().push(child);
        Ok(child)
    }

    /// Waits for those that have ended, without blocking.
    pub(super) fn reap(&mut self) {
        let mut all = all_alive();
        while let Some(ended) = reap_own_child() {
            self.alive.remove(&ended);
            all.retain(|child| *child != ended);
        }
    }

    /// Tells all to end once they have answered the requests in hand, and waits for them; those that do not end in time
    /// are killed.
    pub(super) fn end(&mut self) {
        let deadline = Instant::now() + GRACE;
        while !self.alive.is_empty() {
            let signal = if Instant::now() < deadline { Signal::SIGTERM } else { Signal::SIGKILL };
            for &child in &self.alive {
                // ESRCH cannot be: until it is waited for, its number is its own.
                let _ = kill(child, signal);
            }
            std::thread::sleep(AGAIN);
            self.reap();
        }
    }
}

impl Drop for Children {
    fn drop(&mut self) {
        self.end();
    }
}
