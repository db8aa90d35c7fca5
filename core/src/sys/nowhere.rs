//! A file that holds nothing to read and takes what is to be discarded: null(4), or memory where a bare root has no
//! `/dev`.

use std::fs::{File, OpenOptions};
use std::path::Path;

use nix::sys::memfd::{MFdFlags, memfd_create};

use super::SysError;

/// Opens `/dev/null` to read and write. Where it cannot be opened, as in a root that holds a static program alone, this
/// is an empty file in memory: what is written into it takes memory until it is closed.
///
/// # Errors
/// Those of memfd_create(2): a limit on descriptors.
pub fn nowhere() -> Result<File, SysError> {
    open(Path::new("/dev/null"))
}

fn open(null: &Path) -> Result<File, SysError> {
    OpenOptions::new().read(true).write(true).open(null).or_else(|_| {
        memfd_create(c"nowhere", MFdFlags::MFD_CLOEXEC)
            .map(File::from)
            .map_err(|errno| SysError::new("no /dev/null, and memfd_create", errno))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};

    /// The second stands for a root without `/dev`.
    #[test]
    fn nothing_is_read_and_anything_is_written_with_and_without_a_device() {
        for null in ["/dev/null", "/proc/self/no-such-file"] {
            let mut file = open(Path::new(null)).unwrap();
            let mut read = Vec::new();
            file.read_to_end(&mut read).unwrap();
            assert_eq!(read, b"", "{null}");
            file.write_all(b"unwanted").unwrap();
        }
    }
}
