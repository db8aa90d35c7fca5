//! Descriptors that a tokio runtime watches.

use std::os::fd::{BorrowedFd, OwnedFd};

use tokio::io::unix::AsyncFd;

use super::SysError;

/// Lets the runtime of the calling thread watch a duplicate of `descriptor`, for reading and for writing.
///
/// # Errors
/// `EMFILE`; `EPERM` for a file that epoll does not take.
///
/// # Panics
/// Outside a runtime with I/O.
pub fn watch(descriptor: BorrowedFd<'_>) -> Result<AsyncFd<OwnedFd>, SysError> {
    let own = descriptor.try_clone_to_owned();
    let own = own.map_err(|error| SysError::from_io("fcntl F_DUPFD_CLOEXEC", &error))?;
    // SAFETY: the descriptor is owned by what is registered, which hands out shared references only: it is the same one
    // and open until its registration is gone.
    let watched = unsafe { AsyncFd::register(own) };
    watched.map_err(|error| SysError::from_io("tokio: watch a descriptor", &std::io::Error::from(error)))
}
