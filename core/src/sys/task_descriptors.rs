//! What the descriptors of another process stand for, and how many of them a wait is for: proc_pid_fd(5),
//! proc_pid_fdinfo(5), and the arrays of poll(2) and select(2) in its memory.

use std::collections::BTreeSet;
use std::io::{self, IoSliceMut};
use std::os::unix::fs::FileTypeExt;
use std::path::Path;

use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;

use super::SysError;
use crate::terms::DescriptorType;

/// The most entries of a poll or select set that are read: beyond, the set is long enough to know what it is.
const MOST_READ: usize = 4096;

/// A descriptor of another process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskDescriptor {
    /// What it stands for.
    pub kind: DescriptorType,
    /// What its link reads: `socket:[8124]`, `anon_inode:[eventpoll]`, `/var/log/x`.
    pub link: String,
}

impl TaskDescriptor {
    /// Reads descriptor `number` of `process`, below `root` (`/proc`).
    ///
    /// # Errors
    /// `ENOENT` when it is not open; `EACCES` without ptrace access (PTRACE_MODE_READ, ptrace(2)).
    pub fn read(root: &Path, process: i32, number: i32) -> io::Result<Self> {
        let path = root.join(format!("{process}/fd/{number}"));
        let link = std::fs::read_link(&path)?.to_string_lossy().into_owned();
        let kind = match by_link(&link) {
            Some(kind) => kind,
            // What a path leads to; one that was deleted can be asked all the same, through the link.
            None => std::fs::metadata(&path).map_or(DescriptorType::Other, |file| by_file_type(file.file_type())),
        };
        Ok(Self { kind, link })
    }

    /// The number of the socket's or pipe's inode.
    pub fn inode(&self) -> Option<u64> {
        self.link.split_once(":[")?.1.strip_suffix(']')?.parse().ok()
    }
}

fn by_link(link: &str) -> Option<DescriptorType> {
    let anonymous = |name: &str| match name {
        "[eventpoll]" => DescriptorType::Epoll,
        "[io_uring]" => DescriptorType::Uring,
        "[eventfd]" | "[signalfd]" | "[timerfd]" | "inotify" | "[fanotify]" => DescriptorType::Wakeup,
        _ => DescriptorType::Other,
    };
    if link.starts_with("socket:") {
        return Some(DescriptorType::Socket);
    }
    if link.starts_with("pipe:") {
        return Some(DescriptorType::Pipe);
    }
    link.strip_prefix("anon_inode:").map(anonymous)
}

fn by_file_type(kind: std::fs::FileType) -> DescriptorType {
    if kind.is_fifo() {
        DescriptorType::Pipe
    } else if kind.is_socket() {
        DescriptorType::Socket
    } else if kind.is_char_device() {
        DescriptorType::Device
    } else if kind.is_file() || kind.is_dir() || kind.is_block_device() {
        DescriptorType::File
    } else {
        DescriptorType::Other
    }
}

/// The descriptors of `process`, by number.
///
/// # Errors
/// `EACCES` without ptrace access (PTRACE_MODE_READ, ptrace(2)).
pub fn descriptors_of(root: &Path, process: i32) -> io::Result<Vec<i32>> {
    let entries = std::fs::read_dir(root.join(format!("{process}/fd")))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// The descriptors that an epoll set watches, by the text of its fdinfo: the lines `tfd:`. One that is watched twice,
/// as a duplicate and as itself, stands there twice, and so does one that was closed while a duplicate lives on.
pub fn epoll_targets(fdinfo: &str) -> Vec<i32> {
    let target = |line: &str| line.strip_prefix("tfd:")?.split_whitespace().next()?.parse().ok();
    fdinfo.lines().filter_map(target).collect()
}

/// How many operations an io_uring instance has taken and not completed, by the text of its fdinfo, less those that
/// complete more than once. `None` on kernels that do not tell.
pub fn uring_pending(fdinfo: &str) -> Option<u64> {
    let value = |name: &str| {
        let line = fdinfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u32>().ok())
    };
    // `io_uring_show_fdinfo` in io_uring/fdinfo.c. Both count from 0 modulo 2^32.
    let pending = value("CachedSqHead")?.wrapping_sub(value("CqTail")?) as i32;
    Some(u64::try_from(pending).unwrap_or(0))
}

