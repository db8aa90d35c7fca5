//! The CPUs that may be used, and the placements that they allow.

use super::{Benchmark, PlanError, PlannedBenchmark};
use crate::host::Root;
use crate::mechanism::Mechanism;
use crate::sys::affinity::{allowed_cpus, granted_cpus};
use crate::terms::host::{Relation, Topology};
use crate::terms::{Host, Placement, Setting, Unsupported};
use crate::units::{CpuId, MOST_CPUS, cpu_list, parse_cpu_list};

/// CPUs that were chosen and that the kernel does not let this process use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("CPU {} cannot be used: {}; {}", cpu_list(.cpus), .reason, .remedy)]
pub struct UnusableCpus {
    /// Those that share the reason.
    pub cpus: Vec<CpuId>,
    /// What is in the way.
    pub reason: String,
    /// What would help.
    pub remedy: String,
}

impl UnusableCpus {
    /// Why the kernel refuses `refused`, one of which there is at least. `granted` are the CPUs that it grants.
    fn among(refused: &[CpuId], root: &Root, granted: &[CpuId]) -> Self {
        let list = |name: &str| parse_cpu_list(&root.text(&format!("/sys/devices/system/cpu/{name}")).ok()?);
        // Where a list cannot be read the next reason is looked for.
        let lacking = |cpus: &Option<Vec<CpuId>>| -> Vec<CpuId> {
            let lacks = |cpu: &&CpuId| cpus.as_ref().is_some_and(|cpus| !cpus.contains(cpu));
            refused.iter().filter(lacks).copied().collect()
        };
        let (present, online) = (list("present"), list("online"));
        // A container may have a list of its own; of a CPU that is online the kernel describes the topology.
        let described = |cpu: &CpuId| root.path(&format!("/sys/devices/system/cpu/cpu{cpu}/topology")).exists();
        let real = |mut cpus: Vec<CpuId>| {
            cpus.retain(|cpu| !described(cpu));
            cpus
        };
        let (absent, offline) = (real(lacking(&present)), real(lacking(&online)));
        if !absent.is_empty() {
            let there = format!("name some of CPUs {}", cpu_list(&present.unwrap_or_default()));
            return Self { cpus: absent, reason: "this machine has no such CPU".into(), remedy: there };
        }
        if let Some(first) = offline.first() {
            let remedy = format!("as root: echo 1 > /sys/devices/system/cpu/cpu{first}/online");
            return Self { cpus: offline, reason: "it is offline".into(), remedy };
        }
        Self {
            cpus: refused.into(),
            reason: format!("the cpuset of this process holds CPUs {} alone", cpu_list(granted)),
            remedy:
                "widen it (cpuset.cpus of its control group, AllowedCPUs= of its systemd unit, --cpuset-cpus of its \
                     container)"
                    .into(),
        }
    }
}

/// The CPUs that may be used, in rising order: `chosen`, also where this process's mask leaves them out; or, where
/// nothing was chosen, those of the mask.
///
/// # Errors
/// What the kernel refuses, with the reason.
pub fn usable_cpus(chosen: &[CpuId]) -> Result<Vec<CpuId>, PlanError> {
    if chosen.is_empty() {
        return Ok(allowed_cpus()?);
    }
    let granted = granted_cpus(chosen)?;
    let refused: Vec<CpuId> = chosen.iter().filter(|cpu| !granted.contains(cpu)).copied().collect();
    if refused.is_empty() {
        return Ok(granted);
    }
    let all: Vec<CpuId> = (0..MOST_CPUS).map(CpuId).collect();
    Err(UnusableCpus::among(&refused, &Root::default(), &granted_cpus(&all)?).into())
}

/// The CPUs that may be used, and how they lie to one another.
pub(super) struct HostCpus {
    topology: Topology,
    allowed: Vec<CpuId>,
}

impl HostCpus {
    /// Those of the running system, of which `chosen` may be used; none is those of this process's mask.
    ///
    /// # Errors
    /// As [`usable_cpus`].
    pub(super) fn observe(root: &Root, chosen: &[CpuId]) -> Result<Self, PlanError> {
        Ok(Self { topology: Host::observe(root).topology, allowed: usable_cpus(chosen)? })
    }

