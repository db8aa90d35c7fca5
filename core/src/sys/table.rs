//! Descriptor tables: RLIMIT_NOFILE bounds each of them, and a thread may have one of its own.
//!
//! unshare(2) with `CLONE_FILES` gives the calling thread a copy of the table that it shared; the threads that it
//! creates from then on share the copy. A number then means one file in one table and another in the next, so that an
//! owner must be dropped in the table that it owns in.

use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::sched::{CloneFlags, unshare};
use nix::sys::resource::{Resource, getrlimit};

use super::SysError;
use super::process::keep_only;

/// How many descriptors a table may hold: the soft limit.
///
/// # Errors
/// getrlimit(2) fails only for a limit that does not exist.
pub fn capacity() -> Result<u64, SysError> {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_err(|errno| SysError::new("getrlimit RLIMIT_NOFILE", errno))?;
    Ok(limit.0)
}

/// Gives the calling thread a descriptor table that holds the descriptors of `kept` and no others, and returns them as
/// what they now are: this table's. Those of the table that was shared until now stay open in it, until [`leave`].
///
/// # Errors
/// `ENOMEM`. The thread then still shares its table.
pub fn take_own<const N: usize>(kept: [OwnedFd; N]) -> Result<[OwnedFd; N], SysError> {
    unshare(CloneFlags::CLONE_FILES).map_err(|errno| SysError::new("unshare CLONE_FILES", errno))?;
    let mut numbers = kept.each_ref().map(AsRawFd::as_raw_fd);
    numbers.sort_unstable();
    // Nothing of this thread owns another descriptor: its own are all in `kept`.
    keep_only(&numbers);
    Ok(kept)
}

/// Closes, in the table of the calling thread, descriptors whose owners have moved to a table of their own by
/// [`take_own`], which has copied them.
pub fn leave(numbers: &[RawFd]) {
    for &number in numbers {
        // SAFETY: the owner drops the copy in its own table; this number has had no owner since then.
        unsafe { libc::close(number) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::channel::{ReadOutcome, pipe, read_byte, write_byte};
    use std::sync::mpsc;

    #[test]
    fn a_table_of_ones_own_holds_what_was_kept_and_nothing_else() {
        let (here, there) = (pipe(false).unwrap(), pipe(false).unwrap());
        let numbers = [there.reader.as_raw_fd(), here.writer.as_raw_fd()];
        let (taken, moved) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            let [reader, writer] = take_own([there.reader, here.writer]).unwrap();
            taken.send(()).unwrap();
            let ReadOutcome::Byte(byte) = read_byte(&reader).unwrap() else { panic!("nothing came") };
            // /proc/self shows the table of the process's first thread.
            let open = std::fs::read_dir("/proc/thread-self/fd").map(Iterator::count);
            write_byte(&writer, byte + 1).unwrap();
            open
        });
        moved.recv().unwrap();
        leave(&numbers);
        write_byte(&there.writer, 6).unwrap();
        assert_eq!(read_byte(&here.reader), Ok(ReadOutcome::Byte(7)));
        // The listing itself is the third.
        assert_eq!(thread.join().unwrap().unwrap(), 3);
        assert_eq!(read_byte(&here.reader), Ok(ReadOutcome::Closed), "the only writer was in the other table");
    }
}
