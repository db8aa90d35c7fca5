//! Internet sockets of servers: socket(2), bind(2), listen(2), accept4(2), and what moves bytes without `SIGPIPE`.

use std::net::SocketAddr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    self, AddressFamily, Backlog, MsgFlags, Shutdown, SockFlag, SockProtocol, SockType, SockaddrStorage, sockopt,
};

use super::SysError;

/// How a server's socket is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ListenOptions {
    /// Connections that may wait to be accepted; `None` is the most that the kernel allows (`net.core.somaxconn`).
    pub backlog: Option<u32>,
    /// Whether several sockets may listen on the address, among which the kernel distributes connections
    /// (`SO_REUSEPORT`, Linux 3.9).
    pub shared: bool,
    /// Whether calls on it return instead of waiting.
    pub nonblocking: bool,
}

fn family(address: &SocketAddr) -> AddressFamily {
    if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 }
}

fn bound(address: &SocketAddr, kind: SockType, options: ListenOptions) -> Result<OwnedFd, SysError> {
    let nonblocking = if options.nonblocking { SockFlag::SOCK_NONBLOCK } else { SockFlag::empty() };
    let socket = socket::socket(family(address), kind, SockFlag::SOCK_CLOEXEC | nonblocking, None)
        .map_err(|errno| SysError::new("socket", errno))?;
    let set = |outcome: nix::Result<()>| outcome.map_err(|errno| SysError::new("setsockopt", errno));
    if kind == SockType::Stream {
        // Connections of a server that has ended are in TIME_WAIT, and would keep the address (tcp(7)).
        set(socket::setsockopt(&socket, sockopt::ReuseAddr, &true))?;
    }
    if options.shared {
        set(socket::setsockopt(&socket, sockopt::ReusePort, &true))?;
    }
    socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(*address))
        .map_err(|errno| SysError::new(format!("bind {address}"), errno))?;
    Ok(socket)
}

/// A TCP socket that listens on `address`; `SOCK_CLOEXEC` always.
///
/// # Errors
/// `EADDRINUSE` when another socket listens there, `EADDRNOTAVAIL` for an address that is not this machine's, `EACCES`
/// for a port that needs privilege, `EMFILE` and `ENFILE` when descriptors run out.
pub fn listen(address: &SocketAddr, options: ListenOptions) -> Result<OwnedFd, SysError> {
    let socket = bound(address, SockType::Stream, options)?;
    let backlog = match options.backlog.map(i32::try_from) {
        // A backlog beyond the kernel's limit is cut to it, and -1 is beyond every limit (listen(2)).
        None | Some(Err(_)) => Backlog::MAXALLOWABLE,
        Some(Ok(backlog)) => Backlog::new(backlog).unwrap_or(Backlog::MAXALLOWABLE),
    };
    socket::listen(&socket, backlog).map_err(|errno| SysError::new(format!("listen {address}"), errno))?;
    Ok(socket)
}

/// Bytes that datagrams may take which wait in a socket of [`bind_datagrams`], where `net.core.rmem_max` allows it.
const WAITING_DATAGRAMS: usize = 4 << 20;

/// A UDP socket on `address`, with room for some thousand datagrams that wait; `SOCK_CLOEXEC` always.
///
/// # Errors
/// As [`listen`].
pub fn bind_datagrams(address: &SocketAddr, options: ListenOptions) -> Result<OwnedFd, SysError> {
    let socket = bound(address, SockType::Datagram, options)?;
    // The kernel takes as much of it as it allows, and twice that for its own needs (socket(7)).
    socket::setsockopt(&socket, sockopt::RcvBuf, &WAITING_DATAGRAMS)
        .map_err(|errno| SysError::new("setsockopt SO_RCVBUF", errno))?;
    Ok(socket)
}

/// How many datagrams with `payload` bytes may wait in a socket of [`bind_datagrams`]: what comes beyond that is lost.
/// A lower bound, since the kernel counts the memory that it has allocated for each.
pub fn waiting_datagrams(payload: usize) -> usize {
    const EACH: usize = 1280;
    let most = std::fs::read_to_string("/proc/sys/net/core/rmem_max").ok().and_then(|most| most.trim().parse().ok());
    let most: usize = most.unwrap_or(WAITING_DATAGRAMS);
    2 * most.min(WAITING_DATAGRAMS) / (EACH + 2 * payload)
}

