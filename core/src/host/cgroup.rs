//! The control groups above this process that can limit it, in versions 1 and 2 (cgroups(7)).
//!
//! A limit of any ancestor binds, so every level up to the mount point is read. Where the mount shows only a
//! part of the hierarchy, as in a container, what lies above it limits too and cannot be seen.

use super::root::{FactReader, Root};
use crate::terms::host::{CgroupLevel, CgroupVersion, Quota, RlimitValue};
use crate::units::{CpuId, Nanos, parse_cpu_list};

/// Version 1 writes "no limit" as the largest multiple of the page size in an `i64`.
const V1_UNLIMITED: u64 = 1 << 62;

const CONTROLLERS: [&str; 4] = ["cpu", "cpuset", "memory", "pids"];

impl CgroupLevel {
    /// Tasks in the group and those below it now.
    pub(super) fn pids_current(&self, root: &Root) -> Option<u64> {
        root.value(&format!("{}/pids.current", self.path)).ok()
    }

    /// Bytes the group and those below it use now, page cache included.
    pub(super) fn memory_current(&self, root: &Root) -> Option<u64> {
        let name = self.version.choose("memory.usage_in_bytes", "memory.current");
        root.value(&format!("{}/{name}", self.path)).ok()
    }

    /// For how long its quota has held tasks back, over all CPUs. `None` where it can have no quota.
    pub(super) fn held_by_quota(&self, root: &Root) -> Option<Nanos> {
        let stat = root.text(&format!("{}/cpu.stat", self.path)).ok()?;
        let field = |name: &str| stat.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<u64>().ok());
        // Nanoseconds in version 1 (Documentation/scheduler/sched-bwc.rst), microseconds in version 2.
        self.version
            .choose(field("throttled_time "), field("throttled_usec ").map(|us| us.saturating_mul(1000)))
            .map(Nanos)
    }

    /// The CPUs that it grants, as the kernel lists them.
    pub(super) fn granted(&self, root: &Root) -> Option<String> {
        root.text(&self.granted_file()).ok().filter(|cpus| !cpus.is_empty())
    }

    fn granted_file(&self) -> String {
        format!("{}/{}", self.path, self.version.choose("cpuset.effective_cpus", "cpuset.cpus.effective"))
    }

    fn bare(version: CgroupVersion, path: String) -> Self {
        Self { version, path, cpu_quota: None, cpus: None, pids_max: None, memory_max: None }
    }

    fn read(root: &Root, version: CgroupVersion, path: String) -> Self {
        let mut level = Self::bare(version, path);
        let bound = |file: String| RlimitValue::parse(&root.text(&file).ok()?);
        level.cpu_quota = level.read_quota(root);
        level.cpus = level.read_cpus(root);
        level.pids_max = bound(level.pids_file());
        level.memory_max = bound(level.memory_file()).map(|bound| match bound {
            RlimitValue::At(bytes) if bytes >= V1_UNLIMITED => RlimitValue::Unlimited,
            other => other,
        });
        level
    }

    fn read_quota(&self, root: &Root) -> Option<Quota> {
        let text = root.text(&self.quota_file()).ok()?;
        if self.version == CgroupVersion::V2 {
            let (quota, period) = text.split_once(' ')?;
            return Some(Quota { microseconds: RlimitValue::parse(quota)?, period_us: period.trim().parse().ok()? });
        }
        let microseconds = if text == "-1" { RlimitValue::Unlimited } else { RlimitValue::parse(&text)? };
        Some(Quota { microseconds, period_us: root.value(&format!("{}/cpu.cfs_period_us", self.path)).ok()? })
    }

    fn read_cpus(&self, root: &Root) -> Option<Vec<CpuId>> {
        parse_cpu_list(&root.text(&self.granted_file()).ok()?)
    }
}

/// Where a hierarchy is mounted.
struct Mount<'a> {
    version: CgroupVersion,
    /// The group that the mount point shows.
    root: &'a str,
    point: &'a str,
    /// The controllers of this hierarchy, in version 1.
    controllers: Vec<&'a str>,
}

/// The groups above this process, innermost first within each hierarchy.
pub(super) fn observe(facts: &mut FactReader<'_>) -> Vec<CgroupLevel> {
    let groups = facts.text("control groups", "/proc/self/cgroup");
    let mounts = groups.as_ref().and_then(|_| facts.text("control group mounts", "/proc/self/mountinfo"));
    let directories = groups.zip(mounts).map(|(groups, mounts)| directories(&groups, &mounts)).unwrap_or_default();
    directories.into_iter().map(|(version, path)| CgroupLevel::read(facts.root, version, path)).collect()
}

