//! Datagrams on a ring for sockets: requests that also say where to, or find out where from.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use io_uring::types::RecvMsgOut;
use io_uring::{opcode, types};
use socket2::{SockAddr, SockAddrStorage};

use super::SysError;
use super::provided::GROUP;
use super::sockets::{PushedRequest, SocketRequest, SocketRing};

/// What a request for a datagram points at: struct msghdr, and what that points at.
pub(super) struct DatagramMessage {
    header: libc::msghdr,
    vector: libc::iovec,
    address: SockAddrStorage,
}

// SAFETY: its pointers lead into itself, which is in a box, and into memory that the same request owns.
unsafe impl Send for DatagramMessage {}

impl DatagramMessage {
    /// For the bytes from `start` on, sent to `to` or received from any address.
    fn new(start: *mut u8, length: usize, to: Option<SocketAddr>) -> Box<Self> {
        let mut address = SockAddrStorage::zeroed();
        let mut width = address.size_of();
        if let Some(to) = to.map(SockAddr::from) {
            width = to.len();
            address = to.as_storage();
        }
        // SAFETY: all zeros are a header without name, buffers and control data.
        let header: libc::msghdr = unsafe { std::mem::zeroed() };
        let vector = libc::iovec { iov_base: start.cast(), iov_len: length };
        let mut message = Box::new(Self { header, vector, address });
        message.header.msg_name = (&raw mut message.address).cast();
        message.header.msg_namelen = width;
        message.header.msg_iov = &raw mut message.vector;
        message.header.msg_iovlen = 1;
        message
    }

    /// The address that the kernel has written.
    pub(super) fn sender(self) -> Option<SocketAddr> {
        let width = self.header.msg_namelen.min(self.address.size_of());
        // SAFETY: the kernel has written an address of so many bytes, and zeros are behind it.
        unsafe { SockAddr::new(self.address, width) }.as_socket()
    }
}

impl<T: Copy> SocketRing<T> {
    /// Receives a datagram into `memory`, which is to hold the longest one.
    ///
    /// # Errors
    /// As [`SocketRing::accept`].
    pub fn receive_datagram(
        &mut self,
        socket: BorrowedFd<'_>,
        mut memory: Vec<u8>,
        owner: T,
    ) -> Result<PushedRequest, SysError> {
        let mut message = DatagramMessage::new(memory.as_mut_ptr(), memory.len(), None);
        let entry = opcode::RecvMsg::new(types::Fd(socket.as_raw_fd()), &raw mut message.header).build();
        self.push(entry, SocketRequest::with_message(owner, Some(memory), message))
    }

    /// Receives datagrams into provided buffers, until these run out (`ENOBUFS`): each takes [`DATAGRAM_HEAD`] bytes of
    /// one more than it has.
    ///
    /// # Errors
    /// As [`SocketRing::accept`].
    pub fn receive_datagrams(&mut self, socket: BorrowedFd<'_>, owner: T) -> Result<PushedRequest, SysError> {
        let mut message = DatagramMessage::new(std::ptr::null_mut(), 0, None);
        message.header.msg_iovlen = 0;
        let entry = opcode::RecvMsgMulti::new(types::Fd(socket.as_raw_fd()), &raw const message.header, GROUP).build();
        self.push(entry, SocketRequest::with_message(owner, None, message))
    }

    /// Sends `memory` as a datagram to `to`.
    ///
    /// # Errors
    /// As [`SocketRing::accept`].
    pub fn send_datagram(
        &mut self,
        socket: BorrowedFd<'_>,
        mut memory: Vec<u8>,
        to: SocketAddr,
        owner: T,
    ) -> Result<PushedRequest, SysError> {
        let message = DatagramMessage::new(memory.as_mut_ptr(), memory.len(), Some(to));
        let entry = opcode::SendMsg::new(types::Fd(socket.as_raw_fd()), &raw const message.header).build();
        self.push(entry, SocketRequest::with_message(owner, Some(memory), message))
    }

