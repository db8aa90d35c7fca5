//! CPU time of other processes: one, its descendants too, or a control group.

use std::collections::HashMap;
use std::path::PathBuf;

use nix::time::clock_getcpuclockid;
use nix::unistd::{Pid, SysconfVar, sysconf};

use super::SysError;
use super::task_files::TaskStat;
use crate::units::Nanos;

/// The processes whose CPU time is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CpuScope {
    /// All threads of a process.
    Process(Pid),
    /// Those of its descendants too, also of those that ended and were waited for.
    Tree(Pid),
    /// A control group, by its folder: `/sys/fs/cgroup/server.slice`.
    ControlGroup(PathBuf),
}

impl CpuScope {
    /// CPU time used so far, user and system.
    ///
    /// # Errors
    /// When the process or the group is gone, or `cpu.stat` has no `usage_usec` (control groups of version 1).
    pub fn cpu(&self) -> Result<Nanos, SysError> {
        match self {
            Self::Process(process) => cpu_of(*process),
            Self::Tree(root) => cpu_of_tree(*root),
            Self::ControlGroup(folder) => {
                let path = folder.join("cpu.stat");
                let call = format!("read {}", path.display());
                let text = std::fs::read_to_string(path).map_err(|error| SysError::from_io(call.clone(), &error))?;
                let used = text.lines().find_map(|line| line.strip_prefix("usage_usec "));
                let used = used.and_then(|used| used.trim().parse::<u64>().ok());
                used.map(|used| Nanos(used * 1000)).ok_or_else(|| SysError::new(call, nix::errno::Errno::ENODATA))
            }
        }
    }
}

/// By its clock, which is exact; proc_pid_stat(5) counts in ticks.
fn cpu_of(process: Pid) -> Result<Nanos, SysError> {
    let failed = |errno| SysError::new(format!("clock_getcpuclockid {process}"), errno);
    let time = clock_getcpuclockid(process).and_then(|clock| clock.now()).map_err(failed)?;
    Ok(Nanos(time.tv_sec() as u64 * 1_000_000_000 + time.tv_nsec() as u64))
}

fn cpu_of_tree(root: Pid) -> Result<Nanos, SysError> {
    let folder = std::fs::read_dir("/proc").map_err(|error| SysError::from_io("read /proc", &error))?;
    let numbers = folder.flatten().filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    let mut waited = HashMap::new();
    for process in numbers {
        // One that ended meanwhile is counted where it was waited for.
        let Ok(text) = std::fs::read_to_string(format!("/proc/{process}/stat")) else { continue };
        let Some(stat) = TaskStat::parse(&text) else { continue };
        children.entry(stat.parent).or_default().push(process);
        waited.insert(process, stat.waited_ticks);
    }
    let tick = sysconf(SysconfVar::CLK_TCK).ok().flatten().and_then(|hertz| u64::try_from(hertz).ok()).unwrap_or(100);
    let mut sum = cpu_of(root)?.0;
    let mut left = vec![root.as_raw()];
    while let Some(process) = left.pop() {
        if process != root.as_raw() {
            sum += cpu_of(Pid::from_raw(process)).map_or(0, |cpu| cpu.0);
        }
        sum += waited.get(&process).copied().unwrap_or(0) * (1_000_000_000 / tick);
        left.extend(children.remove(&process).unwrap_or_default());
    }
    Ok(Nanos(sum))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_of_a_child_is_work_of_the_tree_and_not_of_the_process() {
        let (process, tree) = (CpuScope::Process(Pid::this()), CpuScope::Tree(Pid::this()));
        let before = (process.cpu().unwrap(), tree.cpu().unwrap());
        // Busy until it is killed.
        let mut child = std::process::Command::new("sh").args(["-c", "while :; do :; done"]).spawn().unwrap();
        let used = |scope: &CpuScope, before: Nanos| scope.cpu().unwrap().0 - before.0;
        let of_child = CpuScope::Process(Pid::from_raw(child.id() as i32));
        while of_child.cpu().unwrap() < Nanos(50_000_000) {
            std::thread::yield_now();
        }
        let alive = used(&tree, before.1);
        let own = used(&process, before.0);
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(alive >= 50_000_000, "{alive}");
        assert!(used(&tree, before.1) + 20_000_000 >= alive, "what was waited for stays, in ticks");
        let ours = CpuScope::Process(Pid::this()).cpu().unwrap().0;
        assert!(ours >= own, "{own}");
        assert!(of_child.cpu().is_err(), "it is gone");
    }

    #[test]
    fn a_control_group_tells_its_time_in_microseconds() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("cpu.stat"), "usage_usec 123\nuser_usec 100\n").unwrap();
        assert_eq!(CpuScope::ControlGroup(folder.path().into()).cpu(), Ok(Nanos(123_000)));
        std::fs::write(folder.path().join("cpu.stat"), "nr_periods 0\n").unwrap();
        assert!(CpuScope::ControlGroup(folder.path().into()).cpu().is_err());
    }
}
