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
use crate::terms::Unsupported;

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
        Err(Errno::EPERM) => enter_user_namespace(),
        other => {
            other.map_err(|errno| SysError::new("unshare CLONE_NEWNET", errno))?;
            Netlink::open()?.set_up(LOOPBACK)
        }
    }
}

/// Lets the calling process make network namespaces and leave them again, also later and from any of its threads.
/// Unless it may already, it is put into a user namespace with a network namespace of its own: without privilege no
/// thread returns to one of the machine's. It must have one thread.
///
/// # Errors
/// As [`enter_own_namespace`].
pub fn permit_namespaces() -> Result<(), SysError> {
    // setns(2) asks for the privilege over the namespace also where the thread is in it.
    open(OWN).and_then(|own| enter(&own)).or_else(|_| enter_user_namespace())
}

fn enter_user_namespace() -> Result<(), SysError> {
    let (user, group) = (getuid(), getgid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)
        .map_err(|errno| SysError::new("unshare CLONE_NEWUSER | CLONE_NEWNET", errno))?;
    // Without a map the process would be nobody, and could open no file of its user. The kernel takes that of groups
    // once setgroups(2) is given up (user_namespaces(7)).
    write("/proc/self/setgroups", "deny")?;
    write("/proc/self/uid_map", &format!("{user} {user} 1"))?;
    write("/proc/self/gid_map", &format!("{group} {group} 1"))?;
    Netlink::open()?.set_up(LOOPBACK)
}

/// Network namespaces are not to be had: what was found, and what would help.
pub fn refused(error: &SysError) -> Unsupported {
    Unsupported::new(
        "a network namespace, and for users without privilege a user namespace around it",
        error.to_string(),
        "root; or a process of its own, as `switchcost run` and `switchcost audit` have for each benchmark, and \
         `sysctl user.max_user_namespaces=1000` and, where AppArmor is in force, `sysctl \
         kernel.apparmor_restrict_unprivileged_userns=0`. Loopback needs none of this",
    )
}

/// The first device of every namespace.
const LOOPBACK: u32 = 1;

fn write(path: &str, text: &str) -> Result<(), SysError> {
    std::fs::write(path, text).map_err(|error| SysError::from_io(format!("write {path}"), &error))
}

/// Two namespaces with a pair of devices between them: that of another process, and one that was made for the thread
/// that connects them. The pair goes with the latter.
#[derive(Debug)]
pub struct NamespacePair {
    server: File,
    client: File,
    /// Where the thread is that uses this.
    home: File,
}

impl NamespacePair {
    /// Joins the user namespace of `server`, a process in a network namespace of its own, makes another network
    /// namespace there, connects the two by [`SERVER_END`] and [`CLIENT_END`], and stays in the new one. The process
    /// must have one thread.
    ///
    /// # Errors
    /// `ENOENT` without such a process, `EPERM` where it is another user's, `EEXIST` where its namespace is this
    /// process's own, or has a pair already.
    pub fn connect_to(server: Pid) -> Result<Self, SysError> {
        let user = open(&format!("/proc/{server}/ns/user"))?;
        let net = namespace_of(server)?;
        if !same(&user, "user")? {
            setns(&user, CloneFlags::CLONE_NEWUSER).map_err(|errno| SysError::new("setns CLONE_NEWUSER", errno))?;
        }
        let client = make_pair(&net)?;
        let home = client.try_clone().map_err(|error| SysError::from_io("dup", &error))?;
        Ok(Self { server: net, client, home })
    }

    /// Connects a new network namespace with that of `server`, a process in one of its own in the same user namespace.
    /// The calling thread is afterwards where it was before, and the only one that may use this; the process may have
    /// several.
    ///
    /// # Errors
    /// `EPERM` without the privilege to leave a network namespace ([`permit_namespaces`]); others as
    /// [`NamespacePair::connect_to`].
    pub fn beside(server: Pid) -> Result<Self, SysError> {
        let (server, home) = (namespace_of(server)?, open(OWN)?);
        // Where it could not be entered again, it is not left.
        enter(&home)?;
        let made = make_pair(&server);
        enter(&home)?;
        Ok(Self { server, client: made?, home })
    }

