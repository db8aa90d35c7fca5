//! Why a mechanism could not be set up, or stopped short.

use std::time::Duration;

use nix::errno::Errno;

use crate::sys::SysError;
use crate::sys::affinity::AffinityError;
use crate::terms::Unsupported;

/// What can go wrong between setting a mechanism up and ending it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It cannot run here.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// A system call failed.
    #[error(transparent)]
    Sys(#[from] SysError),
    /// A limit of the machine was met half way.
    #[error("{reached} {what} could be had, and then {error}")]
    Exhausted {
        /// What ran out: `threads`, `pipes`.
        what: &'static str,
        /// How many there were by then.
        reached: u64,
        /// What the kernel said to the next one.
        error: SysError,
    },
    /// A task is not on the CPUs of its placement.
    #[error(transparent)]
    Affinity(#[from] AffinityError),
    /// A task of the mechanism ended before its time.
    #[error("a task of {task} ended early: {reason}")]
    Ended {
        /// The task's name.
        task: String,
        /// What it said, or that it panicked.
        reason: String,
    },
    /// The watchdog waited longer than the timeout.
    #[error("{what} did not finish within {after:?}")]
    TimedOut {
        /// What was waited for.
        what: String,
        /// For how long.
        after: Duration,
    },
    /// The mechanism did not do as many operations as it was asked for.
    #[error("asked for {asked} operations, {done} were done")]
    Miscounted {
        /// As asked, rounded up to whole laps.
        asked: u64,
        /// As reported.
        done: u64,
    },
    /// What arrived is not what was sent.
    #[error("{0}")]
    Corrupted(String),
    /// A limit was met that a parameter of the mechanism states.
    #[error("{what} {limit}; {remedy}")]
    Limit {
        /// What there was, and how much of it.
        what: String,
        /// The limit: `more than queued_mib=256 allows`.
        limit: String,
        /// What would help.
        remedy: &'static str,
    },
    /// A library that the mechanism is built on failed.
    #[error("{library}: {reason}")]
    Library {
        /// `tokio`, `mio` …
        library: &'static str,
        /// What it said.
        reason: String,
    },
}

impl Failure {
    /// The failure of a system call that was to create one more of `what`: [`Failure::Exhausted`] where its error is
    /// that of a limit, [`Failure::Sys`] otherwise.
    pub fn of_one_more(what: &'static str, reached: u64, error: SysError) -> Self {
        match error.errno {
            // ENOMEM is also what mmap(2) says at vm.max_map_count.
            Errno::EAGAIN | Errno::ENOMEM | Errno::EMFILE | Errno::ENFILE | Errno::ENOSPC => {
                Self::Exhausted { what, reached, error }
            }
            _ => error.into(),
        }
    }

    /// The failure of a runtime or another library, with the error's text.
    pub fn library(library: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Library { library, reason: reason.to_string() }
    }
}
