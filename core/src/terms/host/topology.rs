//! How the online CPUs lie to one another: cores, caches, packages, memory nodes.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::units::CpuId;

/// The online CPUs and the caches between them.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Topology {
    /// The online CPUs, ascending.
    pub cpus: Vec<LogicalCpu>,
    /// The caches, each once, in the order of their first CPU and then of the kernel's index.
    pub caches: Vec<Cache>,
}

/// One online CPU, and what it shares with others.
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
    /// Its power against that of the strongest CPU, which has 1024 (`cpu_capacity`). `None` where the kernel does not
    /// tell, as it does not where all CPUs are alike.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacity: Option<u32>,
    /// The PMU that counts on it, where the machine has several for its cores: `cpu_atom`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pmu: Option<String>,
}

/// One cache, and the CPUs that share it.
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

    /// The first two of the `allowed` CPUs, in their order, that stand in exactly this relation and are of one kind.
    pub fn pair(&self, relation: Relation, allowed: &[CpuId]) -> Option<(CpuId, CpuId)> {
        let cpus: Vec<&LogicalCpu> = allowed.iter().filter_map(|id| self.cpu(*id)).collect();
        let partner = |(index, a): (usize, &&LogicalCpu)| {
            let b = cpus[index..].iter().find(|b| a.relation(b) == relation && a.is_alike(b))?;
            Some((a.id, b.id))
        };
        cpus.iter().enumerate().find_map(partner)
    }

    /// The first two of the `allowed` CPUs, in their order, that are of different kinds.
    pub fn pair_of_kinds(&self, allowed: &[CpuId]) -> Option<(CpuId, CpuId)> {
        let mut cpus = allowed.iter().filter_map(|id| self.cpu(*id));
        let first = cpus.next()?;
        Some((first.id, cpus.find(|cpu| !cpu.is_alike(first))?.id))
    }

    /// Those of `cpus` with the strongest kind of core first, else in their order.
    pub fn strongest_first(&self, cpus: &[CpuId]) -> Vec<CpuId> {
        let mut sorted = cpus.to_vec();
        sorted.sort_by_key(|id| std::cmp::Reverse(self.cpu(*id).map(LogicalCpu::strength)));
        sorted
    }

    /// The online CPUs of each kind of core, the strongest kind first. One entry where all are alike.
    pub fn kinds(&self) -> Vec<Vec<CpuId>> {
        let mut kinds: Vec<Vec<CpuId>> = Vec::new();
        for id in self.strongest_first(&self.online()) {
            let alike = |kind: &Vec<CpuId>| {
                kind.first().and_then(|first| self.cpu(*first)).zip(self.cpu(id)).is_some_and(|(a, b)| a.is_alike(b))
            };
            match kinds.iter_mut().find(|kind| alike(kind)) {
                Some(kind) => kind.push(id),
                None => kinds.push(vec![id]),
            }
        }
        kinds
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
}

impl LogicalCpu {
    /// Whether both are of one kind of core, as far as the kernel tells.
    fn is_alike(&self, other: &LogicalCpu) -> bool {
        self.capacity == other.capacity && self.pmu == other.pmu
    }

    /// Greater for a stronger kind. x86 told no capacities before 6.12, and names the PMU of its efficient cores
    /// `cpu_atom` and `cpu_lowpower` beside `cpu_core`.
    fn strength(&self) -> (u32, bool) {
        let is_efficient = self.pmu.as_deref().is_some_and(|pmu| pmu.starts_with("cpu_") && pmu != "cpu_core");
        (self.capacity.unwrap_or(0), !is_efficient)
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

fn distinct<T: Ord>(values: impl Iterator<Item = T>) -> usize {
    values.collect::<BTreeSet<T>>().len()
}
