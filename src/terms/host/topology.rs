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
}

impl LogicalCpu {
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