/// The same without their settings.
pub(super) fn levels(root: &Root) -> Vec<CgroupLevel> {
    let text = |path| root.text(path).unwrap_or_default();
    let directories = directories(&text("/proc/self/cgroup"), &text("/proc/self/mountinfo"));
    directories.into_iter().map(|(version, path)| CgroupLevel::bare(version, path)).collect()
}

fn directories(groups: &str, mounts: &str) -> Vec<(CgroupVersion, String)> {
    let mut found: Vec<(CgroupVersion, String)> = Vec::new();
    for mount in mounts.lines().filter_map(mount) {
        let Some(group) = groups.lines().find_map(|line| mount.group(line)) else {
            continue;
        };
        for path in mount.directories(group) {
            if found.iter().all(|(_, known)| *known != path) {
                found.push((mount.version, path));
            }
        }
    }
    found
}

/// A line of mountinfo (proc_pid_mountinfo(5)): `36 35 98:0 /root /mount/point rw,noatime … - ext4 /dev/x rw`.
fn mount(line: &str) -> Option<Mount<'_>> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(3);
    let (root, point) = (before.next()?, before.next()?);
    let mut after = after.split(' ');
    let version = match after.next()? {
        "cgroup" => CgroupVersion::V1,
        "cgroup2" => CgroupVersion::V2,
        _ => return None,
    };
    let options = after.nth(1).unwrap_or_default();
    let controllers: Vec<&str> = options.split(',').filter(|option| CONTROLLERS.contains(option)).collect();
    (version == CgroupVersion::V2 || !controllers.is_empty()).then_some(Mount { version, root, point, controllers })
}

impl<'a> Mount<'a> {
    /// The group of this process, when the `/proc/self/cgroup` line is about this hierarchy:
    /// `4:memory:/a/b`, in version 2 `0::/a/b`.
    fn group<'b>(&self, line: &'b str) -> Option<&'b str> {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, group) = (parts.next()?, parts.next()?);
        let here = match self.version {
            CgroupVersion::V2 => controllers.is_empty(),
            CgroupVersion::V1 => controllers.split(',').any(|name| self.controllers.contains(&name)),
        };
        here.then_some(group)
    }

    /// The directories of a group and of its ancestors, innermost first, down to the mount point.
    fn directories(&self, group: &str) -> Vec<String> {
        let point = self.point.trim_end_matches('/');
        let below = group.strip_prefix(self.root.trim_end_matches('/')).unwrap_or_default();
        // The group lies outside what the mount shows, so only the mount point itself can be read.
        let inside = below.starts_with('/') && below.split('/').all(|part| part != "..");
        let below = if inside { below.trim_end_matches('/') } else { "" };
        let ends = below.match_indices('/').map(|(end, _)| end).chain([below.len()]);
        let mut directories: Vec<String> = ends.map(|end| format!("{point}{}", &below[..end])).collect();
        directories.dedup();
        directories.reverse();
        directories
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_mount(root: &str, group: &str) -> Vec<String> {
        let line = format!("31 23 0:28 {root} /sys/fs/cgroup rw,relatime shared:9 - cgroup2 cgroup2 rw");
        mount(&line).unwrap().directories(group)
    }

    #[test]
    fn every_ancestor_up_to_the_mount_point_is_read() {
        assert_eq!(of_mount("/", "/"), ["/sys/fs/cgroup"]);
        assert_eq!(of_mount("/", "/a/b"), ["/sys/fs/cgroup/a/b", "/sys/fs/cgroup/a", "/sys/fs/cgroup"]);
    }

    #[test]
    fn a_container_sees_its_part_of_the_hierarchy() {
        assert_eq!(of_mount("/docker/x", "/docker/x/y"), ["/sys/fs/cgroup/y", "/sys/fs/cgroup"]);
        assert_eq!(of_mount("/docker/x", "/docker/xy"), ["/sys/fs/cgroup"]);
        assert_eq!(of_mount("/", "/../../x"), ["/sys/fs/cgroup"]);
    }

    #[test]
    fn only_hierarchies_with_a_limiting_controller_count() {
        let v1 = "40 31 0:36 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct";
        let found = mount(v1).unwrap();
        assert_eq!((found.version, found.controllers.as_slice()), (CgroupVersion::V1, ["cpu"].as_slice()));
        assert_eq!(found.group("2:cpu,cpuacct:/a"), Some("/a"));
        assert_eq!(found.group("0::/a"), None);
        assert!(mount("40 31 0:36 / /sys/fs/cgroup/freezer rw - cgroup cgroup rw,freezer").is_none());
    }
}
