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

/// One system call, at its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
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
    calls: HashMap<Pid, Call>,
}

#[derive(Debug)]
struct Call {
    number: u64,
    /// It was broken off by a signal and will be entered again, unseen by the program.
    interrupted: bool,
}

/// What the kernel reported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Event {
    /// A thread enters a system call.
    Entry(Entry),
    /// The traced process itself ended: normally with a status, or `None` by a signal.
    Ended(Option<i32>),
}

impl Tracee {
    /// Attaches to `leader`, a child of the calling thread that has one thread yet. All calls on the tracee must come
    /// from this thread: ptrace(2) knows tracers by thread.
    ///
    /// # Errors
    /// `EPERM` where tracing is forbidden.
    pub fn seize(leader: Pid) -> Result<Self, SysError> {
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_EXITKILL;
        ptrace::seize(leader, options).map_err(|errno| SysError::new("ptrace PTRACE_SEIZE", errno))?;
        ptrace::interrupt(leader).map_err(|errno| SysError::new("ptrace PTRACE_INTERRUPT", errno))?;
        Ok(Self { leader, ended: false, calls: HashMap::new() })
    }

    /// Lets everything run until the next entry into a system call, or the end.
    ///
    /// # Errors
    /// Those of waitpid(2).
    pub fn next_event(&mut self) -> Result<Event, SysError> {
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
                    let entry = self.entry(thread);
                    resume(thread, None);
                    if let Some(entry) = entry {
                        return Ok(Event::Entry(entry));
                    }
                }
                // A new thread, the answer to PTRACE_INTERRUPT, or a group-stop: none of them carries a signal.
                Ok(WaitStatus::PtraceEvent(thread, _, _)) => resume(thread, None),
                Ok(WaitStatus::Stopped(thread, signal)) => resume(thread, Some(signal)),
                Ok(_) => {}
            }
        }
    }

    fn end(&mut self, status: Option<i32>) -> Event {
        self.ended = true;
        Event::Ended(status)
    }

    /// The call that a stopped thread enters; `None` at an exit, at the second entry of one call, and for a thread that
    /// is gone.
    fn entry(&mut self, thread: Pid) -> Option<Entry> {
        let info = ptrace::syscall_info(thread).ok()?;
        match info.op {
            libc::PTRACE_SYSCALL_INFO_ENTRY => {
                // SAFETY: `op` says that the kernel filled in `entry`.
                let entry = unsafe { info.u.entry };
                let before = self.calls.insert(thread, Call { number: entry.nr, interrupted: false });
                let again = |call: Call| {
                    call.interrupted && (call.number == entry.nr || entry.nr == libc::SYS_restart_syscall as u64)
                };
                (!before.is_some_and(again)).then_some(Entry { thread, number: entry.nr, arguments: entry.args })
            }
            libc::PTRACE_SYSCALL_INFO_EXIT => {
                // SAFETY: `op` says that the kernel filled in `exit`.
                let value = unsafe { info.u.exit }.sval;
                if let Some(call) = self.calls.get_mut(&thread) {
                    call.interrupted = RESTARTS.contains(&value);
                }
                None
            }
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

fn resume(thread: Pid, signal: Option<Signal>) {
    // ESRCH: it was killed meanwhile, and its end will be reported.
    let _ = ptrace::syscall(thread, signal);
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
pub fn epoll_events(entry: &Entry) -> Option<u32> {
    // The field is the first, in the packed layout of x86-64 as in the natural one of the others.
    peek::<u32>(entry.thread, entry.arguments[3])
}
