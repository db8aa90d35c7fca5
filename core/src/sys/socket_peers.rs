//! Which sockets of the Unix domain are connected to each other: sock_diag(7).
//!
//! All of them at once, or a single one: a socket that lives for as long as a transfer is gone before a dump has ended.

use std::collections::HashMap;
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

use super::SysError;

// linux/sock_diag.h and linux/unix_diag.h, which libc does not have.
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const UDIAG_SHOW_PEER: u32 = 4;
const UNIX_DIAG_PEER: u16 = 2;

/// A header of a message: length, type, flags, number, sender (netlink(7)).
const HEADER: usize = 16;

/// `struct unix_diag_msg`: family, type, state, padding, inode, a cookie of two words.
const MESSAGE: usize = 16;

/// `struct rtattr`: length and type.
const ATTRIBUTE: usize = 4;

/// In place of an inode: all of them.
const ANY: u32 = 0;

/// The inode of the other end, by that of each connected socket of the Unix domain in the caller's network namespace.
///
/// # Errors
/// `EPROTONOSUPPORT` and `ENOENT` without `CONFIG_UNIX_DIAG`; `EACCES` and `EPERM` in sandboxes that refuse netlink(7).
pub fn unix_peers() -> Result<HashMap<u64, u64>, SysError> {
    let mut peers = HashMap::new();
    ask(ANY, &mut peers).map_err(|errno| SysError::new("sock_diag AF_UNIX", errno))?;
    Ok(peers)
}

/// The inode of the other end of the socket `inode`; `None` where it is not of the Unix domain, not connected or gone.
///
/// # Errors
/// As [`unix_peers`], except `ENOENT`, which is `None`.
pub fn unix_peer(inode: u64) -> Result<Option<u64>, SysError> {
    // Inodes of sockets have 32 bits in the question, and 0 asks for all.
    let Some(number) = u32::try_from(inode).ok().filter(|&number| number != ANY) else { return Ok(None) };
    let mut peers = HashMap::new();
    match ask(number, &mut peers) {
        // The kernel's answer where it has no such socket (`unix_diag_get_exact` in net/unix/diag.c).
        Ok(()) | Err(Errno::ENOENT) => Ok(peers.get(&inode).copied()),
        Err(errno) => Err(SysError::new("sock_diag AF_UNIX", errno)),
    }
}

/// Asks for the socket `inode`, or for all, and takes what comes.
fn ask(inode: u32, peers: &mut HashMap<u64, u64>) -> Result<(), Errno> {
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag)?;
    send(socket.as_raw_fd(), &request(inode), MsgFlags::empty())?;
    // A dump comes in datagrams of at most 32 KiB (`netlink_dump` in net/netlink/af_netlink.c).
    let mut answer = vec![0; 32 * 1024];
    loop {
        let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty())?;
        // A single socket is answered by a single message, and nothing ends the answer.
        if take(&answer[..length], peers)? || inode != ANY {
            return Ok(());
        }
    }
}

/// For the socket `inode`, or for all of them, in any state, with their peers.
fn request(inode: u32) -> Vec<u8> {
    let dump = if inode == ANY { libc::NLM_F_DUMP } else { 0 };
    let mut message = Vec::with_capacity(HEADER + 24);
    message.extend_from_slice(&((HEADER + 24) as u32).to_ne_bytes());
    message.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend_from_slice(&((libc::NLM_F_REQUEST | dump) as u16).to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    // struct unix_diag_req: family, protocol, padding; states, inode, what to show, and a cookie that fits any.
    message.extend_from_slice(&[libc::AF_UNIX as u8, 0, 0, 0]);
    for word in [u32::MAX, inode, UDIAG_SHOW_PEER, u32::MAX, u32::MAX] {
        message.extend_from_slice(&word.to_ne_bytes());
    }
    message
}

/// Takes the messages of a datagram; true with the last one.
fn take(mut messages: &[u8], peers: &mut HashMap<u64, u64>) -> Result<bool, Errno> {
    while let Some(length) = word(messages, 0).map(|length| length as usize) {
        let message = messages.get(..length).filter(|message| message.len() >= HEADER).ok_or(Errno::EBADMSG)?;
        match i32::from(half(message, 4).unwrap_or(0)) {
            libc::NLMSG_DONE => return Ok(true),
            libc::NLMSG_ERROR => {
                return Err(Errno::from_raw(word(message, HEADER).map_or(0, |code| -code.cast_signed())));
            }
            _ => {
                if let (Some(own), Some(peer)) = (word(message, HEADER + 4), peer(message)) {
                    peers.insert(own.into(), peer.into());
                }
            }
        }
        messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Ok(false)
}

/// The peer among a message's attributes.
fn peer(message: &[u8]) -> Option<u32> {
    let mut attributes = message.get(HEADER + MESSAGE..)?;
    loop {
        let length = usize::from(half(attributes, 0)?).max(ATTRIBUTE);
        if half(attributes, 2)? == UNIX_DIAG_PEER {
            return word(attributes, ATTRIBUTE);
        }
        attributes = attributes.get(length.next_multiple_of(4)..)?;
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use nix::sys::stat::fstat;

    use super::*;

    #[test]
    fn the_ends_of_a_pair_are_each_others_peers() {
        let pairs: Vec<(UnixStream, UnixStream)> = (0..200).map(|_| UnixStream::pair().unwrap()).collect();
        let peers = match unix_peers() {
            Ok(peers) => peers,
            Err(error) => return println!("not checked: {error}"),
        };
        let inode = |socket: &UnixStream| fstat(socket.as_fd()).unwrap().st_ino;
        for (one, other) in &pairs {
            assert_eq!((peers.get(&inode(one)), peers.get(&inode(other))), (Some(&inode(other)), Some(&inode(one))));
        }
        let (one, other) = &pairs[0];
        assert_eq!(unix_peer(inode(one)).unwrap(), Some(inode(other)));
        let gone = inode(one);
        drop(pairs);
        assert_eq!(unix_peer(gone).unwrap(), None);
        assert_eq!(unix_peer(0).unwrap(), None);
    }

    #[test]
    fn what_was_cut_off_is_refused() {
        let cut = [[255, 0, 0, 0], [0; 4], [0; 4], [0; 4]].concat();
        assert_eq!(take(&cut, &mut HashMap::new()), Err(Errno::EBADMSG));
        assert_eq!(take(&[0; 16], &mut HashMap::new()), Err(Errno::EBADMSG));
    }
}
