//! Stackful coroutines of the `may` crate.

use may::coroutine::{JoinHandle, spawn};

/// Runs `body` as a coroutine on may's scheduler.
///
/// Coroutines wander between threads and have small stacks (32 KiB unless configured). `body` must not keep anything of
/// its thread (a thread-local value, a lock) across a call that waits, and must not recurse deeply; a loop over reads
/// and writes of may's own types does neither.
pub fn run<T: Send + 'static>(body: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    // SAFETY: what may asks for is the contract above (docs.rs/may, `coroutine::spawn`, "Safety").
    unsafe { spawn(body) }
}
