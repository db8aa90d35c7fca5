//! What a blocked thread waits for: by the number of descriptors that it waits on and what these are, never by the name
//! of the call. A thread that serves one connection may wait for it in epoll_wait(2), and one that waits in read(2) may
//! read an eventfd that another thread writes.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::path::{Path, PathBuf};

use syscalls::Sysno;

use crate::sys::socket_peers::{unix_peer, unix_peers};
use crate::sys::task_descriptors::{
    TaskDescriptor, descriptors_of, epoll_targets, listening_tcp, listening_unix, polled, selected, uring_pending,
};
use crate::sys::task_files::BlockedCall;
use crate::terms::{DescriptorType, WaitKind};

/// A place in which threads wait.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct WaitSite {
    /// The call's name.
    pub(super) call: String,
    /// What is waited for.
    pub(super) kind: WaitKind,
    /// On how many descriptors, where it is known.
    pub(super) descriptors: Option<u64>,
    /// What most of them are.
    pub(super) descriptor_type: Option<DescriptorType>,
}

impl WaitSite {
    fn new(call: &str, kind: WaitKind) -> Self {
        Self { call: call.into(), kind, descriptors: None, descriptor_type: None }
    }

    /// A thread that is blocked, of which no more is known.
    pub(super) fn unknown() -> Self {
        Self::new("unknown", WaitKind::Unknown)
    }
}

/// Finds out what calls wait for; keeps what it has read for the length of a burst.
#[derive(Debug)]
pub(super) struct WaitSiteReader {
    root: PathBuf,
    sites: HashMap<(i32, u64, [u64; 3]), WaitSite>,
    own_pipes: HashMap<i32, HashSet<u64>>,
    listeners: HashMap<i32, HashSet<u64>>,
    /// The processes that are watched.
    processes: BTreeSet<i32>,
    sockets: OwnSockets,
}

/// The sockets of the program, and the other ends of those that are of the Unix domain.
#[derive(Debug, Default)]
struct OwnSockets {
    held: HashSet<u64>,
    peers: HashMap<u64, u64>,
    /// How often processes were read again, because they had opened sockets since.
    again: HashMap<i32, u32>,
}

/// A set of at most so many sockets may be that of a thread which serves one connection: the others are for new
/// connections, or for the program's own threads and processes. Of more, few would be left to leave out.
const FEW: usize = 4;

/// How often a process's sockets are read in a burst.
const MOST_AGAIN: u32 = 10;

/// Of a process with so many descriptors it is looked up at once which of its sockets a new one is connected to.
const QUICKLY_READ: usize = 64;

/// Calls by what their first argument is, or what they wait for. A call that is in no list waits for the file system if
/// it takes a path, and for what is unknown otherwise.
const OF_A_DESCRIPTOR: [Sysno; 27] = [
    Sysno::read,
    Sysno::pread64,
    Sysno::readv,
    Sysno::preadv,
    Sysno::preadv2,
    Sysno::recvfrom,
    Sysno::recvmsg,
    Sysno::recvmmsg,
    Sysno::write,
    Sysno::pwrite64,
    Sysno::writev,
    Sysno::pwritev,
    Sysno::pwritev2,
    Sysno::sendto,
    Sysno::sendmsg,
    Sysno::sendmmsg,
    Sysno::sendfile,
    Sysno::accept,
    Sysno::accept4,
    Sysno::connect,
    Sysno::splice,
    Sysno::fsync,
    Sysno::fdatasync,
    Sysno::fallocate,
    Sysno::ftruncate,
    Sysno::getdents64,
    Sysno::mq_timedreceive,
];
const OF_THREADS: [Sysno; 5] = [Sysno::futex, Sysno::futex_waitv, Sysno::semtimedop, Sysno::semop, Sysno::flock];
const OF_TIME: [Sysno; 4] = [Sysno::nanosleep, Sysno::clock_nanosleep, Sysno::rt_sigtimedwait, Sysno::rt_sigsuspend];
const OF_CHILDREN: [Sysno; 2] = [Sysno::wait4, Sysno::waitid];
const OF_FILES: [Sysno; 11] = [
    Sysno::openat,
    Sysno::unlinkat,
    Sysno::renameat2,
    Sysno::mkdirat,
    Sysno::statx,
    Sysno::msync,
    Sysno::sync,
    Sysno::syncfs,
    Sysno::io_getevents,
    Sysno::io_pgetevents,
    Sysno::copy_file_range,
];

