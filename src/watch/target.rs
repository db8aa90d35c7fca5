//! The process that is to be watched, and whether it can be.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::signal::kill;
use nix::unistd::{Pid, Uid, User, geteuid};

use super::WatchError;
use crate::sys::launch::LaunchedProgram;
use crate::sys::task_files::{TaskStat, status_field, status_line};

/// `CAP_SYS_PTRACE` of include/uapi/linux/capability.h.
const CAP_SYS_PTRACE: u32 = 19;

/// A process to watch, with its descendants. A number alone could be that of another process by the time it is used;
/// with when it began, which is checked at each reading, it is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WatchTarget {
    pub(super) root: PathBuf,
    pub(super) process: i32,
    pub(super) start_ticks: u64,
    pub(super) command: String,
    /// Whether it is a child that was launched for this.
    pub(super) launched: bool,
}

impl WatchTarget {
    /// The process `process`, which runs already. It is not touched.
    ///
    /// # Errors
    /// Why it cannot be watched: there is none, it has ended, it is a thread of another process or of the kernel, it is
    /// this process, it belongs to another user.
    pub fn attach(process: i32) -> Result<Self, WatchError> {
        Self::attach_below(Path::new("/proc"), process)
    }

    /// The program `launched`, before it is released: so nothing of it is missed.
    ///
    /// # Errors
    /// As [`attach`](Self::attach).
    pub fn launched(launched: &LaunchedProgram) -> Result<Self, WatchError> {
        let target = Self::attach(launched.process().as_raw())?;
        Ok(Self { launched: true, ..target })
    }

    /// The number of the process.
    pub fn process(&self) -> i32 {
        self.process
    }

    /// Its name, as it was when it was attached to; at most 15 bytes.
    pub fn command(&self) -> &str {
        &self.command
    }

    pub(super) fn attach_below(root: &Path, process: i32) -> Result<Self, WatchError> {
        if process <= 0 {
            return Err(WatchError::NoProcess { process });
        }
        if process == std::process::id() as i32 {
            return Err(WatchError::Itself { process });
        }
        let read = |file: &str| std::fs::read_to_string(root.join(format!("{process}/{file}")));
        let (stat, status) = match (read("stat"), read("status")) {
            (Ok(stat), Ok(status)) => (stat, status),
            (Err(error), _) | (_, Err(error)) => return Err(absent(root, process, &error)),
        };
        let unreadable = || WatchError::Unreadable { process, why: "its stat has another form".into() };
        let stat = TaskStat::parse(&stat).ok_or_else(unreadable)?;
        let command = stat.command.clone();
        let leader: i32 = status_field(&status, "Tgid").unwrap_or(process);
        if leader != process {
            return Err(WatchError::Thread { thread: process, process: leader });
        }
        if stat.is_kernel_thread {
            return Err(WatchError::KernelThread { process, command });
        }
        if stat.has_ended() {
            return Err(WatchError::Ended { process, command, parent: stat.parent });
        }
        check_owner(root, process, &command, &status)?;
        Ok(Self { root: root.into(), process, start_ticks: stat.start_ticks, command, launched: false })
    }

    /// Whether the number is still that of the same process.
    pub(super) fn is_same(&self) -> bool {
        let text = std::fs::read_to_string(self.root.join(format!("{}/stat", self.process)));
        let now = text.ok().and_then(|text| TaskStat::parse(&text));
        now.is_some_and(|now| now.start_ticks == self.start_ticks)
    }
}

fn absent(root: &Path, process: i32, error: &std::io::Error) -> WatchError {
    if !root.join("self").exists() && !root.join("1").exists() {
        return WatchError::NoProc;
    }
    match error.kind() {
        // It is there and not shown: signal 0 asks for permission alone (kill(2)).
        ErrorKind::NotFound if kill(Pid::from_raw(process), None) == Err(Errno::EPERM) => {
            WatchError::Hidden { process }
        }
        ErrorKind::NotFound => WatchError::NoProcess { process },
        _ if error.raw_os_error() == Some(Errno::ESRCH as i32) => WatchError::NoProcess { process },
        _ => WatchError::Unreadable { process, why: error.to_string() },
    }
}

