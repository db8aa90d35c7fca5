//! io_uring(7) for connected sockets: one connect, one send and one receive at a time for each of many connections.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd};

use io_uring::{IoUring, opcode, types};
use nix::errno::Errno;
use socket2::SockAddr;

use super::SysError;
use super::uring::RingSetup;
use crate::units::Nanos;

/// What a completion is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketOp {
    /// `IORING_OP_CONNECT`.
    Connect,
    /// `IORING_OP_SEND`.
    Send,
    /// `IORING_OP_RECV`.
    Receive,
}

const OPS: [SocketOp; 3] = [SocketOp::Connect, SocketOp::Send, SocketOp::Receive];

impl SocketOp {
    fn number(self) -> u64 {
        match self {
            Self::Connect => 0,
            Self::Send => 1,
            Self::Receive => 2,
        }
    }
}

/// A call that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientCompletion {
    /// Whose: the number of its slot.
    pub slot: usize,
    /// Which of its calls.
    pub op: SocketOp,
    /// What the call would return: bytes, or an error number below 0.
    pub result: i32,
}

impl ClientCompletion {
    /// The bytes, or the error as that of `call`.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn bytes(self) -> Result<usize, std::io::Error> {
        usize::try_from(self.result).map_err(|_| std::io::Error::from_raw_os_error(-self.result))
    }
}

/// The memory that the calls of one connection use. It stays where it is while any of them is in flight.
struct SocketSlot {
    request: Vec<u8>,
    answer: Box<[u8]>,
    address: Option<Box<SockAddr>>,
    in_flight: [bool; OPS.len()],
}

/// A ring, and a slot for each connection.
pub struct ClientRing {
    ring: IoUring,
    slots: Vec<SocketSlot>,
    pending: usize,
}

impl std::fmt::Debug for ClientRing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ClientRing").field("slots", &self.slots.len()).field("pending", &self.pending).finish()
    }
}

/// Completions of cancellations are nobody's.
const CANCELLATION: u64 = u64::MAX;

/// The most entries that a ring has (`IORING_MAX_ENTRIES`, io_uring/io_uring.c) are more; beyond so many, what is
/// pushed is handed to the kernel in between.
const MOST_ENTRIES: usize = 8192;

impl ClientRing {
    /// A ring for so many connections, each of which receives at most `answer` bytes at a time.
    ///
    /// # Errors
    /// `ENOSYS` where the kernel has no io_uring, `EPERM` where it is forbidden, `ENOMEM` beyond the locked memory
    /// before Linux 5.12.
    pub fn new(slots: usize, answer: usize) -> Result<Self, SysError> {
        let entries = (2 * slots).clamp(8, MOST_ENTRIES).next_power_of_two();
        let ring = RingSetup::default().build(u32::try_from(entries).unwrap_or(8))?;
        let slot = || SocketSlot {
            request: Vec::new(),
            answer: vec![0; answer].into(),
            address: None,
            in_flight: [false; OPS.len()],
        };
        Ok(Self { ring, slots: (0..slots).map(|_| slot()).collect(), pending: 0 })
    }

    /// Whether waits with a timeout are known (`IORING_FEAT_EXT_ARG`, Linux 5.11).
    pub fn knows_timeouts(&self) -> bool {
        self.ring.params().is_feature_ext_arg()
    }

    /// Whether any call of this slot is in flight.
    pub fn is_in_use(&self, slot: usize) -> bool {
        self.slots[slot].in_flight.contains(&true)
    }

    /// What the last receive of this slot brought, of which so many bytes count; nothing while one is in flight.
    pub fn received(&self, slot: usize, bytes: usize) -> &[u8] {
        let slot = &self.slots[slot];
        // The kernel may be writing there.
        let end = if slot.in_flight[SocketOp::Receive.number() as usize] { 0 } else { bytes };
        &slot.answer[..end.min(slot.answer.len())]
    }

    /// How many bytes a receive brings at most.
    pub fn room(&self, slot: usize) -> usize {
        self.slots[slot].answer.len()
    }