    /// How many may be used.
    pub(super) fn count(&self) -> usize {
        self.allowed.len()
    }

    /// Those chosen, or everything that this topology tells apart.
    pub(super) fn placements(&self, chosen: &[Placement]) -> Vec<Placement> {
        if !chosen.is_empty() {
            return chosen.to_vec();
        }
        let offered = |placement: &Placement| !is_of_two(*placement) || self.pair(*placement).is_some();
        let mut placements: Vec<Placement> =
            Placement::ALL.into_iter().filter(|&placement| placement != Placement::OnePerCpu).filter(offered).collect();
        // That nothing can be said of two CPUs is a result too.
        if self.allowed.len() > 1 && !self.undescribed().is_empty() && !placements.contains(&Placement::SameLlc) {
            placements.push(Placement::SameLlc);
        }
        placements
    }

    /// Those that may be used and of which the kernel does not say how they lie.
    fn undescribed(&self) -> Vec<CpuId> {
        self.allowed.iter().copied().filter(|&cpu| self.topology.cpu(cpu).is_none()).collect()
    }

    /// The benchmark on the CPUs that its placement comes down to, or why there are none.
    pub(super) fn place(&self, mechanism: &'static dyn Mechanism, setting: Setting) -> PlannedBenchmark {
        match self.cpus(setting.placement) {
            Ok(cpus) => PlannedBenchmark::Ready(Benchmark { mechanism, setting: Setting { cpus, ..setting } }),
            Err(reason) => PlannedBenchmark::Unsupported { mechanism, setting, reason },
        }
    }

    /// In the order in which tasks take them.
    fn cpus(&self, placement: Placement) -> Result<Vec<CpuId>, Unsupported> {
        if is_of_two(placement) {
            let undescribed = self.undescribed();
            return match self.pair(placement) {
                Some((a, b)) => Ok(vec![a, b]),
                None if !undescribed.is_empty() => Err(Unsupported::new(
                    format!("two CPUs for placement {placement}"),
                    format!(
                        "CPUs {} may be used, and /sys/devices/system/cpu describes CPUs {} alone",
                        cpu_list(&undescribed),
                        cpu_list(&self.topology.online())
                    ),
                    "the host's own /sys in this container (lxcfs shows another one), or run outside of it",
                )),
                None => Err(Unsupported::new(
                    format!("two CPUs for placement {placement}"),
                    format!("none among CPUs {}", cpu_list(&self.allowed)),
                    "a machine with such a topology, or more CPUs to choose from (--cpus, taskset, cpuset)",
                )),
            };
        }
        // The first one that may be used, as `taskset -c 0` would take: figures of other suites are made there. Of
        // several kinds of core the strongest, where a service would run that wants to be fast.
        Ok(match placement {
            Placement::SameCpu => self.topology.strongest_first(&self.allowed)[..1].to_vec(),
            _ => self.allowed.clone(),
        })
    }

    /// The CPUs of a placement of two, both of the strongest kind that has such a pair; `None` where there are none.
    fn pair(&self, placement: Placement) -> Option<(CpuId, CpuId)> {
        let cpus = self.topology.strongest_first(&self.allowed);
        match relation(placement) {
            Some(relation) => self.topology.pair(relation, &cpus),
            None => self.topology.pair_of_kinds(&cpus),
        }
    }
}

/// Whether tasks alternate between two CPUs.
fn is_of_two(placement: Placement) -> bool {
    relation(placement).is_some() || placement == Placement::CrossKind
}

