//! Memory that blocks of a file are read into, by this process or by the kernel on its behalf.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::os::fd::{AsRawFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::errno::Errno;

use super::SysError;
use super::file::page_size;

/// Buffers of one block each, aligned to pages as `O_DIRECT` may ask for (open(2), "O_DIRECT"), and touched.
#[derive(Debug)]
pub struct Blocks {
    address: NonNull<u8>,
    layout: Layout,
    block: usize,
    count: usize,
}

// SAFETY: the memory is written by the kernel alone and read by atomic loads alone, by whichever thread.
unsafe impl Send for Blocks {}
// SAFETY: as above.
unsafe impl Sync for Blocks {}

impl Blocks {
    /// `count` buffers of `block` bytes: at least one, of a multiple of eight.
    ///
    /// # Panics
    /// When they do not fit the address space, or are none.
    pub fn new(block: usize, count: usize) -> Self {
        assert!(block >= 8 && block.is_multiple_of(8) && count > 0, "{count} blocks of {block} bytes");
        let bytes = block.checked_mul(count).expect("the bounds of parameters fit the address space");
        let layout = Layout::from_size_align(bytes, page_size()).expect("a page is a power of two");
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(address) = NonNull::new(memory) else { handle_alloc_error(layout) };
        for offset in (0..bytes).step_by(page_size()) {
            // SAFETY: inside the allocation, to which no reference exists.
            unsafe { address.add(offset).write_volatile(0) };
        }
        Self { address, layout, block, count }
    }

    /// Bytes in a block.
    pub fn block(&self) -> usize {
        self.block
    }

    /// Where buffer `number` lies; valid for a block's bytes as long as `self` lives.
    pub(super) fn buffer(&self, number: usize) -> *mut u8 {
        assert!(number < self.count, "buffer {number} of {}", self.count);
        // SAFETY: below `count`, so inside the allocation.
        unsafe { self.address.add(number * self.block) }.as_ptr()
    }

    /// The first eight bytes in buffer `number`.
    #[inline]
    pub fn first_word(&self, number: usize) -> u64 {
        // SAFETY: a block begins at a multiple of eight bytes and holds eight; the kernel may store there at any time,
        // hence the atomic.
        unsafe { AtomicU64::from_ptr(self.buffer(number).cast()) }.load(Ordering::Relaxed)
    }

    /// Reads the block at `offset` of `file` into buffer `number`, by pread(2), again after `EINTR`.
    ///
    /// # Errors
    /// Anything else that pread(2) gives; `EIO` when the file ends before the block does.
    #[inline]
    pub fn read(&self, file: &OwnedFd, number: usize, offset: u64) -> Result<(), SysError> {
        let buffer = self.buffer(number);
        loop {
            // SAFETY: the buffer holds a block, and nothing but the kernel and atomic loads touch it.
            let read = unsafe { libc::pread64(file.as_raw_fd(), buffer.cast(), self.block, offset as libc::off64_t) };
            match usize::try_from(read) {
                Ok(bytes) => return whole(bytes, self.block),
                Err(_) if Errno::last() == Errno::EINTR => {}
                Err(_) => return Err(SysError::last("pread")),
            }
        }
    }
}

/// Regular files are read whole, up to their end.
pub(super) fn whole(bytes: usize, block: usize) -> Result<(), SysError> {
    if bytes == block { Ok(()) } else { Err(SysError::new("a read of a block that came short", Errno::EIO)) }
}

impl Drop for Blocks {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout; the owner of a read that the kernel does keeps `self` until it is done.
        unsafe { dealloc(self.address.as_ptr(), self.layout) };
    }
}
