//! A BPF program that counts the context switches and wake-ups of some processes in the kernel: bpf(2).
//!
//! `switches.bpf.o` is compiled from `switches.bpf.c` by `scripts/bpf-object`, and both are committed, so that neither
//! a build nor a run needs a C compiler. aya fits it to the running kernel (CO-RE) by the kernel's own description of
//! its types, `/sys/kernel/btf/vmlinux`. Every count is made in the kernel and read once at the end: nothing is written
//! for a single switch.
//!
//! Root may do that, and a process with CAP_BPF and CAP_PERFMON (Linux 5.8).

#[cfg(test)]
mod tests;

use std::collections::HashMap as StdHashMap;
use std::error::Error;
use std::io;

use aya::maps::{Array, HashMap, Map, MapError, PerCpuArray};
use aya::programs::ProgramError;
use aya::programs::tp_btf::{BtfTracePoint, BtfTracePointLinkId};
use aya::{Btf, BtfError, Ebpf, EbpfLoader};
use nix::errno::Errno;
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit, setrlimit};

use super::SysError;
use super::task_files::status_line;
use crate::units::Nanos;

/// The object, as `scripts/bpf-object` has made it.
static OBJECT: &[u8] = aya::include_bytes_aligned!("switches.bpf.o");

/// The program that stays attached while nothing is counted: children are followed all the time.
const FOLLOWING: (&str, &str) = ("on_fork", "sched_process_fork");

/// The programs that count, with their tracepoints.
const COUNTING: [(&str, &str); 2] = [("on_switch", "sched_switch"), ("on_waking", "sched_waking")];

/// The kernel's description of its types.
const KERNEL_TYPES: &str = "/sys/kernel/btf/vmlinux";

/// The inode of `/proc/self/ns/pid` in the first PID namespace: `PROC_PID_INIT_INO` of include/linux/proc_ns.h.
const FIRST_PID_NAMESPACE: &str = "pid:[4026531836]";

/// Capabilities of include/uapi/linux/capability.h, of which the first holds the two others.
const CAP_SYS_ADMIN: u32 = 21;
const CAP_PERFMON: u32 = 38;
const CAP_BPF: u32 = 39;

/// Why nothing can be counted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BpfRefusal {
    /// The user may not.
    #[error("it takes CAP_BPF and CAP_PERFMON, or CAP_SYS_ADMIN (capabilities(7))")]
    Privileges,
    /// The kernel does not describe its types.
    #[error("{KERNEL_TYPES}: {0}")]
    NoTypes(Errno),
    /// It has not the tracepoint with this name, or none whose arguments are described (Linux 5.5).
    #[error("the kernel describes no tracepoint {0}")]
    NoTracepoint(&'static str),
    /// Programs see the numbers of the first PID namespace, and this process those of another.
    #[error("this process is in a PID namespace of its own")]
    PidNamespace,
    /// A call failed.
    #[error(transparent)]
    Call(#[from] SysError),
    /// The object does not fit this kernel.
    #[error("the program does not fit this kernel: {0}")]
    Unfit(String),
}

/// What is counted of a thread: `struct switch_counts` of `switches.bpf.c`.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ThreadSwitchCounts {
    /// Times it gave its CPU up to wait.
    pub waiting: u64,
    /// Times it was taken off its CPU.
    pub preempted: u64,
    /// Of `waiting`, those after which the CPU had nothing to do.
    pub to_idle: u64,
    /// Of `waiting`, those after which another thread of the watched processes ran.
    pub direct: u64,
    /// Times it was given a CPU after it was seen to leave one.
    pub arrivals: u64,
    /// Of `arrivals`, those on another CPU than it had left.
    pub migrated: u64,
    /// Of `arrivals`, those after it waited and was seen to be woken.
    pub woken: u64,
    /// Of `woken`, those by a waker on another CPU than the thread was given.
    pub woken_remotely: u64,
    /// Of `woken`, those whose cost was charged to a watched process: its thread woke it, or was interrupted for it.
    pub woken_by_own: u64,
    /// Time in which it could run and had no CPU, in nanoseconds, over all `arrivals`.
    pub delay: u64,
}

impl ThreadSwitchCounts {
    /// Adds those of another thread.
    pub fn add(&mut self, other: &Self) {
        self.waiting += other.waiting;
        self.preempted += other.preempted;
        self.to_idle += other.to_idle;
        self.direct += other.direct;
        self.arrivals += other.arrivals;
        self.migrated += other.migrated;
        self.woken += other.woken;
        self.woken_remotely += other.woken_remotely;
        self.woken_by_own += other.woken_by_own;
        self.delay += other.delay;
    }

