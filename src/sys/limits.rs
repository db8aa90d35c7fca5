//! The limit that a process may raise for itself: setrlimit(2).

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::SysError;

/// Raises the soft limit of open descriptors to the hard one, for this process and the processes that it creates.
///
/// The soft limit is 1024 on most systems for the sake of programs that call select(2), whose sets end there; a program
/// that does not may lift its own (getrlimit(2), and select(2), "BUGS").
///
/// # Errors
/// What getrlimit(2) and setrlimit(2) give; raising to the hard limit needs no privilege.
pub fn raise_descriptors() -> Result<(), SysError> {
    let failed = |errno| SysError::new("setrlimit RLIMIT_NOFILE", errno);
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).map_err(failed)?;
    if soft < hard { setrlimit(Resource::RLIMIT_NOFILE, hard, hard).map_err(failed) } else { Ok(()) }
}
