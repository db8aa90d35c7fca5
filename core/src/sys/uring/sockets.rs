//! A ring for sockets, of a server or a client: requests that own what they point at, and say to whom their completions
//! belong.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::time::{Duration, Instant};

use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{IoUring, Probe, cqueue, opcode, squeue, types};
use nix::errno::Errno;
use slab::Slab;
use socket2::SockAddr;

use super::datagrams::DatagramMessage;
use super::provided::{GROUP, Provided};
use super::{RingSetup, SysError};
use crate::units::Nanos;

/// The tag of cancellations, which no request has.
const CANCELLATION: u64 = u64::MAX;

/// How long a ring that is dropped waits for its requests to end.
const ENDING: Duration = Duration::from_secs(1);

/// A request that was pushed, to be cancelled by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PushedRequest(usize);

/// What has become of a request; of a multishot one, what has come so far.
#[derive(Debug)]
pub struct SocketCompletion<T> {
    /// To whom it belongs.
    pub owner: T,
    /// What the call would have returned, or its errno.
    pub result: Result<u32, Errno>,
    /// The connection that was accepted, if this is what was asked for.
    pub accepted: Option<OwnedFd>,
    /// Whether more will come of the same request.
    pub more: bool,
    /// Which provided buffer holds what was received.
    pub buffer: Option<u16>,
    /// The memory that the request had, once it has ended.
    pub memory: Option<Vec<u8>>,
    /// Who has sent the datagram that is in the memory.
    pub sender: Option<SocketAddr>,
}

pub(super) struct SocketRequest<T> {
    owner: T,
    memory: Option<Vec<u8>>,
    /// What a connect points at.
    _address: Option<Box<SockAddr>>,
    /// What a request for a datagram points at.
    message: Option<Box<DatagramMessage>>,
    accepts: bool,
}

impl<T> SocketRequest<T> {
    fn of(owner: T, memory: Option<Vec<u8>>) -> Self {
        Self { owner, memory, _address: None, message: None, accepts: false }
    }

    pub(super) fn with_message(owner: T, memory: Option<Vec<u8>>, message: Box<DatagramMessage>) -> Self {
        Self { message: Some(message), ..Self::of(owner, memory) }
    }
}

/// The ring. It belongs to the thread that made it: calls of another fail with `EEXIST`
/// (`IORING_SETUP_SINGLE_ISSUER`).
pub struct SocketRing<T: Copy> {
    ring: IoUring,
    requests: Slab<SocketRequest<T>>,
    provided: Option<Provided>,
}

impl<T: Copy> std::fmt::Debug for SocketRing<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SocketRing").field("requests", &self.requests.len()).finish()
    }
}

impl<T: Copy> SocketRing<T> {
    /// A ring with room for `entries` submissions at a time. Completions are made when the thread waits for them
    /// (`IORING_SETUP_DEFER_TASKRUN`, Linux 6.1), where the kernel can.
    ///
    /// # Errors
    /// `ENOSYS` where the kernel has none, `EPERM` where `kernel.io_uring_disabled` or seccomp forbids it, `ENOMEM`.
    pub fn new(entries: u32) -> Result<Self, SysError> {
        let deferred = RingSetup { defer_taskrun: true, ..RingSetup::default() }.build(entries);
        let ring = match deferred {
            Err(error) if error.errno == Errno::EINVAL => RingSetup::default().build(entries)?,
            other => other?,
        };
        Ok(Self { ring, requests: Slab::new(), provided: None })
    }

    /// Provides `count` buffers of `width` bytes for receiving; a power of two.
    ///
    /// # Errors
    /// `EINVAL` before Linux 5.19.
    pub fn provide_buffers(&mut self, count: u16, width: usize) -> Result<(), SysError> {
        self.provided = Some(Provided::register(&self.ring, count, width)?);
        Ok(())
    }

    /// Whether waits with a timeout are known (`IORING_FEAT_EXT_ARG`, Linux 5.11).
    pub fn knows_timeouts(&self) -> bool {
        self.ring.params().is_feature_ext_arg()
    }

