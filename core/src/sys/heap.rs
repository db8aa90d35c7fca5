//! What the C library's allocator keeps of memory that was freed (malloc_trim(3), mallopt(3)), and huge pages.

use nix::sys::prctl::set_thp_disable;

use super::SysError;

/// Blocks small enough to come from the heap and not from a mapping of their own.
const BLOCK: usize = 1024;

/// More than glibc keeps at the end of a heap: M_TRIM_THRESHOLD and M_TOP_PAD, 128 KiB each (mallopt(3)).
const PLUG: usize = 1 << 20;

/// Blocks that fill what an allocator keeps although it was freed; whatever is allocated while they exist takes pages
/// that were not resident before.
#[derive(Debug)]
pub struct Plug {
    _blocks: Vec<Box<[u8]>>,
}

impl Plug {
    /// Gives back what the allocator can give back, and fills the rest for the calling thread.
    pub fn new() -> Self {
        give_back();
        Self { _blocks: (0..PLUG / BLOCK).map(|_| vec![1; BLOCK].into_boxed_slice()).collect() }
    }
}

impl Default for Plug {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(target_env = "gnu")]
fn give_back() {
    const TRIM_THRESHOLD: libc::c_int = 128 * 1024;
    // SAFETY: both calls may be made at any time by any thread; they take numbers and change no block in use.
    unsafe {
        // It is the default, but once set it no longer grows with the blocks that are freed.
        libc::mallopt(libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD);
        libc::malloc_trim(0);
    }
}

/// Other C libraries have no such setting, so nothing is done.
#[cfg(not(target_env = "gnu"))]
fn give_back() {}

/// While this exists, new memory of this process and its children comes in pages of the base size (PR_SET_THP_DISABLE).
#[derive(Debug)]
pub struct SmallPages(());

impl SmallPages {
    /// Turns huge pages off.
    ///
    /// # Errors
    /// `EINVAL` where the kernel has no such call (before Linux 3.15).
    pub fn hold() -> Result<Self, SysError> {
        set_thp_disable(true).map_err(|errno| SysError::new("prctl PR_SET_THP_DISABLE", errno))?;
        Ok(Self(()))
    }
}

impl Drop for SmallPages {
    fn drop(&mut self) {
        // What could be set can be unset.
        let _ = set_thp_disable(false);
    }
}
