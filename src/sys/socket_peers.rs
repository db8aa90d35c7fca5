//! Which sockets of the Unix domain are connected to each other: sock_diag(7).

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

/// The inode of the other end, by that of each connected socket of the Unix domain in the caller's network namespace.
///
/// # Errors
/// `EPROTONOSUPPORT` and `ENOENT` without `CONFIG_UNIX_DIAG`; `EACCES` and `EPERM` in sandboxes that refuse netlink(7).
pub fn unix_peers() -> Result<HashMap<u64, u64>, SysError> {
    let failed = |errno| SysError::new("sock_diag AF_UNIX", errno);
    let opened = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkSockDiag);
    let socket = opened.map_err(failed)?;
    send(socket.as_raw_fd(), &request(), MsgFlags::empty()).map_err(failed)?;
    let mut peers = HashMap::new();
    // A dump comes in datagrams of at most 32 KiB (`netlink_dump` in net/netlink/af_netlink.c).
    let mut answer = vec![0; 32 * 1024];
    loop {
        let length = recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()).map_err(failed)?;
        if take(&answer[..length], &mut peers).map_err(failed)? {
            return Ok(peers);
        }
    }
}

/// For all sockets, in any state, with their peers.
fn request() -> Vec<u8> {
    let mut message = Vec::with_capacity(HEADER + 24);
    message.extend_from_slice(&((HEADER + 24) as u32).to_ne_bytes());
    message.extend_from_slice(&SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    message.extend_from_slice(&((libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16).to_ne_bytes());
    message.extend_from_slice(&[0; 8]);
    // struct unix_diag_req: family, protocol, padding; states, inode, what to show, and a cookie that fits any.
    message.extend_from_slice(&[libc::AF_UNIX as u8, 0, 0, 0]);
    for word in [u32::MAX, 0, UDIAG_SHOW_PEER, u32::MAX, u32::MAX] {
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
    }

    #[test]
    fn what_was_cut_off_is_refused() {
        let cut = [[255, 0, 0, 0], [0; 4], [0; 4], [0; 4]].concat();
        assert_eq!(take(&cut, &mut HashMap::new()), Err(Errno::EBADMSG));
        assert_eq!(take(&[0; 16], &mut HashMap::new()), Err(Errno::EBADMSG));
    }
}
