//! Network namespaces, and a pair of virtual Ethernet devices between two of them: network_namespaces(7), veth(4).
//!
//! A user without privilege may have both inside a user namespace (user_namespaces(7)), in which a process has every
//! capability over the namespaces that it makes there.

use std::fs::File;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;

use nix::errno::Errno;
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};
use nix::unistd::{Pid, getgid, getuid};

use super::SysError;

/// The address of the server's end. Both are of a block that is for documentation alone (RFC 5737), so that no route of
/// a machine leads there.
pub const SERVER_END: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);

/// The address of the client's end.
pub const CLIENT_END: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// Bits of the network's part of those addresses.
const PREFIX: u8 = 24;

const SERVER_DEVICE: &str = "server0";
const CLIENT_DEVICE: &str = "client0";

/// Puts the calling process into a network namespace of its own, in which only the loopback device is up; without the
/// privilege for that, into a user namespace as well. It must have one thread.
///
/// # Errors
/// `EPERM` where the kernel or a sandbox forbids user namespaces (`user.max_user_namespaces`,
/// `kernel.apparmor_restrict_unprivileged_userns`); `EINVAL` with several threads.
pub fn enter_own_namespace() -> Result<(), SysError> {
    match unshare(CloneFlags::CLONE_NEWNET) {
        Err(Errno::EPERM) => {
            let (user, group) = (getuid(), getgid());
            unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
                .map_err(|errno| SysError::new("unshare CLONE_NEWUSER | CLONE_NEWNET", errno))?;
            // Without a map the process would be nobody, and could open no file of its user. The kernel takes that of
            // groups once setgroups(2) is given up (user_namespaces(7)).
            write("/proc/self/setgroups", "deny")?;
            write("/proc/self/uid_map", &format!("{user} {user} 1"))?;
            write("/proc/self/gid_map", &format!("{group} {group} 1"))?;
        }
        other => other.map_err(|errno| SysError::new("unshare CLONE_NEWNET", errno))?,
    }
    Netlink::open()?.set_up(LOOPBACK)
}

/// The first device of every namespace.
const LOOPBACK: u32 = 1;

fn write(path: &str, text: &str) -> Result<(), SysError> {
    std::fs::write(path, text).map_err(|error| SysError::from_io(format!("write {path}"), &error))
}

/// Two namespaces with a pair of devices between them: that of another process, and one of this process's own. The pair
/// goes with this process's namespace.
#[derive(Debug)]
pub struct NamespacePair {
    server: File,
    client: File,
}

impl NamespacePair {
    /// Joins the user namespace of `server`, a process in a network namespace of its own, makes another network
    /// namespace there for the calling thread, and connects the two: [`SERVER_END`] and [`CLIENT_END`]. The process
    /// must have one thread.
    ///
    /// # Errors
    /// `ENOENT` without such a process, `EPERM` where it is another user's, `EEXIST` where its namespace is this
    /// process's own, or has a pair already.
    pub fn connect_to(server: Pid) -> Result<Self, SysError> {
        let open = |which: &str| {
            let path = format!("/proc/{server}/ns/{which}");
            File::open(&path).map_err(|error| SysError::from_io(format!("open {path}"), &error))
        };
        let (user, net) = (open("user")?, open("net")?);
        if same(&net, "net")? {
            return Err(SysError::new(
                format!("process {server} is in no network namespace of its own"),
                Errno::EEXIST,
            ));
        }
        if !same(&user, "user")? {
            setns(&user, CloneFlags::CLONE_NEWUSER).map_err(|errno| SysError::new("setns CLONE_NEWUSER", errno))?;
        }
        unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| SysError::new("unshare CLONE_NEWNET", errno))?;
        let client = File::open("/proc/thread-self/ns/net");
        let client = client.map_err(|error| SysError::from_io("open /proc/thread-self/ns/net", &error))?;
        let pair = Self { server: net, client };
        let mut link = Netlink::open()?;
        link.set_up(LOOPBACK)?;
        link.make_pair(pair.server.as_fd())?;
        link.address(CLIENT_DEVICE, CLIENT_END)?;
        pair.in_server_namespace(|| Netlink::open()?.address(SERVER_DEVICE, SERVER_END))??;
        Ok(pair)
    }

    /// Calls `work` with the calling thread, and the threads that it starts, in the server's namespace.
    ///
    /// # Errors
    /// When a namespace cannot be entered.
    pub fn in_server_namespace<T>(&self, work: impl FnOnce() -> T) -> Result<T, SysError> {
        let enter = |namespace: &File| {
            setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| SysError::new("setns CLONE_NEWNET", errno))
        };
        enter(&self.server)?;
        let done = work();
        enter(&self.client)?;
        Ok(done)
    }
}

/// Whether this process is in the namespace that `file` stands for: they have one inode (namespaces(7)).
fn same(file: &File, which: &str) -> Result<bool, SysError> {
    let of = |path: &str| std::fs::metadata(path).map_err(|error| SysError::from_io(format!("stat {path}"), &error));
    let own = of(&format!("/proc/self/ns/{which}"))?;
    let other = file.metadata().map_err(|error| SysError::from_io("fstat a namespace", &error))?;
    Ok((own.dev(), own.ino()) == (other.dev(), other.ino()))
}

/// rtnetlink(7), as far as a pair of devices needs it: a request, and the kernel's yes or no.
struct Netlink {
    socket: std::os::fd::OwnedFd,
    number: u32,
}

// linux/if_link.h and linux/veth.h, which libc does not have.
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const VETH_INFO_PEER: u16 = 1;

/// A header of a message: length, type, flags, number, sender (netlink(7)).
const HEADER: usize = 16;