/// Names of calls that only some architectures have.
fn by_older_name(name: &str) -> Option<WaitKind> {
    match name {
        "pause" => Some(WaitKind::Sleep),
        "open" | "stat" | "lstat" | "unlink" | "rename" | "mkdir" | "rmdir" | "getdents" | "access" => {
            Some(WaitKind::Disk)
        }
        _ => None,
    }
}

impl WaitSiteReader {
    /// Reads below `root` (`/proc`).
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.into(),
            sites: HashMap::new(),
            own_pipes: HashMap::new(),
            listeners: HashMap::new(),
            processes: BTreeSet::new(),
            sockets: OwnSockets::default(),
        }
    }

    /// The processes whose threads are looked at.
    pub(super) fn watches(&mut self, processes: impl Iterator<Item = i32>) {
        if self.processes.is_empty() {
            self.processes = processes.collect();
        }
    }

    /// Forgets what was read: descriptors come and go.
    pub(super) fn forget(&mut self) {
        self.sites.clear();
        self.own_pipes.clear();
        self.listeners.clear();
        self.processes.clear();
        self.sockets = OwnSockets::default();
    }

    /// What `call` of a thread of `process` waits for.
    pub(super) fn site(&mut self, process: i32, call: BlockedCall) -> WaitSite {
        // The arguments that choose descriptors: of select there are four, and sets lie in one place per thread.
        let key = (process, call.number, [call.arguments[0], call.arguments[1], call.arguments[2]]);
        if let Some(site) = self.sites.get(&key) {
            return site.clone();
        }
        let site = self.find(process, call);
        // A small set may be that of a transfer that has ended while its sockets were looked up: it is read again.
        let small = site.descriptors.is_some_and(|count| count <= FEW as u64);
        if site.kind != WaitKind::ManyDescriptors || !small {
            self.sites.insert(key, site.clone());
        }
        site
    }

    fn find(&mut self, process: i32, call: BlockedCall) -> WaitSite {
        let Some(number) = usize::try_from(call.number).ok().and_then(Sysno::new) else {
            return WaitSite::new(&format!("call {}", call.number), WaitKind::Unknown);
        };
        let name = number.name();
        match name {
            "epoll_wait" | "epoll_pwait" | "epoll_pwait2" => {
                let targets = self.epoll_targets(process, call.arguments[0]);
                self.of_set(process, name, targets)
            }
            "poll" | "ppoll" => {
                let targets = polled(process, call.arguments[0], usize::try_from(call.arguments[1]).unwrap_or(0));
                self.of_set(process, name, targets.ok())
            }
            "select" | "pselect6" => {
                let sets = [call.arguments[1], call.arguments[2], call.arguments[3]];
                let targets = selected(process, sets, usize::try_from(call.arguments[0]).unwrap_or(0));
                self.of_set(process, name, targets.ok())
            }
            "io_uring_enter" => self.of_ring(process, name, call.arguments[0]),
            _ if OF_A_DESCRIPTOR.contains(&number) => self.of_descriptor(process, name, call.arguments[0]),
            _ if OF_THREADS.contains(&number) => WaitSite::new(name, WaitKind::Lock),
            _ if OF_TIME.contains(&number) => WaitSite::new(name, WaitKind::Sleep),
            _ if OF_CHILDREN.contains(&number) => WaitSite::new(name, WaitKind::Child),
            _ if OF_FILES.contains(&number) => WaitSite::new(name, WaitKind::Disk),
            _ => WaitSite::new(name, by_older_name(name).unwrap_or(WaitKind::Unknown)),
        }
    }

    /// A call on one descriptor.
    fn of_descriptor(&self, process: i32, name: &str, number: u64) -> WaitSite {
        let descriptor = i32::try_from(number).ok().and_then(|number| self.descriptor(process, number));
        let Some(descriptor) = descriptor else { return WaitSite::new(name, WaitKind::Unknown) };
        let kind = match descriptor.kind {
            DescriptorType::Socket | DescriptorType::Pipe | DescriptorType::Device => WaitKind::OneDescriptor,
            DescriptorType::File => WaitKind::Disk,
            DescriptorType::Wakeup => of_wakeups(&[descriptor.link.as_str()]),
            DescriptorType::Epoll | DescriptorType::Uring | DescriptorType::Other => WaitKind::Unknown,
        };
        let descriptors = (kind == WaitKind::OneDescriptor).then_some(1);
        WaitSite { call: name.into(), kind, descriptors, descriptor_type: Some(descriptor.kind) }
    }

    fn descriptor(&self, process: i32, number: i32) -> Option<TaskDescriptor> {
        TaskDescriptor::read(&self.root, process, number).ok()
    }

    fn epoll_targets(&self, process: i32, number: u64) -> Option<BTreeSet<i32>> {
        let text = std::fs::read_to_string(self.root.join(format!("{process}/fdinfo/{number}"))).ok()?;
        Some(epoll_targets(&text).into_iter().collect())
    }

    /// A call on a set of descriptors, which is `None` where it cannot be read.
    fn of_set(&mut self, process: i32, name: &str, targets: Option<BTreeSet<i32>>) -> WaitSite {
        let Some(targets) = targets else { return WaitSite::new(name, WaitKind::Unknown) };
        let read = |number: &i32| self.descriptor(process, *number);
        let descriptors: Vec<TaskDescriptor> = targets.iter().filter_map(read).collect();
        let of = |kind| descriptors.iter().filter(move |descriptor| descriptor.kind == kind);
        let mut sockets: HashSet<&str> = of(DescriptorType::Socket).map(|socket| socket.link.as_str()).collect();
        // A thread with a few sockets may wait for new connections beside those that it serves, and for its program.
        if (2..=FEW).contains(&sockets.len()) {
            let listeners = self.listeners(process);
            let inodes: Vec<u64> = of(DescriptorType::Socket).filter_map(TaskDescriptor::inode).collect();
            self.read_sockets(process, &inodes);
            let inner = |socket: &&TaskDescriptor| {
                socket.inode().is_some_and(|inode| listeners.contains(&inode) || self.is_internal(process, inode))
            };
            let inner: HashSet<&str> = of(DescriptorType::Socket).filter(inner).map(|one| one.link.as_str()).collect();
            if inner.len() < sockets.len() {
                sockets.retain(|link| !inner.contains(link));
            }
            // A transfer that ended while its sockets were looked up: of what they were nothing is known.
            let again = targets.iter().filter_map(|&number| self.descriptor(process, number));
            if sockets.len() > 1 && again.ne(descriptors.iter().cloned()) {
                return WaitSite::new(name, WaitKind::Unknown);
            }
        }
        let pipes: Vec<&TaskDescriptor> = of(DescriptorType::Pipe).collect();
        let own = if pipes.is_empty() || !sockets.is_empty() { HashSet::new() } else { self.own_pipes(process) };
        let pipes: HashSet<&str> = pipes
            .into_iter()
            .filter(|pipe| pipe.inode().is_none_or(|inode| !own.contains(&inode)))
            .map(|pipe| pipe.link.as_str())
            .collect();
        // Sets within the set, and rings: a loop of loops.
        let nested = of(DescriptorType::Epoll).count() + of(DescriptorType::Uring).count();
        let others = of(DescriptorType::Device).count() + of(DescriptorType::Other).count();
        // Pipes beside sockets tell a server that its parent has ended, or that it should: they are no clients.
        let (served, kind) = match (sockets.len(), pipes.len() + others) {
            (0, 0) => (nested, DescriptorType::Epoll),
            (0, served) => (served, DescriptorType::Pipe),
            (served, _) => (served, DescriptorType::Socket),
        };
        let wakeups: Vec<&str> = of(DescriptorType::Wakeup).map(|descriptor| descriptor.link.as_str()).collect();
        let count = u64::try_from(served).ok();
        let (kind, count, what) = match served {
            0 if targets.is_empty() => (WaitKind::Sleep, None, None),
            0 => (of_wakeups(&wakeups), Some(0), Some(DescriptorType::Wakeup)),
            1 if nested == 0 => (WaitKind::OneDescriptor, count, Some(kind)),
            _ => (WaitKind::ManyDescriptors, count, Some(kind)),
        };
        WaitSite { call: name.into(), kind, descriptors: count, descriptor_type: what }
    }

    /// A ring: what was submitted to it and has not completed is what it waits for.
    fn of_ring(&self, process: i32, name: &str, number: u64) -> WaitSite {
        let text = std::fs::read_to_string(self.root.join(format!("{process}/fdinfo/{number}"))).ok();
        let pending = text.as_deref().and_then(uring_pending);
        let kind = match pending {
            Some(1) => WaitKind::OneDescriptor,
            // Of multishot operations one may stand for any number of descriptors.
            _ => WaitKind::ManyDescriptors,
        };
        WaitSite {
            call: name.into(),
            kind,
            descriptors: pending.filter(|&pending| pending > 0),
            descriptor_type: Some(DescriptorType::Uring),
        }
    }

    /// The pipes of which `process` holds both ends, as those are by which a thread wakes another.
    fn own_pipes(&mut self, process: i32) -> HashSet<u64> {
        let root = &self.root;
        let read = || {
            let numbers = descriptors_of(root, process).unwrap_or_default();
            let mut ends: HashMap<u64, usize> = HashMap::new();
            for descriptor in numbers.iter().filter_map(|&number| TaskDescriptor::read(root, process, number).ok()) {
                if let (DescriptorType::Pipe, Some(inode)) = (descriptor.kind, descriptor.inode()) {
                    *ends.entry(inode).or_default() += 1;
                }
            }
            ends.into_iter().filter(|&(_, ends)| ends > 1).map(|(inode, _)| inode).collect()
        };
        self.own_pipes.entry(process).or_insert_with(read).clone()
    }

    /// Reads the program's sockets, and again those of `process` where any of `inodes` is newer: curl makes a pair
    /// for each transfer.
    fn read_sockets(&mut self, process: i32, inodes: &[u64]) {
        let first = self.sockets.held.is_empty();
        let known = inodes.iter().all(|inode| self.sockets.held.contains(inode));
        let again = self.sockets.again.entry(process).or_default();
        if known || *again == MOST_AGAIN {
            return;
        }
        *again += 1;
        let others = self.processes.iter().copied().filter(|&other| first && other != process);
        for one in others.chain([process]) {
            let read = |number: &i32| TaskDescriptor::read(&self.root, one, *number).ok();
            let numbers = descriptors_of(&self.root, one).unwrap_or_default();
            let sockets = numbers.iter().filter_map(read).filter(|found| found.kind == DescriptorType::Socket);
            self.sockets.held.extend(sockets.filter_map(|socket| socket.inode()));
        }
        // Without sock_diag(7) all sockets count.
        self.sockets.peers = unix_peers().unwrap_or_default();
    }

    /// Whether both ends are the program's own: a thread wakes another by it, or a process tells one of its siblings
    /// what it does. A socket that is newer than what was read is asked for by itself: curl makes a pair for each
    /// transfer, of which there are a thousand a second.
    fn is_internal(&self, process: i32, inode: u64) -> bool {
        if self.sockets.held.contains(&inode) {
            return self.sockets.peers.get(&inode).is_some_and(|peer| self.sockets.held.contains(peer));
        }
        let Some(peer) = unix_peer(inode).ok().flatten() else { return false };
        if self.sockets.held.contains(&peer) {
            return true;
        }
        let numbers = descriptors_of(&self.root, process).unwrap_or_default();
        let holds = |&number: &i32| self.descriptor(process, number).and_then(|found| found.inode()) == Some(peer);
        numbers.len() <= QUICKLY_READ && numbers.iter().any(holds)
    }

    /// The sockets of the process's network that listen.
    fn listeners(&mut self, process: i32) -> HashSet<u64> {
        let read =
            |file: &str| std::fs::read_to_string(self.root.join(format!("{process}/net/{file}"))).unwrap_or_default();
        let found = || {
            let tcp = ["tcp", "tcp6"].into_iter().flat_map(|file| listening_tcp(&read(file)));
            tcp.chain(listening_unix(&read("unix"))).collect()
        };
        self.listeners.entry(process).or_insert_with(found).clone()
    }
}

