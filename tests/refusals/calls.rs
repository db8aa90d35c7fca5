//! Calls that a sandbox answers in place of the kernel.

use std::process::Command;

use nix::errno::Errno;
use nix::libc;
use switchcost::sys::seccomp::{Argument, CallAnswer, CallRule};

use super::{PROGRAM, ShortRun, beneath, err, out, went_well};

/// What `filter` names beneath a filter that answers `call` with `errno`: each benchmark with its reason, in the order
/// of the ids.
fn refused(call: libc::c_long, errno: Errno, filter: &str) -> Option<Vec<(String, Option<String>)>> {
    let mut run = ShortRun::of(filter);
    let output = beneath(&[CallRule::errno(call, errno)], &mut run.command)?;
    went_well(&output);
    Some(run.outcomes())
}

/// That the benchmarks called so were unsupported for a reason that holds `needles`, and that all others were measured.
fn unsupported(outcomes: Option<Vec<(String, Option<String>)>>, ids: &[&str], needles: &[&str]) {
    let Some(outcomes) = outcomes else { return };
    let named = outcomes.iter().filter(|(id, _)| ids.contains(&id.as_str())).count();
    assert_eq!(named, ids.len(), "{outcomes:?}");
    for (id, reason) in &outcomes {
        match reason {
            None => assert!(!ids.contains(&id.as_str()), "{id} was measured"),
            Some(reason) => {
                assert!(ids.contains(&id.as_str()) && !reason.starts_with("FAILED"), "{id}: {reason}");
                assert!(needles.iter().all(|needle| reason.contains(needle)), "{id}: {reason}");
            }
        }
    }
}

/// The default of container runtimes, so that the C library falls back on clone(2).
#[test]
fn clone3_answered_enosys_leaves_threads_and_says_so_of_clone3() {
    let outcomes = refused(libc::SYS_clone3, Errno::ENOSYS, "^creation/(clone3|thread|fork)/same-cpu");
    unsupported(outcomes, &["creation/clone3/same-cpu"], &["needs clone3", "ENOSYS", "seccomp=unconfined"]);
    let mut list = Command::new(PROGRAM);
    let listed = beneath(&[CallRule::errno(libc::SYS_clone3, Errno::ENOSYS)], list.args(["list", "^creation/clone3"]));
    let listed = listed.map_or_else(|| "here       no: needs clone3".into(), |output| out(&output));
    assert!(listed.contains("here       no: needs clone3"), "{listed}");
}

/// A listener is there already (WSL2, LXD), or the kernel has none.
#[test]
fn a_seccomp_listener_that_cannot_be_had_is_a_result() {
    let ids = ["handoff/seccomp_notify/same-cpu"];
    // Filters are installed by the same call, so that this one cannot be the listener that is there.
    for (errno, needle) in [(Errno::EBUSY, "LXD"), (Errno::EINVAL, "kernel that has")] {
        let outcomes = refused(libc::SYS_seccomp, errno, "^handoff/(seccomp_notify|pipe)/same-cpu");
        unsupported(outcomes, &ids, &["seccomp", &format!("{errno:?}"), needle]);
    }
}

#[test]
fn a_call_that_a_library_makes_is_a_result_too() {
    let ids = ["brigade/may/same-cpu", "brigade/tokio_current_thread/same-cpu"];
    let filter = "^brigade/(may|tokio_current_thread|poll)/same-cpu";
    for errno in [Errno::ENOSYS, Errno::EPERM] {
        unsupported(refused(libc::SYS_eventfd2, errno, filter), &ids, &["a call of", "needs"]);
    }
}

#[test]
fn sockets_that_are_forbidden_are_a_result() {
    for errno in [Errno::EPERM, Errno::EAFNOSUPPORT] {
        let outcomes = refused(libc::SYS_socket, errno, "^handoff/((tcp|udp)_loopback|socketpair)/same-cpu");
        let ids = ["handoff/tcp_loopback/same-cpu", "handoff/udp_loopback/same-cpu"];
        unsupported(outcomes, &ids, &["127.0.0.1", &format!("{errno:?}")]);
    }
}

#[test]
fn a_limit_that_may_not_be_raised_stays() {
    for errno in [Errno::EPERM, Errno::ENOSYS] {
        let outcomes = refused(libc::SYS_prlimit64, errno, "^handoff/pipe/same-cpu");
        unsupported(outcomes, &[], &[]);
    }
    let mut limits = Command::new(PROGRAM);
    let told = beneath(&[CallRule::errno(libc::SYS_prlimit64, Errno::EPERM)], limits.args(["limits", "--tasks", "1"]));
    told.iter().for_each(went_well);
}

/// As on a machine of 1,280 possible CPUs and more, whose masks the C library's type does not hold.
#[test]
fn masks_are_as_long_as_the_machine_wants_them() {
    for possible in [1280, 8192] {
        let short = CallRule {
            call: libc::SYS_sched_getaffinity,
            answer: CallAnswer::Errno(Errno::EINVAL),
            only: Some(Argument { number: 1, least: 0, most: possible / 8 - 1 }),
        };
        let mut run = ShortRun::of("^(handoff/(pipe|process_pipe)|brigade/tokio_multi_thread|creation/fork)/same-cpu");
        let Some(output) = beneath(&[short], &mut run.command) else { return };
        went_well(&output);
        let outcomes = run.outcomes();
        assert!(outcomes.len() == 4 && outcomes.iter().all(|(_, reason)| reason.is_none()), "{outcomes:?}");
    }
}

#[test]
fn a_kill_for_a_call_is_a_result_and_the_rest_goes_on() {
    let kill = [CallRule::kill(libc::SYS_io_uring_setup)];
    let mut run = ShortRun::of("^(syscall/(uring_nop|getppid)|brigade/compio)/same-cpu");
    if let Some(output) = beneath(&kill, &mut run.command) {
        went_well(&output);
        unsupported(
            Some(run.outcomes()),
            &["brigade/compio/same-cpu", "syscall/uring_nop/same-cpu"],
            &["io_uring", "SIGSYS"],
        );
    }
    let mut list = Command::new(PROGRAM);
    if let Some(output) = beneath(&kill, list.args(["list", "--details"])) {
        went_well(&output);
        assert!(out(&output).contains("for which a seccomp filter kills (SIGSYS)"), "{}", out(&output));
    }
    // A call that nothing asks about before it is made: the process of the round ends, and the run goes on.
    let mut run = ShortRun::of("^(syscall|handoff)/(eventfd_read|getppid)/same-cpu");
    if let Some(output) = beneath(&[CallRule::kill(libc::SYS_eventfd2)], &mut run.command) {
        went_well(&output);
        unsupported(Some(run.outcomes()), &["syscall/eventfd_read/same-cpu"], &["SIGSYS", "permits"]);
    }
}

/// What the harness itself calls: then there are no counters and no audit, and the times stand.
#[test]
fn counters_and_audits_that_kill_leave_the_times() {
    let kill = [CallRule::kill(libc::SYS_perf_event_open), CallRule::kill(libc::SYS_ptrace)];
    let mut run = ShortRun::counted("^handoff/pipe/same-cpu");
    let Some(output) = beneath(&kill, &mut run.command) else { return };
    went_well(&output);
    unsupported(Some(run.outcomes()), &[], &[]);
    assert!(!err(&output).contains("FAILED"), "{}", err(&output));
}
