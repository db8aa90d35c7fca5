//! io_uring(7) for reads and writes of tokens: a ring that owns the bytes its requests point at.

mod datagrams;
mod provided;
mod sockets;

use std::ops::Range;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicU8, Ordering};

use io_uring::{IoUring, Probe, cqueue, opcode, squeue, types};
use nix::errno::Errno;

pub use datagrams::DATAGRAM_HEAD;
use provided::{GROUP, Provided};
pub use sockets::{PushedRequest, SocketCompletion, SocketRing};

use super::SysError;
use super::fatal::permitted;

/// The most entries a submission queue may have (`IORING_MAX_ENTRIES`, io_uring/io_uring.h).
pub const MOST_ENTRIES: u32 = 32_768;

/// One completion of a request, or one of several of a multishot request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Completion {
    /// The tag the request was pushed with.
    pub tag: u64,
    /// What read(2) or write(2) would have returned: bytes, or a negative errno.
    pub result: i32,
    /// Whether more will come of the same request, a multishot one.
    pub more: bool,
    /// Which provided buffer holds the bytes, if one does.
    pub buffer: Option<u16>,
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

/// How the next request in the submission queue depends on this one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LinkFlag {
    /// Nothing waits for it.
    None,
    /// The next request starts when this one has succeeded (`IOSQE_IO_LINK`).
    Next,
}

/// The bytes that a ring's requests point at: so many tokens of so many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Slots {
    /// How many tokens.
    pub count: usize,
    /// Bytes of each.
    pub bytes: usize,
}

/// How a ring is set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RingSetup {
    /// Completions are made when the task waits for them, and not whenever it next leaves the kernel
    /// (`IORING_SETUP_SINGLE_ISSUER`, Linux 6.0, and `IORING_SETUP_DEFER_TASKRUN`, Linux 6.1). The ring then belongs to
    /// the thread that made it.
    pub defer_taskrun: bool,
    /// A kernel thread takes the submissions (`IORING_SETUP_SQPOLL`; without privilege since Linux 5.11).
    pub sqpoll: bool,
}

/// How long a kernel thread that takes submissions looks for one before it sleeps, in milliseconds.
const SQPOLL_IDLE: u32 = 5;

impl RingSetup {
    /// The submission queue of a ring that never waits for room, for at most `entries` requests in flight. A kernel
    /// thread submits all that it finds before it moves the queue's head (io_uring/sqpoll.c, `__io_sq_thread`;
    /// io_uring/io_uring.c, `io_submit_sqes`), so that requests may be complete while they still take room: as many
    /// again fit beside them. Those of the time before are off the queue by then, because the thread has come back to
    /// look for the newer ones.
    pub(super) fn room(self, entries: u32) -> u32 {
        if self.sqpoll { entries.saturating_mul(2).min(MOST_ENTRIES) } else { entries }
    }

    pub(super) fn build(self, entries: u32) -> Result<IoUring, SysError> {
        permitted(libc::SYS_io_uring_setup, "io_uring_setup")?;
        let mut builder = IoUring::builder();
        if self.defer_taskrun {
            builder.setup_single_issuer().setup_defer_taskrun();
        }
        if self.sqpoll {
            builder.setup_sqpoll(SQPOLL_IDLE);
        }
        builder.build(entries).map_err(|error| SysError::from_io("io_uring_setup", &error))
    }
}

/// What a request works on.
#[derive(Debug, Clone, Copy)]
pub enum RingTarget<'a> {
    /// An open descriptor.
    Descriptor(BorrowedFd<'a>),
    /// A registered file, by its place in the list given to [`Ring::register_files`].
    Registered(u32),
}

impl<'a> From<&'a OwnedFd> for RingTarget<'a> {
    fn from(descriptor: &'a OwnedFd) -> Self {
        Self::Descriptor(std::os::fd::AsFd::as_fd(descriptor))
    }
}

/// Builds a request on either kind of target.
macro_rules! on {
    ($target:expr, |$fd:ident| $entry:expr) => {
        match $target {
            RingTarget::Descriptor(descriptor) => {
                let $fd = types::Fd(descriptor.as_raw_fd());
                $entry.build()
            }
            RingTarget::Registered(place) => {
                let $fd = types::Fixed(place);
                // The builder of multishot reads overwrites this flag and would read descriptor 0.
                $entry.build().flags(squeue::Flags::FIXED_FILE)
            }
        }
    };
}

