//! How the online CPUs lie to one another: cores, caches, packages, memory nodes.
//!
//! Source: `/sys/devices/system/cpu/cpuN/{topology,cache}` and `/sys/devices/system/node`
//! (Documentation/admin-guide/cputopology.rst, Documentation/ABI/testing/sysfs-devices-system-cpu). These are
//! the facts the kernel's own scheduler domains are built from; a cache the firmware hides from the kernel, as
//! the system-level cache of many arm64 servers, is not seen here either.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::processor;
use super::root::FactReader;
use crate::units::{CpuId, parse_cpu_list};

const CPU: &str = "/sys/devices/system/cpu";
const NODE: &str = "/sys/devices/system/node";

/// No processor reports more cache descriptions for one CPU; arm64 has at most seven levels of two.
const MOST_CACHES: usize = 14;

/// The online CPUs and the caches between them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Topology {
    /// The online CPUs, ascending.
    pub cpus: Vec<LogicalCpu>,
    /// The caches, each once, in the order of their first CPU and then of the kernel's index.
    pub caches: Vec<Cache>,
}

/// One online CPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogicalCpu {
    /// The kernel's number.
    pub id: CpuId,
    /// The online CPUs of the same physical core, this one included, ascending.
    #[serde(with = "super::kernel_list")]
    pub siblings: Vec<CpuId>,
    /// The physical core, named by the lowest of its CPUs. (The kernel's `core_id` repeats between packages.)
    pub core: CpuId,
    /// The package (socket). `None` where the kernel does not know it.
    pub package: Option<u32>,
    /// The group of CPUs that share the last level cache, named by the lowest of them.
    pub llc: CpuId,
    /// Whether `llc` is only assumed to be the package, because the kernel describes no cache of this CPU.
    pub llc_assumed: bool,
    /// The NUMA node. 0 where the kernel was built without NUMA.
    pub node: u32,
}

/// One cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cache {
    /// Distance from the core, 1 being the nearest.
    pub level: u32,
    /// What it holds.
    pub kind: CacheKind,
    /// Its size in bytes. `None` where the kernel does not know it.
    pub bytes: Option<u64>,
    /// The online CPUs that share it, ascending.
    #[serde(with = "super::kernel_list")]
    pub shared: Vec<CpuId>,
}

/// What a cache holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CacheKind {
    /// Data.
    Data,
    /// Instructions.
    Instruction,
    /// Both.
    Unified,
}

/// How two CPUs lie to one another. Any two online CPUs stand in exactly one relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Relation {
    /// They are the same CPU.
    SameCpu,
    /// Two CPUs of one physical core.
    SmtSibling,
    /// Different cores that share the last level cache.
    SameLlc,
    /// The same NUMA node, different last level caches.
    CrossLlc,
    /// Different NUMA nodes, even where a cache spans them.
    CrossNode,
}

impl Topology {
    pub(super) fn observe(facts: &mut FactReader<'_>, cpuinfo: &str) -> Self {
        let online = online(facts, cpuinfo);
        let nodes = nodes(facts, &online);
        let mut topology = Topology::default();
        for &id in &online {
            let caches = caches(facts, id, &online);
            let cpu = LogicalCpu::observe(facts, id, &online, &caches, &nodes);
            topology.cpus.push(cpu);
            topology.add_caches(caches);
        }
        topology.assume_missing_llcs(facts);
        topology
    }

    /// The online CPUs, ascending.
    pub fn online(&self) -> Vec<CpuId> {
        self.cpus.iter().map(|cpu| cpu.id).collect()
    }

    /// What is known of one CPU. `None` when it is not online.
    pub fn cpu(&self, id: CpuId) -> Option<&LogicalCpu> {
        let index = self.cpus.binary_search_by_key(&id, |cpu| cpu.id).ok()?;
        self.cpus.get(index)
    }

    /// How `a` and `b` lie to one another. `None` when one of them is not online.
    pub fn relation(&self, a: CpuId, b: CpuId) -> Option<Relation> {
        Some(self.cpu(a)?.relation(self.cpu(b)?))
    }

    /// The first two of the `allowed` CPUs, in their order, that stand in exactly this relation.
    pub fn pair(&self, relation: Relation, allowed: &[CpuId]) -> Option<(CpuId, CpuId)> {
        let cpus: Vec<&LogicalCpu> = allowed.iter().filter_map(|id| self.cpu(*id)).collect();
        let partner = |(index, a): (usize, &&LogicalCpu)| {
            let b = cpus[index..].iter().find(|b| a.relation(b) == relation)?;
            Some((a.id, b.id))
        };
        cpus.iter().enumerate().find_map(partner)
    }

    /// How many physical cores have an online CPU.
    pub fn cores(&self) -> usize {
        distinct(self.cpus.iter().map(|cpu| cpu.core))
    }

    /// How many groups of CPUs share a last level cache.
    pub fn llcs(&self) -> usize {
        distinct(self.cpus.iter().map(|cpu| cpu.llc))
    }

    /// How many packages have an online CPU; CPUs whose package is not known count as one.
    pub fn packages(&self) -> usize {
        distinct(self.cpus.iter().map(|cpu| cpu.package))
    }

    /// How many NUMA nodes have an online CPU.
    pub fn nodes(&self) -> usize {
        distinct(self.cpus.iter().map(|cpu| cpu.node))
    }

    /// Whether the last level cache of some CPU is only assumed to be its package.
    pub fn llc_assumed(&self) -> bool {
        self.cpus.iter().any(|cpu| cpu.llc_assumed)
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
        }
    }

    fn relation(&self, other: &LogicalCpu) -> Relation {
        if self.id == other.id {
            Relation::SameCpu
        } else if self.core == other.core {
            Relation::SmtSibling
        } else if self.node != other.node {
            Relation::CrossNode
        } else if self.llc == other.llc {
            Relation::SameLlc
        } else {
            Relation::CrossLlc
        }
    }
}

fn online(facts: &mut FactReader<'_>, cpuinfo: &str) -> BTreeSet<CpuId> {
    let listed = facts.parsed("online CPUs", &format!("{CPU}/online"), "a CPU list", parse_cpu_list);
    let listed = listed.filter(|cpus| !cpus.is_empty());
    listed.unwrap_or_else(|| processor::listed(cpuinfo)).into_iter().collect()
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
    // Without the list nobody knows who shares it, and a cache assumed to be private would be a wrong answer.
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

fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> usize {
    values.collect::<BTreeSet<T>>().len()
}
