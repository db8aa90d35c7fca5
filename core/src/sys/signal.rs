//! Real-time signals that threads send to one another: rt_tgsigqueueinfo(2) and sigwaitinfo(2); and the signal that
//! interrupts the waits of a process.

use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::errno::Errno;
use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, Signal, sigaction};
use nix::unistd::{Pid, getpid, gettid};

use super::SysError;

/// A thread of this process that takes its signals by waiting for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignalReceiver {
    process: Pid,
    thread: Pid,
}

/// The signal used: real-time, because these queue and carry a value (signal(7)), and not the first, which debuggers
/// and language runtimes like to take.
fn number() -> libc::c_int {
    libc::SIGRTMIN() + 4
}

fn only() -> libc::sigset_t {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) initialises the set, sigaddset(3) adds a valid number.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigaddset(set.as_mut_ptr(), number());
        set.assume_init()
    }
}

impl SignalReceiver {
    /// Blocks the signal in the calling thread, and in every thread it creates from now on, so that it waits to be
    /// taken; undelivered it would end the process.
    ///
    /// # Errors
    /// None on a valid number.
    pub fn current_thread() -> Result<Self, SysError> {
        // SAFETY: the set is initialised; the old mask is not asked for.
        let answer = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &only(), std::ptr::null_mut()) };
        if answer != 0 {
            return Err(SysError::new("pthread_sigmask", Errno::from_raw(answer)));
        }
        Ok(Self { process: getpid(), thread: gettid() })
    }

    /// Queues the signal to this thread, with `value`.
    ///
    /// # Errors
    /// `EAGAIN` at RLIMIT_SIGPENDING, `ESRCH` when the thread is gone.
    #[inline]
    pub fn queue(self, value: i32) -> Result<(), SysError> {
        // SAFETY: all zeroes are a valid siginfo_t.
        let mut info: libc::siginfo_t = unsafe { MaybeUninit::zeroed().assume_init() };
        info.si_signo = number();
        info.si_code = libc::SI_QUEUE;
        let (process, thread) = (self.process.as_raw(), self.thread.as_raw());
        // The kernel passes on what it is given; the receiver looks at the value alone, so the user stays 0 instead of
        // costing a system call.
        let fields = QueuedSignal { pid: process, uid: 0, value: libc::sigval { sival_ptr: value as usize as *mut _ } };
        // SAFETY: the union behind the three numbers begins where `offset` says, and `QueuedSignal` is its `_rt` member
        // (include/uapi/asm-generic/siginfo.h); it fits, since a siginfo_t has 128 bytes.
        unsafe {
            let to = (&raw mut info).cast::<u8>().add(PAYLOAD).cast::<QueuedSignal>();
            to.write_unaligned(fields);
        }
        // SAFETY: the kernel reads the structure during the call.
        let answer = unsafe { libc::syscall(libc::SYS_rt_tgsigqueueinfo, process, thread, number(), &raw const info) };
        if answer == 0 { Ok(()) } else { Err(SysError::last("rt_tgsigqueueinfo")) }
    }
}

/// Three `int`s, aligned to a pointer.
const PAYLOAD: usize = (3 * size_of::<libc::c_int>()).next_multiple_of(align_of::<libc::sigval>());

#[repr(C)]
struct QueuedSignal {
    pid: libc::pid_t,
    uid: libc::uid_t,
    value: libc::sigval,
}

/// Waits for the signal on the calling thread and returns the value that came with it; again after `EINTR`.
///
/// # Errors
/// What sigwaitinfo(2) gives but `EINTR`.
#[inline]
pub fn wait() -> Result<i32, SysError> {
    let set = only();
    let mut info = MaybeUninit::<libc::siginfo_t>::uninit();
    loop {
        // SAFETY: the set is initialised, and the kernel fills `info` in when it answers with a number.
        if unsafe { libc::sigwaitinfo(&set, info.as_mut_ptr()) } > 0 {
            // SAFETY: filled in, as above; a queued signal carries a value.
            return Ok(unsafe { info.assume_init().si_value().sival_ptr } as usize as i32);
        }
        match Errno::last() {
            Errno::EINTR => {}
            errno => return Err(SysError::new("sigwaitinfo", errno)),
        }
    }
}

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

extern "C" fn note_interruption(_: libc::c_int) {
    INTERRUPTED.store(true, Ordering::Relaxed);
}

/// Has SIGTERM interrupt what this process waits in (`EINTR`), and from then on [`is_interrupted`] say so, instead of
/// ending it. Allocates nothing, so that a forked child may call it.
///
/// A signal that comes just before a wait does not end the wait: the sender has to repeat it.
///
/// # Errors
/// None for this signal.
pub fn interrupt_by_sigterm() -> Result<(), SysError> {
    // Without SA_RESTART: the wait must end.
    let action = SigAction::new(SigHandler::Handler(note_interruption), SaFlags::empty(), SigSet::empty());
    // SAFETY: the handler stores into an atomic, which is safe in a signal handler (signal-safety(7)).
    unsafe { sigaction(Signal::SIGTERM, &action) }.map_err(|errno| SysError::new("rt_sigaction", errno))?;
    let mut only = SigSet::empty();
    only.add(Signal::SIGTERM);
    only.thread_unblock().map_err(|errno| SysError::new("rt_sigprocmask", errno))
}

/// Whether SIGTERM has come since [`interrupt_by_sigterm`].
#[inline]
pub fn is_interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_arrive_in_the_order_in_which_they_were_queued() {
        let receiver = SignalReceiver::current_thread().unwrap();
        std::thread::spawn(move || (1..=3).for_each(|value| receiver.queue(value).unwrap())).join().unwrap();
        assert_eq!([1, 2, 3], std::array::from_fn(|_| wait().unwrap()));
    }
}