    /// The mean time from when it could run until it was given a CPU; `None` before the first arrival.
    pub fn mean_delay(&self) -> Option<Nanos> {
        self.delay.checked_div(self.arrivals).map(Nanos)
    }
}

/// `struct thread_entry` of `switches.bpf.c`: the counts, and what the program itself keeps.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
struct ThreadEntry {
    counts: ThreadSwitchCounts,
    times: [u64; 2],
    places: [u32; 4],
}

// SAFETY: it is `repr(C)` and made of u64 and u32 alone, without padding: each pattern of bits is a value.
unsafe impl aya::Pod for ThreadEntry {}

// SAFETY: it is `repr(C)` and made of u64 alone: each pattern of bits is a value.
unsafe impl aya::Pod for ThreadSwitchCounts {}

/// Counts the switches of the processes that it is given, and of those that they fork.
#[derive(Debug)]
pub struct SwitchCounter {
    ebpf: Ebpf,
    /// Of the programs that count, while they do.
    links: Vec<(&'static str, BtfTracePointLinkId)>,
    /// How often counting has begun.
    epoch: u32,
}

/// What was counted of the watched processes, up to one reading.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CountedSwitches {
    /// By thread.
    pub threads: StdHashMap<i32, ThreadSwitchCounts>,
    /// Of all threads for which there was no room. Of these nothing is known but how they left their CPUs.
    pub others: ThreadSwitchCounts,
}

impl SwitchCounter {
    /// Brings the programs into the kernel, with room for the counts of so many threads. Children of processes are
    /// followed from now on; nothing is counted yet.
    ///
    /// # Errors
    /// What this kernel or this user lacks for it.
    pub fn load(threads: u32) -> Result<Self, BpfRefusal> {
        // First, because reading the kernel's types takes a tenth of a second.
        if !is_privileged(&std::fs::read_to_string("/proc/self/status").unwrap_or_default()) {
            return Err(BpfRefusal::Privileges);
        }
        let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
        if namespace.as_os_str() != FIRST_PID_NAMESPACE {
            return Err(BpfRefusal::PidNamespace);
        }
        let types = Btf::from_sys_fs().map_err(|error| match &error {
            BtfError::FileError { error, .. } => BpfRefusal::NoTypes(SysError::from_io("open", error).errno),
            other => BpfRefusal::Unfit(other.to_string()),
        })?;
        let _unlimited = UnlimitedMemory::begin();
        let ebpf = EbpfLoader::new().btf(Some(&types)).map_max_entries("threads", threads.max(1)).load(OBJECT);
        let mut counter = Self { ebpf: ebpf.map_err(|error| refusal(&error))?, links: Vec::new(), epoch: 0 };
        for (name, tracepoint) in COUNTING.into_iter().chain([FOLLOWING]) {
            counter.program(name)?.load(tracepoint, &types).map_err(|error| match &error {
                ProgramError::Btf(BtfError::UnknownBtfTypeName { .. }) => BpfRefusal::NoTracepoint(tracepoint),
                other => refusal(other),
            })?;
        }
        counter.program(FOLLOWING.0)?.attach().map_err(|error| refusal(&error))?;
        Ok(counter)
    }

    /// Counts the threads of `process` too.
    ///
    /// # Errors
    /// `E2BIG` when there are too many processes.
    pub fn watch(&mut self, process: u32) -> Result<(), SysError> {
        let mut processes = HashMap::<_, u32, u8>::try_from(self.map_mut("processes")?).map_err(|e| failure(&e))?;
        processes.insert(process, 1, 0).map_err(|error| failure(&error))
    }

    /// Switches counting on or off. While it is off, no program is attached but the one that follows children.
    ///
    /// # Errors
    /// When a program cannot be attached.
    pub fn set_counting(&mut self, counting: bool) -> Result<(), SysError> {
        let is_counting = !self.links.is_empty();
        if counting == is_counting {
            return Ok(());
        }
        if !counting {
            for (name, link) in std::mem::take(&mut self.links) {
                self.program(name)?.detach(link).map_err(|error| failure(&error))?;
            }
            return self.set_epoch(0);
        }
        self.epoch += 1;
        self.set_epoch(self.epoch)?;
        for (name, _) in COUNTING {
            let link = self.program(name)?.attach().map_err(|error| failure(&error))?;
            self.links.push((name, link));
        }
        Ok(())
    }

