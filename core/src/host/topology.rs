//! How the online CPUs lie to one another: cores, caches, packages, memory nodes.
//!
//! Source: `/sys/devices/system/cpu/cpuN/{topology,cache}` and `/sys/devices/system/node`
//! (Documentation/admin-guide/cputopology.rst, Documentation/ABI/testing/sysfs-devices-system-cpu). These are
//! the facts the kernel's own scheduler domains are built from; a cache the firmware hides from the kernel, as
//! the system-level cache of many arm64 servers, is not seen here either.

use std::collections::BTreeSet;

use super::processor;
use super::root::{FactReader, Root};
use crate::terms::host::{Cache, CacheKind, LogicalCpu, Topology, is_core_pmu};
use crate::units::{CpuId, MOST_CPUS, cpu_list, parse_cpu_list};

const CPU: &str = "/sys/devices/system/cpu";
const NODE: &str = "/sys/devices/system/node";

/// No processor reports more cache descriptions for one CPU; arm64 has at most seven levels of two.
const MOST_CACHES: usize = 14;

impl Topology {
    pub(super) fn observe(facts: &mut FactReader<'_>, cpuinfo: &str) -> Self {
        let online = online(facts, cpuinfo);
        let nodes = nodes(facts, &online);
        let pmus = core_pmus(facts.root);
        let mut topology = Topology::default();
        for &id in &online {
            let caches = caches(facts, id, &online);
            let cpu = LogicalCpu {
                capacity: facts.root.value(&format!("{CPU}/cpu{id}/cpu_capacity")).ok(),
                pmu: pmus.iter().find(|(_, cpus)| cpus.contains(&id)).map(|(name, _)| name.clone()),
                ..LogicalCpu::observe(facts, id, &online, &caches, &nodes)
            };
            topology.cpus.push(cpu);
            topology.add_caches(caches);
        }
        topology.assume_missing_llcs(facts);
        topology
    }

    fn add_caches(&mut self, caches: Vec<Cache>) {
        for cache in caches {
            if !self.caches.contains(&cache) {
                self.caches.push(cache);
            }
        }
    }

    fn assume_missing_llcs(&mut self, facts: &mut FactReader<'_>) {
        if let Some(cpu) = self.cpus.iter().find(|cpu| cpu.llc_assumed) {
            let path = format!("{CPU}/cpu{}/cache", cpu.id);
            facts.miss("last level cache", &path, "no data cache described; the package is assumed to share one");
        }
        for index in 0..self.cpus.len() {
            if self.cpus[index].llc_assumed {
                let package = self.cpus[index].package;
                let first = self.cpus.iter().find(|cpu| cpu.package == package);
                self.cpus[index].llc = first.map_or(self.cpus[index].id, |cpu| cpu.id);
            }
        }
    }
}

impl LogicalCpu {
    fn observe(
        facts: &mut FactReader<'_>,
        id: CpuId,
        online: &BTreeSet<CpuId>,
        caches: &[Cache],
        nodes: &[(u32, Vec<CpuId>)],
    ) -> Self {
        let directory = format!("{CPU}/cpu{id}/topology");
        let siblings = siblings(facts, &directory, id, online);
        let llc = caches.iter().filter(|cache| cache.kind != CacheKind::Instruction).max_by_key(|cache| cache.level);
        LogicalCpu {
            id,
            core: lowest(&siblings, id),
            siblings,
            package: facts.value("package", &format!("{directory}/physical_package_id")),
            llc: llc.map_or(id, |cache| lowest(&cache.shared, id)),
            llc_assumed: llc.is_none(),
            node: nodes.iter().find(|(_, cpus)| cpus.contains(&id)).map_or(0, |(node, _)| *node),
            capacity: None,
            pmu: None,
        }
    }
}

/// The CPUs whose topology the kernel describes, which it does of those that are online alone
/// (drivers/base/topology.c); where it describes none, those that it lists.
///
/// The list is no authority: lxcfs (sysfs_fuse.c) puts a file of its own over it, with the CPUs of a container's
/// cpuset, or as many from 0 on as its quota is worth, whatever the numbers of the CPUs that the container runs on.
fn online(facts: &mut FactReader<'_>, cpuinfo: &str) -> BTreeSet<CpuId> {
    let path = format!("{CPU}/online");
    let listed = facts.parsed("online CPUs", &path, "a CPU list", parse_cpu_list);
    let listed = listed.filter(|cpus| !cpus.is_empty()).map(BTreeSet::from_iter);
    let described = described(facts.root);
    if described.is_empty() {
        return listed.unwrap_or_else(|| processor::listed(cpuinfo).into_iter().collect());
    }
    if let Some(listed) = listed.filter(|listed| *listed != described) {
        let list = |cpus: &BTreeSet<CpuId>| cpu_list(&cpus.iter().copied().collect::<Vec<_>>());
        let (listed, known) = (list(&listed), list(&described));
        facts.miss("online CPUs", &path, format!("it lists {listed}, and the kernel describes {known}, which counts"));
    }
    described
}

