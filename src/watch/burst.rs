//! A burst: what threads are blocked in, by looking at each again and again for a short time.

use std::collections::{BTreeMap, HashMap};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use super::wait_site::{WaitSite, WaitSiteReader, by_kernel_function};
use crate::sys::task_files::{KeptFile, ThreadPlace};
use crate::terms::{DescriptorType, Shortfall, WaitKind};
use crate::units::Nanos;

/// Above so many threads, their `syscall` files are opened for each reading.
const MOST_KEPT: usize = 500;

/// A look at a thread.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ThreadSample {
    /// The thread.
    pub(super) thread: i32,
    /// When, by `CLOCK_MONOTONIC`.
    pub(super) at: Nanos,
    /// The time from look to look, which this one stands for.
    pub(super) gap: Nanos,
    /// Where it waits, by its place among the burst's sites, and on how many descriptors. `None`: it ran, or was ready.
    pub(super) wait: Option<(usize, Option<u64>)>,
}

/// What bursts have seen.
#[derive(Debug)]
pub(super) struct BurstSampler {
    root: PathBuf,
    reader: WaitSiteReader,
    files: HashMap<(i32, i32), KeptFile>,
    /// The sites seen; they differ in call, kind or type of descriptor.
    pub(super) sites: Vec<WaitSite>,
    places: BTreeMap<(String, WaitKind, Option<DescriptorType>), usize>,
    /// How often all threads were looked at.
    pub(super) rounds: u64,
    /// Every look at a thread.
    pub(super) samples: Vec<ThreadSample>,
    /// The stack pointer that a blocked thread had, by process and thread.
    pub(super) stack_pointers: HashMap<(i32, i32), u64>,
    /// Looks that were refused: the call of a thread, or even the kernel's function.
    refused: Option<&'static str>,
}

impl BurstSampler {
    /// Reads below `root` (`/proc`).
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.into(),
            reader: WaitSiteReader::new(root),
            files: HashMap::new(),
            sites: Vec::new(),
            places: BTreeMap::new(),
            rounds: 0,
            samples: Vec::new(),
            stack_pointers: HashMap::new(),
            refused: None,
        }
    }

    /// Looks at each of `threads` once; `gap` is the time since the last look, and `now` tells the time. At most so
    /// many descriptors are kept open.
    pub(super) fn look(&mut self, threads: &[(i32, i32)], gap: Nanos, descriptors: usize, now: impl Fn() -> Nanos) {
        self.rounds += 1;
        let keep = threads.len() <= MOST_KEPT.min(descriptors);
        self.reader.watches(threads.iter().map(|&(process, _)| process));
        for &(process, thread) in threads {
            let Some(wait) = self.place(process, thread, keep) else { continue };
            self.samples.push(ThreadSample { thread, at: now(), gap, wait });
        }
    }

    /// Closes what a burst has opened; the next one reads anew.
    pub(super) fn end(&mut self) {
        self.files.clear();
        self.reader.forget();
    }

    /// What keeps it from seeing what threads wait for.
    pub(super) fn shortfall(&self) -> Option<Shortfall> {
        let why = self.refused?;
        let scope = std::fs::read_to_string(self.root.join("sys/kernel/yama/ptrace_scope")).unwrap_or_default();
        let remedy = match scope.trim() {
            "" | "0" => "run as root, or as the program's own user where it has not closed itself (PR_SET_DUMPABLE)",
            "3" => "restart the machine with kernel.yama.ptrace_scope below 3, which cannot be lowered",
            "2" => "run as root",
            _ => "sudo sysctl kernel.yama.ptrace_scope=0, run as root, or let switchcost start the program",
        };
        Some(Shortfall::new("what threads wait for, and on how many descriptors", why, remedy))
    }

    /// `None` when it has ended, or is outside of any wait that says something.
    fn place(&mut self, process: i32, thread: i32, keep: bool) -> Option<Option<(usize, Option<u64>)>> {
        let mut buffer = [0; 4096];
        let path = self.root.join(format!("{process}/task/{thread}/syscall"));
        let kept = self.files.remove(&(process, thread));
        let file = match kept {
            Some(file) => Ok(file),
            None => KeptFile::open(path, keep),
        };
        let read = file.and_then(|file| {
            let place = ThreadPlace::parse(file.read(&mut buffer)?);
            if file.is_kept() {
                self.files.insert((process, thread), file);
            }
            Ok(place)
        });
        match read {
            Ok(Some(ThreadPlace::Running)) => Some(None),
            Ok(Some(ThreadPlace::InCall(call))) => {
                self.stack_pointers.insert((process, thread), call.stack_pointer);
                let site = self.reader.site(process, call);
                Some(Some(self.number(site)))
            }
            Ok(Some(ThreadPlace::OutsideCall { stack_pointer })) => {
                self.stack_pointers.insert((process, thread), stack_pointer);
                let site = outside_call(&self.kernel_function(process, thread).unwrap_or_default());
                Some(Some(self.number(site)))
            }
            Ok(None) => None,
            Err(error) if error.kind() == ErrorKind::PermissionDenied => self.without_call(process, thread),
            // A kernel without CONFIG_HAVE_ARCH_TRACEHOOK has no such file.
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let alive = self.root.join(format!("{process}/task/{thread}")).exists();
                alive.then(|| self.without_call(process, thread)).flatten()
            }
            Err(_) => None,
        }
    }

    /// Without its call, there is the function of the kernel in which a thread waits.
    fn without_call(&mut self, process: i32, thread: i32) -> Option<Option<(usize, Option<u64>)>> {
        self.refused = Some("/proc/PID/syscall is closed to this user (PTRACE_MODE_ATTACH, ptrace(2))");
        let function = self.kernel_function(process, thread)?;
        if function.is_empty() || function == "0" {
            // It runs, or the kernel does not tell.
            return Some(None);
        }
        let site = by_kernel_function(&function);
        Some(Some(self.number(site)))
    }

    fn kernel_function(&self, process: i32, thread: i32) -> Option<String> {
        std::fs::read_to_string(self.root.join(format!("{process}/task/{thread}/wchan"))).ok()
    }

    fn number(&mut self, site: WaitSite) -> (usize, Option<u64>) {
        let descriptors = site.descriptors;
        let key = (site.call.clone(), site.kind, site.descriptor_type);
        let next = self.sites.len();
        let place = *self.places.entry(key).or_insert(next);
        if place == next {
            self.sites.push(site);
        }
        (place, descriptors)
    }
}

