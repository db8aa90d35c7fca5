//! Runs a command as on a machine that lacks something: `cargo run --example without -- io_uring cargo test`.
//!
//! The first word names what is refused, by a seccomp filter that the command and all that it starts inherit. It needs
//! no privilege. A list of calls, each with the error that it answers or `KILL` for SIGSYS:
//! `clone3=ENOSYS,prlimit64=EPERM,io_uring_setup=KILL`; or one of two short names, `io_uring` for
//! `io_uring_setup=ENOSYS` (as before Linux 5.1) and `ptrace` for `ptrace=EPERM` (as in a container whose profile
//! forbids it).

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::str::FromStr;

use nix::errno::Errno;
use switchcost::sys::seccomp::{CallAnswer, CallRule, refuse_from_now_on};
use syscalls::Sysno;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let refusals = words.next().as_deref().and_then(|word| word.to_str()).and_then(refusals);
    let (Some(refusals), Some(program)) = (refusals, words.next()) else {
        eprintln!("usage: without io_uring|ptrace|CALL=ERRNO|KILL[,...] COMMAND [ARGUMENT]...");
        return ExitCode::from(2);
    };
    if let Err(error) = refuse_from_now_on(&refusals) {
        eprintln!("without: {error}");
        return ExitCode::FAILURE;
    }
    let error = Command::new(&program).args(words).exec();
    eprintln!("without: {}: {error}", program.display());
    ExitCode::FAILURE
}

fn refusals(words: &str) -> Option<Vec<CallRule>> {
    match words {
        "io_uring" => refusals("io_uring_setup=ENOSYS"),
        "ptrace" => refusals("ptrace=EPERM"),
        list => list.split(',').map(refusal).collect(),
    }
}

fn refusal(word: &str) -> Option<CallRule> {
    let (call, answer) = word.split_once('=')?;
    let answer = if answer == "KILL" { CallAnswer::Kill } else { CallAnswer::Errno(errno(answer)?) };
    Some(CallRule { call: Sysno::from_str(call).ok()?.id().into(), answer, only: None })
}

/// The error of this name.
fn errno(name: &str) -> Option<Errno> {
    (1..200).map(Errno::from_raw).find(|errno| format!("{errno:?}") == name)
}
