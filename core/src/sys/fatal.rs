//! Calls that end the process that makes them.
//!
//! A seccomp filter may answer a call by SIGSYS in place of an error (seccomp(2), SECCOMP_RET_KILL_PROCESS and
//! SECCOMP_RET_KILL_THREAD), which cannot be caught. So a process that must go on lets another one try first.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::wait::WaitStatus;

use super::SysError;
use super::process::{fork_running, wait_for};

/// What has been tried.
static TRIED: Mutex<BTreeMap<libc::c_long, bool>> = Mutex::new(BTreeMap::new());

/// Makes sure that `call`, whose name in errors is `name`, does not end the process. Takes a process the first time
/// that it is asked of a call beneath a filter, and nothing where there is none.
///
/// # Errors
/// `EPERM` when it would.
pub fn permitted(call: libc::c_long, name: &str) -> Result<(), SysError> {
    if is_filtered() && kills(call) {
        return Err(SysError::new(format!("{name}, for which a seccomp filter kills (SIGSYS)"), Errno::EPERM));
    }
    Ok(())
}

/// Whether the calling thread has a filter (`Seccomp:` of proc_pid_status(5)); where that cannot be read it may have.
pub fn is_filtered() -> bool {
    let status = std::fs::read_to_string("/proc/thread-self/status");
    let mode = |text: &str| text.lines().find_map(|line| Some(line.strip_prefix("Seccomp:")?.trim() != "0"));
    status.ok().as_deref().and_then(mode).unwrap_or(true)
}

fn kills(call: libc::c_long) -> bool {
    let mut tried = TRIED.lock().unwrap_or_else(PoisonError::into_inner);
    *tried.entry(call).or_insert_with(|| {
        let attempt = fork_running(|| {
            // SAFETY: no argument is one that a call takes: no such process, descriptor, size or address. Whatever the
            // answer is, the child ends.
            unsafe { libc::syscall(call, -1_i64, -1_i64, -1_i64, -1_i64, -1_i64, -1_i64) };
            0
        });
        // When there can be no process nothing is known, and the call itself will tell.
        matches!(attempt.and_then(wait_for), Ok(WaitStatus::Signaled(_, Signal::SIGSYS, _)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::seccomp::{CallRule, refuse_from_now_on};

    #[test]
    fn a_call_that_kills_is_an_error_instead_and_others_are_none() {
        // Calls that no other test asks for: what was tried is kept.
        let (fatal, refused) = (libc::SYS_swapoff, libc::SYS_swapon);
        let tried = std::thread::spawn(move || {
            let filter = [CallRule::kill(fatal), CallRule::errno(refused, Errno::ENOSYS)];
            if let Err(error) = refuse_from_now_on(&filter) {
                return println!("not checked: {error}");
            }
            assert!(is_filtered());
            let told = permitted(fatal, "swapoff").unwrap_err();
            assert!(
                told.is_refusal() && told.to_string().contains("swapoff, for which a seccomp filter kills"),
                "{told}"
            );
            assert_eq!(permitted(refused, "swapon"), Ok(()), "its own error tells");
        });
        tried.join().unwrap();
    }
}