/// A ring, the slots its requests use, and which tags are still in flight.
pub struct Ring {
    ring: IoUring,
    // Atomic because the kernel stores into them behind the compiler's back; an atomic byte may change at any time.
    slots: Box<[AtomicU8]>,
    /// Bytes of a slot.
    width: usize,
    provided: Option<Provided>,
    in_flight: Box<[bool]>,
    pending: usize,
    /// What waits to be queued all at once, where a kernel thread takes what is queued as it comes: a chain that it
    /// takes in two pieces is two chains, which run side by side.
    staged: Vec<squeue::Entry>,
}

impl std::fmt::Debug for Ring {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ring").field("slots", &self.slots.len()).field("pending", &self.pending).finish()
    }
}

impl Ring {
    /// A ring with room for `entries` submissions and for `slots`, whose requests carry tags below `tags`.
    ///
    /// # Errors
    /// `ENOSYS` where the kernel has none, `EPERM` where `kernel.io_uring_disabled` or seccomp forbids it, `ENOMEM`
    /// where RLIMIT_MEMLOCK is too small (before Linux 5.12), `EINVAL` for a set-up that the kernel does not know.
    pub fn new(entries: u32, slots: Slots, tags: usize, setup: RingSetup) -> Result<Self, SysError> {
        let ring = setup.build(entries)?;
        let width = slots.bytes;
        let slots = (0..slots.count * width).map(|_| AtomicU8::new(0)).collect();
        Ok(Self {
            ring,
            slots,
            width,
            provided: None,
            in_flight: vec![false; tags].into_boxed_slice(),
            pending: 0,
            staged: Vec::new(),
        })
    }

    /// Registers files, so that requests need not look descriptors up.
    ///
    /// # Errors
    /// `EMFILE` for more than RLIMIT_NOFILE.
    pub fn register_files(&mut self, files: &[RawFd]) -> Result<(), SysError> {
        let registered = self.ring.submitter().register_files(files);
        registered.map_err(|error| SysError::from_io("io_uring_register IORING_REGISTER_FILES", &error))
    }

    /// Provides `count` buffers, each as large as a slot, for multishot reads; a power of two.
    ///
    /// # Errors
    /// `EINVAL` before Linux 5.19.
    pub fn provide_buffers(&mut self, count: u16) -> Result<(), SysError> {
        self.provided = Some(Provided::register(&self.ring, count, self.width)?);
        Ok(())
    }

    /// Whether the kernel knows multishot reads (Linux 6.7).
    ///
    /// # Errors
    /// When it cannot say (before Linux 5.6).
    pub fn knows_multishot_reads(&self) -> Result<bool, SysError> {
        let mut probe = Probe::new();
        let asked = self.ring.submitter().register_probe(&mut probe);
        asked.map_err(|error| SysError::from_io("io_uring_register IORING_REGISTER_PROBE", &error))?;
        Ok(probe.is_supported(opcode::ReadMulti::CODE))
    }

    /// The first byte in `slot`.
    pub fn slot(&self, slot: usize) -> u8 {
        self.slots[slot * self.width].load(Ordering::Relaxed)
    }

    /// Fills `slot`, which no request in flight may use, with `byte`.
    pub fn fill_slot(&mut self, slot: usize, byte: u8) {
        self.slots[self.bytes_of(slot)].iter().for_each(|place| place.store(byte, Ordering::Relaxed));
    }

    fn bytes_of(&self, slot: usize) -> Range<usize> {
        slot * self.width..(slot + 1) * self.width
    }

