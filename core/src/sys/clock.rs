//! The clock read by a system call, where the C library would read it without one (vdso(7)).

use std::mem::MaybeUninit;
use std::time::Duration;

use super::SysError;

/// `CLOCK_MONOTONIC`, by clock_gettime(2) itself.
///
/// # Errors
/// None for this clock.
#[inline]
pub fn monotonic_by_system_call() -> Result<Duration, SysError> {
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the kernel fills `time` in when it answers 0.
    let answer = unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, time.as_mut_ptr()) };
    if answer != 0 {
        return Err(SysError::last("clock_gettime"));
    }
    // SAFETY: filled in, as above.
    let time = unsafe { time.assume_init() };
    // Time since the machine started, below 1e9 nanoseconds in its second part.
    Ok(Duration::new(time.tv_sec as u64, time.tv_nsec as u32))
}
