//! Memory that is mapped and touched for its size alone: mmap(2).

use std::num::NonZeroUsize;
use std::ptr::NonNull;

use nix::sys::mman::{MapFlags, MmapAdvise, ProtFlags, madvise, mmap_anonymous, munmap};

use super::SysError;

/// A private anonymous mapping.
#[derive(Debug)]
pub(super) struct Mapping {
    pub(super) address: NonNull<std::ffi::c_void>,
    length: NonZeroUsize,
}

// SAFETY: nothing is ever read or written through the address by two threads: its owner maps, touches and
// unmaps it.
unsafe impl Send for Mapping {}

impl Mapping {
    pub(super) fn new(length: NonZeroUsize, protection: ProtFlags) -> Result<Self, SysError> {
        // SAFETY: a new mapping at an address of the kernel's choice touches nothing that exists.
        let address = unsafe { mmap_anonymous(None, length, protection, MapFlags::MAP_PRIVATE) };
        Ok(Self { address: address.map_err(|errno| SysError::new("mmap", errno))?, length })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: this mapping, whole, to which no reference exists.
        let _ = unsafe { munmap(self.address, self.length.get()) };
    }
}

fn page() -> usize {
    // SAFETY: sysconf(3) reads a number.
    usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Bytes that are resident, in pages of the base size.
#[derive(Debug)]
pub struct ResidentBytes {
    _mapping: Option<Mapping>,
}

impl ResidentBytes {
    /// Maps and writes to `bytes`.
    ///
    /// # Errors
    /// `ENOMEM`.
    pub fn new(bytes: usize) -> Result<Self, SysError> {
        let Some(length) = NonZeroUsize::new(bytes) else { return Ok(Self { _mapping: None }) };
        let mapping = Mapping::new(length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)?;
        // SAFETY: the advice is about this mapping and changes no contents. Kernels without huge pages refuse it, and
        // then there is nothing to advise against.
        let _ = unsafe { madvise(mapping.address, bytes, MmapAdvise::MADV_NOHUGEPAGE) };
        for offset in (0..bytes).step_by(page()) {
            // SAFETY: inside the mapping, which is writable, and whose address no other code has.
            unsafe { mapping.address.cast::<u8>().add(offset).write_volatile(1) };
        }
        Ok(Self { _mapping: Some(mapping) })
    }
}

/// Mappings of one page each, which the kernel cannot merge.
#[derive(Debug)]
pub struct Mappings {
    _mappings: Vec<Mapping>,
}

impl Mappings {
    /// Maps `count` pages, each a mapping of its own, and touches them.
    ///
    /// # Errors
    /// `ENOMEM` at `vm.max_map_count`.
    pub fn new(count: usize) -> Result<Self, SysError> {
        let length = NonZeroUsize::new(page()).unwrap_or(NonZeroUsize::MIN);
        let one = |index: usize| {
            let mapping = Mapping::new(length, ProtFlags::PROT_READ | ProtFlags::PROT_WRITE)?;
            if index % 2 == 1 {
                // The kernel merges adjacent mappings with the same attributes.
                // SAFETY: the advice is about this mapping, and about core dumps alone.
                unsafe { madvise(mapping.address, length.get(), MmapAdvise::MADV_DONTDUMP) }
                    .map_err(|errno| SysError::new("madvise MADV_DONTDUMP", errno))?;
            }
            // SAFETY: the mapping is writable, and only this function has its address.
            unsafe { mapping.address.cast::<u8>().write_volatile(1) };
            Ok(mapping)
        };
        Ok(Self { _mappings: (0..count).map(one).collect::<Result<_, SysError>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn maps() -> usize {
        std::fs::read_to_string("/proc/self/maps").unwrap().lines().count()
    }

    #[test]
    fn mappings_do_not_merge_and_go_away() {
        let before = maps();
        let mappings = Mappings::new(500).unwrap();
        // Other tests map and unmap meanwhile.
        assert!(maps() > before + 400);
        drop(mappings);
        assert!(maps() < before + 400);
    }
}