impl Netlink {
    fn open() -> Result<Self, SysError> {
        let opened = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, SockProtocol::NetlinkRoute);
        Ok(Self { socket: opened.map_err(|errno| SysError::new("socket AF_NETLINK", errno))?, number: 0 })
    }

    /// Sends `body` as a message of `kind`, and takes the answer to it.
    fn request(&mut self, what: &str, kind: u16, flags: i32, body: &[u8]) -> Result<(), SysError> {
        self.number += 1;
        let flags = (libc::NLM_F_REQUEST | libc::NLM_F_ACK | flags) as u16;
        let mut message = Vec::with_capacity(HEADER + body.len());
        message.extend_from_slice(&((HEADER + body.len()) as u32).to_ne_bytes());
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&flags.to_ne_bytes());
        message.extend_from_slice(&self.number.to_ne_bytes());
        message.extend_from_slice(&0_u32.to_ne_bytes());
        message.extend_from_slice(body);
        let failed = |errno| SysError::new(format!("rtnetlink: {what}"), errno);
        send(self.socket.as_raw_fd(), &message, MsgFlags::empty()).map_err(failed)?;
        let mut answer = [0; 4096];
        let length = recv(self.socket.as_raw_fd(), &mut answer, MsgFlags::empty()).map_err(failed)?;
        // An acknowledgement is an error message with the number 0 behind its header.
        let code = answer[..length].get(HEADER..HEADER + 4).and_then(|code| code.try_into().ok());
        match code.map(i32::from_ne_bytes) {
            Some(0) => Ok(()),
            Some(code) => Err(failed(Errno::from_raw(-code))),
            None => Err(failed(Errno::EBADMSG)),
        }
    }

    fn set_up(&mut self, index: u32) -> Result<(), SysError> {
        self.request("set a device up", libc::RTM_NEWLINK, 0, &link(index, libc::IFF_UP as u32))
    }

    /// Makes two devices, the peer in the namespace `server`.
    fn make_pair(&mut self, server: BorrowedFd<'_>) -> Result<(), SysError> {
        let mut peer = link(0, 0);
        attribute(&mut peer, libc::IFLA_IFNAME, SERVER_DEVICE.as_bytes());
        attribute(&mut peer, libc::IFLA_NET_NS_FD, &server.as_raw_fd().to_ne_bytes());
        let (mut data, mut info, mut body) = (Vec::new(), Vec::new(), link(0, 0));
        attribute(&mut data, VETH_INFO_PEER, &peer);
        attribute(&mut info, IFLA_INFO_KIND, b"veth");
        attribute(&mut info, IFLA_INFO_DATA, &data);
        attribute(&mut body, libc::IFLA_IFNAME, CLIENT_DEVICE.as_bytes());
        attribute(&mut body, libc::IFLA_LINKINFO, &info);
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        self.request("make a pair of veth devices", libc::RTM_NEWLINK, flags, &body)
    }

    /// Gives `device` of the calling thread's namespace an address, and sets it up.
    fn address(&mut self, device: &str, address: Ipv4Addr) -> Result<(), SysError> {
        let index = nix::net::if_::if_nametoindex(device)
            .map_err(|errno| SysError::new(format!("if_nametoindex {device}"), errno))?;
        // struct ifaddrmsg: family, bits of the prefix, flags, scope, index.
        let mut body = vec![libc::AF_INET as u8, PREFIX, 0, 0];
        body.extend_from_slice(&index.to_ne_bytes());
        attribute(&mut body, libc::IFA_LOCAL, &address.octets());
        attribute(&mut body, libc::IFA_ADDRESS, &address.octets());
        let flags = libc::NLM_F_CREATE | libc::NLM_F_EXCL;
        self.request(&format!("give {device} an address"), libc::RTM_NEWADDR, flags, &body)?;
        self.set_up(index)
    }
}

/// struct ifinfomsg: family, padding, type, index, flags, and which of them change.
fn link(index: u32, flags: u32) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    [index, flags, flags].iter().for_each(|word| bytes.extend_from_slice(&word.to_ne_bytes()));
    bytes
}

/// Appends an attribute: its length and type, its value, and what fills it up to four bytes (rtnetlink(7)).
fn attribute(to: &mut Vec<u8>, kind: u16, value: &[u8]) {
    to.extend_from_slice(&((4 + value.len()) as u16).to_ne_bytes());
    to.extend_from_slice(&kind.to_ne_bytes());
    to.extend_from_slice(value);
    to.resize(to.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_filled_up_to_four_bytes_which_their_length_leaves_out() {
        let mut bytes = Vec::new();
        attribute(&mut bytes, 3, b"veth0");
        attribute(&mut bytes, 4, &[7]);
        let length = |at: usize| u16::from_ne_bytes([bytes[at], bytes[at + 1]]);
        assert_eq!((bytes.len(), length(0), length(12)), (20, 9, 5));
        assert_eq!((&bytes[4..9], &bytes[9..12], bytes[16]), (&b"veth0"[..], &[0, 0, 0][..], 7));
    }

    #[test]
    fn a_device_that_is_not_there_is_told() {
        let Ok(mut link) = Netlink::open() else { return };
        let told = link.address("nosuchdevice", CLIENT_END).unwrap_err().to_string();
        assert!(told.contains("nosuchdevice"), "{told}");
        assert!(NamespacePair::connect_to(Pid::from_raw(i32::MAX)).unwrap_err().to_string().contains("ENOENT"));
        let own = NamespacePair::connect_to(Pid::this()).unwrap_err();
        assert!(own.to_string().contains("no network namespace of its own"), "{own}");
    }
}