/// A thread that is blocked although it is in no call: in a page fault, mostly.
fn outside_call(wchan: &str) -> WaitSite {
    let site = by_kernel_function(wchan);
    match site.kind {
        WaitKind::Disk | WaitKind::Lock => WaitSite { call: "page fault".into(), ..site },
        _ => WaitSite::unknown(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn thread_at(root: &Path, file: &str, text: &str) {
        let folder = root.join("7/task/7");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(file), text).unwrap();
    }

    fn look(root: &Path) -> Option<WaitSite> {
        let mut sampler = BurstSampler::new(root);
        sampler.look(&[(7, 7)], Nanos(1), 10, || Nanos(5));
        let sample = sampler.samples.first()?;
        sample.wait.map(|(site, _)| sampler.sites[site].clone())
    }

    #[test]
    fn calls_are_told_apart_by_what_they_wait_for() {
        let futex = syscalls::Sysno::futex as usize;
        let sleep = syscalls::Sysno::clock_nanosleep as usize;
        for (number, kind) in [(futex, WaitKind::Lock), (sleep, WaitKind::Sleep), (9_999, WaitKind::Unknown)] {
            let root = tempfile::tempdir().unwrap();
            thread_at(root.path(), "syscall", &format!("{number} 0x0 0x0 0x0 0x0 0x0 0x0 0x7ffd 0x1\n"));
            assert_eq!(look(root.path()).unwrap().kind, kind, "{number}");
        }
    }

    #[test]
    fn a_thread_that_runs_waits_for_nothing() {
        let root = tempfile::tempdir().unwrap();
        thread_at(root.path(), "syscall", "running\n");
        let mut sampler = BurstSampler::new(root.path());
        sampler.look(&[(7, 7), (7, 8)], Nanos(1), 10, || Nanos(5));
        let sample = ThreadSample { thread: 7, at: Nanos(5), gap: Nanos(1), wait: None };
        assert_eq!(sampler.samples, [sample], "the other has ended");
        assert_eq!(sampler.shortfall(), None);
    }

    #[test]
    fn without_calls_the_kernels_function_says_something_and_that_is_told() {
        let root = tempfile::tempdir().unwrap();
        thread_at(root.path(), "wchan", "unix_stream_data_wait");
        assert_eq!(look(root.path()).unwrap().kind, WaitKind::OneDescriptor);
        std::fs::create_dir_all(root.path().join("sys/kernel/yama")).unwrap();
        std::fs::write(root.path().join("sys/kernel/yama/ptrace_scope"), "1\n").unwrap();
        let mut sampler = BurstSampler::new(root.path());
        sampler.look(&[(7, 7)], Nanos(1), 10, || Nanos(5));
        let shortfall = sampler.shortfall().unwrap();
        assert!(shortfall.remedy.contains("ptrace_scope=0"), "{shortfall}");
        // How many descriptors an event loop has is unknown then, so that it is none for certain.
        thread_at(root.path(), "wchan", "ep_poll");
        assert_eq!(look(root.path()).unwrap().kind, WaitKind::Unknown);
    }

    #[test]
    fn a_fault_is_no_call() {
        let root = tempfile::tempdir().unwrap();
        thread_at(root.path(), "syscall", "-1 0x7ffd 0x1\n");
        thread_at(root.path(), "wchan", "folio_wait_bit_common");
        let site = look(root.path()).unwrap();
        assert_eq!((site.call.as_str(), site.kind), ("page fault", WaitKind::Disk));
    }
}
