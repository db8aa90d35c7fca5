//! What a program inherits from the one that started it, and must not take over: signal(7), "Signal mask and pending
//! signals", and execve(2).

use std::mem::MaybeUninit;

use nix::sys::signal::{SigSet, Signal};

/// Gives signals the dispositions that this program relies on, whatever its parent left it. To be called first thing in
/// `main`, before there is a second thread.
///
/// - `SIGCHLD` at its default: while it is ignored, children leave no status behind, and waiting for one answers
///   `ECHILD` (waitpid(2), "NOTES"). Some supervisors and shells of containers start programs so.
/// - `SIGXFSZ` ignored, so that a limit on the size of files is an error of write(2) and not the end of the process.
/// - No signal blocked: a parent that waits for its signals by sigwaitinfo(2) may have started this program with its
///   own mask.
///
/// Signals that a parent ignores in order to keep this program alive, as nohup(1) does, stay ignored.
pub fn restore_signals() {
    // SAFETY: neither is a handler: no code of this program runs at a signal. The numbers are valid.
    unsafe {
        libc::signal(libc::SIGCHLD, libc::SIG_DFL);
        libc::signal(libc::SIGXFSZ, libc::SIG_IGN);
    }
    // It fails for an unknown operation alone.
    let _ = SigSet::empty().thread_set_mask();
}

/// Whether this process ignores `signal`.
pub fn is_ignored(signal: Signal) -> bool {
    let mut now = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: nothing is changed, and the kernel fills `now` in when it answers 0.
    let answer = unsafe { libc::sigaction(signal as libc::c_int, std::ptr::null(), now.as_mut_ptr()) };
    // SAFETY: filled in, as above.
    answer == 0 && unsafe { now.assume_init() }.sa_sigaction == libc::SIG_IGN
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_ignored_is_known() {
        // The standard library does it in every program.
        assert!(is_ignored(Signal::SIGPIPE));
        assert!(!is_ignored(Signal::SIGUSR2));
    }
}
