//! What lies around the threads: the quota of the control group, the CPUs that are allowed, the memory that is held.

use std::collections::{BTreeSet, HashMap};
use std::path::Path;

use crate::sys::task_files::{status_field, status_line};
use crate::units::{CpuId, parse_cpu_list};

/// Stacks are found in `smaps`, which walks every page table of the process while its memory map is locked
/// (Documentation/filesystems/proc.rst): not of a process that holds more than this.
const MOST_WALKED: u64 = 1 << 30;

/// How often the control groups of `process` were held back at their quota so far, and for how long in microseconds:
/// its own and those above it, of which any may have one (Documentation/admin-guide/cgroup-v2.rst, `cpu.stat`). `None`
/// where there is no quota to be held back at.
pub(super) fn throttled(root: &Path, groups: &Path, process: i32) -> Option<(u64, u64)> {
    let text = std::fs::read_to_string(root.join(format!("{process}/cgroup"))).ok()?;
    let path = text.lines().find_map(|line| line.strip_prefix("0::"))?;
    let mut folder = groups.join(path.trim_start_matches('/'));
    let mut most = None;
    while folder.starts_with(groups) {
        let text = std::fs::read_to_string(folder.join("cpu.stat")).unwrap_or_default();
        let value = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
            line.and_then(|number| number.trim().parse::<u64>().ok())
        };
        if let (Some(times), Some(micros)) = (value("nr_throttled"), value("throttled_usec")) {
            most = most.max(Some((times, micros)));
        }
        if !folder.pop() {
            break;
        }
    }
    most
}

/// The CPUs that `process` may use.
pub(super) fn allowed_cpus(root: &Path, process: i32) -> Option<Vec<CpuId>> {
    let status = std::fs::read_to_string(root.join(format!("{process}/status"))).ok()?;
    parse_cpu_list(status_line(&status, "Cpus_allowed_list")?)
}

/// Memory resident in the process, in bytes (`VmRSS` of proc_pid_status(5)).
pub(super) fn resident(root: &Path, process: i32) -> Option<u64> {
    let status = std::fs::read_to_string(root.join(format!("{process}/status"))).ok()?;
    status_field::<u64>(&status, "VmRSS").map(|kibibytes| kibibytes * 1024)
}

/// Bytes resident in the mappings of each process in which the stack pointers of its blocked threads lie, and how many
/// stacks those are. `None` where a process holds too much to be walked, or its `smaps` is closed.
pub(super) fn stacks(root: &Path, pointers: &HashMap<(i32, i32), u64>) -> Option<(u64, u64)> {
    let processes: BTreeSet<i32> = pointers.keys().map(|key| key.0).collect();
    let mut found = (0, 0);
    for process in processes {
        if resident(root, process)? > MOST_WALKED {
            return None;
        }
        let text = std::fs::read_to_string(root.join(format!("{process}/smaps"))).ok()?;
        let own: Vec<u64> = pointers.iter().filter(|(key, _)| key.0 == process).map(|(_, &pointer)| pointer).collect();
        let (bytes, stacks) = stacks_in(&text, own);
        found = (found.0 + bytes, found.1 + stacks);
    }
    (found.1 > 0).then_some(found)
}

/// The resident bytes of those mappings of `smaps` in which one of `pointers` lies, and how many there are.
fn stacks_in(smaps: &str, mut pointers: Vec<u64>) -> (u64, u64) {
    pointers.sort_unstable();
    let (mut bytes, mut stacks, mut within) = (0, 0, false);
    for line in smaps.lines() {
        if let Some((from, to)) = range(line) {
            let next = pointers.partition_point(|&pointer| pointer < from);
            within = pointers.get(next).is_some_and(|&pointer| pointer < to);
            stacks += u64::from(within);
        } else if let (true, Some(rest)) = (within, line.strip_prefix("Rss:")) {
            let kibibytes = rest.split_whitespace().next().and_then(|number| number.parse::<u64>().ok());
            bytes += kibibytes.unwrap_or(0) * 1024;
        }
    }
    (bytes, stacks)
}

/// The addresses of a mapping, in the first line of its entry.
fn range(line: &str) -> Option<(u64, u64)> {
    let (from, to) = line.split_whitespace().next()?.split_once('-')?;
    Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_may_be_that_of_a_group_above() {
        let machine = tempfile::tempdir().unwrap();
        let (root, groups) = (machine.path().join("proc"), machine.path().join("cgroup"));
        std::fs::create_dir_all(root.join("7")).unwrap();
        std::fs::create_dir_all(groups.join("slice/web")).unwrap();
        assert_eq!(throttled(&root, &groups, 7), None);
        std::fs::write(root.join("7/cgroup"), "0::/slice/web\n").unwrap();
        assert_eq!(throttled(&root, &groups, 7), None);
        let stat =
            |times, micros| format!("usage_usec 5\nnr_periods 9\nnr_throttled {times}\nthrottled_usec {micros}\n");
        std::fs::write(groups.join("slice/web/cpu.stat"), stat(0, 0)).unwrap();
        std::fs::write(groups.join("slice/cpu.stat"), stat(3, 1200)).unwrap();
        assert_eq!(throttled(&root, &groups, 7), Some((3, 1200)));
    }

    #[test]
    fn only_mappings_with_a_stack_pointer_are_stacks() {
        let smaps = "7f00-7f80 rw-p 00000000 00:00 0 \nSize: 8192 kB\nRss: 12 kB\nPss: 12 kB\n\
                     7f80-7f90 ---p 00000000 00:00 0 \nRss: 0 kB\n\
                     8000-9000 rw-p 00000000 00:00 0 \nRss: 500 kB\n\
                     a000-b000 rw-p 00000000 00:00 0 [stack]\nRss: 20 kB\n";
        assert_eq!(stacks_in(smaps, vec![0xa800, 0x7f10]), (32 * 1024, 2));
        assert_eq!(stacks_in(smaps, vec![0x7f80]), (0, 1));
        assert_eq!(stacks_in(smaps, vec![0xf000]), (0, 0));
    }
}