    /// Queues a read that fills `slot`. `tag` must not be in flight.
    ///
    /// # Errors
    /// `EBUSY` when the submission queue stays full.
    pub fn push_read<'a>(
        &mut self,
        from: impl Into<RingTarget<'a>>,
        slot: usize,
        tag: u64,
        link: LinkFlag,
    ) -> Result<(), SysError> {
        self.push_read_behind(from, slot, 0, tag, link)
    }

    /// Queues a read into what is left of `slot` behind the bytes that it has. `tag` must not be in flight.
    ///
    /// # Errors
    /// `EBUSY` when the submission queue stays full.
    pub fn push_read_behind<'a>(
        &mut self,
        from: impl Into<RingTarget<'a>>,
        slot: usize,
        has: usize,
        tag: u64,
        link: LinkFlag,
    ) -> Result<(), SysError> {
        let room = &self.slots[self.bytes_of(slot)][has..];
        let (start, length) = (room[0].as_ptr(), room.len() as u32);
        let entry = on!(from.into(), |fd| opcode::Read::new(fd, start, length));
        self.push(entry, tag, link)
    }

    /// Queues a read that gives a completion, with a provided buffer, for each token that comes. `tag` must not be in
    /// flight. Needs [`Ring::provide_buffers`].
    ///
    /// # Errors
    /// `EBUSY` when the submission queue stays full.
    pub fn push_multishot_read<'a>(&mut self, from: impl Into<RingTarget<'a>>, tag: u64) -> Result<(), SysError> {
        // Length 0 is that of the buffer.
        let entry = on!(from.into(), |fd| opcode::ReadMulti::new(fd, 0, GROUP));
        self.push(entry, tag, LinkFlag::None)
    }

    /// The first byte in a provided buffer that a completion named.
    pub fn provided(&self, buffer: u16) -> Option<u8> {
        self.provided.as_ref().map(|provided| provided.first(buffer))
    }

    /// Gives a provided buffer that a completion named back to the kernel. No request in flight may use it.
    pub fn give_back(&mut self, buffer: u16) {
        if let Some(provided) = &mut self.provided {
            provided.hand_over(buffer);
        }
    }

    /// Queues a write of a provided buffer that a completion named and that was not given back. `tag` must not be in
    /// flight.
    ///
    /// # Errors
    /// `EBUSY` when the submission queue stays full, `ENOBUFS` where none were provided.
    pub fn push_write_provided<'a>(
        &mut self,
        to: impl Into<RingTarget<'a>>,
        buffer: u16,
        tag: u64,
    ) -> Result<(), SysError> {
        let Some(provided) = &self.provided else { return Err(SysError::new("io_uring write", Errno::ENOBUFS)) };
        let (start, length) = (provided.start(buffer), self.width as u32);
        let entry = on!(to.into(), |fd| opcode::Write::new(fd, start, length));
        self.push(entry, tag, LinkFlag::None)
    }

    /// Queues a write of `slot`. `tag` must not be in flight.
    ///
    /// # Errors
    /// `EBUSY` when the submission queue stays full.
    pub fn push_write<'a>(
        &mut self,
        to: impl Into<RingTarget<'a>>,
        slot: usize,
        tag: u64,
        link: LinkFlag,
    ) -> Result<(), SysError> {
        let token = &self.slots[self.bytes_of(slot)];
        let (start, length) = (token[0].as_ptr().cast_const(), token.len() as u32);
        let entry = on!(to.into(), |fd| opcode::Write::new(fd, start, length));
        self.push(entry, tag, link)
    }

    fn push(&mut self, entry: squeue::Entry, tag: u64, link: LinkFlag) -> Result<(), SysError> {
        let flags = match link {
            LinkFlag::None => squeue::Flags::empty(),
            LinkFlag::Next => squeue::Flags::IO_LINK,
        };
        let entry = entry.user_data(tag).flags(flags);
        if self.ring.params().is_setup_sqpoll() {
            self.staged.push(entry);
            Ok(())
        } else {
            self.queue(std::slice::from_ref(&entry))
        }
    }

    /// Queues entries whose last step makes all of them visible at once; what is longer than the whole queue becomes
    /// visible piece by piece, and may hold no chain.
    fn queue(&mut self, entries: &[squeue::Entry]) -> Result<(), SysError> {
        let room = self.ring.submission().capacity();
        for piece in entries.chunks(room) {
            // SAFETY: an entry points into `slots` or at a provided buffer, which live on the heap as long as the ring:
            // `drop` waits for every tag in flight first. A descriptor closed meanwhile is the kernel's to refuse.
            while unsafe { self.ring.submission().push_multiple(piece) }.is_err() {
                self.make_room()?;
            }
            for entry in piece {
                // Only what is queued is ever completed: `drop` would wait for anything else for ever.
                self.in_flight[entry.get_user_data() as usize] = true;
            }
            self.pending += piece.len();
        }
        Ok(())
    }

    /// Lets the kernel take what is queued: at once, or when its thread gets to it. `IORING_ENTER_SQ_WAIT` waits for
    /// room for one entry only, and the thread that is to make more may need this CPU.
    fn make_room(&mut self) -> Result<(), SysError> {
        self.enter(0)?;
        if self.ring.params().is_setup_sqpoll() {
            self.ring.submitter().squeue_wait().map_err(|error| SysError::from_io("io_uring_enter", &error))?;
            std::thread::yield_now();
        }
        Ok(())
    }

    /// Submits what is queued and waits until `completions` are there, in one io_uring_enter(2) unless a signal
    /// interrupts it.
    ///
    /// # Errors
    /// What io_uring_enter(2) gives but `EINTR`.
    pub fn submit_and_wait(&mut self, completions: usize) -> Result<(), SysError> {
        if !self.staged.is_empty() {
            let mut staged = std::mem::take(&mut self.staged);
            let queued = self.queue(&staged);
            staged.clear();
            self.staged = staged;
            queued?;
        }
        self.enter(completions)
    }

    fn enter(&mut self, completions: usize) -> Result<(), SysError> {
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
        let more = cqueue::more(entry.flags());
        // Cancellations carry a tag that no request has.
        if !more && let Some(in_flight @ true) = self.in_flight.get_mut(entry.user_data() as usize) {
            *in_flight = false;
            self.pending -= 1;
        }
        let buffer = cqueue::buffer_select(entry.flags());
        Some(Completion { tag: entry.user_data(), result: entry.result(), more, buffer })
    }
}