/// What descriptors that only wake a thread wait for: time, or another thread.
fn of_wakeups(links: &[&str]) -> WaitKind {
    let is_time = |link: &&str| link.contains("timerfd") || link.contains("signalfd");
    match links.iter().all(is_time) {
        true if !links.is_empty() => WaitKind::Sleep,
        _ => WaitKind::Lock,
    }
}

/// The wait that the kernel's function `wchan` of a blocked thread is of, where its call cannot be read
/// (proc_pid_wchan(5)); how many descriptors it is for stays unknown.
pub(super) fn by_kernel_function(wchan: &str) -> WaitSite {
    let one = |call: &str, what| WaitSite {
        descriptors: Some(1),
        descriptor_type: Some(what),
        ..WaitSite::new(call, WaitKind::OneDescriptor)
    };
    let has = |parts: &[&str]| parts.iter().any(|part| wchan.contains(part));
    if has(&["futex"]) {
        WaitSite::new("futex", WaitKind::Lock)
    } else if has(&["nanosleep"]) {
        WaitSite::new("nanosleep", WaitKind::Sleep)
    } else if has(&["sigtimedwait", "sigsuspend"]) {
        WaitSite::new("rt_sigtimedwait", WaitKind::Sleep)
    } else if has(&["ep_poll", "epoll_wait"]) {
        WaitSite::new("epoll_wait", WaitKind::Unknown)
    } else if has(&["poll_schedule", "do_sys_poll", "do_poll", "do_select"]) {
        WaitSite::new("poll", WaitKind::Unknown)
    } else if has(&["accept"]) {
        one("accept", DescriptorType::Socket)
    } else if has(&["pipe_"]) {
        one("read", DescriptorType::Pipe)
    } else if has(&["sk_wait", "skb_wait", "skb_recv", "stream_data_wait", "stream_read", "tcp_recvmsg", "sock_"]) {
        one("recv", DescriptorType::Socket)
    } else if has(&["do_wait", "kernel_wait4"]) {
        WaitSite::new("wait4", WaitKind::Child)
    } else if has(&["rwsem", "mutex"]) {
        WaitSite::new("lock of the kernel", WaitKind::Lock)
    } else if has(&["folio_wait", "wait_on_page", "io_schedule", "blk_", "jbd2", "xfs_", "ext4_"]) {
        WaitSite::new("disk", WaitKind::Disk)
    } else if has(&["cqring_wait"]) {
        WaitSite { descriptor_type: Some(DescriptorType::Uring), ..WaitSite::new("io_uring_enter", WaitKind::Unknown) }
    } else {
        WaitSite::unknown()
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_pair_that_is_newer_than_what_was_read_is_no_second_connection() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let asked = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (wakes, _woken) = UnixStream::pair().unwrap();
        let own = std::process::id().cast_signed();
        // Other tests of this process open descriptors meanwhile.
        let few = || descriptors_of(Path::new("/proc"), own).unwrap().len() < QUICKLY_READ / 2;
        if !few() || unix_peers().is_err() {
            return println!("not checked: too many descriptors beside it, or no sock_diag");
        }
        let mut reader = WaitSiteReader::new(Path::new("/proc"));
        reader.sockets.again.insert(own, MOST_AGAIN);
        let waits = |reader: &mut WaitSiteReader, set: &[i32]| {
            let site = reader.of_set(own, "poll", Some(set.iter().copied().collect()));
            (site.kind, site.descriptors)
        };
        let beside_a_pair = waits(&mut reader, &[asked.as_raw_fd(), wakes.as_raw_fd()]);
        assert!(!few() || beside_a_pair == (WaitKind::OneDescriptor, Some(1)), "{beside_a_pair:?}");
        // A connection to another program is one, of whichever domain.
        let other = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        assert_eq!(waits(&mut reader, &[asked.as_raw_fd(), other.as_raw_fd()]), (WaitKind::ManyDescriptors, Some(2)));
    }
}
