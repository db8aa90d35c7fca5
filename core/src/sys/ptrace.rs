//! Watching the system calls of a process and of all it creates: ptrace(2).
//!
//! Needs no privilege for a child of one's own, except where Yama forbids it (`kernel.yama.ptrace_scope` 3) or a
//! container's profile does.

use std::collections::HashMap;
use std::mem::MaybeUninit;

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::SysError;
use super::fatal::permitted;

/// One system call, at its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SyscallEntry {
    /// The thread that makes it.
    pub thread: Pid,
    /// The kernel's number for it, on this architecture.
    pub number: u64,
    /// Its arguments.
    pub arguments: [u64; 6],
}

/// A traced process and its descendants. Dropping it kills them.
#[derive(Debug)]
pub struct Tracee {
    leader: Pid,
    /// Its end was reported, and its number may be another process's by now.
    ended: bool,
    /// The call that each thread last entered.
    calls: HashMap<Pid, TracedCall>,
    /// The thread that stands at the entry last reported.
    standing: Option<Pid>,
}

#[derive(Debug)]
struct TracedCall {
    number: u64,
    /// It was broken off by a signal and will be entered again, unseen by the program.
    interrupted: bool,
    /// What it is to return instead of being made.
    answer: Option<i64>,
}

/// An event of the traced processes that the kernel reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TraceEvent {
    /// A thread enters a system call.
    Entry(SyscallEntry),
    /// The traced process itself ended: normally with a status, or `None` by a signal.
    Ended(Option<i32>),
}

impl Tracee {
    /// Attaches to `leader`, a child of the calling thread, and to its threads, which must not create others meanwhile.
    /// All calls on the tracee must come from this thread: ptrace(2) knows tracers by thread.
    ///
    /// # Errors
    /// `EPERM` where tracing is forbidden.
    pub fn seize(leader: Pid) -> Result<Self, SysError> {
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_EXITKILL;
        permitted(libc::SYS_ptrace, "ptrace")?;
        ptrace::seize(leader, options).map_err(|errno| SysError::new("ptrace PTRACE_SEIZE", errno))?;
        ptrace::interrupt(leader).map_err(|errno| SysError::new("ptrace PTRACE_INTERRUPT", errno))?;
        for thread in threads_of(leader) {
            // EPERM: it is the leader, or was created after the leader was attached and is attached by that.
            if ptrace::seize(thread, options).is_ok() {
                ptrace::interrupt(thread).map_err(|errno| SysError::new("ptrace PTRACE_INTERRUPT", errno))?;
            }
        }
        Ok(Self { leader, ended: false, calls: HashMap::new(), standing: None })
    }

    /// Keeps the call that was reported last from being made: it returns `value` to the program at once, as the kernel
    /// would, an error as its negative number.
    ///
    /// # Errors
    /// `ENOSYS` on architectures whose registers are not written down here, and what ptrace(2) says of a thread that is
    /// gone.
    pub fn answer(&mut self, entry: &SyscallEntry, value: i64) -> Result<(), SysError> {
        registers::skip_call(entry.thread)?;
        if let Some(call) = self.calls.get_mut(&entry.thread) {
            call.answer = Some(value);
        }
        Ok(())
    }

    /// Lets everything run until the next entry into a system call, or the end. The thread that enters stands still
    /// until this is called again.
    ///
    /// # Errors
    /// Those of waitpid(2).
    pub fn next_event(&mut self) -> Result<TraceEvent, SysError> {
        if let Some(thread) = self.standing.take() {
            resume(thread, None);
        }
        loop {
            // __WALL: threads too. __WNOTHREAD: only what this thread traces, since other threads of this process may
            // have children of their own.
            let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
            match waitpid(None, Some(flags)) {
                Err(Errno::EINTR) => {}
                Err(errno) => return Err(SysError::new("waitpid", errno)),
                Ok(WaitStatus::Exited(pid, status)) if pid == self.leader => return Ok(self.end(Some(status))),
                Ok(WaitStatus::Signaled(pid, ..)) if pid == self.leader => return Ok(self.end(None)),
                Ok(WaitStatus::PtraceSyscall(thread)) => {
                    if let Some(entry) = self.entry(thread) {
                        self.standing = Some(thread);
                        return Ok(TraceEvent::Entry(entry));
                    }
                    resume(thread, None);
                }
                // A new thread, the answer to PTRACE_INTERRUPT, or a group-stop: none of them carries a signal.
                Ok(WaitStatus::PtraceEvent(thread, _, _)) => resume(thread, None),
                Ok(WaitStatus::Stopped(thread, signal)) => resume(thread, Some(signal)),
                Ok(_) => {}
            }
        }
    }

