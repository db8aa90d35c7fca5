//! What a process and its children hold of the machine's memory, by kind (proc_pid_status(5), proc_pid_smaps(5),
//! proc_meminfo(5), Documentation/admin-guide/cgroup-v2.rst).
//!
//! | kind | read from | exact for these processes |
//! | --- | --- | --- |
//! | user resident | `smaps_rollup`: `Pss` | yes, to 1 KiB a process |
//! | virtual | `status`: `VmSize` | yes |
//! | page tables | `status`: `VmPTE` | yes, without the top level (one page a process, two with page-table isolation) |
//! | kernel stacks | `status`: `Threads`, times the size of one | yes |
//! | slab | the control group, or else `meminfo` | no: for the group, or for the machine ([`SlabScope`]) |
//!
//! `Pss` and not `statm`: since Linux 6.2 the latter adds up counters that each CPU keeps for itself (before, each
//! thread), and may be wrong by some hundred KiB, which is more than a small task has. `Pss` walks the page tables, and
//! counts a page that several processes map in equal parts to each, so that the sum over a process and its children
//! holds every page once.
//!
//! The first read of `/proc/N` makes the kernel keep some 2.6 KiB of slab for as long as process N lives (inodes and
//! names of the directory and of two files). To know the slab of processes, read [`MemoryReader::slab`] at every number
//! of them before [`MemoryReader::own`] at any.

use std::fs::read_to_string;
use std::path::Path;

use nix::errno::Errno;
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::SysError;

/// Bytes held, by kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MemoryUsage {
    /// User memory in RAM, each page once however many of the processes map it.
    pub resident: u64,
    /// Tables that map it.
    pub page_tables: u64,
    /// One for each thread.
    pub kernel_stacks: u64,
    /// The kernel's objects, for [`SlabScope`].
    pub slab: u64,
    /// Addresses in use, with or without memory behind them; no part of the total.
    pub virtual_size: u64,
}

impl MemoryUsage {
    /// All memory: everything but the addresses.
    pub fn total(&self) -> u64 {
        self.resident + self.page_tables + self.kernel_stacks + self.slab
    }
}

/// The kinds of memory that the kernel accounts to the processes themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessMemory {
    /// As in [`MemoryUsage`].
    pub resident: u64,
    /// As in [`MemoryUsage`].
    pub page_tables: u64,
    /// As in [`MemoryUsage`].
    pub virtual_size: u64,
    /// Threads alive.
    pub threads: u64,
}

/// What the slab memory that is read belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SlabScope {
    /// The control group of this process (version 2: `slab` in `memory.stat`).
    Group,
    /// The control group of this process (version 1: `memory.kmem.usage_in_bytes`, all kernel memory, from which the
    /// stacks and page tables of the processes are taken off). What the kernel holds besides slab is in it.
    GroupKernel,
    /// The whole machine (`Slab` in /proc/meminfo): other programs change it meanwhile.
    Machine,
}

/// A reading of the scope's kernel memory; becomes slab by [`MemoryReader::join`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlabReading(u64);

/// Reads [`MemoryUsage`]. Which files to read is found out once, by [`MemoryReader::new`].
#[derive(Debug, Clone)]
pub struct MemoryReader {
    stack: u64,
    scope: SlabScope,
    file: String,
}

impl MemoryReader {
    /// Finds out how large a kernel stack is, and what slab can be read for.
    ///
    /// # Errors
    /// Without /proc, or a kernel without `smaps_rollup` (CONFIG_PROC_PAGE_MONITOR).
    pub fn new() -> Result<Self, SysError> {
        let stack = kernel_stack()?;
        let machine = Self { stack, scope: SlabScope::Machine, file: "/proc/meminfo".into() };
        let own = ProcessMemory::of("self")?;
        let kernel = own.page_tables + own.threads * stack;
        let groups = read("/proc/self/cgroup")?;
        let mounts = read("/proc/self/mountinfo")?;
        let accounted = |(scope, file): (SlabScope, String)| {
            let reader = Self { stack, scope, file };
            // Zero, or less than this process has, where kernel memory is not accounted (`cgroup.memory=nokmem`).
            let least = if scope == SlabScope::GroupKernel { kernel } else { 0 };
            reader.slab().ok().filter(|slab| slab.0 > least).map(|_| reader)
        };
        Ok(group_file(&groups, &mounts).and_then(accounted).unwrap_or(machine))
    }

