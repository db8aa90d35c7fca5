//! The processes and threads of the target, followed by scanning `/proc`.
//!
//! CPU time is read from the clock of each process, which holds that of threads that ended, and children that were
//! waited for are in the counts of their parent: no thread or child is lost for having lived between two scans. What a
//! thread counts of itself (switches, waiting for a CPU) is lost with it after its last reading.
//!
//! What is not found: a grandchild whose parent ended before the first scan that could have seen it, since it is then a
//! child of another process.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::unistd::{Pid, SysconfVar, sysconf};

use super::watched_thread::{ThreadDelta, WatchedThread};
use crate::sys::task_files::{KeptFile, TaskStat, is_gone, processes, threads_of};
use crate::sys::usage::cpu_of_process;
use crate::terms::{ChangeKind, ObservedChange};
use crate::units::Nanos;

/// What happened between two scans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct ScanDelta {
    /// CPU time, user and system.
    pub(super) cpu: u64,
    /// Of the threads that were read.
    pub(super) threads: ThreadDelta,
    /// Threads that ran.
    pub(super) active: u64,
}

/// A process of the tree.
#[derive(Debug)]
struct WatchedProcess {
    stat_file: KeptFile,
    stat: TaskStat,
    /// By its clock, when it was last read.
    cpu: u64,
}

/// A thread that ended, as it was when it was last read.
#[derive(Debug, Clone)]
pub(super) struct EndedThread {
    /// Its number.
    pub(super) thread: i32,
    /// Its name.
    pub(super) name: String,
    /// What it did while it was watched.
    pub(super) total: ThreadDelta,
}

/// The target and its descendants.
#[derive(Debug)]
pub(super) struct ProcessTree {
    root: PathBuf,
    target: i32,
    processes: BTreeMap<i32, WatchedProcess>,
    /// Threads by process and number.
    threads: BTreeMap<(i32, i32), WatchedThread>,
    /// Processes that are none of the tree.
    foreign: HashSet<i32>,
    /// The number of the task that was created last, when processes were last listed.
    last_created: Option<String>,
    /// Where reading by turns goes on.
    turn: (i32, i32),
    tick: u64,
    descriptors_left: usize,
    /// Processes seen.
    pub(super) processes_seen: u64,
    /// The most threads at one scan.
    pub(super) threads_peak: u64,
    /// Threads that came after the first scan.
    pub(super) threads_begun: u64,
    /// Threads that have ended.
    pub(super) ended: Vec<EndedThread>,
    /// User and system ticks since the first scan, of all that are alive.
    pub(super) ticks: (u64, u64),
    /// What changed about processes: told without a time.
    changes: Vec<(ChangeKind, String)>,
    scans: u64,
    /// Threads of the last scan that had to be left to later ones.
    pub(super) read_by_turns: bool,
}