/// How the two CPUs of a cross placement must stand to each other.
fn relation(placement: Placement) -> Option<Relation> {
    match placement {
        Placement::SmtSibling => Some(Relation::SmtSibling),
        Placement::SameLlc => Some(Relation::SameLlc),
        Placement::CrossLlc => Some(Relation::CrossLlc),
        Placement::CrossNode => Some(Relation::CrossNode),
        Placement::Unpinned | Placement::SameCpu | Placement::CrossKind | Placement::OnePerCpu => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crew::CpuAssignment;
    use crate::terms::Parameters;

    fn host_cpus(fixture: &str, allowed: &[usize]) -> HostCpus {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/host").join(fixture);
        let topology = Host::observe(&Root::at(path)).topology;
        HostCpus { topology, allowed: allowed.iter().copied().map(CpuId).collect() }
    }

    #[test]
    fn by_default_there_is_every_placement_that_the_topology_tells_apart() {
        use Placement::{CrossLlc, CrossNode, SameCpu, SameLlc, SmtSibling, Unpinned};
        let all: Vec<usize> = (0..8).collect();
        let intel = host_cpus("intel-2socket-smt", &all).placements(&[]);
        assert_eq!(intel, [Unpinned, SameCpu, SmtSibling, SameLlc, CrossNode]);
        let amd = host_cpus("amd-two-ccx", &all).placements(&[]);
        assert_eq!(amd, [Unpinned, SameCpu, SmtSibling, SameLlc, CrossLlc]);
        let narrow = host_cpus("intel-2socket-smt", &[3, 7]);
        assert_eq!(narrow.placements(&[]), [Unpinned, SameCpu, SmtSibling]);
        assert_eq!(narrow.placements(&[CrossNode]), [CrossNode], "what was asked for is answered, if only by a reason");
    }

    #[test]
    fn placements_are_formed_among_the_cpus_that_may_be_used() {
        let host_cpus = host_cpus("intel-2socket-smt", &[1, 3, 5, 7]);
        let cpus = |placement| host_cpus.cpus(placement);
        assert_eq!(cpus(Placement::SameCpu), Ok(vec![CpuId(1)]));
        assert_eq!(cpus(Placement::SmtSibling), Ok(vec![CpuId(1), CpuId(5)]));
        assert_eq!(cpus(Placement::CrossNode), Ok(vec![CpuId(1), CpuId(3)]));
        let masks = |placement| {
            let setting = Setting::new(placement, cpus(placement).unwrap(), Parameters::defaults(&[]));
            CpuAssignment::of(&setting).masks()
        };
        assert_eq!((masks(Placement::OnePerCpu), masks(Placement::Unpinned)), (4, 1));
        let reason = cpus(Placement::CrossLlc).unwrap_err();
        assert!(reason.0.why.contains("1,3,5,7"), "{reason}");
    }

    #[test]
    fn chosen_cpus_allow_the_placements_that_lie_among_them() {
        use Placement::{CrossNode, SameCpu, SameLlc, SmtSibling, Unpinned};
        let siblings = host_cpus("intel-2socket-smt", &[1, 5]);
        assert_eq!(siblings.placements(&[]), [Unpinned, SameCpu, SmtSibling]);
        let nodes = host_cpus("intel-2socket-smt", &[2, 3, 4]);
        assert_eq!(nodes.placements(&[]), [Unpinned, SameCpu, SameLlc, CrossNode]);
        assert_eq!(nodes.cpus(SameCpu), Ok(vec![CpuId(2)]));
        assert_eq!(nodes.cpus(Unpinned).map(|cpus| cpu_list(&cpus)), Ok("2-4".into()));
        let alone = host_cpus("vm-2cpu", &[1]);
        assert_eq!(alone.placements(&[]), [Unpinned, SameCpu], "one CPU is no pair");
        let reason = alone.cpus(SameLlc).unwrap_err().to_string();
        assert!(reason.contains("two CPUs") && reason.contains("CPUs 1") && reason.contains("--cpus"), "{reason}");
    }

    #[test]
    fn of_several_kinds_of_core_pairs_are_of_one_and_the_strongest_comes_first() {
        use Placement::{CrossKind, OnePerCpu, SameCpu, SameLlc, Unpinned};
        // CPUs 0 and 1 are small, 2 and 3 big.
        let mut hybrid = host_cpus("amd-two-ccx", &[0, 1, 2, 3]);
        for (cpu, capacity) in hybrid.topology.cpus.iter_mut().zip([400, 400, 1024, 1024]) {
            cpu.capacity = Some(capacity);
        }
        assert_eq!(hybrid.cpus(SameCpu), Ok(vec![CpuId(2)]));
        assert_eq!(hybrid.cpus(CrossKind), Ok(vec![CpuId(2), CpuId(0)]));
        assert_eq!(hybrid.cpus(SameLlc), Ok(vec![CpuId(2), CpuId(3)]));
        assert_eq!(hybrid.cpus(OnePerCpu).map(|cpus| cpus.len()), Ok(4));
        assert!(hybrid.placements(&[]).contains(&CrossKind));
        // The big one alone has no partner of its kind.
        hybrid.allowed = vec![CpuId(0), CpuId(1), CpuId(2)];
        assert_eq!(hybrid.cpus(SameLlc), Ok(vec![CpuId(0), CpuId(1)]));
        // Two that share a cache and are of two kinds are no pair of it.
        hybrid.topology.cpus[1].capacity = Some(1024);
        hybrid.allowed = vec![CpuId(0), CpuId(1)];
        assert!(hybrid.cpus(SameLlc).is_err());
        assert_eq!(hybrid.cpus(CrossKind), Ok(vec![CpuId(1), CpuId(0)]));
        // Without capacities, as x86 was before 6.12.
        let mut atoms = host_cpus("amd-two-ccx", &[0, 1, 2, 3]);
        for (cpu, pmu) in atoms.topology.cpus.iter_mut().zip(["cpu_atom", "cpu_atom", "cpu_core", "cpu_core"]) {
            cpu.pmu = Some(pmu.into());
        }
        assert_eq!((atoms.cpus(SameCpu), atoms.topology.kinds().len()), (Ok(vec![CpuId(2)]), 3));
        let alike = host_cpus("amd-two-ccx", &[0, 1, 2, 3]);
        assert!(!alike.placements(&[Unpinned]).contains(&CrossKind) && !alike.placements(&[]).contains(&CrossKind));
        assert!(alike.cpus(CrossKind).unwrap_err().to_string().contains("cross-kind"));
    }

    #[test]
    fn a_refused_cpu_is_reported_with_the_reason_and_the_remedy() {
        let tree = tempfile::tempdir().unwrap();
        let folder = tree.path().join("sys/devices/system/cpu");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("present"), "0-7\n").unwrap();
        std::fs::write(folder.join("online"), "0-5,7\n").unwrap();
        let message = |refused: &[usize]| {
            let refused: Vec<CpuId> = refused.iter().copied().map(CpuId).collect();
            UnusableCpus::among(&refused, &Root::at(tree.path()), &[CpuId(0), CpuId(1)]).to_string()
        };
        assert_eq!(
            message(&[4, 6, 8, 9]),
            "CPU 8-9 cannot be used: this machine has no such CPU; name some of CPUs 0-7",
            "what nothing helps against comes first"
        );
        let offline = message(&[4, 6]);
        assert!(offline.starts_with("CPU 6 cannot be used: it is offline; "), "{offline}");
        assert!(offline.ends_with("echo 1 > /sys/devices/system/cpu/cpu6/online"), "{offline}");
        let outside = message(&[4]);
        assert!(outside.starts_with("CPU 4 cannot be used: the cpuset of this process holds CPUs 0-1 alone; widen it"));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(message(&[9]).contains("cpuset"), "where nothing can be read");
    }

    #[test]
    fn nothing_chosen_is_this_process_mask() {
        let allowed = allowed_cpus().unwrap();
        assert_eq!(usable_cpus(&[]).unwrap(), allowed);
        assert_eq!(usable_cpus(&allowed[..1]).unwrap(), allowed[..1]);
        let refused = usable_cpus(&[allowed[0], CpuId(1023)]).unwrap_err().to_string();
        assert!(refused.starts_with("CPU 1023 cannot be used: "), "{refused}");
    }
}
