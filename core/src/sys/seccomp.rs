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
/// `EINVAL` before Linux 5.0 and without `CONFIG_SECCOMP_FILTER`; `EBUSY` when a filter of this thread has a listener,
/// of which there is one at most (container managers that answer calls of their containers install it).
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

/// What a filter answers in place of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CallAnswer {
    /// An error.
    Errno(Errno),
    /// SIGSYS, which ends the process and which it cannot catch.
    Kill,
}

/// A call that a filter answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CallRule {
    /// The call's number.
    pub call: libc::c_long,
    /// What it is answered with.
    pub answer: CallAnswer,
    /// Only for these values of one of its arguments; none: always.
    pub only: Option<Argument>,
}

/// Values of an argument, of which its lower half is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Argument {
    /// Its number, from 0.
    pub number: u32,
    /// The least.
    pub least: u32,
    /// The most.
    pub most: u32,
}

impl CallRule {
    /// Answers `call` with `errno`, always.
    pub fn errno(call: libc::c_long, errno: Errno) -> Self {
        Self { call, answer: CallAnswer::Errno(errno), only: None }
    }

    /// Kills the process that makes `call`.
    pub fn kill(call: libc::c_long) -> Self {
        Self { call, answer: CallAnswer::Kill, only: None }
    }
}

/// Where `args` begins in `struct seccomp_data`, of which each takes eight bytes.
const ARGUMENTS: u32 = 16;

/// Where the lower half of an argument begins.
const LOWER_HALF: u32 = if cfg!(target_endian = "big") { 4 } else { 0 };

/// Answers calls on the calling thread and on all that it creates, programs that it executes included, from now on and
/// for good: how a machine that lacks them, or a container that forbids them, looks. Sets `no_new_privs`.
///
/// # Errors
/// `EINVAL` where the kernel has no filters (CONFIG_SECCOMP_FILTER).
pub fn refuse_from_now_on(rules: &[CallRule]) -> Result<(), SysError> {
    nix::sys::prctl::set_no_new_privs().map_err(|errno| SysError::new("prctl PR_SET_NO_NEW_PRIVS", errno))?;
    let mut program = Vec::new();
    for rule in rules {
        let number = instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, 0);
        let answer = match rule.answer {
            CallAnswer::Errno(errno) => libc::SECCOMP_RET_ERRNO | errno as u32,
            CallAnswer::Kill => libc::SECCOMP_RET_KILL_PROCESS,
        };
        let answer = instruction(libc::BPF_RET | libc::BPF_K, 0, 0, answer);
        let equal = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        match rule.only {
            None => program.extend([number, instruction(equal, 0, 1, rule.call as u32), answer]),
            Some(Argument { number: place, least, most }) => program.extend([
                number,
                instruction(equal, 0, 4, rule.call as u32),
                instruction(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0, ARGUMENTS + 8 * place + LOWER_HALF),
                instruction(libc::BPF_JMP | libc::BPF_JGE | libc::BPF_K, 0, 2, least),
                instruction(libc::BPF_JMP | libc::BPF_JGT | libc::BPF_K, 1, 0, most),
                answer,
            ]),
        }
    }
    program.push(instruction(libc::BPF_RET | libc::BPF_K, 0, 0, libc::SECCOMP_RET_ALLOW));
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
