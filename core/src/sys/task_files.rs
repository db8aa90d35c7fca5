//! What `/proc/PID` tells of a process and of its threads: proc_pid_stat(5), proc_pid_status(5), proc_pid_syscall(5),
//! and Documentation/scheduler/sched-stats.rst for `schedstat`.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// `PF_KTHREAD` of include/linux/sched.h, in the flags of `stat`: a thread of the kernel, which runs no program.
const KERNEL_THREAD: u64 = 0x0020_0000;

/// What `/proc/PID/stat` tells, of the process or of a thread.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskStat {
    /// The name, at most 15 bytes, which may hold spaces and brackets.
    pub command: String,
    /// `R`, `S`, `D`, `T`, `t`, `Z`, `X`, `I`.
    pub state: char,
    /// The process that created it, or adopted it.
    pub parent: i32,
    /// Whether it is a thread of the kernel.
    pub is_kernel_thread: bool,
    /// CPU time in user mode, in ticks (`CLK_TCK`), with that of threads that ended where a process is read.
    pub user_ticks: u64,
    /// CPU time in the kernel, likewise.
    pub system_ticks: u64,
    /// CPU time of children that were waited for, in both modes.
    pub waited_ticks: u64,
    /// Threads alive.
    pub threads: u64,
    /// When it began, in ticks since the machine started. With the number of the process it is unique.
    pub start_ticks: u64,
    /// Where the program begins in memory and where its stack does; 0 for readers without permission. execve(2) sets
    /// both anew.
    pub image: (u64, u64),
}

impl TaskStat {
    /// Reads `text`; `None` if it is not such a file.
    pub fn parse(text: &str) -> Option<Self> {
        // The name may hold anything, so the last bracket ends it; behind it the fields begin with the third.
        let (head, rest) = text.rsplit_once(") ")?;
        let command = head.split_once('(')?.1.to_string();
        let fields: Vec<&str> = rest.split_whitespace().collect();
        let text = |number: usize| fields.get(number - 3).copied();
        let signed = |number: usize| text(number).and_then(|text| text.parse::<i64>().ok());
        let count = |number: usize| signed(number).and_then(|value| u64::try_from(value).ok());
        // Addresses may have their highest bit set.
        let address = |number: usize| text(number).and_then(|text| text.parse().ok()).unwrap_or(0);
        Some(Self {
            command,
            state: text(3)?.chars().next()?,
            parent: i32::try_from(signed(4)?).ok()?,
            is_kernel_thread: count(9)? & KERNEL_THREAD != 0,
            user_ticks: count(14)?,
            system_ticks: count(15)?,
            // Negative they are on no kernel; one that says so has waited for none.
            waited_ticks: count(16).unwrap_or(0) + count(17).unwrap_or(0),
            threads: count(20)?,
            start_ticks: count(22)?,
            image: (address(26), address(28)),
        })
    }

    /// Whether it has ended, and only its parent has yet to notice. A process whose first thread has ended while others
    /// go on is a zombie by its state, too (pthread_exit(3)).
    pub fn has_ended(&self) -> bool {
        matches!(self.state, 'Z' | 'X' | 'x') && self.threads <= 1
    }

    /// Whether a signal or a debugger has stopped it.
    pub fn is_stopped(&self) -> bool {
        matches!(self.state, 'T' | 't')
    }
}

/// What `schedstat` tells of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SchedStat {
    /// Time on a CPU, in nanoseconds.
    pub ran: u64,
    /// Time runnable without a CPU, in nanoseconds.
    pub waited: u64,
    /// How often it was given a CPU.
    pub arrivals: u64,
}

impl SchedStat {
    /// Reads `text`; `None` if it is not such a file.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split_whitespace().map(|number| number.parse::<u64>().ok());
        let mut next = || numbers.next().flatten();
        Some(Self { ran: next()?, waited: next()?, arrivals: next()? })
    }
}

/// The switches in the `status` of a thread: voluntary and involuntary ones. `None` if it is not such a file.
pub fn parse_switches(status: &str) -> Option<(u64, u64)> {
    Some((status_field(status, "voluntary_ctxt_switches")?, status_field(status, "nonvoluntary_ctxt_switches")?))
}