impl ProcessTree {
    /// The tree of `target`, below `root` (`/proc`), of which nothing has been read. At most so many descriptors are
    /// kept open.
    pub(super) fn new(root: impl Into<PathBuf>, target: i32, descriptors: usize) -> Self {
        let hertz = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|hertz| u64::try_from(hertz).ok());
        Self {
            root: root.into(),
            target,
            processes: BTreeMap::new(),
            threads: BTreeMap::new(),
            foreign: HashSet::new(),
            last_created: None,
            turn: (0, 0),
            tick: 1_000_000_000 / hertz.filter(|&hertz| hertz > 0).unwrap_or(100),
            descriptors_left: descriptors,
            processes_seen: 0,
            threads_peak: 0,
            threads_begun: 0,
            ended: Vec::new(),
            ticks: (0, 0),
            changes: Vec::new(),
            scans: 0,
            read_by_turns: false,
        }
    }

    /// Finds new processes and threads, and reads what all have done since the last scan. Threads are read for so long
    /// and no longer, where there is a `budget`; the rest is read by the next scans.
    pub(super) fn scan(&mut self, budget: Option<Duration>) -> ScanDelta {
        self.find_processes();
        let mut delta = ScanDelta { cpu: self.read_processes(), ..ScanDelta::default() };
        self.find_threads();
        // The first time they have just been read.
        if self.scans > 0 {
            self.read_threads(budget, &mut delta);
        }
        self.threads_peak = self.threads_peak.max(self.threads.len() as u64);
        self.scans += 1;
        delta
    }

    /// Whether a process of the tree is alive.
    pub(super) fn is_alive(&self) -> bool {
        self.processes.values().any(|process| !process.stat.has_ended())
    }

    /// The processes alive.
    pub(super) fn processes(&self) -> impl Iterator<Item = i32> {
        self.processes.keys().copied()
    }

    /// The threads alive, by process and number.
    pub(super) fn threads(&self) -> &BTreeMap<(i32, i32), WatchedThread> {
        &self.threads
    }

    /// Whether time spent waiting for a CPU is known of every thread.
    pub(super) fn has_schedstat(&self) -> bool {
        self.threads.values().all(WatchedThread::has_schedstat)
    }

    /// The name of the target.
    pub(super) fn command(&self) -> Option<&str> {
        self.processes.get(&self.target).map(|process| process.stat.command.as_str())
    }

    /// What changed since this was asked last, as noticed at `at`.
    pub(super) fn take_changes(&mut self, at: Nanos) -> Vec<ObservedChange> {
        let changes = std::mem::take(&mut self.changes);
        changes.into_iter().map(|(kind, what)| ObservedChange { at, kind, what }).collect()
    }

    /// How many descriptors may still be opened.
    pub(super) fn descriptors_left(&self) -> usize {
        self.descriptors_left
    }

    /// Lists processes if a task was created since, and adds those whose parent is of the tree.
    fn find_processes(&mut self) {
        // The last field is the number of the task created last (proc_loadavg(5)); where it is the same, there is no
        // new process. Numbers that come round to the same between two scans are 32,768 or more tasks later.
        let loadavg = std::fs::read_to_string(self.root.join("loadavg")).ok();
        let last = loadavg.and_then(|text| Some(text.split_whitespace().last()?.to_string()));
        if self.scans > 0 && last.is_some() && last == self.last_created {
            return;
        }
        self.last_created = last;
        let Ok(listed) = processes(&self.root) else { return };
        let present: HashSet<i32> = listed.iter().copied().collect();
        self.foreign.retain(|process| present.contains(process));
        let unknown = listed.into_iter().filter(|process| !self.foreign.contains(process));
        let unknown: Vec<i32> = unknown.filter(|process| !self.processes.contains_key(process)).collect();
        let mut read: HashMap<i32, (KeptFile, TaskStat)> =
            unknown.into_iter().filter_map(|process| Some((process, self.open_process(process)?))).collect();
        if let Some(target) = read.remove(&self.target) {
            self.add_process(self.target, target);
        }
        // Children of children: until none is found.
        loop {
            let of_tree = |(_, stat): &(KeptFile, TaskStat)| self.processes.contains_key(&stat.parent);
            let found: Vec<i32> =
                read.iter().filter(|(_, entry)| of_tree(entry)).map(|(&process, _)| process).collect();
            if found.is_empty() {
                break;
            }
            for process in found {
                if let Some(entry) = read.remove(&process) {
                    self.add_process(process, entry);
                }
            }
        }
        self.foreign.extend(read.into_keys());
    }

    fn open_process(&self, process: i32) -> Option<(KeptFile, TaskStat)> {
        // Most are none of the tree: none is kept open yet.
        let file = KeptFile::open(self.root.join(format!("{process}/stat")), false).ok()?;
        let stat = TaskStat::parse(file.read(&mut [0; 4096]).ok()?)?;
        Some((file, stat))
    }

    fn add_process(&mut self, process: i32, (_, stat): (KeptFile, TaskStat)) {
        let Some(stat_file) = self.keep(self.root.join(format!("{process}/stat"))) else { return };
        // One that was there when watching began has used what is not to be counted.
        let cpu = if self.scans == 0 { self.cpu_of(process, &stat) } else { 0 };
        let stat = match self.scans {
            0 => stat,
            _ => TaskStat { waited_ticks: 0, user_ticks: 0, system_ticks: 0, ..stat },
        };
        if stat.is_stopped() {
            self.changes.push((ChangeKind::Stopped, format!("process {process} is stopped by a signal")));
        }
        self.processes_seen += 1;
        self.processes.insert(process, WatchedProcess { stat_file, stat, cpu });
    }

    /// Opens a file that is read again and again, for good while there are descriptors.
    fn keep(&mut self, path: PathBuf) -> Option<KeptFile> {
        let file = KeptFile::open(path, self.descriptors_left > 0).ok()?;
        self.descriptors_left = self.descriptors_left.saturating_sub(usize::from(file.is_kept()));
        Some(file)
    }

    /// By its clock, which is exact; where there is none, as in a fixture, in ticks.
    fn cpu_of(&self, process: i32, stat: &TaskStat) -> u64 {
        let ticks = (stat.user_ticks + stat.system_ticks) * self.tick;
        match self.root == Path::new("/proc") {
            true => cpu_of_process(Pid::from_raw(process)).map_or(ticks, |cpu| cpu.0),
            false => ticks,
        }
    }

    /// Reads each process; returns the CPU time since the last scan.
    fn read_processes(&mut self) -> u64 {
        let mut used = 0;
        // CPU time of processes that ended, as far as it was seen, and that of children that were waited for, by the
        // parent. The former is in the latter unless the parent waits for no child (SIGCHLD is ignored).
        let mut ended: HashMap<i32, u64> = HashMap::new();
        let mut waited: HashMap<i32, u64> = HashMap::new();
        for process in self.processes.keys().copied().collect::<Vec<i32>>() {
            let Some(watched) = self.processes.get(&process) else { continue };
            let now = watched.stat_file.read(&mut [0; 4096]).ok().and_then(TaskStat::parse);
            // A number that was given to another process belongs to one that ended.
            let now = now.filter(|now| now.start_ticks == watched.stat.start_ticks);
            let Some(now) = now else {
                self.end_process(process, &mut ended);
                continue;
            };
            let cpu = self.cpu_of(process, &now);
            let Some(watched) = self.processes.get_mut(&process) else { continue };
            used += cpu.saturating_sub(watched.cpu);
            watched.cpu = cpu.max(watched.cpu);
            self.ticks.0 += now.user_ticks.saturating_sub(watched.stat.user_ticks);
            self.ticks.1 += now.system_ticks.saturating_sub(watched.stat.system_ticks);
            waited.insert(process, now.waited_ticks.saturating_sub(watched.stat.waited_ticks) * self.tick);
            self.changes.extend(changes(process, &watched.stat, &now));
            if process == self.target && now.has_ended() && !watched.stat.has_ended() {
                self.changes.push(exit(process));
            }
            watched.stat = now;
        }
        used + unseen_cpu(&waited, &ended)
    }

    fn end_process(&mut self, process: i32, ended: &mut HashMap<i32, u64>) {
        let Some(gone) = self.processes.remove(&process) else { return };
        self.descriptors_left += usize::from(gone.stat_file.is_kept());
        // What it used before watching began is in its parent's count too.
        *ended.entry(gone.stat.parent).or_default() += gone.cpu + gone.stat.waited_ticks * self.tick;
        let threads: Vec<i32> = self.threads.range((process, 0)..=(process, i32::MAX)).map(|(key, _)| key.1).collect();
        threads.into_iter().for_each(|thread| self.end_thread(process, thread));
        if process == self.target && !gone.stat.has_ended() {
            self.changes.push(exit(process));
        }
    }

    fn end_thread(&mut self, process: i32, thread: i32) {
        let Some(gone) = self.threads.remove(&(process, thread)) else { return };
        self.descriptors_left += gone.descriptors();
        self.ended.push(EndedThread { thread, name: gone.name.clone(), total: gone.total });
    }

    /// Lists the threads of each process whose number of them is another than is known.
    fn find_threads(&mut self) {
        let differing = self.processes.iter().filter(|(process, watched)| {
            let known = self.threads.range((**process, 0)..=(**process, i32::MAX)).count();
            !watched.stat.has_ended() && known as u64 != watched.stat.threads
        });
        for process in differing.map(|(&process, _)| process).collect::<Vec<i32>>() {
            let Ok(listed) = threads_of(&self.root, process) else { continue };
            let present: HashSet<i32> = listed.iter().copied().collect();
            let known = self.threads.range((process, 0)..=(process, i32::MAX)).map(|(key, _)| key.1);
            let gone: Vec<i32> = known.filter(|thread| !present.contains(thread)).collect();
            gone.into_iter().for_each(|thread| self.end_thread(process, thread));
            for thread in listed {
                if !self.threads.contains_key(&(process, thread)) {
                    self.add_thread(process, thread);
                }
            }
        }
    }

    fn add_thread(&mut self, process: i32, thread: i32) {
        let begun = self.scans > 0;
        let Some(watched) = WatchedThread::open(&self.root, process, thread, begun, self.descriptors_left) else {
            return;
        };
        self.descriptors_left = self.descriptors_left.saturating_sub(watched.descriptors());
        self.threads_begun += u64::from(begun);
        self.threads.insert((process, thread), watched);
    }

    fn read_threads(&mut self, budget: Option<Duration>, delta: &mut ScanDelta) {
        let begin = Instant::now();
        let after = self.threads.range(self.turn..).map(|(&key, _)| key);
        let order: Vec<(i32, i32)> = after.chain(self.threads.range(..self.turn).map(|(&key, _)| key)).collect();
        let mut gone = Vec::new();
        self.turn = (0, 0);
        for (place, key) in order.iter().enumerate() {
            // Each look at the clock is for 16 threads.
            if place % 16 == 15 && budget.is_some_and(|budget| begin.elapsed() > budget) {
                self.turn = *key;
                self.read_by_turns = true;
                break;
            }
            let Some(thread) = self.threads.get_mut(key) else { continue };
            let held = thread.descriptors();
            match thread.read(self.descriptors_left > 0) {
                Ok(Some(done)) => {
                    delta.active += 1;
                    delta.threads.add(done);
                }
                Ok(None) => {}
                Err(error) if is_gone(&error) => gone.push(*key),
                // A file that cannot be read is read again next time.
                Err(_) => {}
            }
            self.descriptors_left = (self.descriptors_left + held).saturating_sub(thread.descriptors());
        }
        gone.into_iter().for_each(|(process, thread)| self.end_thread(process, thread));
    }
}

