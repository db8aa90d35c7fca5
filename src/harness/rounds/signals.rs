//! The signals of Ctrl-C and of ended child processes, as file descriptors to wait for.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::sys::SysError;

/// The signals that ask a run to stop: Ctrl-C, a terminal that closes, `kill`.
const STOPS: [Signal; 3] = [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM];

/// Receives signals instead of being ended by them.
#[derive(Debug)]
pub struct Signals {
    signals: SignalFd,
    asked: u32,
}

impl Signals {
    /// Takes the signals over for the rest of the process's life. To be called before it has a second thread: threads
    /// made earlier would still be ended by them. Children start with no signal blocked (`std::process::Command`).
    ///
    /// # Errors
    /// `EMFILE` when descriptors run out.
    pub fn take_over() -> Result<Self, SysError> {
        let mut set = SigSet::empty();
        set.extend(STOPS);
        set.add(Signal::SIGCHLD);
        set.thread_block().map_err(|errno| SysError::new("pthread_sigmask", errno))?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(|errno| SysError::new("signalfd", errno))?;
        Ok(Self { signals, asked: 0 })
    }

    /// Waits until a child process ends, a signal asks to stop, or `longest` has passed; the caller finds out which.
    ///
    /// # Errors
    /// poll(2) and read(2) fail only for lack of memory.
    pub fn wait(&mut self, longest: Duration) -> Result<(), SysError> {
        let timeout = PollTimeout::try_from(longest).unwrap_or(PollTimeout::MAX);
        let mut waiting = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(SysError::new("poll", errno)),
        }
        while let Some(info) = self.signals.read_signal().map_err(|errno| SysError::new("read", errno))? {
            let stops = |signal: &Signal| u32::try_from(*signal as i32) == Ok(info.ssi_signo);
            self.asked += u32::from(STOPS.iter().any(stops));
        }
        Ok(())
    }

    /// How often it was asked to stop.
    pub fn count(&self) -> u32 {
        self.asked
    }
}
