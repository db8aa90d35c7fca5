//! Writing to a pipe that may be closed and to a disk that may be full, where the standard library's `println!` and
//! `eprintln!` panic.
//!
//! What goes to standard output is a command's result, and a verb that cannot print it has an error to pass on
//! ([`super::conclude`]). What goes to standard error only tells how a run is getting on, and a run goes on without
//! readers: its record is what counts.

use std::fmt::Arguments;
use std::io::Write;

/// Writes a line to standard error; nothing when it takes none.
macro_rules! errln {
    ($($text:tt)*) => {
        $crate::cli::terminal::line_of_stderr(format_args!($($text)*))
    };
}
pub(super) use errln;

pub(super) fn line_of_stderr(text: Arguments<'_>) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}

/// Writes a line to standard output.
///
/// # Errors
/// When it takes none: it was closed, or a disk is full.
pub(super) fn line_of_stdout(text: impl std::fmt::Display) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}")?;
    out.flush()
}

/// What the standard library's macros panic with, in libraries that print.
const FAILED: &str = "failed printing to std";

/// Ends the process where a panic says that output was not taken: well where the reader has gone, which has seen enough
/// (`cargo bench | head`), and as a failure where there is no room.
///
/// Ending by SIGPIPE as other programs do is no choice, because mechanisms write to pipes of their own.
pub(super) fn end_if_unread(panic: &str) {
    if !panic.contains(FAILED) {
        return;
    }
    if panic.contains("Broken pipe") {
        std::process::exit(0);
    }
    errln!("switchcost: {}", panic.lines().last().unwrap_or_default());
    std::process::exit(super::FAILED.into());
}