/// Wakes a thread or task that waits for a datagram on `socket` by sending an empty one to its own address.
pub fn wake_receiver(socket: BorrowedFd<'_>) {
    if let Ok(own) = local_address(socket) {
        // Where there is no room for it, the receiver has something to receive.
        let _ = send_to(socket, &[], &SockaddrStorage::from(own));
    }
}

/// The address that `socket` is bound to, with the port that the kernel chose for port 0.
///
/// # Errors
/// None on a socket of this file.
pub fn local_address(socket: impl AsFd) -> Result<SocketAddr, SysError> {
    let address = socket::getsockname::<SockaddrStorage>(socket.as_fd().as_raw_fd())
        .map_err(|errno| SysError::new("getsockname", errno))?;
    std_address(&address).ok_or_else(|| SysError::new("getsockname", Errno::EAFNOSUPPORT))
}

fn std_address(address: &SockaddrStorage) -> Option<SocketAddr> {
    let four = address.as_sockaddr_in().map(|four| SocketAddr::from(std::net::SocketAddrV4::from(*four)));
    four.or_else(|| address.as_sockaddr_in6().map(|six| SocketAddr::from(std::net::SocketAddrV6::from(*six))))
}

/// Takes the next connection that waits at `listener`; `SOCK_CLOEXEC` always.
///
/// # Errors
/// `EAGAIN` when none waits and the listener is nonblocking, `ECONNABORTED` when its client has gone, `EINVAL` after
/// [`stop_listening`], `EMFILE` and `ENFILE` when descriptors run out, `EINTR`.
#[inline]
pub fn accept(listener: BorrowedFd<'_>, nonblocking: bool) -> Result<OwnedFd, Errno> {
    let flags = if nonblocking { SockFlag::SOCK_NONBLOCK } else { SockFlag::empty() };
    let descriptor = socket::accept4(listener.as_raw_fd(), flags | SockFlag::SOCK_CLOEXEC)?;
    // SAFETY: the kernel has just opened it for this call, and no other owner knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

/// Makes every thread and process that waits in [`accept`] on `listener` return with `EINVAL`, or in [`receive_from`]
/// with nothing.
pub fn stop_listening(listener: BorrowedFd<'_>) {
    // On a socket for datagrams it wakes those who wait and says ENOTCONN (net/ipv4/af_inet.c, `inet_shutdown`).
    let _ = socket::shutdown(listener.as_raw_fd(), Shutdown::Both);
}

/// Has each small answer leave at once instead of waiting for the client's acknowledgement (`TCP_NODELAY`, tcp(7)).
pub fn send_at_once(socket: BorrowedFd<'_>) {
    // Refused only on a connection that has been reset, which the next call finds out.
    let _ = socket::setsockopt(&socket, sockopt::TcpNoDelay, &true);
}

/// Lets a blocking receive or send on `socket` return `EAGAIN` after `after` (`SO_RCVTIMEO`, `SO_SNDTIMEO`).
pub fn time_out(socket: BorrowedFd<'_>, after: std::time::Duration) {
    let micros = i64::try_from(after.as_micros()).unwrap_or(i64::MAX);
    let value = nix::sys::time::TimeValLike::microseconds(micros.max(1));
    // Refused only on a connection that has been reset, which the next call finds out.
    let _ = socket::setsockopt(&socket, sockopt::ReceiveTimeout, &value);
    let _ = socket::setsockopt(&socket, sockopt::SendTimeout, &value);
}

/// Receives what is there, at most as much as `buffer` holds; 0 when the client has ended its side.
///
/// # Errors
/// What recv(2) gives, `EINTR` and `EAGAIN` among it.
#[inline]
pub fn receive(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<usize, Errno> {
    socket::recv(socket.as_raw_fd(), buffer, MsgFlags::empty())
}

/// Sends as much of `bytes` as there is room for, without `SIGPIPE`.
///
/// # Errors
/// What send(2) gives, `EINTR`, `EAGAIN` and `EPIPE` among it.
#[inline]
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    socket::send(socket.as_raw_fd(), bytes, MsgFlags::MSG_NOSIGNAL)
}

/// Receives a datagram, and where it comes from; nothing after [`stop_listening`].
///
/// # Errors
/// What recvfrom(2) gives, `EINTR` and `EAGAIN` among it.
#[inline]
pub fn receive_from(socket: BorrowedFd<'_>, buffer: &mut [u8]) -> Result<Option<(usize, SockaddrStorage)>, Errno> {
    let (bytes, from) = socket::recvfrom::<SockaddrStorage>(socket.as_raw_fd(), buffer)?;
    Ok(from.filter(|from| std_address(from).is_some()).map(|from| (bytes, from)))
}

/// Sends a datagram to `to`.
///
/// # Errors
/// What sendto(2) gives, `EINTR` and `EAGAIN` among it.
#[inline]
pub fn send_to(socket: BorrowedFd<'_>, bytes: &[u8], to: &SockaddrStorage) -> Result<usize, Errno> {
    socket::sendto(socket.as_raw_fd(), bytes, to, MsgFlags::MSG_NOSIGNAL)
}

/// A TCP socket connected to `address` from `source`, where one is given: a client on loopback has some 28,000 ports
/// for each address, and may have several of 127.0.0.0/8.
///
/// # Errors
/// `ECONNREFUSED`, `EADDRNOTAVAIL` when ports have run out, `EMFILE` and `ENFILE` when descriptors have.
pub fn connect(address: &SocketAddr, source: Option<&SocketAddr>) -> Result<OwnedFd, SysError> {
    let socket = socket::socket(family(address), SockType::Stream, SockFlag::SOCK_CLOEXEC, Some(SockProtocol::Tcp))
        .map_err(|errno| SysError::new("socket", errno))?;
    if let Some(source) = source {
        // The port is chosen when both ends are known, so that it need be free for this pair alone (ip(7)).
        socket::setsockopt(&socket, sockopt::IpBindAddressNoPort, &true)
            .map_err(|errno| SysError::new("setsockopt IP_BIND_ADDRESS_NO_PORT", errno))?;
        socket::bind(socket.as_raw_fd(), &SockaddrStorage::from(*source))
            .map_err(|errno| SysError::new(format!("bind {source}"), errno))?;
    }
    let to = SockaddrStorage::from(*address);
    loop {
        match socket::connect(socket.as_raw_fd(), &to) {
            Ok(()) | Err(Errno::EISCONN) => return Ok(socket),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(SysError::new(format!("connect {address}"), errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any() -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], 0))
    }

    #[test]
    fn a_connection_carries_bytes_and_its_end() {
        let listener = listen(&any(), ListenOptions::default()).unwrap();
        let client = connect(&local_address(&listener).unwrap(), Some(&SocketAddr::from(([127, 0, 0, 2], 0)))).unwrap();
        assert!(local_address(&client).unwrap().to_string().starts_with("127.0.0.2:"));
        let server = accept(listener.as_fd(), false).unwrap();
        assert_eq!(send(client.as_fd(), b"abc"), Ok(3));
        socket::shutdown(server.as_raw_fd(), Shutdown::Read).unwrap();
        let mut buffer = [0; 8];
        // What has arrived is read before the end.
        assert_eq!((receive(server.as_fd(), &mut buffer), &buffer[..3]), (Ok(3), &b"abc"[..]));
        assert_eq!(receive(server.as_fd(), &mut buffer), Ok(0));
    }

    #[test]
    fn a_thread_that_waits_for_a_connection_returns_when_listening_stops() {
        let listener = std::sync::Arc::new(listen(&any(), ListenOptions::default()).unwrap());
        let waiting = std::sync::Arc::clone(&listener);
        let thread = std::thread::spawn(move || accept(waiting.as_fd(), false).map(drop));
        stop_listening(listener.as_fd());
        assert_eq!(thread.join().unwrap(), Err(Errno::EINVAL));
    }

    #[test]
    fn a_taken_port_is_named() {
        let first = listen(&any(), ListenOptions::default()).unwrap();
        let address = local_address(&first).unwrap();
        let told = listen(&address, ListenOptions::default()).unwrap_err().to_string();
        assert!(told.contains(&address.to_string()) && told.contains("EADDRINUSE"), "{told}");
    }
}
