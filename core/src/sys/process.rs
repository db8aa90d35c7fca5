//! Processes: fork(2), waiting, ending, and names that /proc shows.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
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

/// Waits, without blocking, for any child that the calling thread has forked: those of other threads are left to them
/// (`__WNOTHREAD`, waitpid(2)). `None` when none has ended.
pub fn reap_own_child() -> Option<Pid> {
    let flags = WaitPidFlag::WNOHANG | WaitPidFlag::__WNOTHREAD;
    loop {
        match waitpid(None, Some(flags)) {
            Err(Errno::EINTR) => {}
            answer => return answer.ok().and_then(|status| status.pid()),
        }
    }
}

/// A descriptor of `child` that is readable once the child has ended (pidfd_open(2), Linux 5.3).
///
/// # Errors
/// `EMFILE` and `ENFILE` when descriptors run out, `ENOSYS` on an older kernel.
pub fn open_child(child: Pid) -> Result<OwnedFd, SysError> {
    // SAFETY: the call takes two numbers.
    let descriptor = unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0) };
    let descriptor = Errno::result(descriptor).map_err(|errno| SysError::new("pidfd_open", errno))?;
    // SAFETY: the kernel has just opened it for this call, and no other owner knows its number, which fits an int.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as RawFd) })
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
/// Linux 5.9; where there is none or a sandbox refuses it, the descriptors that /proc lists are closed, and without
/// /proc each number below the limit, of which there may be a million.
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
    if close_listed(first, last) {
        return;
    }
    // SAFETY: sysconf reads a number.
    let open = unsafe { libc::sysconf(libc::_SC_OPEN_MAX) };
    for number in first..=last.min(libc::c_uint::try_from(open).unwrap_or(1024)) {
        // SAFETY: as above.
        unsafe { libc::close(number as libc::c_int) };
    }
}

/// What getdents64(2) fills. Aligned as its entries are.
#[repr(align(8))]
struct Listing([u8; 4096]);

/// Where the length and the name of an entry stand (struct linux_dirent64, getdents(2)).
const ENTRY_LENGTH: usize = 16;
const ENTRY_NAME: usize = 19;

/// Closes the open descriptors from `first` to `last`; false where they cannot be listed. Allocates nothing, which the
/// standard library's and the C library's readers of directories would.
fn close_listed(first: libc::c_uint, last: libc::c_uint) -> bool {
    // A table that is full leaves no number for the listing. SAFETY: as in `close_between`.
    unsafe { libc::close(first as libc::c_int) };
    // Of the thread, whose table need not be the process's. SAFETY: the path is a string that ends with a zero.
    let folder = unsafe { libc::open(c"/proc/thread-self/fd".as_ptr(), libc::O_RDONLY | libc::O_DIRECTORY) };
    if folder < 0 {
        return false;
    }
    let mut listing = Listing([0; 4096]);
    let whole = loop {
        let room = listing.0.len();
        // SAFETY: the kernel writes at most `room` bytes.
        let filled = unsafe { libc::syscall(libc::SYS_getdents64, folder, listing.0.as_mut_ptr(), room) };
        let Ok(filled) = usize::try_from(filled) else { break false };
        if filled == 0 {
            break true;
        }
        let mut rest = listing.0.get(..filled).unwrap_or_default();
        while let (Some(&[low, high]), Some(name)) = (rest.get(ENTRY_LENGTH..ENTRY_LENGTH + 2), rest.get(ENTRY_NAME..))
        {
            // What is no number are the folder itself and the one above.
            if let Some(number) = descriptor(name)
                && (first..=last).contains(&number)
                && number != folder as libc::c_uint
            {
                // SAFETY: as in `close_between`. The listing goes on by number (proc_readfd_common in fs/proc/fd.c).
                unsafe { libc::close(number as libc::c_int) };
            }
            rest = rest.get(usize::from(u16::from_ne_bytes([low, high])).max(1)..).unwrap_or_default();
        }
    };
    // SAFETY: it was opened here.
    unsafe { libc::close(folder) };
    whole
}

/// The number that a name ended by a zero is.
fn descriptor(name: &[u8]) -> Option<libc::c_uint> {
    let digits = name.split(|&byte| byte == 0).next()?;
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0, |number: libc::c_uint, digit| {
        let digit = digit.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(digit.into())
    })
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::channel::pipe;
    use crate::sys::limits::raise_descriptors;
    use crate::sys::seccomp::{Argument, CallAnswer, CallRule, refuse_from_now_on};

    /// A child that keeps one descriptor and no other, whatever `rules` forbid: 0 when it did.
    fn keeps_one(rules: &[CallRule]) -> Option<WaitStatus> {
        let ends = pipe(false).unwrap();
        let kept = ends.writer.as_raw_fd();
        raise_descriptors();
        std::thread::scope(|scope| {
            let forking = scope.spawn(|| {
                if let Err(error) = refuse_from_now_on(rules) {
                    println!("not checked: {error}");
                    return None;
                }
                let child = fork_running(|| {
                    keep_only(&[kept]);
                    i32::from((0..200).any(|number| is_open(number) != (number == kept)))
                });
                Some(wait_for(child.unwrap()).unwrap())
            });
            forking.join().unwrap()
        })
    }

    fn ended_with_0(status: Option<WaitStatus>) {
        assert!(matches!(status, None | Some(WaitStatus::Exited(_, 0))), "{status:?}");
    }

    #[test]
    fn a_child_keeps_what_it_is_to_keep_with_close_range_and_without() {
        ended_with_0(keeps_one(&[]));
        let no_close_range = CallRule::errno(libc::SYS_close_range, Errno::ENOSYS);
        // It is no use to close what is not open: up to the limit, which may be a million.
        let far = CallRule {
            call: libc::SYS_close,
            answer: CallAnswer::Kill,
            only: Some(Argument { number: 0, least: 2000, most: i32::MAX.unsigned_abs() }),
        };
        ended_with_0(keeps_one(&[no_close_range, far]));
        // Nothing can be listed.
        let no_listing = CallRule::errno(libc::SYS_getdents64, Errno::ENOSYS);
        ended_with_0(keeps_one(&[no_close_range, no_listing]));
    }

    #[test]
    fn names_of_descriptors_are_numbers() {
        assert_eq!(descriptor(b"17\0\0\0\0"), Some(17));
        for other in [&b"..\0"[..], b".\0", b"\0", b"99999999999\0", b""] {
            assert_eq!(descriptor(other), None);
        }
    }
}
