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

    /// The call that this machine, or the sandbox around this process, refuses, where that is what it comes to.
    ///
    /// Libraries tell the call's error in words or panic with them; the standard library's words hold its number.
    pub fn refused_call(&self) -> Option<SysError> {
        let call = match self {
            Self::Sys(error) | Self::Affinity(AffinityError::Refused(error)) => error.clone(),
            Self::Library { library, reason } => SysError::new(format!("a call of {library}"), errno_in(reason)?),
            Self::Ended { reason, .. } => SysError::new("a call of a library", errno_in(reason)?),
            _ => return None,
        };
        call.is_refusal().then_some(call)
    }

    /// The failure of a runtime or another library, with the error's text.
    pub fn library(library: &'static str, reason: impl std::fmt::Display) -> Self {
        Self::Library { library, reason: reason.to_string() }
    }
}

/// The number in what the standard library says of an error: `… (os error 38)`, or `Os { code: 38, …` in a panic.
fn errno_in(text: &str) -> Option<Errno> {
    let number = ["(os error ", "Os { code: "].iter().find_map(|before| {
        let (_, after) = text.split_once(before)?;
        after.split(|letter: char| !letter.is_ascii_digit()).next()?.parse().ok()
    });
    number.map(Errno::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_call_is_found_in_what_a_library_says() {
        let error = || std::io::Error::from_raw_os_error(libc::ENOSYS);
        let refused = |failure: Failure| failure.refused_call().map(|error| error.errno);
        assert_eq!(refused(Failure::library("tokio", error())), Some(Errno::ENOSYS));
        let panic = format!("cannot initialize: {:?}", error());
        assert_eq!(refused(Failure::Ended { task: "driver".into(), reason: panic }), Some(Errno::ENOSYS));
        let full = std::io::Error::from_raw_os_error(libc::EMFILE);
        assert_eq!(refused(Failure::library("tokio", full)), None, "a limit");
        assert_eq!(refused(Failure::library("may", "a coroutine panicked")), None);
    }

    #[test]
    fn what_was_passed_wrongly_is_no_refusal() {
        let refused = |call: &str, errno| Failure::from(SysError::new(call, errno)).refused_call().is_some();
        assert!(refused("clone3", Errno::ENOSYS) && refused("seccomp SECCOMP_FILTER_FLAG_NEW_LISTENER", Errno::EBUSY));
        assert!(refused("connect 127.0.0.1", Errno::ENETUNREACH) && refused("sched_setaffinity 3", Errno::EINVAL));
        assert!(
            !refused("read", Errno::EINVAL) && !refused("pipe2", Errno::EMFILE) && !refused("clone3", Errno::EAGAIN)
        );
    }
}
