//! Byte channels with two ends: pipe(2) and socketpair(2), and the whole-byte reads and writes over them.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::OnceLock;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socketpair};
use nix::unistd::{SysconfVar, pipe2, read, sysconf, write};

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
    let flags = if nonblocking { SockFlag::SOCK_NONBLOCK } else { SockFlag::empty() };
    unix_pair(SockType::Stream, flags)
}

/// A connected pair of UNIX sockets that keep message boundaries and deliver in order (`SOCK_SEQPACKET`, unix(7));
/// blocking, `SOCK_CLOEXEC` always. Closing one end makes the other's read return 0, as on a stream.
///
/// # Errors
/// `EMFILE` and `ENFILE` when descriptors run out.
pub fn seqpacket_pair() -> Result<Ends, SysError> {
    unix_pair(SockType::SeqPacket, SockFlag::empty())
}

fn unix_pair(kind: SockType, flags: SockFlag) -> Result<Ends, SysError> {
    let (reader, writer) = socketpair(AddressFamily::Unix, kind, None, flags | SockFlag::SOCK_CLOEXEC)
        .map_err(|errno| SysError::new("socketpair", errno))?;
    Ok(Ends { reader, writer })
}

/// The outcome of reading one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ReadOutcome {
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
pub fn read_byte(from: impl AsFd) -> Result<ReadOutcome, SysError> {
    let mut byte = [0];
    loop {
        match read(&from, &mut byte) {
            Ok(0) => return Ok(ReadOutcome::Closed),
            Ok(_) => return Ok(ReadOutcome::Byte(byte[0])),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(ReadOutcome::WouldBlock),
            Err(errno) => return Err(SysError::new("read", errno)),
        }
    }
}

/// Writes one byte, again after `EINTR`. A byte always fits, because no mechanism lets a channel fill up.
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

/// Reads until `buffer` is full, again after `EINTR`. False when the other end is closed first.
///
/// # Errors
/// Anything that read(2) gives but `EINTR`; `EAGAIN` on a nonblocking descriptor that has less.
#[inline]
pub fn read_whole(from: impl AsFd, buffer: &mut [u8]) -> Result<bool, SysError> {
    let mut filled = 0;
    while filled < buffer.len() {
        match read(&from, &mut buffer[filled..]) {
            Ok(0) => return Ok(false),
            Ok(bytes) => filled += bytes,
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(SysError::new("read", errno)),
        }
    }
    Ok(true)
}

/// Writes all of `bytes`, again after `EINTR`.
///
/// # Errors
/// Anything that write(2) gives but `EINTR`; `EPIPE` when the reader is gone, `EAGAIN` on a nonblocking descriptor
/// without room.
#[inline]
pub fn write_whole(to: impl AsFd, mut bytes: &[u8]) -> Result<(), SysError> {
    while !bytes.is_empty() {
        match write(&to, bytes) {
            // write(2) gives 0 for empty buffers alone.
            Ok(0) => return Err(SysError::new("write", Errno::EIO)),
            Ok(written) => bytes = &bytes[written..],
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(SysError::new("write", errno)),
        }
    }
    Ok(())
}

/// Makes a pipe large enough for `messages` of `bytes` each.
///
/// The kernel keeps a pipe's bytes in slots of a page. A message is put behind the one before only where it fits
/// whole (`pipe_write` in fs/pipe.c), so that each may need slots of its own.
///
/// # Errors
/// `EPERM` without privilege: larger than `fs.pipe-max-size`, or the user's pipes reach `fs.pipe-user-pages-soft`.
pub fn make_room(pipe: impl AsFd, messages: usize, bytes: usize) -> Result<(), SysError> {
    let page =
        sysconf(SysconfVar::PAGE_SIZE).ok().flatten().and_then(|page| usize::try_from(page).ok()).unwrap_or(4096);
    // One slot more: reading in pieces leaves the first one half used.
    let needed = (messages * bytes.div_ceil(page) + 1) * page;
    let failed = |call: &'static str| move |errno| SysError::new(format!("fcntl {call}"), errno);
    let room = fcntl(&pipe, FcntlArg::F_GETPIPE_SZ).map_err(failed("F_GETPIPE_SZ"))?;
    if usize::try_from(room).is_ok_and(|room| room >= needed) {
        return Ok(());
    }
    let size = libc::c_int::try_from(needed).unwrap_or(libc::c_int::MAX);
    fcntl(&pipe, FcntlArg::F_SETPIPE_SZ(size)).map(drop).map_err(failed("F_SETPIPE_SZ"))
}

/// Whether the kernel can read a pipe without waiting whatever the descriptor's flags say (`FMODE_NOWAIT` on pipes,
/// Linux
/// 6.4). Where it cannot, io_uring hands every request on a pipe to a kernel worker that blocks in its place.
pub fn pipes_can_be_asked() -> bool {
    static CAN: OnceLock<bool> = OnceLock::new();
    *CAN.get_or_init(|| pipe(false).is_ok_and(|ends| read_at_once(&ends.reader) == Err(Errno::EAGAIN)))
}

/// preadv2(2) with `RWF_NOWAIT`, of a byte that is thrown away.
fn read_at_once(from: &OwnedFd) -> Result<libc::c_long, Errno> {
    let mut byte = 0_u8;
    let buffer = libc::iovec { iov_base: (&raw mut byte).cast(), iov_len: 1 };
    // The file's own position, in two halves where a long is too short for it.
    let position = -1_isize;
    // SAFETY: the one buffer is a byte that outlives the call.
    let answer = unsafe {
        libc::syscall(
            libc::SYS_preadv2,
            from.as_raw_fd(),
            &raw const buffer,
            1_usize,
            position,
            position,
            libc::RWF_NOWAIT,
        )
    };
    Errno::result(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_with_room_takes_every_message_at_once() {
        for (messages, bytes) in [(64, 1), (64, 1024), (13, 5000), (20, 3000), (1, 65_536)] {
            let ends = pipe(true).unwrap();
            make_room(&ends.writer, messages, bytes).unwrap();
            for _ in 0..messages {
                write_whole(&ends.writer, &vec![7; bytes]).unwrap();
            }
            let mut all = vec![0; messages * bytes];
            assert!(read_whole(&ends.reader, &mut all).unwrap());
        }
    }
}
