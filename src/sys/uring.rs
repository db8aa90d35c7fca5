//! io_uring(7) for one-byte reads and writes: a ring that owns the bytes its requests point at.

use std::os::fd::{AsFd, AsRawFd};
use std::sync::atomic::{AtomicU8, Ordering};

use io_uring::{IoUring, cqueue, opcode, squeue, types};
use nix::errno::Errno;

use super::SysError;

/// The most entries a submission queue may have (`IORING_MAX_ENTRIES`, io_uring/io_uring.h).
pub const MOST_ENTRIES: u32 = 32_768;

/// One finished request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// The tag the request was pushed with.
    pub tag: u64,
    /// What read(2) or write(2) would have returned: bytes, or a negative errno.
    pub result: i32,
}

impl Completion {
    /// The bytes moved.
    ///
    /// # Errors
    /// The request's errno.
    pub fn bytes(self, call: &str) -> Result<u32, SysError> {
        u32::try_from(self.result).map_err(|_| SysError::new(call, Errno::from_raw(-self.result)))
    }
}

/// What comes after a request in the submission queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Link {
    /// Nothing waits for it.
    None,
    /// The next request starts when this one has succeeded (`IOSQE_IO_LINK`).
    Next,
}

/// A ring, the one-byte slots its requests use, and which tags are still in flight.
pub struct Ring {
    ring: IoUring,
    // Atomic because the kernel stores into them behind the compiler's back; an atomic byte may change at any time.
    slots: Box<[AtomicU8]>,
    in_flight: Box<[bool]>,
    pending: usize,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("slots", &self.slots.len()).field("pending", &self.pending).finish()
    }
}

impl Ring {
    /// A ring with room for `entries` submissions and `slots` bytes, whose requests carry tags below `tags`.
    ///
    /// # Errors
    /// `ENOSYS` where the kernel has none, `EPERM` where `kernel.io_uring_disabled` or seccomp forbids it, `ENOMEM`
    /// where RLIMIT_MEMLOCK is too small (before Linux 5.12).
    pub fn new(entries: u32, slots: usize, tags: usize) -> Result<Self, SysError> {
        let ring = IoUring::new(entries).map_err(|error| SysError::from_io("io_uring_setup", &error))?;
        let slots = (0..slots).map(|_| AtomicU8::new(0)).collect();
        Ok(Self { ring, slots, in_flight: vec![false; tags].into_boxed_slice(), pending: 0 })
    }

    /// The byte in `slot`.
    pub fn slot(&self, slot: usize) -> u8 {
        self.slots[slot].load(Ordering::Relaxed)
    }

    /// Sets the byte in `slot`, which no request in flight may use.
    pub fn set_slot(&mut self, slot: usize, byte: u8) {
        self.slots[slot].store(byte, Ordering::Relaxed);
    }

    /// Queues a read of one byte into `slot`. `tag` must not be in flight.
    ///
    /// # Errors
    /// `EBUSY` when the submission queue is full.
    pub fn push_read(&mut self, from: impl AsFd, slot: usize, tag: u64, link: Link) -> Result<(), SysError> {
        let byte = self.slots[slot].as_ptr();
        let entry = opcode::Read::new(types::Fd(from.as_fd().as_raw_fd()), byte, 1).build();
        self.push(entry, tag, link)
    }

    /// Queues a write of the byte in `slot`. `tag` must not be in flight.
    ///
    /// # Errors
    /// `EBUSY` when the submission queue is full.
    pub fn push_write(&mut self, to: impl AsFd, slot: usize, tag: u64, link: Link) -> Result<(), SysError> {
        let byte = self.slots[slot].as_ptr().cast_const();
        let entry = opcode::Write::new(types::Fd(to.as_fd().as_raw_fd()), byte, 1).build();
        self.push(entry, tag, link)
    }

    fn push(&mut self, entry: squeue::Entry, tag: u64, link: Link) -> Result<(), SysError> {
        let flags = match link {
            Link::None => squeue::Flags::empty(),
            Link::Next => squeue::Flags::IO_LINK,
        };
        let entry = entry.user_data(tag).flags(flags);
        // SAFETY: the entry points into `slots`, which lives on the heap as long as the ring: `drop` waits for every
        // tag in flight first. A descriptor closed meanwhile is the kernel's to refuse.
        unsafe { self.ring.submission().push(&entry) }
            .map_err(|_| SysError::new("io_uring submission queue", Errno::EBUSY))?;
        self.in_flight[tag as usize] = true;
        self.pending += 1;
        Ok(())
    }

    /// Submits what is queued and waits until `completions` are there, in one io_uring_enter(2) unless a signal
    /// interrupts it.
    ///
    /// # Errors
    /// What io_uring_enter(2) gives but `EINTR`.
    pub fn submit_and_wait(&mut self, completions: usize) -> Result<(), SysError> {
        loop {
            match self.ring.submit_and_wait(completions) {
                Ok(_) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) => return Err(SysError::from_io("io_uring_enter", &error)),
            }
        }
    }

    /// The next finished request, if one is there.
    #[inline]
    pub fn completion(&mut self) -> Option<Completion> {
        let entry: cqueue::Entry = self.ring.completion().next()?;
        // Cancellations carry a tag that no request has.
        if let Some(in_flight @ true) = self.in_flight.get_mut(entry.user_data() as usize) {
            *in_flight = false;
            self.pending -= 1;
        }
        Some(Completion { tag: entry.user_data(), result: entry.result() })
    }
}

impl Drop for Ring {
    /// Closing a ring cancels its requests later, from a kernel worker (io_ring_exit_work); the slots must not be
    /// freed before that. So they are cancelled one by one, by tag, and awaited; where that fails the slots are leaked.
    fn drop(&mut self) {
        const CANCELLATION: u64 = u64::MAX;
        for tag in (0..self.in_flight.len()).filter(|&tag| self.in_flight[tag]) {
            let cancel = opcode::AsyncCancel::new(tag as u64).build().user_data(CANCELLATION);
            // SAFETY: a cancellation points at no memory.
            while unsafe { self.ring.submission().push(&cancel) }.is_err() {
                if self.ring.submit().is_err() {
                    break;
                }
            }
        }
        while self.pending > 0 {
            if self.submit_and_wait(1).is_err() {
                std::mem::forget(std::mem::take(&mut self.slots));
                return;
            }
            while self.completion().is_some() {}
        }
    }
}