impl Drop for Ring {
    /// Closing a ring cancels its requests later, from a kernel worker (io_ring_exit_work); the slots must not be
    /// freed before that. So they are cancelled one by one, by tag, and awaited; where that fails the slots are leaked.
    fn drop(&mut self) {
        const CANCELLATION: u64 = u64::MAX;
        // What is not queued yet cannot be cancelled, and would be queued behind its cancellation.
        let _ = self.submit_and_wait(0);
        for tag in 0..self.in_flight.len() {
            if !self.in_flight[tag] {
                continue;
            }
            let cancel = opcode::AsyncCancel::new(tag as u64).build().user_data(CANCELLATION);
            // SAFETY: a cancellation points at no memory.
            while unsafe { self.ring.submission().push(&cancel) }.is_err() {
                if self.make_room().is_err() {
                    break;
                }
            }
        }
        while self.pending > 0 {
            if self.submit_and_wait(1).is_err() {
                std::mem::forget((std::mem::take(&mut self.slots), self.provided.take()));
                return;
            }
            while self.completion().is_some() {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::channel::{Ends, pipe};

    /// Fails where `work` does not end. Its thread is left behind then, with whatever it waits for.
    fn must_end(work: impl FnOnce() + Send + 'static) {
        let (done, ended) = std::sync::mpsc::channel();
        let working = std::thread::spawn(move || {
            work();
            let _ = done.send(());
        });
        match ended.recv_timeout(std::time::Duration::from_secs(20)) {
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("it did not end"),
            _ => working.join().unwrap(),
        }
    }

    /// Where a kernel thread takes the submissions they are staged and queued all at once, and the queue may be
    /// shorter than what is staged.
    #[test]
    fn more_reads_than_the_queue_holds_are_all_done() {
        must_end(|| [false, true].into_iter().for_each(more_reads_than_the_queue_holds));
    }

    fn more_reads_than_the_queue_holds(sqpoll: bool) {
        const READS: usize = 100;
        let slots = Slots { count: READS, bytes: 1 };
        let mut ring = match Ring::new(8, slots, READS, RingSetup { sqpoll, ..RingSetup::default() }) {
            Ok(ring) => ring,
            Err(error) => {
                println!("not checked: sqpoll={sqpoll}: {error}");
                return;
            }
        };
        let Ends { reader, writer } = pipe(false).unwrap();
        for slot in 0..READS {
            ring.push_read(&reader, slot, slot as u64, LinkFlag::None).unwrap();
        }
        ring.submit_and_wait(0).unwrap();
        nix::unistd::write(&writer, &[7; READS]).unwrap();
        let mut done = 0;
        while done < READS {
            ring.submit_and_wait(1).unwrap();
            while let Some(completion) = ring.completion() {
                assert_eq!(completion.result, 1, "sqpoll={sqpoll}");
                done += 1;
            }
        }
        assert!((0..READS).all(|slot| ring.slot(slot) == 7), "sqpoll={sqpoll}");
    }

    /// A request that was staged and never queued is never completed.
    #[test]
    fn a_ring_that_is_dropped_before_it_queued_its_reads_ends() {
        must_end(|| {
            let setup = RingSetup { sqpoll: true, ..RingSetup::default() };
            let Ok(mut ring) = Ring::new(8, Slots { count: 1, bytes: 1 }, 1, setup) else {
                println!("not checked: this machine has no ring with a kernel thread that submits");
                return;
            };
            let Ends { reader, writer: _writer } = pipe(false).unwrap();
            ring.push_read(&reader, 0, 0, LinkFlag::None).unwrap();
            ring.staged.clear();
        });
    }
}
