//! Byte channels with two ends: pipe(2) and socketpair(2), and the whole-byte reads and writes over them.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{pipe2, read, write};

use super::SysError;

/// The reading and the writing end of a channel.
#[derive(Debug)]
pub struct Ends {
    /// Where bytes come out.
    pub reader: OwnedFd,
    /// Where bytes go in.
    pub writer: OwnedFd,
}

/// A pipe; `O_CLOEXEC` always.
///
/// # Errors
/// `EMFILE` and `ENFILE` when descriptors run out.
pub fn pipe(nonblocking: bool) -> Result<Ends, SysError> {
    let flags = if nonblocking { OFlag::O_CLOEXEC | OFlag::O_NONBLOCK } else { OFlag::O_CLOEXEC };
    let (reader, writer) = pipe2(flags).map_err(|errno| SysError::new("pipe2", errno))?;
    Ok(Ends { reader, writer })
}

/// A connected pair of UNIX stream sockets, used in one direction; `SOCK_CLOEXEC` always.
///
/// # Errors
/// `EMFILE` and `ENFILE` when descriptors run out.
pub fn socket_pair(nonblocking: bool) -> Result<Ends, SysError> {
    let flags = if nonblocking { SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK } else { SockFlag::SOCK_CLOEXEC };
    let (reader, writer) = socketpair(AddressFamily::Unix, SockType::Stream, None, flags)
        .map_err(|errno| SysError::new("socketpair", errno))?;
    Ok(Ends { reader, writer })
}

/// What came of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    /// A byte.
    Byte(u8),
    /// The other end is closed.
    Closed,
    /// A nonblocking descriptor had nothing.
    WouldBlock,
}

/// Reads one byte, again after `EINTR`.
///
/// # Errors
/// Anything that read(2) gives but `EINTR` and `EAGAIN`.
#[inline]
pub fn read_byte(from: impl AsFd) -> Result<Received, SysError> {
    let mut byte = [0];
    loop {
        match read(&from, &mut byte) {
            Ok(0) => return Ok(Received::Closed),
            Ok(_) => return Ok(Received::Byte(byte[0])),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(Received::WouldBlock),
            Err(errno) => return Err(SysError::new("read", errno)),
        }
    }
}

/// Writes one byte, again after `EINTR`. A byte always fits: no channel here ever holds more than one.
///
/// # Errors
/// Anything that write(2) gives but `EINTR`; `EPIPE` when the reader is gone (Rust programs ignore `SIGPIPE`).
#[inline]
pub fn write_byte(to: impl AsFd, byte: u8) -> Result<(), SysError> {
    loop {
        match write(&to, &[byte]) {
            Ok(1) => return Ok(()),
            // write(2) of one byte to a pipe or socket gives 1 or an error; 0 is for empty buffers.
            Ok(_) => return Err(SysError::new("write", Errno::EIO)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(SysError::new("write", errno)),
        }
    }
}
