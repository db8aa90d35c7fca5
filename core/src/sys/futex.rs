//! futex(2) on a 32-bit word: wait while it holds a value, wake the waiters.

use std::sync::atomic::AtomicU32;
use std::time::Duration;

use nix::errno::Errno;

use super::SysError;

/// Whether the word is shared by the threads of this process, or by processes over shared memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FutexScope {
    /// `FUTEX_PRIVATE_FLAG`: the kernel hashes by address, without a look at the page behind it.
    Private,
    /// The kernel hashes by page and offset, so that several address spaces meet.
    Shared,
}

impl FutexScope {
    fn flag(self) -> libc::c_int {
        match self {
            Self::Private => libc::FUTEX_PRIVATE_FLAG,
            Self::Shared => 0,
        }
    }
}

/// Sleeps while `word` holds `value`, for at most `timeout`.
///
/// Returns for any reason that futex(2) knows: woken, the value was another already, a signal, the timeout, or
/// spuriously. The caller looks at the word again.
///
/// # Errors
/// Anything but `EAGAIN`, `EINTR` and `ETIMEDOUT`.
pub fn wait(word: &AtomicU32, value: u32, scope: FutexScope, timeout: Option<Duration>) -> Result<(), SysError> {
    let limit = timeout.map(|timeout| libc::timespec {
        tv_sec: timeout.as_secs().try_into().unwrap_or(libc::c_long::MAX),
        // Below 1e9, so it fits every c_long.
        tv_nsec: timeout.subsec_nanos() as libc::c_long,
    });
    let limit = limit.as_ref().map_or(std::ptr::null(), std::ptr::from_ref);
    // SAFETY: the word outlives the call, the timespec too, and the kernel only reads both.
    let answer =
        unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT | scope.flag(), value, limit) };
    if answer == 0 {
        return Ok(());
    }
    match Errno::last() {
        Errno::EAGAIN | Errno::EINTR | Errno::ETIMEDOUT => Ok(()),
        errno => Err(SysError::new("futex FUTEX_WAIT", errno)),
    }
}

/// Wakes at most `count` waiters of `word`; returns how many woke.
///
/// # Errors
/// What futex(2) gives for `FUTEX_WAKE`, which on a valid word is nothing.
pub fn wake(word: &AtomicU32, count: u32, scope: FutexScope) -> Result<u32, SysError> {
    let count = libc::c_int::try_from(count).unwrap_or(libc::c_int::MAX);
    // SAFETY: the word outlives the call and the kernel does not touch its value.
    let woken = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE | scope.flag(), count) };
    u32::try_from(woken).map_err(|_| SysError::last("futex FUTEX_WAKE"))
}

/// Moves at most one waiter of `from` to `to` without waking anyone, if `from` holds `value`; returns how many moved:
/// none, when it holds another.
///
/// # Errors
/// Anything but `EAGAIN`.
pub fn requeue(from: &AtomicU32, value: u32, to: &AtomicU32, scope: FutexScope) -> Result<u32, SysError> {
    let operation = libc::FUTEX_CMP_REQUEUE | scope.flag();
    let (woken, moved): (libc::c_int, libc::c_ulong) = (0, 1);
    // SAFETY: both words outlive the call, and the kernel does not change their values.
    let answer = unsafe { libc::syscall(libc::SYS_futex, from.as_ptr(), operation, woken, moved, to.as_ptr(), value) };
    match u32::try_from(answer) {
        Ok(moved) => Ok(moved),
        Err(_) if Errno::last() == Errno::EAGAIN => Ok(0),
        Err(_) => Err(SysError::last("futex FUTEX_CMP_REQUEUE")),
    }
}

/// Takes a lock with priority inheritance by a system call, also when the lock is free. The word is 0 while it is free.
///
/// # Errors
/// `EDEADLK` when the caller holds it, `ENOSYS` without CONFIG_FUTEX_PI.
pub fn lock_pi(word: &AtomicU32, scope: FutexScope) -> Result<(), SysError> {
    loop {
        let nothing = std::ptr::null::<libc::timespec>();
        // SAFETY: the word outlives the call; the kernel stores the owner's id in it, which an atomic may be.
        let answer =
            unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_LOCK_PI | scope.flag(), 0, nothing) };
        if answer == 0 {
            return Ok(());
        }
        match Errno::last() {
            // The owner is about to end, or a signal came.
            Errno::EAGAIN | Errno::EINTR => {}
            errno => return Err(SysError::new("futex FUTEX_LOCK_PI", errno)),
        }
    }
}

/// Releases a lock with priority inheritance, to the waiter with the highest priority if there is one.
///
/// # Errors
/// `EPERM` when the caller does not hold it.
pub fn unlock_pi(word: &AtomicU32, scope: FutexScope) -> Result<(), SysError> {
    // SAFETY: as for taking it.
    let answer = unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_UNLOCK_PI | scope.flag()) };
    if answer == 0 { Ok(()) } else { Err(SysError::last("futex FUTEX_UNLOCK_PI")) }
}
