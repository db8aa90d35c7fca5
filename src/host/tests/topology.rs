use super::{FIXTURES, host, pairs, unread};
use crate::terms::host::{CacheKind, Relation};
use crate::units::{CpuId, cpu_list};

#[test]
fn two_sockets_with_smt_have_no_two_caches_in_one_node() {
    let host = host("intel-2socket-smt");
    assert_eq!(pairs(&host), [Some((0, 0)), Some((0, 4)), Some((0, 1)), None, Some((0, 2))]);
    let topology = &host.topology;
    assert_eq!((topology.cores(), topology.llcs(), topology.packages(), topology.nodes()), (4, 2, 2, 2));
    let last = topology.caches.iter().filter(|cache| cache.level == 3);
    let last: Vec<_> = last.map(|cache| (cache.kind, cache.bytes, cpu_list(&cache.shared))).collect();
    let bytes = Some(22528 * 1024);
    assert_eq!(last, [(CacheKind::Unified, bytes, "0-1,4-5".into()), (CacheKind::Unified, bytes, "2-3,6-7".into())]);
    assert_eq!(topology.caches.iter().filter(|cache| cache.kind == CacheKind::Instruction).count(), 4);
}

#[test]
fn without_caches_the_package_is_assumed_to_share_one_and_this_is_said() {
    let host = host("arm64-vm-nocache");
    assert_eq!(pairs(&host), [Some((0, 0)), None, Some((0, 1)), None, None]);
    assert!(host.topology.llc_assumed());
    assert!(unread(&host).contains(&"last level cache"));
    assert!(host.topology.cpus.iter().all(|cpu| cpu.package.is_none()), "-1 is the kernel's word for unknown");
}

#[test]
fn every_two_cpus_stand_in_one_relation_whichever_is_first() {
    for name in FIXTURES {
        let topology = host(name).topology;
        for a in topology.online() {
            for b in topology.online() {
                assert_eq!(topology.relation(a, b), topology.relation(b, a), "{name}: {a}, {b}");
                assert_eq!(topology.relation(a, b) == Some(Relation::SameCpu), a == b);
            }
        }
    }
}

#[test]
fn two_core_complexes_share_a_node_and_no_cache() {
    let host = host("amd-two-ccx");
    assert_eq!(pairs(&host), [Some((0, 0)), Some((0, 4)), Some((0, 1)), Some((0, 2)), None]);
    assert!(!host.topology.llc_assumed());
}

#[test]
fn a_pair_is_taken_from_the_allowed_cpus_in_their_order() {
    let topology = host("intel-2socket-smt").topology;
    let allowed = [7, 6, 3, 99].map(CpuId);
    assert_eq!(topology.pair(Relation::SameLlc, &allowed), Some((CpuId(7), CpuId(6))));
    assert_eq!(topology.pair(Relation::SmtSibling, &allowed), Some((CpuId(7), CpuId(3))));
    assert_eq!(topology.pair(Relation::CrossNode, &allowed), None);
    assert_eq!(topology.pair(Relation::SameCpu, &[]), None);
    assert_eq!(topology.relation(CpuId(0), CpuId(99)), None);
}