/// The descriptors in `count` entries of the array of `struct pollfd` at `address` of `process`: those that poll(2)
/// does not ignore.
///
/// # Errors
/// `EPERM` without ptrace access (PTRACE_MODE_ATTACH, ptrace(2)), `ESRCH` when the process has ended, `EFAULT` when its
/// memory has changed since.
pub fn polled(process: i32, address: u64, count: usize) -> Result<BTreeSet<i32>, SysError> {
    const ENTRY: usize = size_of::<libc::pollfd>();
    let bytes = read_memory(process, address, count.min(MOST_READ) * ENTRY)?;
    let number =
        |entry: &[u8]| Some(i32::from_ne_bytes(entry.get(..4)?.try_into().ok()?)).filter(|&number| number >= 0);
    Ok(bytes.chunks_exact(ENTRY).filter_map(number).collect())
}

/// The descriptors below `count` in those of the three sets of select(2), at `addresses` of `process`, that are given.
/// While a call blocks, its sets are as they were passed.
///
/// # Errors
/// As [`polled`].
pub fn selected(process: i32, addresses: [u64; 3], count: usize) -> Result<BTreeSet<i32>, SysError> {
    const WORD: usize = size_of::<libc::c_ulong>();
    let mut found = BTreeSet::new();
    let words = count.min(MOST_READ).div_ceil(WORD * 8);
    for address in addresses.into_iter().filter(|&address| address != 0) {
        let bytes = read_memory(process, address, words * WORD)?;
        for (place, word) in bytes.chunks_exact(WORD).enumerate() {
            let word = libc::c_ulong::from_ne_bytes(word.try_into().unwrap_or_default());
            let bits = (0..WORD * 8).filter(|bit| word >> bit & 1 == 1);
            let numbers = bits.map(|bit| place * WORD * 8 + bit).filter(|&number| number < count);
            found.extend(numbers.filter_map(|number| i32::try_from(number).ok()));
        }
    }
    Ok(found)
}

fn read_memory(process: i32, address: u64, length: usize) -> Result<Vec<u8>, SysError> {
    let mut bytes = vec![0; length];
    let Ok(base) = usize::try_from(address) else { return Ok(Vec::new()) };
    if length == 0 {
        return Ok(bytes);
    }
    let remote = [RemoteIoVec { base, len: length }];
    let read = process_vm_readv(Pid::from_raw(process), &mut [IoSliceMut::new(&mut bytes)], &remote)
        .map_err(|errno| SysError::new("process_vm_readv", errno))?;
    bytes.truncate(read);
    Ok(bytes)
}

/// The inodes of the sockets that listen, by the text of `/proc/PID/net/tcp` or `tcp6`: state 0A (proc_pid_net(5)).
pub fn listening_tcp(text: &str) -> Vec<u64> {
    let listening = |line: &str| {
        let mut fields = line.split_whitespace();
        (fields.nth(3)? == "0A").then(|| fields.nth(5)?.parse().ok()).flatten()
    };
    text.lines().skip(1).filter_map(listening).collect()
}