/// A user may look into a process whose users are all this one (`__ptrace_may_access` in kernel/ptrace.c).
fn check_owner(root: &Path, process: i32, command: &str, status: &str) -> Result<(), WatchError> {
    let users = status_line(status, "Uid").unwrap_or_default();
    let users: Vec<u32> = users.split_whitespace().filter_map(|user| user.parse().ok()).collect();
    let own = geteuid().as_raw();
    // The last is that of files, which does not count.
    let Some(&stranger) = users.iter().take(3).find(|&&user| user != own) else { return Ok(()) };
    if may_trace_any(root) {
        return Ok(());
    }
    let name = User::from_uid(Uid::from_raw(stranger)).ok().flatten().map(|user| user.name);
    let owner = name.unwrap_or_else(|| format!("user {stranger}"));
    Err(WatchError::AnotherUsers { process, command: command.into(), owner })
}

fn may_trace_any(root: &Path) -> bool {
    let status = std::fs::read_to_string(root.join("self/status")).unwrap_or_default();
    let held = status_line(&status, "CapEff").and_then(|text| u64::from_str_radix(text, 16).ok());
    held.is_some_and(|held| held >> CAP_SYS_PTRACE & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree of `/proc` with one process.
    fn proc_with(process: i32, stat: &str, status: &str) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join(process.to_string());
        std::fs::create_dir_all(root.path().join("self")).unwrap();
        std::fs::create_dir(&folder).unwrap();
        std::fs::write(folder.join("stat"), stat).unwrap();
        std::fs::write(folder.join("status"), status).unwrap();
        std::fs::write(root.path().join("self/status"), "CapEff:\t0000000000000000\n").unwrap();
        root
    }

    fn stat(state: char, flags: u64) -> String {
        format!("900001 (web) {state} 3 7 7 0 -1 {flags} 1 0 3 0 30 10 5 6 20 0 1 0 88 0 0 0 0 0")
    }

    fn status(users: u32, leader: i32) -> String {
        format!("Name:\tweb\nTgid:\t{leader}\nUid:\t{users}\t{users}\t{users}\t{users}\n")
    }

    fn refusal(stat: &str, status: &str) -> WatchError {
        WatchTarget::attach_below(proc_with(900_001, stat, status).path(), 900_001).unwrap_err()
    }

    #[test]
    fn a_process_of_this_user_can_be_watched() {
        let own = status(geteuid().as_raw(), 900_001);
        let root = proc_with(900_001, &stat('S', 0), &own);
        let target = WatchTarget::attach_below(root.path(), 900_001).unwrap();
        assert_eq!((target.command(), target.start_ticks, target.is_same()), ("web", 88, true));
        std::fs::write(root.path().join("900001/stat"), stat('S', 0).replace(" 88 ", " 99 ")).unwrap();
        assert!(!target.is_same(), "the number was given to another process");
    }

    #[test]
    fn what_cannot_be_watched_says_why_and_what_helps() {
        let own = status(geteuid().as_raw(), 900_001);
        let another = status(geteuid().as_raw() + 4711, 900_001);
        let told = [
            (refusal(&stat('S', 0x20_0000), &own), "thread of the kernel"),
            (refusal(&stat('Z', 0), &own), "process 3"),
            (refusal(&stat('S', 0), &status(0, 900_000)), "--pid 900000"),
            (refusal(&stat('S', 0), &another), "sudo"),
            (WatchTarget::attach(i32::MAX).unwrap_err(), "no process"),
            (WatchTarget::attach(0).unwrap_err(), "no process"),
            (WatchTarget::attach(std::process::id() as i32).unwrap_err(), "itself"),
            (WatchTarget::attach_below(Path::new("/nowhere"), 5).unwrap_err(), "/proc"),
        ];
        for (error, expected) in told {
            assert!(error.to_string().contains(expected), "{error}");
        }
    }
}
