//! Runs a command as on a machine that lacks something: `cargo run --example without -- io_uring cargo test`.
//!
//! The first word names what is refused, by a seccomp filter that the command and all that it starts inherit:
//! `io_uring` (io_uring_setup(2) answers `ENOSYS`, as before Linux 5.1) or `ptrace` (ptrace(2) answers `EPERM`, as in a
//! container whose profile forbids it). It needs no privilege.

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};

use nix::errno::Errno;
use switchcost::sys::seccomp::refuse_from_now_on;

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let (call, errno) = match words.next().as_deref().and_then(|word| word.to_str()) {
        Some("io_uring") => (nix::libc::SYS_io_uring_setup, Errno::ENOSYS),
        Some("ptrace") => (nix::libc::SYS_ptrace, Errno::EPERM),
        _ => return usage(),
    };
    let Some(program) = words.next() else { return usage() };
    if let Err(error) = refuse_from_now_on(call, errno) {
        eprintln!("without: {error}");
        return ExitCode::FAILURE;
    }
    let error = Command::new(&program).args(words).exec();
    eprintln!("without: {}: {error}", program.display());
    ExitCode::FAILURE
}

fn usage() -> ExitCode {
    eprintln!("usage: without io_uring|ptrace COMMAND [ARGUMENT]...");
    ExitCode::from(2)
}