/// What children used that were waited for and not seen to the end: what their parents count of them, less what was
/// seen of those that ended.
fn unseen_cpu(waited: &HashMap<i32, u64>, ended: &HashMap<i32, u64>) -> u64 {
    let of_parent = |(parent, waited): (&i32, &u64)| waited.saturating_sub(ended.get(parent).copied().unwrap_or(0));
    waited.iter().map(of_parent).sum()
}

fn exit(process: i32) -> (ChangeKind, String) {
    (ChangeKind::Exit, format!("process {process} has ended"))
}

fn changes(process: i32, before: &TaskStat, now: &TaskStat) -> Vec<(ChangeKind, String)> {
    let mut changes = Vec::new();
    // A name alone can be set (prctl(2), PR_SET_NAME). Addresses are 0 to readers without permission.
    if before.image != now.image && now.image != (0, 0) && before.image != (0, 0) && !now.has_ended() {
        let what = format!("process {process} became {} (it was {})", now.command, before.command);
        changes.push((ChangeKind::Exec, what));
    }
    match (before.is_stopped(), now.is_stopped()) {
        (false, true) => changes.push((ChangeKind::Stopped, format!("process {process} was stopped by a signal"))),
        (true, false) if !now.has_ended() => changes.push((ChangeKind::Stopped, format!("process {process} goes on"))),
        _ => {}
    }
    changes
}