    /// Connects.
    ///
    /// # Errors
    /// `EBUSY` while the slot connects already; otherwise what io_uring_enter(2) says when it must make room.
    pub fn push_connect(&mut self, slot: usize, socket: impl AsFd, address: SocketAddr) -> Result<(), SysError> {
        self.claim(slot, SocketOp::Connect)?;
        let address = self.slots[slot].address.insert(Box::new(SockAddr::from(address)));
        let fd = types::Fd(socket.as_fd().as_raw_fd());
        let entry = opcode::Connect::new(fd, address.as_ptr().cast(), address.len()).build();
        self.push(slot, SocketOp::Connect, entry)
    }

    /// Sends a copy of `bytes`.
    ///
    /// # Errors
    /// As [`ClientRing::push_connect`], while the slot sends already.
    pub fn push_send(&mut self, slot: usize, socket: impl AsFd, bytes: &[u8]) -> Result<(), SysError> {
        self.claim(slot, SocketOp::Send)?;
        let request = &mut self.slots[slot].request;
        // The same request over and over: it is there already.
        if request != bytes {
            request.clear();
            request.extend_from_slice(bytes);
        }
        let length = u32::try_from(request.len()).unwrap_or(u32::MAX);
        let fd = types::Fd(socket.as_fd().as_raw_fd());
        let entry = opcode::Send::new(fd, request.as_ptr(), length).flags(libc::MSG_NOSIGNAL).build();
        self.push(slot, SocketOp::Send, entry)
    }

    /// Receives into the slot's own buffer.
    ///
    /// # Errors
    /// As [`ClientRing::push_connect`], while the slot receives already.
    pub fn push_receive(&mut self, slot: usize, socket: impl AsFd) -> Result<(), SysError> {
        self.claim(slot, SocketOp::Receive)?;
        let answer = &mut self.slots[slot].answer;
        let length = u32::try_from(answer.len()).unwrap_or(u32::MAX);
        let fd = types::Fd(socket.as_fd().as_raw_fd());
        let entry = opcode::Recv::new(fd, answer.as_mut_ptr(), length).build();
        self.push(slot, SocketOp::Receive, entry)
    }

    /// Asks the kernel to give up what is in flight of this slot. Each call still completes, with `ECANCELED` or as it
    /// would have.
    ///
    /// # Errors
    /// What io_uring_enter(2) says when it must make room.
    pub fn cancel(&mut self, slot: usize) -> Result<(), SysError> {
        for op in OPS {
            if self.slots[slot].in_flight[op.number() as usize] {
                let entry = opcode::AsyncCancel::new(tag(slot, op)).build().user_data(CANCELLATION);
                self.queue(&entry)?;
            }
        }
        Ok(())
    }

    fn claim(&self, slot: usize, op: SocketOp) -> Result<(), SysError> {
        let busy = self.slots[slot].in_flight[op.number() as usize];
        if busy { Err(SysError::new("io_uring: a call of this slot is in flight", Errno::EBUSY)) } else { Ok(()) }
    }

    fn push(&mut self, slot: usize, op: SocketOp, entry: io_uring::squeue::Entry) -> Result<(), SysError> {
        self.queue(&entry.user_data(tag(slot, op)))?;
        self.slots[slot].in_flight[op.number() as usize] = true;
        self.pending += 1;
        Ok(())
    }

    fn queue(&mut self, entry: &io_uring::squeue::Entry) -> Result<(), SysError> {
        // SAFETY: the entry points into heap memory of a slot (or nowhere), which is neither moved nor written while
        // its call is marked as in flight: `claim` refuses that, `received` shows nothing of it, and `drop` waits for
        // every call first, or leaks the slots. The file of a descriptor that is closed meanwhile is the kernel's to
        // keep.
        while unsafe { self.ring.submission().push(entry) }.is_err() {
            self.enter(0, None)?;
        }
        Ok(())
    }

    /// Hands what was pushed to the kernel and waits for a completion, at most for `timeout` (0 looks and does not
    /// wait): one io_uring_enter(2).
    ///
    /// # Errors
    /// What io_uring_enter(2) gives but `EINTR`, `ETIME` and `EBUSY`, after which completions are to be taken.
    #[inline]
    pub fn submit_and_wait(&mut self, timeout: Nanos) -> Result<(), SysError> {
        if timeout.0 == 0 {
            return self.enter(0, None);
        }
        self.enter(1, Some(timeout))
    }