fn described(root: &Root) -> BTreeSet<CpuId> {
    let number = |name: String| name.strip_prefix("cpu")?.parse().ok().map(CpuId);
    let cpus = root.names(CPU).unwrap_or_default().into_iter().filter_map(number).filter(|cpu| cpu.0 < MOST_CPUS);
    let is_on = |cpu: &CpuId| root.text(&format!("{CPU}/cpu{cpu}/online")).map_or(true, |state| state.trim() != "0");
    cpus.filter(|cpu| root.path(&format!("{CPU}/cpu{cpu}/topology")).is_dir()).filter(is_on).collect()
}

/// `core_cpus_list` is the name since 5.3, `thread_siblings_list` the one before.
fn siblings(facts: &mut FactReader<'_>, directory: &str, id: CpuId, online: &BTreeSet<CpuId>) -> Vec<CpuId> {
    let older = facts.root.text(&format!("{directory}/thread_siblings_list")).ok();
    let siblings = older.as_deref().and_then(parse_cpu_list).or_else(|| {
        facts.parsed("CPUs of one core", &format!("{directory}/core_cpus_list"), "a CPU list", parse_cpu_list)
    });
    members(siblings.unwrap_or_default(), id, online)
}

fn caches(facts: &mut FactReader<'_>, id: CpuId, online: &BTreeSet<CpuId>) -> Vec<Cache> {
    let directory = |index: usize| format!("{CPU}/cpu{id}/cache/index{index}");
    let described = |index: &usize| facts.root.path(&directory(*index)).is_dir();
    let read = |index| cache(facts, &directory(index), id, online);
    (0..MOST_CACHES).take_while(described).filter_map(read).collect()
}

fn cache(facts: &FactReader<'_>, directory: &str, id: CpuId, online: &BTreeSet<CpuId>) -> Option<Cache> {
    let read = |name: &str| facts.root.text(&format!("{directory}/{name}")).ok();
    let kind = match read("type")?.as_str() {
        "Data" => CacheKind::Data,
        "Instruction" => CacheKind::Instruction,
        "Unified" => CacheKind::Unified,
        _ => return None,
    };
    // Without the list it is not known which CPUs share the cache, and to assume that it is private would be wrong.
    let shared = parse_cpu_list(&read("shared_cpu_list")?)?;
    Some(Cache {
        level: read("level")?.parse().ok()?,
        kind,
        bytes: read("size").and_then(|size| cache_bytes(&size)),
        shared: members(shared, id, online),
    })
}

/// The kernel writes `32K`, and 0 for a size it does not know.
fn cache_bytes(size: &str) -> Option<u64> {
    let bytes = size.strip_suffix('K')?.parse::<u64>().ok()?.checked_mul(1024)?;
    (bytes > 0).then_some(bytes)
}

/// The PMUs of the cores with their CPUs, where there are several kinds (Documentation/ABI/testing/
/// sysfs-bus-event_source-devices-caps and the drivers' `cpus`).
fn core_pmus(root: &Root) -> Vec<(String, Vec<CpuId>)> {
    const DEVICES: &str = "/sys/bus/event_source/devices";
    let names = root.names(DEVICES).unwrap_or_default().into_iter().filter(|name| is_core_pmu(name));
    let counted = |name: String| Some((parse_cpu_list(&root.text(&format!("{DEVICES}/{name}/cpus")).ok()?)?, name));
    let pmus: Vec<(String, Vec<CpuId>)> = names.filter_map(counted).map(|(cpus, name)| (name, cpus)).collect();
    if pmus.len() > 1 { pmus } else { Vec::new() }
}

fn nodes(facts: &mut FactReader<'_>, online: &BTreeSet<CpuId>) -> Vec<(u32, Vec<CpuId>)> {
    let names = facts.names("NUMA nodes", NODE);
    let read = |name: String| {
        let number = name.strip_prefix("node")?.parse().ok()?;
        let path = format!("{NODE}/{name}/cpulist");
        let cpus = facts.parsed("CPUs of a NUMA node", &path, "a CPU list", parse_cpu_list)?;
        Some((number, cpus.into_iter().filter(|cpu| online.contains(cpu)).collect()))
    };
    names.into_iter().filter_map(read).collect()
}

/// The online ones of `cpus`, ascending, and `id` in any case.
fn members(cpus: Vec<CpuId>, id: CpuId, online: &BTreeSet<CpuId>) -> Vec<CpuId> {
    let mut members: BTreeSet<CpuId> = cpus.into_iter().filter(|cpu| online.contains(cpu)).collect();
    members.insert(id);
    members.into_iter().collect()
}

fn lowest(ascending: &[CpuId], otherwise: CpuId) -> CpuId {
    ascending.first().copied().unwrap_or(otherwise)
}
