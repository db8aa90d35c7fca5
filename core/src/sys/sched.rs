//! Scheduling policies: sched_setattr(2), which knows slices, where sched_setscheduler(2) knows priorities alone.

use std::mem::MaybeUninit;

use nix::unistd::Pid;

use super::SysError;

/// A policy with its one attribute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attributes {
    /// `SCHED_OTHER` and its like.
    pub policy: u32,
    /// For `SCHED_FIFO` and `SCHED_RR`: 1 to 99.
    pub priority: u32,
    /// For the fair policies: the slice asked for in nanoseconds, 0 for the kernel's own (Linux 6.12; before that the
    /// field is ignored).
    pub slice_ns: u64,
}

/// Gives `task` (a thread; 0 is the calling one) these attributes, and leaves its nice value as it is.
///
/// # Errors
/// `EPERM` where RLIMIT_RTPRIO or a missing CAP_SYS_NICE forbids a real-time policy, or leaving `SCHED_IDLE` (before
/// Linux 2.6.39).
pub fn set(task: Pid, attributes: Attributes) -> Result<(), SysError> {
    let mut attr = read(task)?;
    attr.sched_flags = 0;
    attr.size = size_of::<libc::sched_attr>() as u32;
    attr.sched_policy = attributes.policy;
    attr.sched_priority = attributes.priority;
    attr.sched_runtime = attributes.slice_ns;
    // SAFETY: the kernel reads `attr`, of the size it holds, during the call.
    let answer = unsafe { libc::syscall(libc::SYS_sched_setattr, task.as_raw(), &raw const attr, 0) };
    if answer == 0 { Ok(()) } else { Err(SysError::last("sched_setattr")) }
}

/// The attributes of `task` (a thread; 0 is the calling one).
///
/// # Errors
/// `ESRCH` when it is gone.
pub fn get(task: Pid) -> Result<Attributes, SysError> {
    let attr = read(task)?;
    Ok(Attributes { policy: attr.sched_policy, priority: attr.sched_priority, slice_ns: attr.sched_runtime })
}

fn read(task: Pid) -> Result<libc::sched_attr, SysError> {
    // SAFETY: all zeroes are a valid sched_attr.
    let mut attr: libc::sched_attr = unsafe { MaybeUninit::zeroed().assume_init() };
    let size = size_of::<libc::sched_attr>();
    // SAFETY: the kernel writes at most `size` bytes to `attr`.
    let answer = unsafe { libc::syscall(libc::SYS_sched_getattr, task.as_raw(), &raw mut attr, size, 0) };
    if answer == 0 { Ok(attr) } else { Err(SysError::last("sched_getattr")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_back() {
        let seen = std::thread::spawn(|| {
            let batch = Attributes { policy: libc::SCHED_BATCH as u32, priority: 0, slice_ns: 0 };
            set(Pid::from_raw(0), batch).unwrap();
            get(Pid::from_raw(0)).unwrap().policy
        });
        assert_eq!(seen.join().unwrap(), libc::SCHED_BATCH as u32);
    }
}
