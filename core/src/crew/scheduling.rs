//! Gives tasks the scheduling policy that was asked for.

use nix::unistd::Pid;

use super::Failure;
use crate::sys::SysError;
use crate::sys::sched::{self, Attributes};
use crate::terms::{Class, Policy, Unsupported};

/// One above the lowest real-time priority, so that other programs can use the lowest; far below the kernel's threads.
const PRIORITY: u32 = 2;

/// The number of `class` in the kernel's interface (sched(7)).
fn number(class: Class) -> u32 {
    let number = match class {
        Class::Other => libc::SCHED_OTHER,
        Class::Batch => libc::SCHED_BATCH,
        Class::Idle => libc::SCHED_IDLE,
        Class::Fifo => libc::SCHED_FIFO,
        Class::Rr => libc::SCHED_RR,
    };
    number.unsigned_abs()
}

/// Schedules the calling thread, and the threads and processes it creates from now on, by `policy`, and reads it back.
///
/// # Errors
/// `Unsupported` when the policy is not permitted, or when the kernel has no slices.
pub(super) fn set_policy(policy: Policy) -> Result<(), Failure> {
    if policy.is_default() {
        return Ok(());
    }
    let priority = if policy.class.is_real_time() { PRIORITY } else { 0 };
    let slice_ns = policy.slice_us.unwrap_or(0) * 1000;
    let asked = Attributes { policy: number(policy.class), priority, slice_ns };
    let me = Pid::from_raw(0);
    sched::set(me, asked).map_err(|error| refused(policy, &error))?;
    let got = sched::get(me)?;
    // When no slice was asked for, the kernel reports its own.
    let slice_kept = slice_ns == 0 || got.slice_ns == slice_ns;
    if (got.policy, got.priority) == (asked.policy, asked.priority) && slice_kept {
        return Ok(());
    }
    let needed = format!("a slice of {slice_ns} ns for {} (Linux 6.12)", policy.class);
    Err(Unsupported::new(needed, format!("read back {} ns", got.slice_ns), "boot Linux 6.12 or later").into())
}

fn refused(policy: Policy, error: &SysError) -> Failure {
    let needed = format!("scheduling policy {}", policy.class);
    let remedy = "run as root, or `sudo prlimit --pid $$ --rtprio=2:2` for fifo and rr";
    Unsupported::new(needed, error.to_string(), remedy).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_set_and_inherited() {
        let policy = Policy { class: Class::Batch, slice_us: None };
        let setting = std::thread::spawn(move || {
            set_policy(policy).unwrap();
            std::thread::spawn(|| sched::get(Pid::from_raw(0)).unwrap().policy).join().unwrap()
        });
        assert_eq!(setting.join().unwrap(), number(Class::Batch));
    }

    #[test]
    fn what_is_not_permitted_is_unsupported_and_not_an_error() {
        let outcome = std::thread::spawn(|| set_policy(Policy { class: Class::Fifo, slice_us: None })).join().unwrap();
        assert!(matches!(outcome, Ok(()) | Err(Failure::Unsupported(_))), "{outcome:?}");
    }
}
