//! A watcher: follows a live process and its descendants for a while, and tells what they did, in an
//! [`Observation`](crate::terms::Observation).
//!
//! It reads, and changes nothing: it sends no signal, traces no call, and writes into no file of the target's. What it
//! looks at comes in tiers ([`WatchTier`]), each on top of the one before, as far as the
//! kernel allows: what it does not is a line of [`Observation::unseen`](crate::terms::Observation::unseen).

mod attribution;
mod bpf_watch;
mod burst;
mod call_watch;
mod slots;
mod surroundings;
mod switch_tally;
mod switch_watch;
mod target;
mod totals;
mod tree;
mod wait_site;
mod watched_thread;
mod watching;

pub use target::WatchTarget;
pub use watching::{Watcher, watch};

use std::fmt;
use std::time::Duration;

use crate::terms::{ObservedMoment, WatchTier};

/// How a target is watched.
#[derive(Debug, Default)]
pub struct WatchOptions<'a> {
    /// For how long; without, until the last process of the tree has ended or the watcher is stopped.
    pub duration: Option<Duration>,
    /// Tiers that are left out. [`WatchTier::Proc`] cannot be.
    pub without: Vec<WatchTier>,
    /// Where the number of requests that the target has answered so far comes from.
    pub requests: Option<RequestSource<'a>>,
}

/// Where the number of requests that a program has answered comes from.
pub struct RequestSource<'a> {
    /// As it is recorded: `http://127.0.0.1:8080/status, requests`.
    pub name: String,
    /// The number so far; `None` when it could not be had this time. It is asked ten times in a second, by the thread
    /// that watches: it should take less than a millisecond.
    pub read: Box<dyn Fn() -> Option<f64> + 'a>,
}

impl fmt::Debug for RequestSource<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RequestSource").field("name", &self.name).finish_non_exhaustive()
    }
}

/// What is told while a target is watched, some ten times in a second.
#[derive(Debug, Clone, Copy)]
pub struct WatchProgress<'a> {
    /// The last span.
    pub moment: &'a ObservedMoment,
    /// How long it is to last; `None` is until the target ends.
    pub duration: Option<Duration>,
}

/// Why a process cannot be watched.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WatchError {
    /// No process has the number.
    #[error("there is no process {process}; `ps -e` lists those that there are")]
    NoProcess {
        /// The number.
        process: i32,
    },
    /// `/proc` is mounted so that it does not show the processes of others.
    #[error("process {process} is another user's, and /proc hides it (hidepid, proc(5)); run as root")]
    Hidden {
        /// The number.
        process: i32,
    },
    /// `/proc` is not there.
    #[error("/proc does not list processes; mount -t proc proc /proc")]
    NoProc,
    /// It has ended.
    #[error("process {process} ({command}) has ended, and its parent, process {parent}, has not waited for it yet")]
    Ended {
        /// The number.
        process: i32,
        /// Its name.
        command: String,
        /// Its parent.
        parent: i32,
    },
    /// It is a thread of the kernel, which has no program.
    #[error("process {process} ({command}) is a thread of the kernel, and waits in no system call")]
    KernelThread {
        /// The number.
        process: i32,
        /// Its name.
        command: String,
    },
    /// The number is that of a thread which is not its process's first.
    #[error("{thread} is a thread of process {process}; use --pid {process}")]
    Thread {
        /// The number.
        thread: i32,
        /// The process that it is of.
        process: i32,
    },
    /// It is the watcher.
    #[error("process {process} is switchcost itself")]
    Itself {
        /// The number.
        process: i32,
    },
    /// It is another user's.
    #[error(
        "process {process} ({command}) belongs to {owner}; run as that user or as root: \
         sudo switchcost advise --pid {process}"
    )]
    AnotherUsers {
        /// The number.
        process: i32,
        /// Its name.
        command: String,
        /// The user's name, or number.
        owner: String,
    },
    /// Its files cannot be read.
    #[error("process {process}: {why}")]
    Unreadable {
        /// The number.
        process: i32,
        /// What the kernel answered.
        why: String,
    },
}
