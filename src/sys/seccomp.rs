//! A system call that another thread answers: seccomp_unotify(2).

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use nix::errno::Errno;

use super::SysError;

/// The call that is handed to the supervisor: getppid(2), which nothing else in this program makes and whose
/// arguments are free.
const CALL: libc::c_long = libc::SYS_getppid;

/// The descriptor by which the supervisor receives calls and answers them.
#[derive(Debug)]
pub struct Listener(OwnedFd);

/// A system call whose thread waits for the supervisor's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Notification {
    id: u64,
    /// The call's argument.
    pub argument: u64,
}

/// Hands the calling thread's [`ask`]s to the listener that is returned, from now on and for good; threads that it
/// creates inherit that. Sets `no_new_privs` on the thread, without which only root may install a filter.
///
/// # Errors
/// `EINVAL` before Linux 5.0 and without `CONFIG_SECCOMP_FILTER`; `EBUSY` when a filter of this thread has a listener.
pub fn supervise_current_thread() -> Result<Listener, SysError> {
    nix::sys::prctl::set_no_new_privs().map_err(|errno| SysError::new("prctl PR_SET_NO_NEW_PRIVS", errno))?;
    // The number of the call is the first word of struct seccomp_data. Its architecture is not looked at: the filter
    // guards nothing, and this program makes its native calls only.
    let mut program = [
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, CALL as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_USER_NOTIF),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    let (operation, flags) = (libc::SECCOMP_SET_MODE_FILTER, libc::SECCOMP_FILTER_FLAG_NEW_LISTENER);
    // SAFETY: the kernel copies the program during the call.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, operation, flags, &raw const filter) };
    match i32::try_from(answer) {
        // SAFETY: the call has just opened this descriptor, so nothing else owns it.
        Ok(descriptor @ 0..) => Ok(Listener(unsafe { OwnedFd::from_raw_fd(descriptor) })),
        _ => Err(SysError::last("seccomp SECCOMP_FILTER_FLAG_NEW_LISTENER")),
    }
}

/// Answers `call` with `errno` on the calling thread and on all that it creates, programs that it executes included,
/// from now on and for good: how a machine that lacks the call, or a container that forbids it, looks. Sets
/// `no_new_privs`.
///
/// # Errors
/// `EINVAL` where the kernel has no filters (CONFIG_SECCOMP_FILTER).
pub fn refuse_from_now_on(call: libc::c_long, errno: Errno) -> Result<(), SysError> {
    nix::sys::prctl::set_no_new_privs().map_err(|errno| SysError::new("prctl PR_SET_NO_NEW_PRIVS", errno))?;
    let mut program = [
        instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0),
        instruction(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, call as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ERRNO | errno as u32),
        instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let filter = libc::sock_fprog { len: program.len() as u16, filter: program.as_mut_ptr() };
    // SAFETY: the kernel copies the program during the call.
    let answer = unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, 0, &raw const filter) };
    if answer == 0 { Ok(()) } else { Err(SysError::last("seccomp SECCOMP_SET_MODE_FILTER")) }
}

fn instruction(code: u32, on_true: u8, on_false: u8, k: u32) -> libc::sock_filter {
    // The codes are below 2^16: they are BPF's.
    libc::sock_filter { code: code as u16, jt: on_true, jf: on_false, k }
}

/// Makes the call on a supervised thread and returns the supervisor's answer.
///
/// # Errors
/// `ENOSYS` when the listener is closed.
#[inline]
pub fn ask(argument: u64) -> Result<u64, SysError> {
    // SAFETY: getppid(2) takes nothing and touches nothing; the argument is for the supervisor.
    let answer = unsafe { libc::syscall(CALL, argument) };
    u64::try_from(answer).map_err(|_| SysError::last("getppid under supervision"))
}

impl Listener {
    /// Waits for the next call; again after `EINTR`.
    ///
    /// # Errors
    /// What ioctl(2) gives for `SECCOMP_IOCTL_NOTIF_RECV` but `EINTR`.
    #[inline]
    pub fn receive(&self) -> Result<Notification, SysError> {
        loop {
            // SAFETY: all zeroes are valid, and what the kernel demands.
            let mut notice: libc::seccomp_notif = unsafe { MaybeUninit::zeroed().assume_init() };
            // SAFETY: the kernel fills `notice` in during the call.
            if unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_RECV, &raw mut notice) } == 0 {
                return Ok(Notification { id: notice.id, argument: notice.data.args[0] });
            }
            match Errno::last() {
                Errno::EINTR => {}
                errno => return Err(SysError::new("ioctl SECCOMP_IOCTL_NOTIF_RECV", errno)),
            }
        }
    }

    /// Answers a call with `value`.
    ///
    /// # Errors
    /// `ENOENT` when the caller is gone.
    #[inline]
    pub fn answer(&self, asked: Notification, value: i64) -> Result<(), SysError> {
        let mut answer = libc::seccomp_notif_resp { id: asked.id, val: value, error: 0, flags: 0 };
        // SAFETY: the kernel reads `answer` during the call.
        match unsafe { libc::ioctl(self.0.as_raw_fd(), libc::SECCOMP_IOCTL_NOTIF_SEND, &raw mut answer) } {
            0 => Ok(()),
            _ => Err(SysError::last("ioctl SECCOMP_IOCTL_NOTIF_SEND")),
        }
    }
}