    /// Moves the datagram that a completion of [`SocketRing::receive_datagrams`] has named into `to`, gives the buffer
    /// back, and returns where it comes from: nothing where it was cut off.
    pub fn take_datagram(&mut self, buffer: u16, length: usize, to: &mut Vec<u8>) -> Option<SocketAddr> {
        to.clear();
        self.take_buffer(buffer, length, to);
        let message = DatagramMessage::new(std::ptr::null_mut(), 0, None);
        let parsed = RecvMsgOut::parse(to, &message.header).ok()?;
        let (name, payload, cut) = (parsed.name_data(), parsed.payload_data().len(), parsed.is_payload_truncated());
        let mut address = SockAddrStorage::zeroed();
        let width = (name.len() as libc::socklen_t).min(address.size_of());
        // SAFETY: both have so many bytes, and do not overlap.
        unsafe { std::ptr::copy_nonoverlapping(name.as_ptr(), (&raw mut address).cast::<u8>(), width as usize) };
        to.drain(..to.len() - payload);
        // SAFETY: the kernel has written an address of so many bytes, and zeros are behind it.
        unsafe { SockAddr::new(address, width) }.as_socket().filter(|_| !cut)
    }
}

/// What stands in a provided buffer before a datagram: struct io_uring_recvmsg_out and the address.
pub const DATAGRAM_HEAD: usize = 16 + size_of::<SockAddrStorage>();

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsFd;

    use super::*;
    use crate::units::Nanos;

    /// Two clients, told apart by their addresses, whose datagrams come back changed, once by each way to receive.
    #[test]
    fn datagrams_come_with_their_senders_and_go_where_they_should() {
        let Ok(mut ring) = SocketRing::<u32>::new(8) else { return println!("not checked: no io_uring") };
        ring.provide_buffers(2, DATAGRAM_HEAD + 8).unwrap();
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        let clients = [UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap()];
        let own = server.local_addr().unwrap();
        let next = |ring: &mut SocketRing<u32>| loop {
            if let Some(completion) = ring.completion() {
                break completion;
            }
            ring.wait(Some(Nanos(5_000_000_000))).unwrap();
        };
        ring.receive_datagrams(server.as_fd(), 1).unwrap();
        for client in &clients {
            client.send_to(b"abc", own).unwrap();
            let completion = next(&mut ring);
            assert!(completion.owner == 1 && completion.more, "{completion:?}");
            let mut received = vec![7];
            let length = completion.result.unwrap() as usize;
            let sender = ring.take_datagram(completion.buffer.unwrap(), length, &mut received);
            assert_eq!((sender, &received[..]), (Some(client.local_addr().unwrap()), &b"abc"[..]));
        }
        clients[0].send_to(b"longer than it may be", own).unwrap();
        let completion = next(&mut ring);
        let length = completion.result.unwrap() as usize;
        assert_eq!(ring.take_datagram(completion.buffer.unwrap(), length, &mut Vec::new()), None, "it was cut off");
        ring.send_datagram(server.as_fd(), b"xyz".to_vec(), clients[1].local_addr().unwrap(), 2).unwrap();
        let sent = next(&mut ring);
        assert_eq!((sent.owner, sent.result, sent.memory), (2, Ok(3), Some(b"xyz".to_vec())));
        let mut buffer = [0; 8];
        assert_eq!(clients[1].recv_from(&mut buffer).unwrap(), (3, own));

        let Ok(mut ring) = SocketRing::<u32>::new(8) else { return };
        let server = UdpSocket::bind("127.0.0.1:0").unwrap();
        ring.receive_datagram(server.as_fd(), vec![0; 16], 3).unwrap();
        clients[1].send_to(b"de", server.local_addr().unwrap()).unwrap();
        let received = next(&mut ring);
        assert_eq!((received.sender, received.result), (Some(clients[1].local_addr().unwrap()), Ok(2)));
        assert_eq!(&received.memory.unwrap()[..3], b"de\0");
    }
}
