//! A ring of buffers of one size that the kernel picks from (IORING_REGISTER_PBUF_RING, Linux 5.19).

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU8, AtomicU16, Ordering};

use io_uring::IoUring;
use io_uring::types::BufRingEntry;

use crate::sys::SysError;

/// The one group there is.
pub(super) const GROUP: u16 = 0;

/// Page-aligned, as the kernel demands; 4096 bytes hold 256 entries, and no page is smaller.
const ALIGNMENT: usize = 65_536;

/// The buffers, and the list in which they are handed to the kernel.
pub(super) struct Provided {
    entries: NonNull<BufRingEntry>,
    count: u16,
    tail: u16,
    // Atomic because the kernel stores into them behind the compiler's back.
    bytes: Box<[AtomicU8]>,
    /// Bytes of a buffer.
    width: usize,
}

// SAFETY: the memory behind the pointer is this value's alone, but for the kernel, and no thread is special to it.
unsafe impl Send for Provided {}

impl Provided {
    /// Registers `count` buffers of `width` bytes with `ring`, a power of two, and hands all of them over.
    ///
    /// The caller keeps the answer until the ring is gone or no request uses the group.
    pub(super) fn register(ring: &IoUring, count: u16, width: usize) -> Result<Self, SysError> {
        let layout = layout(count);
        // SAFETY: the layout's size is not zero.
        let memory = unsafe { alloc_zeroed(layout) };
        let Some(entries) = NonNull::new(memory.cast::<BufRingEntry>()) else { handle_alloc_error(layout) };
        // Zeroed memory of this size is the kernel's, page by page as it is used; an iterator would touch all of it.
        let zeroed = vec![0_u8; usize::from(count) * width].into_boxed_slice();
        // SAFETY: `AtomicU8` has the size, alignment and bit validity of `u8`, and the box is this one's alone.
        let bytes = unsafe { Box::from_raw(Box::into_raw(zeroed) as *mut [AtomicU8]) };
        let mut provided = Self { entries, count, tail: 0, bytes, width };
        // SAFETY: the memory holds `count` entries, is aligned to a page, and lives as long as `provided`.
        unsafe { ring.submitter().register_buf_ring_with_flags(entries.as_ptr() as u64, count, GROUP, 0) }
            .map_err(|error| SysError::from_io("io_uring_register IORING_REGISTER_PBUF_RING", &error))?;
        (0..count).for_each(|buffer| provided.hand_over(buffer));
        Ok(provided)
    }

    /// The first byte that a completion brought in `buffer`.
    #[inline]
    pub(super) fn first(&self, buffer: u16) -> u8 {
        self.bytes[usize::from(buffer) * self.width].load(Ordering::Relaxed)
    }

    /// Bytes of a buffer.
    pub(super) fn width(&self) -> usize {
        self.width
    }

    /// Appends the first `length` bytes of `buffer`, which a completion has named and which was not handed over since.
    #[inline]
    pub(super) fn copy_to(&self, buffer: u16, length: usize, to: &mut Vec<u8>) {
        let start = usize::from(buffer) * self.width;
        let bytes = &self.bytes[start..start + length.min(self.width)];
        // SAFETY: until the buffer is handed over again the kernel does not write to it, so that its bytes are plain
        // ones, which `AtomicU8` has the layout of.
        to.extend_from_slice(unsafe { std::slice::from_raw_parts(bytes.as_ptr().cast::<u8>(), bytes.len()) });
    }

    /// Where `buffer` begins.
    #[inline]
    pub(super) fn start(&self, buffer: u16) -> *const u8 {
        self.bytes[usize::from(buffer) * self.width].as_ptr()
    }

    /// Hands `buffer` to the kernel.
    #[inline]
    pub(super) fn hand_over(&mut self, buffer: u16) {
        // One past the last is the first again: `count` is a power of two, and at most `count` are handed over.
        let place = usize::from(self.tail & (self.count - 1));
        let address = self.start(buffer) as u64;
        // SAFETY: `place` is below `count`. The kernel reads entries before the tail only, and this is the one behind.
        let entry = unsafe { &mut *self.entries.as_ptr().add(place) };
        entry.set_addr(address);
        entry.set_len(self.width as u32);
        entry.set_bid(buffer);
        self.tail = self.tail.wrapping_add(1);
        // SAFETY: the pointer is to the first entry, whose unused field is the ring's tail, 16 bits and aligned; the
        // kernel reads it at any time, hence the atomic.
        let tail = unsafe { AtomicU16::from_ptr(BufRingEntry::tail(self.entries.as_ptr()).cast_mut()) };
        // Release: the entry is written before the kernel can see it.
        tail.store(self.tail, Ordering::Release);
    }
}

fn layout(count: u16) -> Layout {
    Layout::from_size_align(size_of::<BufRingEntry>() * usize::from(count), ALIGNMENT)
        .expect("65,536 entries of 16 bytes fit any address space")
}

impl Drop for Provided {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout. The kernel has pinned the pages for itself and uses its own mapping of
        // them until it drops the ring.
        unsafe { dealloc(self.entries.as_ptr().cast(), layout(self.count)) };
    }
}