    /// Calls `work` with the calling thread, and the threads that it starts, in the server's namespace.
    ///
    /// # Errors
    /// When a namespace cannot be entered.
    pub fn in_server_namespace<T>(&self, work: impl FnOnce() -> T) -> Result<T, SysError> {
        within(&self.server, &self.home, work)
    }

    /// The same in the client's namespace, by two calls of setns(2).
    ///
    /// # Errors
    /// When a namespace cannot be entered.
    pub fn in_client_namespace<T>(&self, work: impl FnOnce() -> T) -> Result<T, SysError> {
        within(&self.client, &self.home, work)
    }
}

/// Makes a network namespace for the calling thread, and connects it with that of the server.
fn make_pair(server: &File) -> Result<File, SysError> {
    unshare(CloneFlags::CLONE_NEWNET).map_err(|errno| SysError::new("unshare CLONE_NEWNET", errno))?;
    let client = open(OWN)?;
    let mut link = Netlink::open()?;
    link.set_up(LOOPBACK)?;
    link.make_pair(server.as_fd())?;
    link.address(CLIENT_DEVICE, CLIENT_END)?;
    within(server, &client, || Netlink::open()?.address(SERVER_DEVICE, SERVER_END))??;
    Ok(client)
}

/// The network namespace of the calling thread.
const OWN: &str = "/proc/thread-self/ns/net";

fn open(path: &str) -> Result<File, SysError> {
    File::open(path).map_err(|error| SysError::from_io(format!("open {path}"), &error))
}

fn namespace_of(server: Pid) -> Result<File, SysError> {
    let net = open(&format!("/proc/{server}/ns/net"))?;
    if same(&net, "net")? {
        return Err(SysError::new(format!("process {server} is in no network namespace of its own"), Errno::EEXIST));
    }
    Ok(net)
}

fn enter(namespace: &File) -> Result<(), SysError> {
    setns(namespace, CloneFlags::CLONE_NEWNET).map_err(|errno| SysError::new("setns CLONE_NEWNET", errno))
}

fn within<T>(namespace: &File, home: &File, work: impl FnOnce() -> T) -> Result<T, SysError> {
    enter(namespace)?;
    let done = work();
    enter(home)?;
    Ok(done)
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

    /// A thread takes the server's part: its namespace is that of a task, which has a path below the process's.
    #[test]
    fn a_thread_makes_a_pair_and_is_where_it_was() {
        let (told, namespace) = std::sync::mpsc::channel();
        let (over, until) = std::sync::mpsc::channel::<()>();
        let server = std::thread::spawn(move || {
            let made = unshare(CloneFlags::CLONE_NEWNET);
            told.send(made.map(|()| nix::unistd::gettid())).unwrap();
            let _ = until.recv();
        });
        match namespace.recv().unwrap() {
            Err(errno) => println!("not checked: unshare CLONE_NEWNET: {errno}"),
            Ok(task) => {
                let before = std::fs::read_link(OWN).unwrap();
                let pair = NamespacePair::beside(task).unwrap();
                assert_eq!(std::fs::read_link(OWN).unwrap(), before);
                let address =
                    |end: Ipv4Addr| std::net::UdpSocket::bind((end, 0)).map(drop).map_err(|error| error.kind());
                let taken = Err(std::io::ErrorKind::AddrNotAvailable);
                assert_eq!(
                    pair.in_client_namespace(|| [address(CLIENT_END), address(SERVER_END)]).unwrap(),
                    [Ok(()), taken]
                );
                assert_eq!(
                    pair.in_server_namespace(|| [address(CLIENT_END), address(SERVER_END)]).unwrap(),
                    [taken, Ok(())]
                );
                assert_eq!(std::fs::read_link(OWN).unwrap(), before);
                // The names of the devices are taken.
                let again = NamespacePair::beside(task).unwrap_err().to_string();
                assert!(again.contains("EEXIST"), "{again}");
            }
        }
        drop(over);
        server.join().unwrap();
    }
}
