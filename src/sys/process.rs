//! Processes: fork(2), waiting, ending, and names that /proc shows.

use std::os::fd::{AsRawFd, BorrowedFd};
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

/// Makes the kernel end the calling process with `signal` when its parent's thread ends (PR_SET_PDEATHSIG).
pub fn die_with_parent(signal: Signal) {
    // It can fail only for a signal number that does not exist.
    let _ = nix::sys::prctl::set_pdeathsig(signal);
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

/// Waits for `child` until `deadline`; then kills it and waits for that. True when it ended by itself.
pub fn end_by(child: Pid, deadline: Instant) -> bool {
    loop {
        match waitpid(child, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::StillAlive) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(1)),
            Ok(WaitStatus::StillAlive) => break,
            Err(Errno::EINTR) => {}
            Ok(_) | Err(_) => return true,
        }
    }
    let _ = kill(child, Signal::SIGKILL);
    let _ = wait_for(child);
    false
}

/// Sets the calling thread's name as /proc and perf show it: at most 15 bytes (prctl(2), PR_SET_NAME).
pub fn name_current_thread(name: &str) {
    let bytes: Vec<u8> = name.bytes().filter(|&byte| byte != 0).take(15).collect();
    if let Ok(name) = std::ffi::CString::new(bytes) {
        let _ = nix::sys::prctl::set_name(&name);
    }
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
