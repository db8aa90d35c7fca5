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
pub mod bpf;
pub mod call_records;
pub mod channel;
pub mod clock;
pub mod clone;
pub mod code;
pub mod coroutine;
pub mod dma_latency;
pub mod epoll;
pub mod event_wait;
pub mod fatal;
pub mod file;
pub mod file_ring;
pub mod futex;
pub mod heap;
pub mod inherited;
pub mod kernel;
pub mod launch;
pub mod limits;
pub mod mark;
pub mod membarrier;
pub mod memory;
pub mod memory_usage;
pub mod net_counters;
pub mod net_namespace;
pub mod nowhere;
pub mod peak_memory;
pub mod perf;
pub mod poll;
pub mod process;
pub mod ptrace;
pub mod sched;
pub mod seccomp;
pub mod select;
pub mod semaphore;
pub mod server_cpu;
pub mod shared;
pub mod signal;
pub mod silence;
pub mod socket;
pub mod socket_peers;
pub mod spawn;
pub mod speed;
pub mod spinner;
pub mod switch_records;
pub mod table;
pub mod task_descriptors;
pub mod task_files;
pub mod thread;
pub mod ticks;
pub mod timer;
pub mod tracefs;
pub mod uring;
pub mod usage;
pub mod user_counter;
pub mod wait_set;
pub mod watched;

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

    /// Whether the kernel, or a sandbox before it, has not the call or forbids it to this process: what another kernel,
    /// another machine or a wider sandbox would grant. Errors of a limit are none, and neither are those that tell of
    /// what was passed, but for two calls whose man pages name a reason outside of this program.
    pub fn is_refusal(&self) -> bool {
        use Errno::{
            EACCES, EADDRNOTAVAIL, EAFNOSUPPORT, EBUSY, EHOSTUNREACH, EINVAL, ENETDOWN, ENETUNREACH, ENODEV, ENOPKG,
            ENOSYS, EOPNOTSUPP, EPERM, EPROTONOSUPPORT, EROFS, ESOCKTNOSUPPORT,
        };
        match self.errno {
            ENOSYS | EPERM | EACCES | EROFS | EOPNOTSUPP | ENODEV | ENOPKG => true,
            EAFNOSUPPORT | EPROTONOSUPPORT | ESOCKTNOSUPPORT => true,
            ENETUNREACH | ENETDOWN | EHOSTUNREACH | EADDRNOTAVAIL => true,
            // seccomp(2): a kernel that has not what was asked for; a listener that is there already.
            EINVAL | EBUSY if self.call.starts_with("seccomp") => true,
            // sched_setaffinity(2): none of these CPUs is online and in the cpuset any more.
            EINVAL => self.call.starts_with("sched_setaffinity"),
            _ => false,
        }
    }

    /// Names the call that left its error in this thread's `errno`.
    pub fn last(call: impl Into<String>) -> Self {
        Self::new(call, Errno::last())
    }
}