/// The first number of the line `name:` of a `status` file.
pub fn status_field<T: std::str::FromStr>(status: &str, name: &str) -> Option<T> {
    status_line(status, name)?.split_whitespace().next()?.parse().ok()
}

/// What stands behind `name:` in a `status` file.
pub fn status_line<'a>(status: &'a str, name: &str) -> Option<&'a str> {
    let of_name = |line: &'a str| line.strip_prefix(name)?.strip_prefix(':');
    status.lines().find_map(of_name).map(str::trim)
}

/// Where a thread is, by its `syscall` file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ThreadPlace {
    /// It runs, or is ready to.
    Running,
    /// It is blocked outside of a system call: in a page fault, or stopped.
    OutsideCall {
        /// Its stack pointer.
        stack_pointer: u64,
    },
    /// It is blocked in a system call.
    InCall(BlockedCall),
}

/// A system call in which a thread is blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlockedCall {
    /// Its number on this architecture.
    pub number: u64,
    /// What it was called with.
    pub arguments: [u64; 6],
    /// The stack pointer of the thread.
    pub stack_pointer: u64,
}

impl ThreadPlace {
    /// Reads `text`; `None` if it is not such a file.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split_whitespace();
        let number = parts.next()?;
        if number == "running" {
            return Some(Self::Running);
        }
        let mut address = || u64::from_str_radix(parts.next()?.strip_prefix("0x")?, 16).ok();
        if number.starts_with('-') {
            return Some(Self::OutsideCall { stack_pointer: address()? });
        }
        let number = number.parse().ok()?;
        let mut arguments = [0; 6];
        for argument in &mut arguments {
            *argument = address()?;
        }
        Some(Self::InCall(BlockedCall { number, arguments, stack_pointer: address()? }))
    }
}

/// A file of `/proc` that is read again and again: opened once and read from its beginning each time, which makes the
/// kernel write it anew (proc(5)).
#[derive(Debug)]
pub struct KeptFile {
    path: PathBuf,
    /// `None` where no descriptor could be had: then it is opened for each reading.
    file: Option<File>,
}

impl KeptFile {
    /// Opens `path` and keeps it open, if `keep`, as far as descriptors go.
    ///
    /// # Errors
    /// When it is not there or closed to this process. Running out of descriptors is none.
    pub fn open(path: impl Into<PathBuf>, keep: bool) -> io::Result<Self> {
        let path = path.into();
        if !keep {
            return Ok(Self { path, file: None });
        }
        match File::open(&path) {
            Ok(file) => Ok(Self { path, file: Some(file) }),
            Err(error) if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
                Ok(Self { path, file: None })
            }
            Err(error) => Err(error),
        }
    }

    /// Whether it holds a descriptor.
    pub fn is_kept(&self) -> bool {
        self.file.is_some()
    }

    /// What it says now. A file of more than 4 KiB, which none of a thread is, is cut there.
    ///
    /// # Errors
    /// `ESRCH` or `ENOENT` when the thread has ended; `EACCES` and `EPERM` when it may not be read.
    pub fn read<'a>(&self, buffer: &'a mut [u8; 4096]) -> io::Result<&'a str> {
        let read = match &self.file {
            Some(file) => file.read_at(buffer, 0)?,
            None => File::open(&self.path)?.read_at(buffer, 0)?,
        };
        // A file of a thread that ends while it is read may be empty.
        match read {
            0 => Err(io::Error::from_raw_os_error(libc::ESRCH)),
            read => Ok(std::str::from_utf8(&buffer[..read]).unwrap_or_default()),
        }
    }
}

/// The processes that `root` (`/proc`) lists, in no order.
///
/// # Errors
/// When it is not mounted.
pub fn processes(root: &Path) -> io::Result<Vec<i32>> {
    numbers_in(root)
}

/// The threads of `process` that `root` (`/proc`) lists.
///
/// # Errors
/// When the process has ended.
pub fn threads_of(root: &Path, process: i32) -> io::Result<Vec<i32>> {
    numbers_in(&root.join(format!("{process}/task")))
}