    /// What the slab memory that is read belongs to.
    pub fn scope(&self) -> SlabScope {
        self.scope
    }

    /// Bytes of one kernel stack.
    pub fn stack(&self) -> u64 {
        self.stack
    }

    /// All memory that this process and `children` hold now.
    ///
    /// # Errors
    /// When a child is gone, or this process may not read its memory use.
    pub fn read(&self, children: &[Pid]) -> Result<MemoryUsage, SysError> {
        let slab = self.slab()?;
        Ok(self.join(self.own(children)?, slab))
    }

    /// The kernel memory of the scope now. No file of any process is read.
    ///
    /// # Errors
    /// When its file cannot be read any more.
    pub fn slab(&self) -> Result<SlabReading, SysError> {
        let text = read(&self.file)?;
        let bytes = match self.scope {
            SlabScope::Group => text.lines().find_map(|line| line.strip_prefix("slab ")?.trim().parse().ok()),
            SlabScope::GroupKernel => text.trim().parse().ok(),
            SlabScope::Machine => kibibytes(&text, "Slab:"),
        };
        bytes.map(SlabReading).ok_or_else(|| unreadable(&self.file))
    }

    /// The memory that the kernel accounts to this process and `children` now.
    ///
    /// # Errors
    /// Those of [`MemoryReader::read`].
    pub fn own(&self, children: &[Pid]) -> Result<ProcessMemory, SysError> {
        children.iter().try_fold(ProcessMemory::of("self")?, |sum, child| {
            let own = ProcessMemory::of(&child.to_string())?;
            Ok(ProcessMemory {
                resident: sum.resident + own.resident,
                page_tables: sum.page_tables + own.page_tables,
                virtual_size: sum.virtual_size + own.virtual_size,
                threads: sum.threads + own.threads,
            })
        })
    }

    /// The memory that the kernel accounts to a child that was not waited for; `None` once it has ended: a process
    /// without memory has no `smaps_rollup` (`ESRCH`, fs/proc/task_mmu.c) and no sizes in its `status`.
    ///
    /// # Errors
    /// When this process may not read its memory use.
    pub fn of_child(&self, child: Pid) -> Result<Option<ProcessMemory>, SysError> {
        match ProcessMemory::of(&child.to_string()) {
            Err(error) if matches!(error.errno, Errno::ESRCH | Errno::ENODATA) => Ok(None),
            held => held.map(Some),
        }
    }

    /// All kinds of memory, from the two readings; bytes. What `own` accounts for is taken off a scope that counts it
    /// too.
    pub fn join(&self, own: ProcessMemory, slab: SlabReading) -> MemoryUsage {
        let kernel_stacks = own.threads * self.stack;
        let others = if self.scope == SlabScope::GroupKernel { own.page_tables + kernel_stacks } else { 0 };
        MemoryUsage {
            resident: own.resident,
            page_tables: own.page_tables,
            kernel_stacks,
            slab: slab.0.saturating_sub(others),
            virtual_size: own.virtual_size,
        }
    }
}

impl ProcessMemory {
    fn of(process: &str) -> Result<Self, SysError> {
        let (rollup, status) = (format!("/proc/{process}/smaps_rollup"), format!("/proc/{process}/status"));
        let (pages, text) = (read(&rollup)?, read(&status)?);
        let resident = kibibytes(&pages, "Pss:").ok_or_else(|| unreadable(&rollup))?;
        Self::parse(resident, &text).ok_or_else(|| unreadable(&status))
    }

