//! Processes: fork(2), waiting, ending, and names that /proc shows.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, Pid, fork};

use super::SysError;

/// Forks; the child runs `body` and ends with its status through `_exit`, never returning here.
///
/// The child is a copy with one thread. `body` may only do what is safe after fork(2) in a program with threads
/// (signal-safety(7)): system calls on what it holds already, no allocation, no locks.
///
/// # Errors
/// `EAGAIN` (RLIMIT_NPROC, pid_max, cgroup pids) and `ENOMEM`.
pub fn fork_running(body: impl FnOnce() -> i32) -> Result<Pid, SysError> {
    // SAFETY: the child only runs `body`, whose contract is above, and _exit.
    match unsafe { fork() } {
        Ok(ForkResult::Parent { child }) => Ok(child),
        Ok(ForkResult::Child) => exit_now(body()),
        Err(errno) => Err(SysError::new("fork", errno)),
    }
}

fn exit_now(status: i32) -> ! {
    // SAFETY: _exit(2) takes any status and does not return; it skips exit handlers, which are the parent's.
    unsafe { libc::_exit(status) }
}

/// Makes the kernel kill the calling process, a child of `parent`, when the thread that created it ends
/// (PR_SET_PDEATHSIG). False when `parent` has ended already: then no signal comes, and the caller must end itself.
#[must_use]
pub fn die_with_parent(parent: Pid) -> bool {
    // It can fail only for a signal number that does not exist.
    let _ = nix::sys::prctl::set_pdeathsig(Signal::SIGKILL);
    Pid::parent() == parent
}

/// Closes a forked child's copy of a descriptor, whose owner lives on in the parent.
///
/// Only for the child of [`fork_running`], which never drops the owner.
pub fn close_copy(descriptor: BorrowedFd<'_>) {
    // SAFETY: the number is open in this process; the owner's `drop` runs in the parent alone, on its own copy.
    unsafe { libc::close(descriptor.as_raw_fd()) };
}

/// Waits for `child` to end, again after `EINTR`.
///
/// # Errors
/// `ECHILD` when it is not a child, or was waited for already.
pub fn wait_for(child: Pid) -> Result<WaitStatus, SysError> {
    loop {
        match waitpid(child, None) {
            Err(Errno::EINTR) => {}
            answer => return answer.map_err(|errno| SysError::new("waitpid", errno)),
        }
    }
}

/// Waits for `child` until `deadline`; nothing when it is still alive then.
///
/// # Errors
/// As [`wait_for`].
pub fn wait_until(child: Pid, deadline: Instant) -> Result<Option<WaitStatus>, SysError> {
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
            Ok(WaitStatus::StillAlive) => return Ok(None),
            Err(Errno::EINTR) => {}
            answer => return answer.map(Some).map_err(|errno| SysError::new("waitpid", errno)),
        }
    }
}

/// Waits for `child` until `deadline`; then kills it and waits for that. True when it ended by itself.
pub fn end_by(child: Pid, deadline: Instant) -> bool {
    if !matches!(wait_until(child, deadline), Ok(None)) {
        return true;
    }
    let _ = kill(child, Signal::SIGKILL);
    let _ = wait_for(child);
    false
}

/// Closes every descriptor of a forked child but those in `kept`, which must be in rising order.
///
/// Only for the child of [`fork_running`], which never drops the owners. Allocates nothing. Needs close_range(2),
/// Linux 5.9; where there is none, each number below the limit is closed by itself.
pub fn keep_only(kept: &[RawFd]) {
    let mut from = 0;
    for &kept in kept {
        // An open descriptor's number is not negative.
        let kept = kept as libc::c_uint;
        if kept > from {
            close_between(from, kept - 1);
        }
        from = kept + 1;
    }
    close_between(from, libc::c_uint::MAX);
}

fn close_between(first: libc::c_uint, last: libc::c_uint) {
    // SAFETY: the owners of these descriptors live on in the parent, with copies of their own (see `keep_only`).
    if unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) } == 0 {
        return;
    }
    // SAFETY: sysconf reads a number.
    let open = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    for number in first..=last.min(libc::c_uint::try_from(open).unwrap_or(1024)) {
        // SAFETY: as above.
        unsafe { libc::close(number as libc::c_int) };
    }
}

/// A name for [`take_name`], made where memory may still be allocated.
pub fn prepare_name(name: &str) -> CString {
    CString::new(name.replace('\0', "")).unwrap_or_default()
}

/// Gives the calling task a name of at most 15 bytes, as /proc and perf show it. Allocates nothing.
pub fn take_name(name: &CStr) {
    // prctl(2) fails for an unreadable address alone.
    let _ = nix::sys::prctl::set_name(name);
}

/// Sets the calling thread's name as /proc and perf show it: at most 15 bytes (prctl(2), PR_SET_NAME).
pub fn name_current_thread(name: &str) {
    let bytes: Vec<u8> = name.bytes().filter(|&byte| byte != 0).take(15).collect();
    if let Ok(name) = std::ffi::CString::new(bytes) {
        let _ = nix::sys::prctl::set_name(&name);
    }
}

/// The threads of this process.
///
/// # Errors
/// When /proc is not mounted.
pub fn threads() -> Result<Vec<Pid>, SysError> {
    let failed = |error: &std::io::Error| SysError::from_io("read /proc/self/task", error);
    let listing = std::fs::read_dir("/proc/self/task").map_err(|error| failed(&error))?;
    Ok(listing.flatten().filter_map(|entry| Some(Pid::from_raw(entry.file_name().to_str()?.parse().ok()?))).collect())
}

/// Gives another thread of this process a name of at most 15 bytes.
///
/// # Errors
/// When the thread has ended, or /proc is not mounted.
pub fn name_thread(thread: Pid, name: &str) -> Result<(), SysError> {
    let path = format!("/proc/self/task/{thread}/comm");
    std::fs::write(&path, name).map_err(|error| SysError::from_io(format!("write {path}"), &error))
}

/// The descriptors open in this process, by number.
///
/// # Errors
/// When /proc is not mounted.
pub fn open_descriptors() -> Result<Vec<i32>, SysError> {
    let failed = |error: &std::io::Error| SysError::from_io("read /proc/self/fd", error);
    let listing = std::fs::read_dir("/proc/self/fd").map_err(|error| failed(&error))?;
    let numbers = listing.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    // The listing's own descriptor is among them and closed by now.
    Ok(numbers.filter(|&number| is_open(number)).collect())
}

fn is_open(number: i32) -> bool {
    // SAFETY: the borrow is used for one fcntl(F_GETFD), which answers EBADF for a closed number.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFD).is_ok() && fd.as_raw_fd() == number
}
