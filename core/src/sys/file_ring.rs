//! io_uring(7) for reads of whole blocks of one file.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use io_uring::{IoUring, opcode, types};
use nix::errno::Errno;

use super::SysError;
use super::blocks::{Blocks, whole};
use super::uring::RingSetup;

/// A ring that reads blocks of one file.
pub struct FileRing {
    ring: IoUring,
    file: Arc<OwnedFd>,
    blocks: Arc<Blocks>,
    in_flight: usize,
}

impl std::fmt::Debug for FileRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileRing").field("in_flight", &self.in_flight).finish()
    }
}

impl FileRing {
    /// A ring for at most `depth` reads at once. The first read goes into buffer 0, the next into buffer 1.
    ///
    /// # Errors
    /// Those of [`super::uring::Ring::new`].
    pub fn new(depth: u32, setup: RingSetup, file: Arc<OwnedFd>, blocks: Arc<Blocks>) -> Result<Self, SysError> {
        Ok(Self { ring: setup.build(setup.room(depth))?, file, blocks, in_flight: 0 })
    }

    /// Submits a read at each of `offsets`, the first into buffer 0: one io_uring_enter(2), or none where a kernel
    /// thread takes submissions and is awake.
    ///
    /// # Errors
    /// `EBUSY` for more offsets than the depth, and what io_uring_enter(2) gives but `EINTR`.
    #[inline]
    pub fn submit(&mut self, offsets: &[u64]) -> Result<(), SysError> {
        let bytes = u32::try_from(self.blocks.block()).map_err(|_| SysError::new("io_uring read", Errno::EINVAL))?;
        for (number, &offset) in offsets.iter().enumerate() {
            let target = types::Fd(self.file.as_raw_fd());
            let entry = opcode::Read::new(target, self.blocks.buffer(number), bytes).offset(offset).build();
            // SAFETY: the file and the buffer live until every read is done, since dropping `self` waits for that.
            unsafe { self.ring.submission().push(&entry.user_data(number as u64)) }
                .map_err(|_| SysError::new("io_uring submission queue", Errno::EBUSY))?;
            self.in_flight += 1;
        }
        self.enter(0)
    }

    /// Waits for all reads in flight: no call when they are done already.
    ///
    /// # Errors
    /// A read's own error, and what io_uring_enter(2) gives but `EINTR`.
    #[inline]
    pub fn await_all(&mut self) -> Result<(), SysError> {
        let mut outcome = Ok(());
        loop {
            for done in self.ring.completion() {
                self.in_flight -= 1;
                let read = match usize::try_from(done.result()) {
                    Ok(bytes) => whole(bytes, self.blocks.block()),
                    Err(_) => Err(SysError::new("io_uring read", Errno::from_raw(-done.result()))),
                };
                outcome = outcome.and(read);
            }
            if self.in_flight == 0 {
                return outcome;
            }
            self.enter(self.in_flight)?;
        }
    }

    fn enter(&self, completions: usize) -> Result<(), SysError> {
        loop {
            match self.ring.submitter().submit_and_wait(completions) {
                Ok(_) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) => return Err(SysError::from_io("io_uring_enter", &error)),
            }
        }
    }
}

impl Drop for FileRing {
    /// A read of a regular file ends by itself, so all are awaited; where that fails the buffers are leaked.
    fn drop(&mut self) {
        while self.in_flight > 0 {
            let before = self.in_flight;
            let _ = self.await_all();
            if self.in_flight == before {
                std::mem::forget(Arc::clone(&self.blocks));
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::{DataFile, MARKED};

    /// A wave's completions may be seen before its entries are off the queue: the head is then where it was.
    #[test]
    fn with_a_kernel_thread_a_wave_has_room_beside_one_that_is_still_on_the_queue() {
        for (sqpoll, room) in [(false, 4), (true, 8)] {
            let file = DataFile::create(&std::env::temp_dir(), MARKED).unwrap();
            let setup = RingSetup { sqpoll, ..RingSetup::default() };
            let blocks = Arc::new(Blocks::new(MARKED, 4));
            let mut ring = match FileRing::new(4, setup, file.descriptor(), blocks) {
                Ok(ring) => ring,
                Err(error) => {
                    println!("not checked: sqpoll={sqpoll}: {error}");
                    continue;
                }
            };
            assert_eq!(ring.ring.submission().capacity(), room, "sqpoll={sqpoll}");
        }
    }

    #[test]
    fn every_read_of_a_wave_brings_its_own_block() {
        for sqpoll in [false, true] {
            let file = DataFile::create(&std::env::temp_dir(), 16 * MARKED).unwrap();
            let blocks = Arc::new(Blocks::new(MARKED, 3));
            let setup = RingSetup { sqpoll, ..RingSetup::default() };
            // A machine may give out no rings, or none with a kernel thread.
            let mut ring = match FileRing::new(3, setup, file.descriptor(), Arc::clone(&blocks)) {
                Ok(ring) => ring,
                Err(error) => {
                    println!("not checked: sqpoll={sqpoll}: {error}");
                    continue;
                }
            };
            for wave in [[1, 2, 3], [15, 0, 7]] {
                let offsets = wave.map(|block| block * MARKED as u64);
                ring.submit(&offsets).unwrap();
                ring.await_all().unwrap();
                assert_eq!([0, 1, 2].map(|number| blocks.first_word(number)), offsets);
            }
            ring.submit(&[16 * MARKED as u64]).unwrap();
            assert_eq!(ring.await_all().unwrap_err().errno, Errno::EIO, "behind the end");
        }
    }
}
