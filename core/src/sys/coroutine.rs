//! Stackful coroutines of the `may` crate.

use std::os::fd::{FromRawFd, IntoRawFd, OwnedFd};

use may::coroutine::{Builder, JoinHandle, spawn};
use may::net::{TcpListener, UdpSocket};

/// Runs `body` as a coroutine on may's scheduler.
///
/// Coroutines wander between threads and have small stacks (32 KiB unless configured). `body` must not keep anything of
/// its thread (a thread-local value, a lock) across a call that waits, and must not recurse deeply; a loop over reads
/// and writes of may's own types does neither.
pub fn run<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    // SAFETY: what may asks for is the contract above (docs.rs/may, `coroutine::spawn`, "Safety").
    unsafe { spawn(body) }
}

/// The stack of [`run_on_large_stack`], in machine words: 128 KiB.
const LARGE_STACK: usize = 128 * 1024 / size_of::<usize>();

/// As [`run`], on a stack for parsing and formatting.
///
/// # Errors
/// When the stack cannot be mapped.
pub fn run_on_large_stack<T: Send + 'static>(
    body: impl FnOnce() -> T + Send + 'static,
) -> std::io::Result<JoinHandle<T>> {
    // SAFETY: as in `run`.
    unsafe { Builder::new().stack_size(LARGE_STACK).spawn(body) }
}

/// A socket that listens, as may has it.
pub fn listener(socket: OwnedFd) -> TcpListener {
    // SAFETY: the descriptor is open, and its ownership is handed over.
    unsafe { TcpListener::from_raw_fd(socket.into_raw_fd()) }
}

/// A socket for datagrams, as may has it.
pub fn datagrams(socket: OwnedFd) -> UdpSocket {
    // SAFETY: the descriptor is open, and its ownership is handed over.
    unsafe { UdpSocket::from_raw_fd(socket.into_raw_fd()) }
}