    fn end(&mut self, status: Option<i32>) -> TraceEvent {
        self.ended = true;
        TraceEvent::Ended(status)
    }

    /// The call that a stopped thread enters; `None` at an exit, at the second entry of one call, and for a thread that
    /// is gone.
    fn entry(&mut self, thread: Pid) -> Option<SyscallEntry> {
        match SyscallStop::of(thread)? {
            SyscallStop::Entry { number, arguments } => {
                let before = self.calls.insert(thread, TracedCall { number, interrupted: false, answer: None });
                let again = |call: TracedCall| {
                    call.interrupted && (call.number == number || number == libc::SYS_restart_syscall as u64)
                };
                (!before.is_some_and(again)).then_some(SyscallEntry { thread, number, arguments })
            }
            SyscallStop::Exit { value } => {
                if let Some(call) = self.calls.get_mut(&thread) {
                    call.interrupted = RESTARTS.contains(&value);
                    if let Some(answer) = call.answer.take() {
                        // A thread that is gone needs no answer.
                        let _ = registers::set_answer(thread, answer);
                    }
                }
                None
            }
        }
    }
}

/// `struct ptrace_syscall_info`, include/uapi/linux/ptrace.h, Linux 5.3. The crates libc and nix have it for glibc
/// alone; the kernel's layout is the same under every C library.
#[repr(C)]
#[derive(Debug, Default, Clone, Copy)]
struct SyscallInfo {
    op: u8,
    padding: [u8; 3],
    architecture: u32,
    instruction_pointer: u64,
    stack_pointer: u64,
    /// At an entry the number and the six arguments; at an exit the value in the first word.
    words: [u64; 8],
}

const PTRACE_GET_SYSCALL_INFO: libc::c_uint = 0x420e;
const PTRACE_SYSCALL_INFO_ENTRY: u8 = 1;
const PTRACE_SYSCALL_INFO_EXIT: u8 = 2;

/// Where a thread stands that was stopped at a system call.
#[derive(Debug)]
enum SyscallStop {
    Entry { number: u64, arguments: [u64; 6] },
    Exit { value: i64 },
}

impl SyscallStop {
    /// `None` for a thread that is gone, or is stopped elsewhere.
    fn of(thread: Pid) -> Option<Self> {
        let mut info = SyscallInfo::default();
        // SAFETY: the kernel writes at most the size that is given to `info`, and any bits are valid for it. By the raw
        // call: the C function has other types for the request under every C library.
        let written = unsafe {
            libc::syscall(
                libc::SYS_ptrace,
                PTRACE_GET_SYSCALL_INFO as libc::c_ulong,
                thread.as_raw(),
                size_of::<SyscallInfo>(),
                &raw mut info,
            )
        };
        if written < 0 {
            return None;
        }
        let [number, arguments @ .., _] = info.words;
        match info.op {
            PTRACE_SYSCALL_INFO_ENTRY => Some(Self::Entry { number, arguments }),
            PTRACE_SYSCALL_INFO_EXIT => Some(Self::Exit { value: number.cast_signed() }),
            _ => None,
        }
    }
}

/// What a call returns when a signal without a handler breaks it off: the kernel enters it again, and only a tracer
/// sees that (include/linux/errno.h: ERESTARTSYS, ERESTARTNOINTR, ERESTARTNOHAND, ERESTART_RESTARTBLOCK). It happens
/// to traced tasks alone: without a tracer an ignored signal, such as SIGCHLD, is not even delivered.
const RESTARTS: [i64; 4] = [-512, -513, -514, -516];

impl Drop for Tracee {
    fn drop(&mut self) {
        if !self.ended {
            let _ = nix::sys::signal::kill(self.leader, Signal::SIGKILL);
        }
    }
}

fn threads_of(process: Pid) -> Vec<Pid> {
    let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    tasks.filter_map(|task| Some(Pid::from_raw(task.file_name().to_str()?.parse().ok()?))).collect()
}

fn resume(thread: Pid, signal: Option<Signal>) {
    // ESRCH: it was killed meanwhile, and its end will be reported.
    let _ = ptrace::syscall(thread, signal);
}

/// Where the number of a call and its answer stand: strace's way of injecting faults (ptrace(2), "Syscall-stops").
#[cfg(target_arch = "x86_64")]
mod registers {
    use nix::sys::ptrace;
    use nix::unistd::Pid;

    use super::SysError;