    /// Whether the kernel is one with multishot accepts and receives: both came before or with what is asked for here,
    /// `IORING_OP_SENDMSG_ZC` (Linux 6.1; they came in 5.19 and 6.0).
    ///
    /// # Errors
    /// When it cannot say (before Linux 5.6).
    pub fn knows_multishot(&self) -> Result<bool, SysError> {
        let mut probe = Probe::new();
        let asked = self.ring.submitter().register_probe(&mut probe);
        asked.map_err(|error| SysError::from_io("io_uring_register IORING_REGISTER_PROBE", &error))?;
        Ok(probe.is_supported(opcode::SendMsgZc::CODE))
    }

    /// Accepts a connection at `listener`, or, with `multi`, one after the other.
    ///
    /// # Errors
    /// What io_uring_enter(2) gives when the queue is full.
    pub fn accept(&mut self, listener: BorrowedFd<'_>, multi: bool, owner: T) -> Result<PushedRequest, SysError> {
        let (listener, none) = (types::Fd(listener.as_raw_fd()), std::ptr::null_mut());
        let entry = match multi {
            true => opcode::AcceptMulti::new(listener).flags(libc::SOCK_CLOEXEC).build(),
            false => opcode::Accept::new(listener, none, none.cast()).flags(libc::SOCK_CLOEXEC).build(),
        };
        self.push(entry, SocketRequest { accepts: true, ..SocketRequest::of(owner, None) })
    }

    /// Connects `socket` to `address`.
    ///
    /// # Errors
    /// As [`SocketRing::accept`].
    pub fn connect(
        &mut self,
        socket: BorrowedFd<'_>,
        address: SocketAddr,
        owner: T,
    ) -> Result<PushedRequest, SysError> {
        let address = Box::new(SockAddr::from(address));
        let socket = types::Fd(socket.as_raw_fd());
        let entry = opcode::Connect::new(socket, address.as_ptr().cast(), address.len()).build();
        self.push(entry, SocketRequest { _address: Some(address), ..SocketRequest::of(owner, None) })
    }

    /// Receives into provided buffers, once or, with `multi`, until buffers run out (`ENOBUFS`) or the client ends.
    ///
    /// # Errors
    /// As [`SocketRing::accept`].
    pub fn receive(&mut self, socket: BorrowedFd<'_>, multi: bool, owner: T) -> Result<PushedRequest, SysError> {
        let socket = types::Fd(socket.as_raw_fd());
        let entry = match multi {
            // Length 0 is that of the buffer, and what multishot demands.
            true => opcode::RecvMulti::new(socket, GROUP).build(),
            false => {
                let width = self.provided.as_ref().map_or(0, Provided::width);
                let entry = opcode::Recv::new(socket, std::ptr::null_mut(), width as u32).buf_group(GROUP).build();
                entry.flags(squeue::Flags::BUFFER_SELECT)
            }
        };
        self.push(entry, SocketRequest::of(owner, None))
    }

    /// Receives once into the whole of `memory`.
    ///
    /// # Errors
    /// As [`SocketRing::accept`].
    pub fn receive_into(
        &mut self,
        socket: BorrowedFd<'_>,
        mut memory: Vec<u8>,
        owner: T,
    ) -> Result<PushedRequest, SysError> {
        let (start, length) = (memory.as_mut_ptr(), memory.len() as u32);
        let entry = opcode::Recv::new(types::Fd(socket.as_raw_fd()), start, length).build();
        self.push(entry, SocketRequest::of(owner, Some(memory)))
    }

