//! What a failure comes to: a result where the machine, or the sandbox around this process, forbids what a mechanism
//! needs; a failure where the mechanism should have run.

use nix::errno::Errno;

use super::Benchmark;
use super::limit_check::limit_reached;
use crate::crew::Failure;
use crate::record::Outcome;
use crate::sys::SysError;
use crate::sys::affinity::AffinityError;
use crate::terms::Unsupported;

/// How a benchmark of which there were `instances` at once ended with `failure`.
pub(super) fn outcome(failure: Failure, benchmark: &Benchmark, instances: u64) -> Outcome {
    let reason = limit_reached(benchmark, instances, &failure).or_else(|| refused(&failure));
    reason.map_or_else(|| Outcome::Failed(failure.to_string()), Outcome::Unsupported)
}

/// What is refused here, where that is why it failed.
pub(super) fn refused(failure: &Failure) -> Option<Unsupported> {
    match failure {
        Failure::Unsupported(reason) => return Some(reason.clone()),
        Failure::Affinity(AffinityError::Differs { asked, got }) => {
            let here = format!("the kernel accepted that, and the mask is {got} all the same");
            return Some(Unsupported::new(format!("tasks on CPUs {asked}"), here, WIDER_CPUSET));
        }
        _ => {}
    }
    let SysError { call, errno } = failure.refused_call()?;
    let here = match failure {
        Failure::Library { reason, .. } | Failure::Ended { reason, .. } => reason.clone(),
        _ => format!("it answers {errno}"),
    };
    Some(Unsupported::new(call.clone(), here, remedy(&call, errno)))
}

/// That SIGSYS ended a process: a seccomp filter's answer to a call that it forbids, instead of an error (seccomp(2),
/// SECCOMP_RET_KILL_PROCESS). Nothing but another process can tell of it.
pub(super) fn killed_for_a_call() -> Unsupported {
    let here = "its process was killed by SIGSYS: the sandbox's seccomp filter kills for one of them";
    Unsupported::new(
        "calls that the mechanism makes",
        here,
        "a sandbox that permits them, or that answers with an error",
    )
}

const WIDER_CPUSET: &str = "widen the cpuset (cpuset.cpus of the control group, --cpuset-cpus of a container), or \
                            choose other CPUs (--cpus)";

/// What would help against this answer to this call.
fn remedy(call: &str, errno: Errno) -> &'static str {
    match errno {
        Errno::EBUSY if call.starts_with("seccomp") => {
            "run outside of the container whose manager answers its calls (LXD, WSL2): a thread can have one such \
             filter only"
        }
        _ if call.starts_with("sched_setaffinity") => WIDER_CPUSET,
        Errno::ENOSYS | Errno::EINVAL => {
            "a kernel that has the call, or a sandbox that lets it through (docker run --security-opt \
             seccomp=unconfined)"
        }
        Errno::ENETUNREACH | Errno::ENETDOWN | Errno::EHOSTUNREACH | Errno::EADDRNOTAVAIL => {
            "bring the loopback interface up: ip link set lo up"
        }
        Errno::EAFNOSUPPORT | Errno::EPROTONOSUPPORT | Errno::ESOCKTNOSUPPORT | Errno::EOPNOTSUPP => {
            "a kernel or a file system that supports it"
        }
        Errno::ENODEV | Errno::ENOPKG => "a kernel with the driver for it",
        Errno::EROFS => "a folder that can be written to: TMPDIR=FOLDER",
        _ => "a sandbox that permits it, or root (docker run --privileged)",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_was_found_and_what_would_help() {
        let told = |call: &str, errno| refused(&SysError::new(call, errno).into()).map(|reason| reason.to_string());
        let clone3 = told("clone3", Errno::ENOSYS).unwrap();
        assert!(clone3.starts_with("needs clone3; here: it answers ENOSYS: "), "{clone3}");
        assert!(clone3.contains("seccomp=unconfined"), "{clone3}");
        let listener = told("seccomp SECCOMP_FILTER_FLAG_NEW_LISTENER", Errno::EBUSY).unwrap();
        assert!(listener.contains("EBUSY") && listener.contains("LXD"), "{listener}");
        let loopback = told("connect 127.0.0.1", Errno::ENETUNREACH).unwrap();
        assert!(loopback.contains("ip link set lo up"), "{loopback}");
        assert_eq!(told("read", Errno::EBADF), None, "a mechanism that is wrong");
    }

    #[test]
    fn tasks_that_the_kernel_keeps_elsewhere_are_a_refusal() {
        let elsewhere = AffinityError::Differs { asked: "3".into(), got: "0-1".into() };
        let told = refused(&elsewhere.into()).unwrap().to_string();
        assert!(told.contains("tasks on CPUs 3") && told.contains("0-1") && told.contains("--cpus"), "{told}");
    }
}