/// The inodes of the UNIX sockets that listen, by the text of `/proc/PID/net/unix`: `__SO_ACCEPTCON` is set among the
/// flags (include/uapi/linux/net.h).
pub fn listening_unix(text: &str) -> Vec<u64> {
    let listening = |line: &str| {
        let mut fields = line.split_whitespace();
        let flags = u64::from_str_radix(fields.nth(3)?, 16).ok()?;
        (flags & 0x1_0000 != 0).then(|| fields.nth(2)?.parse().ok()).flatten()
    };
    text.lines().skip(1).filter_map(listening).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::channel::pipe;
    use std::os::fd::AsRawFd;

    #[test]
    fn links_say_what_descriptors_are() {
        let kinds = [
            ("socket:[81]", DescriptorType::Socket),
            ("pipe:[81]", DescriptorType::Pipe),
            ("anon_inode:[eventpoll]", DescriptorType::Epoll),
            ("anon_inode:[io_uring]", DescriptorType::Uring),
            ("anon_inode:[eventfd]", DescriptorType::Wakeup),
            ("anon_inode:inotify", DescriptorType::Wakeup),
            ("anon_inode:[pidfd]", DescriptorType::Other),
        ];
        for (link, kind) in kinds {
            assert_eq!(by_link(link), Some(kind), "{link}");
        }
        assert_eq!(by_link("/dev/null"), None);
        let own = |path: &str| {
            let file = std::fs::File::open(path).unwrap();
            TaskDescriptor::read(Path::new("/proc"), std::process::id() as i32, file.as_raw_fd()).unwrap().kind
        };
        assert_eq!((own("/dev/null"), own("/proc/version")), (DescriptorType::Device, DescriptorType::File));
    }

    #[test]
    fn an_epoll_set_lists_what_it_watches() {
        let text = "pos:\t0\nflags:\t02\nmnt_id:\t15\nino:\t1057\ntfd:        5 events:       19 data:  5 pos:0 ino:8\n\
                    tfd:       17 events: 2001 data: 11 pos:0 ino:9 sdev:8\n";
        assert_eq!(epoll_targets(text), [5, 17]);
        assert_eq!(epoll_targets("pos:\t0\n"), [0_i32; 0]);
    }

    #[test]
    fn a_ring_tells_what_it_has_not_completed() {
        let text = |taken: u32, done: u32| format!("SqMask:\t0xff\nCachedSqHead:\t{taken}\nCqTail:\t{done}\n");
        assert_eq!(uring_pending(&text(12, 5)), Some(7));
        assert_eq!(uring_pending(&text(3, u32::MAX)), Some(4));
        // A multishot operation completes more often than it is taken.
        assert_eq!(uring_pending(&text(3, 50)), Some(0));
        assert_eq!(uring_pending("pos:\t0\n"), None);
    }

    #[test]
    fn arrays_of_a_process_are_read_from_its_memory() {
        let process = std::process::id() as i32;
        let entry = |fd| libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        let entries = [entry(3), entry(-1), entry(9)];
        let found = polled(process, entries.as_ptr() as u64, entries.len());
        let mut set: [libc::c_ulong; 4] = [0b1001, 0b10, 0, 0];
        set[3] = 1;
        match found {
            Ok(found) => assert_eq!(found, BTreeSet::from([3, 9])),
            // A sandbox may forbid the call.
            Err(error) => return println!("not checked: {error}"),
        }
        let word = size_of::<libc::c_ulong>() as i32 * 8;
        let found = selected(process, [set.as_ptr() as u64, 0, 0], word as usize + 2).unwrap();
        assert_eq!(found, BTreeSet::from([0, 3, word + 1]));
        assert!(polled(process, 8, 1).is_err(), "nothing is mapped there");
    }

    #[test]
    fn descriptors_have_inodes_and_ends_of_a_pipe_share_theirs() {
        let ends = pipe(false).unwrap();
        let own = |number| TaskDescriptor::read(Path::new("/proc"), std::process::id() as i32, number).unwrap();
        let (reader, writer) = (own(ends.reader.as_raw_fd()), own(ends.writer.as_raw_fd()));
        assert_eq!(reader, writer);
        assert!(reader.inode().is_some() && reader.kind == DescriptorType::Pipe);
        assert!(
            descriptors_of(Path::new("/proc"), std::process::id() as i32).unwrap().contains(&ends.reader.as_raw_fd())
        );
    }

    #[test]
    fn sockets_that_listen_are_known_by_their_inodes() {
        let tcp = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt uid timeout inode\n   \
            0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000  0 8124 1 00 100 0\n   \
            1: 0100007F:1F90 0100007F:C350 01 00000000:00000000 00:00000000 00000000  1000        0 8125 1 00 20 4\n";
        assert_eq!(listening_tcp(tcp), [8124]);
        let unix = "Num       RefCount Protocol Flags    Type St Inode Path\n\
            00000000a: 00000002 00000000 00010000 0001 01 8126 /run/x\n\
            00000000b: 00000003 00000000 00000000 0001 03 8127\n";
        assert_eq!(listening_unix(unix), [8126]);
        assert!(listening_tcp("").is_empty() && listening_unix("x\ny").is_empty());
    }
}