    fn parse(resident: u64, status: &str) -> Option<Self> {
        Some(Self {
            resident,
            page_tables: kibibytes(status, "VmPTE:")?,
            virtual_size: kibibytes(status, "VmSize:")?,
            threads: status.lines().find_map(|line| line.strip_prefix("Threads:"))?.trim().parse().ok()?,
        })
    }
}

/// Bytes of a kernel stack, which no file tells: the power of two nearest to all stacks over all threads. It is 16 KiB
/// almost everywhere, 64 KiB with pages of that size, 32 KiB with KASAN. The sum of the stacks lags behind by what each
/// CPU has not added yet, and the idle tasks are in it and not among the threads.
fn kernel_stack() -> Result<u64, SysError> {
    let (memory, load) = (read("/proc/meminfo")?, read("/proc/loadavg")?);
    let stacks = kibibytes(&memory, "KernelStack:").ok_or_else(|| unreadable("/proc/meminfo"))?;
    // "0.20 0.18 0.12 1/80 11206": the number behind the slash is that of all threads (proc_loadavg(5)).
    let threads = load.split_whitespace().nth(3).and_then(|field| field.split_once('/')?.1.parse().ok());
    let threads: u64 = threads.ok_or_else(|| unreadable("/proc/loadavg"))?;
    Ok(nearest_power_of_two(stacks as f64 / threads.max(1) as f64))
}

fn nearest_power_of_two(value: f64) -> u64 {
    1 << (value.max(1.0).log2().round() as u32).min(30)
}

/// The file of this process's own memory group. The root group has none: what lives there is not accounted.
fn group_file(groups: &str, mounts: &str) -> Option<(SlabScope, String)> {
    mounts.lines().find_map(|mount| {
        let (place, kind) = mount.split_once(" - ")?;
        let fields: Vec<&str> = place.split(' ').collect();
        let (root, point) = (*fields.get(3)?, *fields.get(4)?);
        let directory = |group: &str| {
            let below = if root == "/" { group } else { group.strip_prefix(root)? };
            Some(format!("{point}{}", below.trim_end_matches('/')))
        };
        if kind.starts_with("cgroup2 ") {
            let group = groups.lines().find_map(|line| line.strip_prefix("0::"))?;
            let directory = directory(group)?;
            // The machine's root has no `memory.current`; a container's root has.
            let accounted = Path::new(&format!("{directory}/memory.current")).exists();
            return accounted.then(|| (SlabScope::Group, format!("{directory}/memory.stat")));
        }
        let controllers = kind.strip_prefix("cgroup ")?;
        let memory = |list: &str| list.split([',', ' ']).any(|word| word == "memory");
        let group = groups.lines().find_map(|line| {
            let (list, group) = line.split_once(':')?.1.split_once(':')?;
            (memory(controllers) && memory(list) && group != "/").then_some(group)
        })?;
        Some((SlabScope::GroupKernel, format!("{}/memory.kmem.usage_in_bytes", directory(group)?)))
    })
}

