//! Linux AIO, by its system calls: io_setup(2), io_submit(2), io_getevents(2), io_destroy(2). No C library wraps them.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;

use super::SysError;
use super::blocks::{Blocks, whole};

/// `struct iocb` (include/uapi/linux/aio_abi.h); the two fields whose order depends on the byte order are 0.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct Iocb {
    data: u64,
    key_and_flags: [u32; 2],
    opcode: u16,
    priority: i16,
    descriptor: u32,
    buffer: u64,
    bytes: u64,
    offset: i64,
    reserved: u64,
    flags: u32,
    event_descriptor: u32,
}

/// `IOCB_CMD_PREAD`.
const READ: u16 = 0;

/// `struct io_event`.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
struct IoEvent {
    data: u64,
    request: u64,
    result: i64,
    result2: i64,
}

/// A context that reads blocks of one file.
#[derive(Debug)]
pub struct AioContext {
    context: libc::c_ulong,
    file: Arc<OwnedFd>,
    blocks: Arc<Blocks>,
    requests: Box<[Iocb]>,
    events: Box<[IoEvent]>,
    /// The argument of io_submit(2), built anew each time: the addresses of requests, which do not move.
    list: Vec<*const Iocb>,
    in_flight: usize,
}

impl AioContext {
    /// A context for at most `depth` reads at once. The first read goes into buffer 0, the next into buffer 1.
    ///
    /// # Errors
    /// `EAGAIN` when `fs.aio-max-nr` is used up, `ENOSYS` for a kernel without CONFIG_AIO.
    pub fn new(depth: usize, file: Arc<OwnedFd>, blocks: Arc<Blocks>) -> Result<Self, SysError> {
        let mut context: libc::c_ulong = 0;
        // SAFETY: the kernel stores a number at the address it is given.
        let answer = unsafe { libc::syscall(libc::SYS_io_setup, depth, &raw mut context) };
        Errno::result(answer).map_err(|errno| SysError::new("io_setup", errno))?;
        Ok(Self {
            context,
            file,
            blocks,
            requests: vec![Iocb::default(); depth].into_boxed_slice(),
            events: vec![IoEvent::default(); depth].into_boxed_slice(),
            list: Vec::with_capacity(depth),
            in_flight: 0,
        })
    }

    /// Submits a read at each of `offsets`, the first into buffer 0: one io_submit(2) unless the kernel takes fewer.
    ///
    /// # Errors
    /// What io_submit(2) gives.
    ///
    /// # Panics
    /// With more offsets than the depth, or while reads are in flight.
    #[inline]
    pub fn submit(&mut self, offsets: &[u64]) -> Result<(), SysError> {
        assert!(self.in_flight == 0 && offsets.len() <= self.requests.len(), "one wave at a time, within the depth");
        self.list.clear();
        for (number, (request, &offset)) in self.requests.iter_mut().zip(offsets).enumerate() {
            *request = Iocb {
                data: number as u64,
                opcode: READ,
                descriptor: self.file.as_raw_fd() as u32,
                buffer: self.blocks.buffer(number) as u64,
                bytes: self.blocks.block() as u64,
                offset: offset as i64,
                ..Iocb::default()
            };
            self.list.push(request);
        }
        while self.in_flight < offsets.len() {
            let rest = &self.list[self.in_flight..];
            // SAFETY: the list and the requests outlive the call, and the kernel copies them; what they point at lives
            // until every read is done, since dropping `self` waits for that.
            let taken = unsafe { libc::syscall(libc::SYS_io_submit, self.context, rest.len(), rest.as_ptr()) };
            match usize::try_from(taken) {
                Ok(0) => return Err(SysError::new("io_submit", Errno::EAGAIN)),
                Ok(taken) => self.in_flight += taken,
                Err(_) => return Err(SysError::last("io_submit")),
            }
        }
        Ok(())
    }

    /// Waits for all reads in flight: one io_getevents(2), unless a signal interrupts it.
    ///
    /// # Errors
    /// A read's own error, and what io_getevents(2) gives but `EINTR`.
    #[inline]
    pub fn await_all(&mut self) -> Result<(), SysError> {
        let mut outcome = Ok(());
        while self.in_flight > 0 {
            let (count, events) = (self.in_flight, self.events.as_mut_ptr());
            let forever = std::ptr::null::<libc::timespec>();
            // SAFETY: `events` has room for as many as were ever in flight.
            let found = unsafe { libc::syscall(libc::SYS_io_getevents, self.context, count, count, events, forever) };
            let Ok(found) = usize::try_from(found) else {
                match Errno::last() {
                    Errno::EINTR => continue,
                    errno => return Err(SysError::new("io_getevents", errno)),
                }
            };
            self.in_flight -= found;
            for event in &self.events[..found] {
                let read = match usize::try_from(event.result) {
                    Ok(bytes) => whole(bytes, self.blocks.block()),
                    // An errno fits.
                    Err(_) => Err(SysError::new("a read by io_submit", Errno::from_raw(-event.result as i32))),
                };
                outcome = outcome.and(read);
            }
        }
        outcome
    }
}

// SAFETY: the addresses in `list` are of `requests`, which `self` owns, and are used within `submit` alone.
unsafe impl Send for AioContext {}

impl Drop for AioContext {
    /// io_destroy(2) cancels what it can and waits for the rest, so that the kernel does not write to the buffers
    /// afterwards.
    fn drop(&mut self) {
        // SAFETY: the context is this object's alone.
        unsafe { libc::syscall(libc::SYS_io_destroy, self.context) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::file::{DataFile, MARKED};

    #[test]
    fn every_read_of_a_wave_brings_its_own_block() {
        let file = DataFile::create(&std::env::temp_dir(), 16 * MARKED).unwrap();
        let blocks = Arc::new(Blocks::new(MARKED, 3));
        let mut aio = match AioContext::new(3, file.descriptor(), Arc::clone(&blocks)) {
            Err(error) if error.errno == Errno::ENOSYS => return,
            made => made.unwrap(),
        };
        for wave in [[1, 2, 3], [15, 0, 7]] {
            let offsets = wave.map(|block| block * MARKED as u64);
            aio.submit(&offsets).unwrap();
            aio.await_all().unwrap();
            assert_eq!([0, 1, 2].map(|number| blocks.first_word(number)), offsets);
        }
        aio.submit(&[16 * MARKED as u64]).unwrap();
        assert_eq!(aio.await_all().unwrap_err().errno, Errno::EIO, "behind the end");
    }
}