fn numbers_in(folder: &Path) -> io::Result<Vec<i32>> {
    let entries = std::fs::read_dir(folder)?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// Whether `error` says that the process or thread is not there any more.
pub fn is_gone(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ESRCH | libc::ENOENT))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "712 (a) b) S 3 7 7 0 -1 4194560 101 0 3 0 30 10 5 6 20 0 9 0 3988636 2990080 414 \
        18446744073709551615 94596063043584 94596063061513 140724159661888 0 0 0 0 6 0 1 0 0 17 0 0 0 0 0 0";

    #[test]
    fn a_name_may_hold_brackets_and_spaces() {
        let stat = TaskStat::parse(STAT).unwrap();
        let expected = TaskStat {
            command: "a) b".into(),
            state: 'S',
            parent: 3,
            is_kernel_thread: false,
            user_ticks: 30,
            system_ticks: 10,
            waited_ticks: 11,
            threads: 9,
            start_ticks: 3_988_636,
            image: (94_596_063_043_584, 140_724_159_661_888),
        };
        assert_eq!(stat, expected);
        let kernel = TaskStat::parse("2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 1 0 0 20 0 1 0 4 0 0").unwrap();
        assert!(kernel.is_kernel_thread);
        for wrong in ["", "nothing", "7 (a) S", "7 (a) S 1 2", "7 a S 1"] {
            assert_eq!(TaskStat::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn states_say_what_can_be_watched() {
        let one = STAT.replace(" 9 0 3988636", " 1 0 3988636");
        let of = |state: char| TaskStat::parse(&one.replace(") S ", &format!(") {state} "))).unwrap();
        assert!(!TaskStat::parse(&STAT.replace(") S ", ") Z ")).unwrap().has_ended(), "eight threads go on");
        assert!(of('Z').has_ended() && of('X').has_ended() && !of('S').has_ended());
        assert!(of('T').is_stopped() && of('t').is_stopped() && !of('D').is_stopped());
    }

    #[test]
    fn numbers_of_threads_are_read() {
        let expected = SchedStat { ran: 77_071, waited: 191_978, arrivals: 4 };
        assert_eq!(SchedStat::parse("77071 191978 4\n"), Some(expected));
        assert_eq!(SchedStat::parse("77071 191978"), None);
        let status = "Name:\ta\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t4\n";
        assert_eq!(parse_switches(status), Some((12, 4)));
        assert_eq!(parse_switches("Name:\ta\n"), None);
    }

    #[test]
    fn a_blocked_thread_names_its_call() {
        let text = "230 0x0 0x1 0x7ffce58c4550 0x7ffce58c4590 0x0 0x5 0x7ffce58c4538 0x7fbd015de503\n";
        let call = BlockedCall {
            number: 230,
            arguments: [0, 1, 0x7ffc_e58c_4550, 0x7ffc_e58c_4590, 0, 5],
            stack_pointer: 0x7ffc_e58c_4538,
        };
        assert_eq!(ThreadPlace::parse(text), Some(ThreadPlace::InCall(call)));
        assert_eq!(ThreadPlace::parse("running\n"), Some(ThreadPlace::Running));
        assert_eq!(ThreadPlace::parse("-1 0x7ffd 0x7fbd\n"), Some(ThreadPlace::OutsideCall { stack_pointer: 0x7ffd }));
        for wrong in ["", "230 0x0", "x 0x0", "230 0 0 0 0 0 0 0 0"] {
            assert_eq!(ThreadPlace::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_kept_file_is_written_anew_for_each_reading() {
        let path = format!("/proc/self/task/{}/schedstat", nix::unistd::gettid());
        let Ok(file) = KeptFile::open(&path, true) else { return println!("not checked: no {path}") };
        let mut buffer = [0; 4096];
        let ran = |text: &str| SchedStat::parse(text).unwrap().ran;
        let before = ran(file.read(&mut buffer).unwrap());
        while ran(file.read(&mut buffer).unwrap()) == before {}
        let gone = KeptFile::open("/proc/self/task/0/schedstat", false).unwrap();
        assert!(is_gone(&gone.read(&mut buffer).unwrap_err()));
    }
}
