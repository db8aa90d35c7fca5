//! Every `unsafe` block and raw system call of the project, one file per kernel facility, below a safe surface.
//!
//! What is here knows the kernel and nothing of benchmarks. Calls that `nix` already makes safe are used from
//! `nix` directly by the rooms above; a file stands here when there is a raw call, an `unsafe`, or a kernel
//! quirk to hide.
#![allow(unsafe_code)]

pub mod affinity;
pub mod aio;
pub mod bare_ring;
pub mod blocks;
pub mod channel;
pub mod clock;
pub mod clone;
pub mod code;
pub mod coroutine;
pub mod dma_latency;
pub mod file;
pub mod file_ring;
pub mod futex;
pub mod heap;
pub mod kernel;
pub mod limits;
pub mod mark;
pub mod membarrier;
pub mod memory;
pub mod memory_usage;
pub mod peak_memory;
pub mod perf;
pub mod poll;
pub mod process;
pub mod ptrace;
pub mod sched;
pub mod seccomp;
pub mod select;
pub mod semaphore;
pub mod shared;
pub mod signal;
pub mod spawn;
pub mod speed;
pub mod spinner;
pub mod table;
pub mod thread;
pub mod ticks;
pub mod timer;
pub mod tracefs;
pub mod uring;
pub mod usage;
pub mod user_counter;

use nix::errno::Errno;

/// A system call that failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{call}: {errno}")]
pub struct SysError {
    /// The call as its man page names it, with its object where that helps: `open /dev/cpu_dma_latency`.
    pub call: String,
    /// What the kernel answered.
    pub errno: Errno,
}

impl SysError {
    /// Names the call that gave `errno`.
    pub fn new(call: impl Into<String>, errno: Errno) -> Self {
        Self { call: call.into(), errno }
    }

    /// From the standard library's error; one without a number becomes `UnknownErrno`.
    pub fn from_io(call: impl Into<String>, error: &std::io::Error) -> Self {
        Self::new(call, error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw))
    }

    /// Names the call that left its error in this thread's `errno`.
    pub fn last(call: impl Into<String>) -> Self {
        Self::new(call, Errno::last())
    }
}