/// A line `Name:   12 kB`, in bytes.
fn kibibytes(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn read(path: &str) -> Result<String, SysError> {
    read_to_string(path).map_err(|error| SysError::from_io(format!("read {path}"), &error))
}

fn unreadable(path: &str) -> SysError {
    SysError::new(format!("find what is needed in {path}"), Errno::ENODATA)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::channel::{pipe, read_byte};
    use crate::sys::memory::ResidentBytes;
    use crate::sys::process::{close_copy, end_by, fork_running};
    use std::os::fd::AsFd;
    use std::time::{Duration, Instant};

    const MEBIBYTE: u64 = 1 << 20;

    #[test]
    fn kinds_are_read_as_the_kernel_writes_them() {
        let status = "Name:\ta) b\nVmSize:\t    2048 kB\nVmPTE:\t      44 kB\nThreads:\t3\n";
        let own = ProcessMemory { resident: 7, page_tables: 44 << 10, virtual_size: 2 << 20, threads: 3 };
        assert_eq!(ProcessMemory::parse(7, status), Some(own));
        // A zombie has no memory and no such lines.
        assert_eq!(ProcessMemory::parse(7, "Name:\tx\nThreads:\t1\n"), None);
        let reader = MemoryReader { stack: 16 << 10, scope: SlabScope::GroupKernel, file: String::new() };
        let all = reader.join(own, SlabReading(100 << 10));
        assert_eq!((all.kernel_stacks, all.slab), (48 << 10, 8 << 10));
        assert_eq!(all.total(), 7 + (100 << 10));
        let machine = MemoryReader { scope: SlabScope::Machine, ..reader };
        assert_eq!(machine.join(own, SlabReading(5)).slab, 5);
    }

    #[test]
    fn a_kernel_stack_is_the_nearest_power_of_two() {
        for (mean, stack) in [(16_700.0, 16 << 10), (15_900.0, 16 << 10), (66_000.0, 64 << 10), (8_300.0, 8 << 10)] {
            assert_eq!(nearest_power_of_two(mean), stack, "{mean}");
        }
    }

    #[test]
    fn the_group_is_found_below_its_mount() {
        let v1 = "31 24 0:27 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n";
        let groups = "9:name=systemd:/\n4:memory:/a/b\n0::/\n";
        let file = "/sys/fs/cgroup/memory/a/b/memory.kmem.usage_in_bytes".to_string();
        assert_eq!(group_file(groups, v1), Some((SlabScope::GroupKernel, file)));
        assert_eq!(group_file("4:memory:/\n", v1), None, "the root group accounts for nothing");
        let bound = "31 24 0:27 /a /mnt rw - cgroup cgroup rw,memory\n";
        assert_eq!(group_file(groups, bound).unwrap().1, "/mnt/b/memory.kmem.usage_in_bytes");
        let others = "31 24 0:27 / /sys/fs/cgroup/cpu rw,relatime - cgroup cgroup rw,cpu\n";
        assert_eq!(group_file(groups, others), None);
        let v2 = "31 24 0:27 / /nonexistent rw,relatime - cgroup2 cgroup2 rw\n";
        assert_eq!(group_file(groups, v2), None, "the machine's root has no memory.current");
    }

    /// One test, because each part would see the memory of the other.
    #[test]
    fn touched_memory_is_resident_and_what_a_child_shares_counts_once() {
        let reader = MemoryReader::new().unwrap();
        // Other tests of this process come and go meanwhile, and take as much: not ten times over.
        let attempt = |_| {
            let before = reader.read(&[]).unwrap();
            let touched = ResidentBytes::new(64 << 20).unwrap();
            let after = reader.read(&[]).unwrap();
            let gained = |of: fn(&MemoryUsage) -> u64| of(&after).saturating_sub(of(&before));
            let resident = (50 * MEBIBYTE..100 * MEBIBYTE).contains(&gained(|h| h.resident));
            let tables = (100 << 10..MEBIBYTE).contains(&gained(|h| h.page_tables));
            (resident && tables).then_some((touched, after))
        };
        let (touched, after) = (0..10).find_map(attempt).unwrap();

        let gate = pipe(false).unwrap();
        let child = fork_running(|| {
            close_copy(gate.writer.as_fd());
            i32::from(read_byte(&gate.reader).is_err())
        });
        let child = child.unwrap();
        let both = reader.own(&[child]);
        drop((gate, touched));
        end_by(child, Instant::now() + Duration::from_secs(10));
        let both = both.unwrap();
        assert!(both.resident < after.resident + 32 * MEBIBYTE, "{after:?} {both:?}");
        assert!(both.virtual_size > after.virtual_size * 3 / 2, "{after:?} {both:?}");
        assert!(reader.own(&[child]).is_err(), "it is gone");
    }
}
