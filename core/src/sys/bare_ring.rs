//! io_uring(7) for requests that point at no buffer: nothing at all, a message to another ring, a futex.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use io_uring::{IoUring, Probe, opcode, squeue, types};
use nix::errno::Errno;

use super::SysError;
use super::fatal::permitted;

/// A request that older kernels lack.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RingOp {
    /// `IORING_OP_MSG_RING` (Linux 5.18).
    Message,
    /// `IORING_OP_FUTEX_WAIT` and `IORING_OP_FUTEX_WAKE` (Linux 6.7).
    Futex,
}

impl RingOp {
    /// The operation's name in the kernel's header.
    pub fn name(self) -> &'static str {
        match self {
            Self::Message => "IORING_OP_MSG_RING",
            Self::Futex => "IORING_OP_FUTEX_WAIT",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Message => opcode::MsgRingData::CODE,
            Self::Futex => opcode::FutexWait::CODE,
        }
    }

    /// Whether the kernel knows the request.
    ///
    /// # Errors
    /// Those of [`BareRing::new`], and `EINVAL` where the kernel has no way to ask (before Linux 5.6).
    pub fn is_known(self) -> Result<bool, SysError> {
        let ring = BareRing::new(2)?;
        let mut probe = Probe::new();
        let failed = |error| SysError::from_io("io_uring_register IORING_REGISTER_PROBE", &error);
        ring.ring.submitter().register_probe(&mut probe).map_err(failed)?;
        Ok(probe.is_supported(self.code()))
    }
}

/// One finished request, or a message from another ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// The tag of the request or of the message.
    pub tag: u64,
    /// A count, or a negative errno.
    pub result: i32,
}

/// A ring whose requests own no memory.
pub struct BareRing {
    ring: IoUring,
    // A futex request that is still armed names its word by address: the words live as long as the ring.
    words: Vec<Arc<AtomicU32>>,
}

impl std::fmt::Debug for BareRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BareRing").field("words", &self.words.len()).finish()
    }
}

impl AsFd for BareRing {
    fn as_fd(&self) -> BorrowedFd<'_> {
        // SAFETY: the ring's descriptor is open as long as `self` lives.
        unsafe { BorrowedFd::borrow_raw(self.ring.as_raw_fd()) }
    }
}

impl BareRing {
    /// A ring with room for `entries` submissions.
    ///
    /// # Errors
    /// `ENOSYS` where the kernel has none, `EPERM` where `kernel.io_uring_disabled` or seccomp forbids it, `ENOMEM`
    /// where RLIMIT_MEMLOCK is too small (before Linux 5.12).
    pub fn new(entries: u32) -> Result<Self, SysError> {
        permitted(libc::SYS_io_uring_setup, "io_uring_setup")?;
        let ring = IoUring::new(entries).map_err(|error| SysError::from_io("io_uring_setup", &error))?;
        Ok(Self { ring, words: Vec::new() })
    }

    /// A second descriptor of the ring, to which other rings send messages.
    ///
    /// # Errors
    /// `EMFILE`.
    pub fn address(&self) -> Result<OwnedFd, SysError> {
        self.as_fd().try_clone_to_owned().map_err(|error| SysError::from_io("fcntl F_DUPFD_CLOEXEC", &error))
    }

    /// Lets futex requests name `word` by the number that is returned.
    pub fn hold_word(&mut self, word: Arc<AtomicU32>) -> usize {
        self.words.push(word);
        self.words.len() - 1
    }

    /// The word of that number.
    pub fn word(&self, number: usize) -> &AtomicU32 {
        &self.words[number]
    }

    /// Queues a request that does nothing.
    ///
    /// # Errors
    /// `EBUSY` when the submission queue is full.
    #[inline]
    pub fn push_nop(&mut self, tag: u64) -> Result<(), SysError> {
        self.push(opcode::Nop::new().build(), tag)
    }