    #[inline]
    fn enter(&mut self, completions: usize, timeout: Option<Nanos>) -> Result<(), SysError> {
        let submitter = self.ring.submitter();
        let entered = match timeout {
            None => submitter.submit_and_wait(completions),
            Some(timeout) => {
                let timeout = types::Timespec::from(std::time::Duration::from_nanos(timeout.0));
                submitter.submit_with_args(completions, &types::SubmitArgs::new().timespec(&timeout))
            }
        };
        match entered {
            Ok(_) => Ok(()),
            Err(error) => match error.raw_os_error().map(Errno::from_raw) {
                // EBUSY: completions that found no room wait in the kernel (io_uring_enter(2)).
                Some(Errno::EINTR | Errno::ETIME | Errno::EBUSY) => Ok(()),
                _ => Err(SysError::from_io("io_uring_enter", &error)),
            },
        }
    }

    /// The next call that is done, if one is there.
    #[inline]
    pub fn completion(&mut self) -> Option<ClientCompletion> {
        loop {
            let entry = self.ring.completion().next()?;
            if entry.user_data() == CANCELLATION {
                continue;
            }
            let (slot, op) = ((entry.user_data() >> 2) as usize, OPS[(entry.user_data() & 3) as usize]);
            self.slots[slot].in_flight[op.number() as usize] = false;
            self.pending -= 1;
            return Some(ClientCompletion { slot, op, result: entry.result() });
        }
    }
}

fn tag(slot: usize, op: SocketOp) -> u64 {
    (slot as u64) << 2 | op.number()
}

impl Drop for ClientRing {
    /// Closing a ring cancels its calls later, from a kernel worker (io_ring_exit_work); their memory must not be freed
    /// before that. So they are cancelled one by one and awaited; where that fails it is leaked.
    fn drop(&mut self) {
        let cancelled = (0..self.slots.len()).try_for_each(|slot| self.cancel(slot));
        while cancelled.is_ok() && self.pending > 0 {
            if self.enter(1, None).is_err() {
                break;
            }
            while self.completion().is_some() {}
        }
        if self.pending > 0 {
            std::mem::forget(std::mem::take(&mut self.slots));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream};

    const LONG: Nanos = Nanos(10_000_000_000);

    fn next(ring: &mut ClientRing) -> ClientCompletion {
        loop {
            if let Some(completion) = ring.completion() {
                return completion;
            }
            ring.submit_and_wait(LONG).unwrap();
        }
    }

    fn ring() -> Option<ClientRing> {
        ClientRing::new(2, 16).inspect_err(|error| println!("not checked: {error}")).ok()
    }

    #[test]
    fn bytes_go_there_and_back_and_a_receive_can_be_given_up() {
        let Some(mut ring) = ring() else { return };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        ring.push_connect(1, &socket, address).unwrap();
        assert_eq!(ring.push_connect(1, &socket, address).unwrap_err().errno, Errno::EBUSY);
        assert_eq!(next(&mut ring), ClientCompletion { slot: 1, op: SocketOp::Connect, result: 0 });
        let (mut server, _) = listener.accept().unwrap();
        ring.push_receive(1, &socket).unwrap();
        ring.push_send(1, &socket, b"hello").unwrap();
        assert_eq!(next(&mut ring), ClientCompletion { slot: 1, op: SocketOp::Send, result: 5 });
        let mut seen = [0; 5];
        std::io::Read::read_exact(&mut server, &mut seen).unwrap();
        assert_eq!(ring.received(1, 5), b"", "the kernel may be writing there");
        std::io::Write::write_all(&mut server, &seen).unwrap();
        assert_eq!(next(&mut ring), ClientCompletion { slot: 1, op: SocketOp::Receive, result: 5 });
        assert_eq!(ring.received(1, 5), b"hello");
        ring.push_receive(1, &socket).unwrap();
        ring.submit_and_wait(Nanos(1_000_000)).unwrap();
        assert_eq!(ring.completion(), None, "the time is over");
        ring.cancel(1).unwrap();
        assert_eq!(next(&mut ring).result, -libc::ECANCELED);
        assert!(!ring.is_in_use(1) && ring.knows_timeouts());
    }

    #[test]
    fn a_ring_is_dropped_while_it_receives() {
        let Some(mut ring) = ring() else { return };
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        ring.push_receive(0, &socket).unwrap();
        ring.submit_and_wait(Nanos(0)).unwrap();
        drop(ring);
    }
}
