//! Standard output and standard error put away for a while, around a library that prints and cannot be told not to.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};

use nix::unistd::{dup2_stderr, dup2_stdout};

use super::nowhere::nowhere;

/// While it lives, what this process writes to standard output and standard error is discarded. Other descriptors of
/// the same files are not affected, and children that were started before keep theirs.
#[derive(Debug)]
pub struct DiscardedOutput {
    out: OwnedFd,
    err: OwnedFd,
}

impl DiscardedOutput {
    /// Puts both away. `None` where one of them is closed, or where no descriptor is to be had: then the library
    /// prints.
    pub fn begin() -> Option<Self> {
        let (out, err) = (std::io::stdout(), std::io::stderr());
        let kept = Self { out: out.as_fd().try_clone_to_owned().ok()?, err: err.as_fd().try_clone_to_owned().ok()? };
        let nowhere = nowhere().ok()?;
        flush();
        // When the second fails, dropping `kept` puts the first one back.
        dup2_stdout(&nowhere).ok()?;
        dup2_stderr(&nowhere).ok()?;
        Some(kept)
    }
}

impl Drop for DiscardedOutput {
    fn drop(&mut self) {
        // What was printed and lies in a buffer is to be discarded, too.
        flush();
        // Both are open, so dup2(2) fails for no reason that a repetition would mend.
        let _ = dup2_stdout(&self.out);
        let _ = dup2_stderr(&self.err);
    }
}

/// Empties the standard library's buffer. A failure is met again by what is printed next.
fn flush() {
    let _ = std::io::stdout().flush();
}