    /// Queues a message that arrives in the ring at `address` as `message`. Sending it completes here only if it
    /// fails, with `tag`.
    ///
    /// # Errors
    /// `EBUSY` when the submission queue is full.
    #[inline]
    pub fn push_message(&mut self, address: &OwnedFd, message: Arrival, tag: u64) -> Result<(), SysError> {
        let Arrival { tag: user_data, result } = message;
        let entry = opcode::MsgRingData::new(types::Fd(address.as_raw_fd()), result, user_data, None).build();
        self.push(entry.flags(squeue::Flags::SKIP_SUCCESS), tag)
    }

    /// Queues a wait on a held word, private to this process, while it holds `value`.
    ///
    /// # Errors
    /// `EBUSY` when the submission queue is full.
    #[inline]
    pub fn push_futex_wait(&mut self, word: usize, value: u32, tag: u64) -> Result<(), SysError> {
        let word = self.words[word].as_ptr().cast_const();
        self.push(opcode::FutexWait::new(word, value.into(), ANYONE, PRIVATE_U32).build(), tag)
    }

    /// Queues the waking of one waiter of a held word. It completes only if it fails.
    ///
    /// # Errors
    /// `EBUSY` when the submission queue is full.
    #[inline]
    pub fn push_futex_wake(&mut self, word: usize, tag: u64) -> Result<(), SysError> {
        let word = self.words[word].as_ptr().cast_const();
        let entry = opcode::FutexWake::new(word, 1, ANYONE, PRIVATE_U32).build();
        self.push(entry.flags(squeue::Flags::SKIP_SUCCESS), tag)
    }

    fn push(&mut self, entry: squeue::Entry, tag: u64) -> Result<(), SysError> {
        // SAFETY: no entry made above points at memory but the held words, which `self` owns with the ring; the kernel
        // reads a word while it submits, and afterwards knows it by address only. A descriptor closed meanwhile is the
        // kernel's to refuse.
        unsafe { self.ring.submission().push(&entry.user_data(tag)) }
            .map_err(|_| SysError::new("io_uring submission queue", Errno::EBUSY))
    }

    /// Submits what is queued and waits for `arrivals`, in one io_uring_enter(2) unless a signal interrupts it.
    ///
    /// # Errors
    /// What io_uring_enter(2) gives but `EINTR`.
    #[inline]
    pub fn submit_and_wait(&mut self, arrivals: usize) -> Result<(), SysError> {
        loop {
            match self.ring.submit_and_wait(arrivals) {
                Ok(_) => return Ok(()),
                Err(error) if error.raw_os_error() == Some(libc::EINTR) => {}
                Err(error) => return Err(SysError::from_io("io_uring_enter", &error)),
            }
        }
    }

    /// The next completion that has arrived, if there is one.
    #[inline]
    pub fn arrival(&mut self) -> Option<Arrival> {
        let entry = self.ring.completion().next()?;
        Some(Arrival { tag: entry.user_data(), result: entry.result() })
    }
}

/// `FUTEX2_SIZE_U32 | FUTEX2_PRIVATE` (include/uapi/linux/futex.h).
const PRIVATE_U32: u32 = 0x02 | libc::FUTEX_PRIVATE_FLAG as u32;

/// `FUTEX_BITSET_MATCH_ANY`.
const ANYONE: u64 = 0xffff_ffff;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_in_the_other_ring_and_not_in_its_own() {
        if RingOp::Message.is_known() != Ok(true) {
            return;
        }
        let (mut from, mut to) = (BareRing::new(2).unwrap(), BareRing::new(2).unwrap());
        let sent = Arrival { tag: 7, result: 9 };
        // Open until the message is sent: the request names it by number.
        let address = to.address().unwrap();
        from.push_message(&address, sent, 1).unwrap();
        from.submit_and_wait(0).unwrap();
        to.submit_and_wait(1).unwrap();
        assert_eq!((to.arrival(), from.arrival()), (Some(sent), None));
    }
}
