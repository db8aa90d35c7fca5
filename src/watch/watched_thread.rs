//! One thread, and what it has done since it was last read.

use std::io;
use std::path::{Path, PathBuf};

use crate::sys::task_files::{KeptFile, SchedStat, parse_switches, status_line};
use crate::units::{CpuId, parse_cpu_list};

/// What a thread did between two readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ThreadDelta {
    /// Time on a CPU, in nanoseconds.
    pub(super) ran: u64,
    /// Time runnable without one, in nanoseconds.
    pub(super) waited: u64,
    /// Times it gave its CPU up to wait.
    pub(super) voluntary: u64,
    /// Times it was taken off its CPU.
    pub(super) involuntary: u64,
}

impl ThreadDelta {
    pub(super) fn add(&mut self, other: Self) {
        self.ran += other.ran;
        self.waited += other.waited;
        self.voluntary += other.voluntary;
        self.involuntary += other.involuntary;
    }
}

/// A thread of the tree.
#[derive(Debug)]
pub(super) struct WatchedThread {
    /// Its name, at most 15 bytes.
    pub(super) name: String,
    /// The CPUs that it may use, as they were when it was found.
    pub(super) cpus: Vec<CpuId>,
    /// What it has done since watching began.
    pub(super) total: ThreadDelta,
    /// Where `schedstat` is missing (a kernel without CONFIG_SCHED_INFO), `None`: then each reading reads `status`.
    schedstat: Option<KeptFile>,
    status: StatusFile,
    last: SchedStat,
    switches: (u64, u64),
}

/// The file with the switches: opened for good once the thread is known to run now and then.
#[derive(Debug)]
enum StatusFile {
    At(PathBuf),
    Kept(KeptFile),
}

impl WatchedThread {
    /// Finds it below `root` (`/proc`). What it did before is not counted, unless it has `begun` while the process was
    /// watched. A descriptor is kept if one is left. `None` when it has ended.
    pub(super) fn open(root: &Path, process: i32, thread: i32, begun: bool, descriptors: usize) -> Option<Self> {
        let folder = root.join(format!("{process}/task/{thread}"));
        let (path, mut buffer) = (folder.join("status"), [0; 4096]);
        let status = KeptFile::open(&path, false).ok()?.read(&mut buffer).ok()?.to_string();
        let schedstat = KeptFile::open(folder.join("schedstat"), descriptors > 0).ok();
        let last = schedstat.as_ref().and_then(|file| SchedStat::parse(file.read(&mut buffer).ok()?));
        let before = !begun;
        Some(Self {
            name: status_line(&status, "Name").unwrap_or_default().to_string(),
            cpus: status_line(&status, "Cpus_allowed_list").and_then(parse_cpu_list).unwrap_or_default(),
            total: ThreadDelta::default(),
            schedstat,
            status: StatusFile::At(path),
            last: last.filter(|_| before).unwrap_or_default(),
            switches: parse_switches(&status).filter(|_| before).unwrap_or_default(),
        })
    }

    /// How often it was given a CPU, since it began.
    pub(super) fn arrivals(&self) -> u64 {
        self.last.arrivals
    }

    /// Whether time spent waiting for a CPU is known.
    pub(super) fn has_schedstat(&self) -> bool {
        self.schedstat.is_some()
    }

    /// How many descriptors it holds.
    pub(super) fn descriptors(&self) -> usize {
        let status = matches!(&self.status, StatusFile::Kept(file) if file.is_kept());
        let schedstat = self.schedstat.as_ref().is_some_and(KeptFile::is_kept);
        usize::from(status) + usize::from(schedstat)
    }

    /// What it did since the last reading; `None` when it did not run. Another file is kept open if it `may_keep` one.
    ///
    /// # Errors
    /// `ESRCH` or `ENOENT` when it has ended.
    pub(super) fn read(&mut self, may_keep: bool) -> io::Result<Option<ThreadDelta>> {
        let mut buffer = [0; 4096];
        let mut delta = ThreadDelta::default();
        if let Some(file) = &self.schedstat {
            let now = SchedStat::parse(file.read(&mut buffer)?).unwrap_or(self.last);
            if now == self.last {
                return Ok(None);
            }
            delta.ran = now.ran.saturating_sub(self.last.ran);
            delta.waited = now.waited.saturating_sub(self.last.waited);
            let arrived = now.arrivals != self.last.arrivals;
            self.last = now;
            if !arrived {
                // It ran all the time.
                self.total.add(delta);
                return Ok(Some(delta));
            }
        }
        let status = self.read_status(&mut buffer, may_keep)?;
        let now = parse_switches(status);
        // A thread names itself, or is named, after it has begun.
        if let Some(name) = status_line(status, "Name").filter(|name| *name != self.name) {
            self.name = name.to_string();
        }
        let now = now.unwrap_or(self.switches);
        delta.voluntary = now.0.saturating_sub(self.switches.0);
        delta.involuntary = now.1.saturating_sub(self.switches.1);
        self.switches = now;
        self.total.add(delta);
        Ok((delta != ThreadDelta::default()).then_some(delta))
    }

    fn read_status<'a>(&mut self, buffer: &'a mut [u8; 4096], may_keep: bool) -> io::Result<&'a str> {
        if let StatusFile::At(path) = &self.status {
            self.status = StatusFile::Kept(KeptFile::open(path, may_keep)?);
        }
        match &self.status {
            StatusFile::Kept(file) => file.read(buffer),
            StatusFile::At(path) => KeptFile::open(path, false)?.read(buffer),
        }
    }
}