    /// What was counted so far.
    ///
    /// # Errors
    /// When a map cannot be read.
    pub fn read(&self) -> Result<CountedSwitches, SysError> {
        let mut counted = CountedSwitches::default();
        let threads = HashMap::<_, u32, ThreadEntry>::try_from(self.map("threads")?).map_err(|e| failure(&e))?;
        for entry in threads.iter() {
            match entry {
                Ok((thread, entry)) => {
                    counted.threads.insert(thread.cast_signed(), entry.counts);
                }
                Err(MapError::KeyNotFound) => {}
                Err(error) => return Err(failure(&error)),
            }
        }
        let others = PerCpuArray::<_, ThreadSwitchCounts>::try_from(self.map("others")?).map_err(|e| failure(&e))?;
        let by_cpu = others.get(&0, 0).map_err(|error| failure(&error))?;
        by_cpu.iter().for_each(|counts| counted.others.add(counts));
        Ok(counted)
    }

    fn set_epoch(&mut self, epoch: u32) -> Result<(), SysError> {
        let mut epochs = Array::<_, u32>::try_from(self.map_mut("epochs")?).map_err(|error| failure(&error))?;
        epochs.set(0, epoch, 0).map_err(|error| failure(&error))
    }

    fn program(&mut self, name: &str) -> Result<&mut BtfTracePoint, SysError> {
        let program = self.ebpf.program_mut(name).ok_or_else(|| absent(name))?;
        program.try_into().map_err(|error: ProgramError| failure(&error))
    }

    fn map(&self, name: &str) -> Result<&Map, SysError> {
        self.ebpf.map(name).ok_or_else(|| absent(name))
    }

    fn map_mut(&mut self, name: &str) -> Result<&mut Map, SysError> {
        self.ebpf.map_mut(name).ok_or_else(|| absent(name))
    }
}

/// By the text of `/proc/self/status`.
fn is_privileged(status: &str) -> bool {
    let held = status_line(status, "CapEff").and_then(|text| u64::from_str_radix(text, 16).ok()).unwrap_or(0);
    let has = |capability: u32| held >> capability & 1 == 1;
    has(CAP_SYS_ADMIN) || (has(CAP_BPF) && has(CAP_PERFMON))
}

/// Lifts the limit of locked memory for a while: before Linux 5.11, maps and programs count as such.
struct UnlimitedMemory {
    before: Option<(u64, u64)>,
}

impl UnlimitedMemory {
    fn begin() -> Self {
        let before = getrlimit(Resource::RLIMIT_MEMLOCK).ok();
        let raised = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY).is_ok();
        Self { before: before.filter(|_| raised) }
    }
}

impl Drop for UnlimitedMemory {
    fn drop(&mut self) {
        if let Some((soft, hard)) = self.before {
            // Only the hard limit that was there before can be the new one, so that this is never refused.
            let _ = setrlimit(Resource::RLIMIT_MEMLOCK, soft, hard);
        }
    }
}

/// The object is this program's own: what it names is in it.
fn absent(name: &str) -> SysError {
    SysError::new(format!("{name} of switches.bpf.o"), Errno::ENOENT)
}

/// aya names the call in the message, and keeps the kernel's answer as the source.
fn failure(error: &(dyn Error + 'static)) -> SysError {
    let call = error.to_string().lines().next().unwrap_or("bpf").to_string();
    SysError::new(call, errno_of(error).unwrap_or(Errno::UnknownErrno))
}

fn refusal(error: &(dyn Error + 'static)) -> BpfRefusal {
    match errno_of(error) {
        // The verifier's answers; its last line but one says what it dislikes.
        Some(Errno::EINVAL | Errno::EACCES) | None => BpfRefusal::Unfit(told(error)),
        Some(errno) => BpfRefusal::Call(SysError::new("bpf", errno)),
    }
}

fn errno_of(error: &(dyn Error + 'static)) -> Option<Errno> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(number) = error.downcast_ref::<io::Error>().and_then(io::Error::raw_os_error) {
            return Some(Errno::from_raw(number));
        }
        cause = error.source();
    }
    None
}

/// The message with those of its causes, in a line.
fn told(error: &(dyn Error + 'static)) -> String {
    let mut lines: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(error) = cause {
        let text = error.to_string();
        let text: Vec<&str> = text.lines().filter(|line| !line.starts_with("processed ")).collect();
        lines.extend(text.first().map(|line| line.to_string()));
        lines.extend(text.last().filter(|_| text.len() > 1).map(|line| line.to_string()));
        cause = error.source();
    }
    lines.dedup();
    lines.join(": ")
}