    /// Makes the call that `thread` enters one that does not exist, of number -1: the kernel skips it.
    pub(super) fn skip_call(thread: Pid) -> Result<(), SysError> {
        change(thread, |registers| registers.orig_rax = u64::MAX)
    }

    /// At the exit from a call: what it returns.
    pub(super) fn set_answer(thread: Pid, value: i64) -> Result<(), SysError> {
        change(thread, |registers| registers.rax = value.cast_unsigned())
    }

    fn change(thread: Pid, how: impl FnOnce(&mut libc::user_regs_struct)) -> Result<(), SysError> {
        let mut registers = ptrace::getregs(thread).map_err(|errno| SysError::new("ptrace PTRACE_GETREGS", errno))?;
        how(&mut registers);
        ptrace::setregs(thread, registers).map_err(|errno| SysError::new("ptrace PTRACE_SETREGS", errno))
    }
}

/// Where the number of a call and its answer stand: strace's way of injecting faults (ptrace(2), "Syscall-stops").
#[cfg(target_arch = "aarch64")]
mod registers {
    use nix::errno::Errno;
    use nix::unistd::Pid;

    use super::SysError;

    /// include/uapi/linux/elf.h
    const NT_ARM_SYSTEM_CALL: libc::c_int = 0x404;

    /// Makes the call that `thread` enters one that does not exist, of number -1: the kernel skips it.
    pub(super) fn skip_call(thread: Pid) -> Result<(), SysError> {
        let mut number: libc::c_int = -1;
        transfer(libc::PTRACE_SETREGSET.into(), thread, NT_ARM_SYSTEM_CALL, &mut number)
    }

    /// At the exit from a call: what it returns.
    pub(super) fn set_answer(thread: Pid, value: i64) -> Result<(), SysError> {
        // SAFETY: all zeroes are valid for a structure of integers.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        transfer(libc::PTRACE_GETREGSET.into(), thread, libc::NT_PRSTATUS, &mut registers)?;
        registers.regs[0] = value.cast_unsigned();
        transfer(libc::PTRACE_SETREGSET.into(), thread, libc::NT_PRSTATUS, &mut registers)
    }

    /// `T` must be valid for any bits.
    fn transfer<T>(request: libc::c_long, thread: Pid, set: libc::c_int, value: &mut T) -> Result<(), SysError> {
        let mut local = libc::iovec { iov_base: std::ptr::from_mut(value).cast(), iov_len: size_of::<T>() };
        // SAFETY: `local` names `value` with its size, and the kernel reads or writes no more than that. By the raw
        // call: the C function has another type for the request under every C library.
        let answer = unsafe {
            libc::syscall(libc::SYS_ptrace, request, thread.as_raw(), libc::c_long::from(set), &raw mut local)
        };
        Errno::result(answer).map(drop).map_err(|errno| SysError::new("ptrace PTRACE_SETREGSET", errno))
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod registers {
    use nix::errno::Errno;
    use nix::unistd::Pid;

    use super::SysError;

    pub(super) fn skip_call(_: Pid) -> Result<(), SysError> {
        Err(SysError::new("ptrace PTRACE_SETREGSET", Errno::ENOSYS))
    }

    pub(super) fn set_answer(_: Pid, _: i64) -> Result<(), SysError> {
        Err(SysError::new("ptrace PTRACE_SETREGSET", Errno::ENOSYS))
    }
}

/// Reads a value out of a stopped process; `None` when the address is not mapped there.
///
/// Meant for the few words that system calls point at. `T` must be valid for any bits.
fn peek<T: Copy>(process: Pid, address: u64) -> Option<T> {
    let mut value = MaybeUninit::<T>::uninit();
    let local = libc::iovec { iov_base: value.as_mut_ptr().cast(), iov_len: size_of::<T>() };
    let remote = libc::iovec { iov_base: address as *mut libc::c_void, iov_len: size_of::<T>() };
    // SAFETY: `local` names `value` with its size; `remote` is checked by the kernel against the other address space.
    let read = unsafe { libc::process_vm_readv(process.as_raw(), &raw const local, 1, &raw const remote, 1, 0) };
    // SAFETY: all of its bytes were written, and callers use types that any bits are valid for.
    (read == size_of::<T>() as isize).then(|| unsafe { value.assume_init() })
}

/// The `events` field of the `struct epoll_event` that an epoll_ctl(2) of a traced thread points at.
pub fn epoll_events(entry: &SyscallEntry) -> Option<u32> {
    // The field is the first, in the packed layout of x86-64 as in the natural one of the others.
    peek::<u32>(entry.thread, entry.arguments[3])
}
