//! The profile `after-syscall`: that group over the working sets that this machine's caches tell apart.

use std::time::Duration;

use super::profile::{BenchmarkSelection, Profile};
use crate::harness::{Choice, IdPattern, PlanError, Timing, usable_cpus};
use crate::host::Root;
use crate::terms::{
    Host, Placement,
    host::{CacheKind, Relation, Topology},
};
use crate::units::CpuId;

/// Where the kernel describes no cache: the sizes of many.
const USUAL: [u64; 3] = [32 << 10, 1 << 20, 32 << 20];

impl Profile {
    /// The group `after_syscall` from half of the first data cache to twice the last one; code up to the second cache,
    /// and branches as far as predictors may learn them.
    ///
    /// # Errors
    /// When some of `cpus`, those that were chosen, cannot be used; none is those of this process's mask.
    pub fn after_syscall(cpus: &[CpuId]) -> Result<Self, PlanError> {
        let topology = Host::observe(&Root::default()).topology;
        let allowed = usable_cpus(cpus)?;
        let sets = working_sets(caches(&topology, allowed[0]));
        let other_cpu = [
            (Relation::SameLlc, Placement::SameLlc),
            (Relation::CrossLlc, Placement::CrossLlc),
            (Relation::CrossNode, Placement::CrossNode),
            (Relation::SmtSibling, Placement::SmtSibling),
        ];
        let pair = other_cpu.into_iter().find(|(relation, _)| topology.pair(*relation, &allowed).is_some());
        let placements: Vec<Placement> =
            [Placement::SameCpu].into_iter().chain(pair.map(|(_, placement)| placement)).collect();
        let filter = IdPattern::new("^after_syscall/").expect("the expression is a constant");
        let streams = [("data", sets.len()), ("code", 4), ("branches", 3)];
        let chosen = streams.iter().flat_map(|&(stream, few)| sets.iter().take(few).map(move |set| (stream, *set)));
        let selections = chosen.map(|(stream, set)| {
            let parameters = vec![("stream".into(), stream.into()), ("working_set".into(), set.to_string())];
            let choice = Choice { parameters, placements: placements.clone(), ..Choice::default() };
            let mut selection = BenchmarkSelection::of(choice);
            selection.filter = Some(filter.clone());
            selection
        });
        let timing = Timing { warm_up: Duration::from_millis(200), measure: Duration::from_millis(1500), samples: 20 };
        Ok(Self { rounds: 3, timing, selections: selections.collect() })
    }
}

/// The first, the second and the last cache for data of a CPU, in bytes.
fn caches(topology: &Topology, cpu: CpuId) -> [u64; 3] {
    let mut caches: Vec<(u32, u64)> = topology
        .caches
        .iter()
        .filter(|cache| cache.kind != CacheKind::Instruction && cache.shared.contains(&cpu))
        .filter_map(|cache| Some((cache.level, cache.bytes?)))
        .collect();
    caches.sort_unstable();
    match caches.as_slice() {
        [] => USUAL,
        [only] => [only.1; 3],
        [first, second, rest @ ..] => [first.1, second.1, rest.last().unwrap_or(second).1],
    }
}

/// Half of the first cache, the first, a quarter of the second, the second, four times that, and twice the last.
fn working_sets([first, second, last]: [u64; 3]) -> Vec<u64> {
    let mut sets = vec![first / 2, first, second / 4, second, 4 * second, 2 * last];
    sets.sort_unstable();
    sets.dedup();
    sets
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sets(fixture: &str) -> Vec<u64> {
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/host").join(fixture);
        working_sets(caches(&Host::observe(&Root::at(path)).topology, CpuId(0)))
    }

    #[test]
    fn working_sets_follow_the_caches_of_the_machine() {
        for fixture in ["vm-2cpu", "amd-two-ccx", "intel-2socket-smt"] {
            let sets = sets(fixture);
            assert!(sets.len() >= 4 && sets.windows(2).all(|pair| pair[0] < pair[1]), "{fixture}: {sets:?}");
        }
        assert_eq!(caches(&Topology::default(), CpuId(0)), USUAL);
        assert_eq!(working_sets(USUAL), [16 << 10, 32 << 10, 256 << 10, 1 << 20, 4 << 20, 64 << 20]);
    }

    #[test]
    fn the_profile_plans_this_group_alone_each_working_set_on_one_cpu() {
        let planned = Profile::after_syscall(&[]).unwrap().plan(&Choice::default(), |_| true).unwrap();
        assert!(planned.iter().all(|planned| planned.id().starts_with("after_syscall/")));
        let nothing = planned.iter().filter(|planned| planned.id().starts_with("after_syscall/nothing/same-cpu"));
        assert!(nothing.count() >= 10);
    }
}
