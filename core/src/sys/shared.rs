//! Memory that a process shares with the processes it forks: mmap(2) with `MAP_SHARED | MAP_ANONYMOUS`.

use std::num::NonZeroUsize;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use nix::sys::mman::{MapFlags, ProtFlags, mmap_anonymous, munmap};

use super::SysError;

/// A `T` that stays one object across fork(2).
///
/// Only types that are valid when all zeroes and that any process may change at any time: atomics, and structures and
/// arrays of them. [`Zeroable`] names them.
pub struct Shared<T: Zeroable>(NonNull<T>);

/// Types made of atomics alone: all zeroes are a valid value, and another process may change it at any time.
///
/// # Safety
/// The type must consist of atomic integers (and padding) only.
pub unsafe trait Zeroable: Sync {}

// SAFETY: it is one.
unsafe impl Zeroable for AtomicU32 {}
// SAFETY: it is one.
unsafe impl Zeroable for AtomicU64 {}
// SAFETY: an array of such types has nothing else in it.
unsafe impl<T: Zeroable, const N: usize> Zeroable for [T; N] {}

// SAFETY: the pointer is to a mapping that is this object's alone; `T` is `Sync`.
unsafe impl<T: Zeroable> Send for Shared<T> {}
// SAFETY: only `&T` is handed out, and `T` is `Sync`.
unsafe impl<T: Zeroable> Sync for Shared<T> {}

impl<T: Zeroable> std::fmt::Debug for Shared<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Shared")
    }
}

impl<T: Zeroable> Shared<T> {
    const BYTES: NonZeroUsize = NonZeroUsize::new(size_of::<T>()).expect("there is something to share");

    /// Maps a `T` of zeroes.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new() -> Result<Self, SysError> {
        let (protection, flags) = (ProtFlags::PROT_READ | ProtFlags::PROT_WRITE, MapFlags::MAP_SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let address = unsafe { mmap_anonymous(None, Self::BYTES, protection, flags) };
        Ok(Self(address.map_err(|errno| SysError::new("mmap", errno))?.cast()))
    }
}

impl<T: Zeroable> std::ops::Deref for Shared<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: mapped at a page's boundary with the size of a `T`, zeroes are valid, and it is only read as `&T`.
        unsafe { self.0.as_ref() }
    }
}

impl<T: Zeroable> Drop for Shared<T> {
    fn drop(&mut self) {
        // SAFETY: this mapping, whole, to which no reference is left.
        let _ = unsafe { munmap(self.0.cast(), Self::BYTES.get()) };
    }
}