    /// Sends `memory` from its byte `from` on, without `SIGPIPE`.
    ///
    /// # Errors
    /// As [`SocketRing::accept`].
    pub fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        memory: Vec<u8>,
        from: usize,
        owner: T,
    ) -> Result<PushedRequest, SysError> {
        let bytes = &memory[from..];
        let entry = opcode::Send::new(types::Fd(socket.as_raw_fd()), bytes.as_ptr(), bytes.len() as u32);
        let entry = entry.flags(libc::MSG_NOSIGNAL).build();
        self.push(entry, SocketRequest::of(owner, Some(memory)))
    }

    /// Reads the file from `offset` on into the whole of `memory`.
    ///
    /// # Errors
    /// As [`SocketRing::accept`].
    pub fn read(
        &mut self,
        file: BorrowedFd<'_>,
        mut memory: Vec<u8>,
        offset: u64,
        owner: T,
    ) -> Result<PushedRequest, SysError> {
        let (start, length) = (memory.as_mut_ptr(), memory.len() as u32);
        let entry = opcode::Read::new(types::Fd(file.as_raw_fd()), start, length).offset(offset).build();
        self.push(entry, SocketRequest::of(owner, Some(memory)))
    }

    /// Completes once `descriptor` is readable.
    ///
    /// # Errors
    /// As [`SocketRing::accept`].
    pub fn await_readable(&mut self, descriptor: BorrowedFd<'_>, owner: T) -> Result<PushedRequest, SysError> {
        let entry = opcode::PollAdd::new(types::Fd(descriptor.as_raw_fd()), libc::POLLIN as u32).build();
        self.push(entry, SocketRequest::of(owner, None))
    }

    /// Has a request end, if it has not: its last completion says `ECANCELED`.
    ///
    /// # Errors
    /// As [`SocketRing::accept`].
    pub fn cancel(&mut self, request: PushedRequest) -> Result<(), SysError> {
        let entry = opcode::AsyncCancel::new(request.0 as u64).build().user_data(CANCELLATION);
        self.queue(&entry)
    }

    pub(super) fn push(&mut self, entry: squeue::Entry, request: SocketRequest<T>) -> Result<PushedRequest, SysError> {
        let place = self.requests.insert(request);
        let queued = self.queue(&entry.user_data(place as u64));
        if queued.is_err() {
            self.requests.remove(place);
        }
        queued.map(|()| PushedRequest(place))
    }

    fn queue(&mut self, entry: &squeue::Entry) -> Result<(), SysError> {
        loop {
            // SAFETY: memory that an entry points into is owned by its request, which stays in `requests` until its
            // last completion, or is leaked by `drop`. A descriptor closed meanwhile is the kernel's to refuse.
            if unsafe { self.ring.submission().push(entry) }.is_ok() {
                return Ok(());
            }
            match self.ring.submit() {
                Ok(_) => {}
                Err(error) if [Some(libc::EINTR), Some(libc::EBUSY)].contains(&error.raw_os_error()) => {}
                Err(error) => return Err(SysError::from_io("io_uring_enter", &error)),
            }
        }
    }

    /// Submits what was pushed and waits until there is a completion, or for `timeout`, in one io_uring_enter(2).
    ///
    /// # Errors
    /// What io_uring_enter(2) gives but `EINTR`, `ETIME` and `EBUSY`.
    pub fn wait(&mut self, timeout: Option<Nanos>) -> Result<(), SysError> {
        self.wait_for(1, timeout)
    }

    /// The same, until there are so many completions.
    ///
    /// # Errors
    /// As [`SocketRing::wait`].
    pub fn wait_for(&mut self, completions: usize, timeout: Option<Nanos>) -> Result<(), SysError> {
        const SECOND: u64 = 1_000_000_000;
        let entered = match timeout {
            None => self.ring.submit_and_wait(completions),
            Some(timeout) => {
                let timeout = Timespec::new().sec(timeout.0 / SECOND).nsec((timeout.0 % SECOND) as u32);
                self.ring.submitter().submit_with_args(completions, &SubmitArgs::new().timespec(&timeout))
            }
        };
        match entered {
            Ok(_) => Ok(()),
            // EBUSY: completions are to be taken first.
            Err(error) if [libc::EINTR, libc::ETIME, libc::EBUSY].map(Some).contains(&error.raw_os_error()) => Ok(()),
            Err(error) => Err(SysError::from_io("io_uring_enter", &error)),
        }
    }

    /// The next completion, if one is there.
    pub fn completion(&mut self) -> Option<SocketCompletion<T>> {
        loop {
            let entry: cqueue::Entry = self.ring.completion().next()?;
            if entry.user_data() == CANCELLATION {
                continue;
            }
            let place = entry.user_data() as usize;
            let request = self.requests.get_mut(place)?;
            let (owner, accepts, more) = (request.owner, request.accepts, cqueue::more(entry.flags()));
            let (memory, message) = match more {
                true => (None, None),
                false => {
                    let ended = self.requests.remove(place);
                    (ended.memory, ended.message)
                }
            };
            let sender = message.filter(|_| memory.is_some()).and_then(|message| message.sender());
            let result = u32::try_from(entry.result()).map_err(|_| Errno::from_raw(-entry.result()));
            let accepted = result.ok().filter(|_| accepts).map(|descriptor| {
                // SAFETY: the kernel has opened it for this request, and no other owner knows its number, which fits.
                unsafe { OwnedFd::from_raw_fd(descriptor as i32) }
            });
            let buffer = cqueue::buffer_select(entry.flags());
            return Some(SocketCompletion { owner, result, accepted, more, buffer, memory, sender });
        }
    }

    /// Appends the first `length` bytes of a provided buffer that a completion has named to `to`, and gives the buffer
    /// back.
    pub fn take_buffer(&mut self, buffer: u16, length: usize, to: &mut Vec<u8>) {
        if let Some(provided) = &mut self.provided {
            provided.copy_to(buffer, length, to);
            provided.hand_over(buffer);
        }
    }
}

