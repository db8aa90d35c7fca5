//! membarrier(2): a memory barrier on every CPU that runs a thread of this process.

use super::SysError;

// include/uapi/linux/membarrier.h
const GLOBAL: libc::c_int = 1;
const PRIVATE_EXPEDITED: libc::c_int = 1 << 3;
const REGISTER_PRIVATE_EXPEDITED: libc::c_int = 1 << 4;

/// Waits until every CPU has passed a barrier, unhurried: the kernel waits for a grace period of RCU, and what was
/// freed before it can be used again after it.
///
/// # Errors
/// `ENOSYS`, and `EINVAL` on CPUs that are kept free of the tick (nohz_full).
pub fn global() -> Result<(), SysError> {
    call(GLOBAL, "membarrier MEMBARRIER_CMD_GLOBAL")
}

/// Makes [`private_expedited`] possible, for this process and for good.
///
/// # Errors
/// `ENOSYS` and `EINVAL` where the kernel lacks it.
pub fn register_private_expedited() -> Result<(), SysError> {
    call(REGISTER_PRIVATE_EXPEDITED, "membarrier MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED")
}

/// Interrupts every other CPU that runs a thread of this process, and waits until each has passed a barrier.
///
/// # Errors
/// `EPERM` when not registered.
#[inline]
pub fn private_expedited() -> Result<(), SysError> {
    call(PRIVATE_EXPEDITED, "membarrier MEMBARRIER_CMD_PRIVATE_EXPEDITED")
}

fn call(command: libc::c_int, name: &str) -> Result<(), SysError> {
    // SAFETY: membarrier(2) takes numbers and touches no memory of the program.
    if unsafe { libc::syscall(libc::SYS_membarrier, command, 0, 0) } == 0 { Ok(()) } else { Err(SysError::last(name)) }
}