impl<T: Copy> Drop for SocketRing<T> {
    /// Closing a ring cancels its requests later, from a kernel worker (io_ring_exit_work); what they point at must not
    /// be freed before that. So they are cancelled and awaited; where that does not succeed in time it is leaked.
    fn drop(&mut self) {
        // One by one: to cancel all at once is known since Linux 5.19 only (io_uring_enter(2)).
        let places: Vec<usize> = self.requests.iter().map(|(place, _)| place).collect();
        let cancelled = places.into_iter().try_for_each(|place| self.cancel(PushedRequest(place)));
        let deadline = Instant::now() + ENDING;
        while cancelled.is_ok() && !self.requests.is_empty() && Instant::now() < deadline {
            if self.wait(Some(Nanos(10_000_000))).is_err() {
                break;
            }
            while self.completion().is_some() {}
        }
        if !self.requests.is_empty() {
            std::mem::forget((std::mem::take(&mut self.requests), self.provided.take()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::os::fd::AsFd;

    use super::*;
    use crate::sys::socket::{ListenOptions, connect, listen, local_address, receive, send};

    fn ring() -> Option<SocketRing<u32>> {
        match SocketRing::new(8) {
            Ok(ring) => Some(ring),
            Err(error) => {
                println!("not checked: {error}");
                None
            }
        }
    }

    fn next(ring: &mut SocketRing<u32>) -> SocketCompletion<u32> {
        // Far longer than any of them takes: what does not come is told instead of waited for.
        for _ in 0..1000 {
            if let Some(completion) = ring.completion() {
                return completion;
            }
            ring.wait(Some(Nanos(20_000_000))).unwrap();
        }
        panic!("nothing has completed");
    }

    #[test]
    fn a_connection_is_accepted_received_from_and_sent_to() {
        let Some(mut ring) = ring() else { return };
        ring.provide_buffers(2, 4).unwrap();
        let listener = listen(&SocketAddr::from(([127, 0, 0, 1], 0)), ListenOptions::default()).unwrap();
        let address = local_address(&listener).unwrap();
        ring.accept(listener.as_fd(), true, 1).unwrap();
        let clients = [connect(&address, None).unwrap(), connect(&address, None).unwrap()];
        let first = next(&mut ring);
        assert!(first.owner == 1 && first.more);
        let server = first.accepted.unwrap();
        assert!(next(&mut ring).accepted.is_some());
        assert_eq!(send(clients[0].as_fd(), b"abcdef"), Ok(6));
        ring.receive(server.as_fd(), true, 2).unwrap();
        let mut received = Vec::new();
        while received.len() < 6 {
            let completion = next(&mut ring);
            assert_eq!(completion.owner, 2);
            ring.take_buffer(completion.buffer.unwrap(), completion.result.unwrap() as usize, &mut received);
        }
        assert_eq!(received, b"abcdef");
        ring.send(server.as_fd(), b"xyz".to_vec(), 1, 3).unwrap();
        let sent = next(&mut ring);
        assert_eq!((sent.owner, sent.result, sent.memory), (3, Ok(2), Some(b"xyz".to_vec())));
        let mut buffer = [0; 4];
        assert_eq!((receive(clients[0].as_fd(), &mut buffer), &buffer[..2]), (Ok(2), &b"yz"[..]));
    }

    #[test]
    fn a_client_connects_and_a_wait_ends_with_its_time() {
        let Some(mut ring) = ring() else { return };
        let listener = listen(&SocketAddr::from(([127, 0, 0, 1], 0)), ListenOptions::default()).unwrap();
        let client = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        ring.connect(client.as_fd(), local_address(&listener).unwrap(), 1).unwrap();
        let connected = next(&mut ring);
        assert_eq!((connected.owner, connected.result, connected.more), (1, Ok(0), false));
        let (server, _) = socket2::Socket::from(listener).accept().unwrap();
        let receive = ring.receive_into(client.as_fd(), vec![0; 16], 2).unwrap();
        for timeout in [0, 1_000_000] {
            ring.wait(Some(Nanos(timeout))).unwrap();
            assert!(ring.completion().is_none(), "nothing came within {timeout} ns");
        }
        assert_eq!(send(server.as_fd(), b"hello"), Ok(5));
        let received = next(&mut ring);
        assert_eq!((received.owner, received.result), (2, Ok(5)));
        assert_eq!(&received.memory.unwrap()[..6], b"hello\0");
        // It has ended, and this is no request any more: nothing is told of it.
        ring.cancel(receive).unwrap();
        ring.wait(Some(Nanos(0))).unwrap();
        assert!(ring.completion().is_none() && ring.knows_timeouts());
        // A port at which no socket listens.
        let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let refused = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        ring.connect(refused.as_fd(), closed, 3).unwrap();
        assert_eq!(next(&mut ring).result, Err(Errno::ECONNREFUSED));
    }

    #[test]
    fn a_ring_that_is_dropped_with_requests_in_flight_ends() {
        let Some(mut ring) = ring() else { return };
        let listener = listen(&SocketAddr::from(([127, 0, 0, 1], 0)), ListenOptions::default()).unwrap();
        let address = local_address(&listener).unwrap();
        let client = connect(&address, None).unwrap();
        ring.receive_into(client.as_fd(), vec![0; 64], 1).unwrap();
        ring.accept(listener.as_fd(), false, 2).unwrap();
        ring.accept(listener.as_fd(), true, 2).unwrap();
        ring.wait(Some(Nanos(1_000))).unwrap();
    }

    #[test]
    fn a_request_that_is_cancelled_says_so() {
        let Some(mut ring) = ring() else { return };
        let listener = listen(&SocketAddr::from(([127, 0, 0, 1], 0)), ListenOptions::default()).unwrap();
        let accept = ring.accept(listener.as_fd(), true, 7).unwrap();
        ring.wait(Some(Nanos(1_000))).unwrap();
        ring.cancel(accept).unwrap();
        let ended = next(&mut ring);
        assert_eq!((ended.owner, ended.result, ended.more), (7, Err(Errno::ECANCELED), false));
    }
}
