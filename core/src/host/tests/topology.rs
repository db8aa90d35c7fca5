use super::{FIXTURES, host, pairs, unread, with_files};
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

#[test]
fn the_cpus_that_the_kernel_describes_count_where_a_containers_list_says_otherwise() {
    // lxcfs lists the host's numbers of a cpuset, or numbers from 0 on.
    for listed in ["5-6", "0", "0-63"] {
        let host = with_files("amd-two-ccx", &[("sys/devices/system/cpu/online", listed)]);
        assert_eq!(cpu_list(&host.topology.online()), "0-7", "{listed}");
        assert_eq!(pairs(&host), pairs(&self::host("amd-two-ccx")), "{listed}");
        let said = host.unread.iter().find(|line| line.what == "online CPUs").unwrap();
        assert_eq!(said.reason, format!("it lists {listed}, and the kernel describes 0-7, which counts"));
    }
}

#[test]
fn cpu_0_need_not_be_online() {
    let host = with_files(
        "amd-two-ccx",
        &[("sys/devices/system/cpu/online", "1-7"), ("sys/devices/system/cpu/cpu0/online", "0")],
    );
    assert_eq!(cpu_list(&host.topology.online()), "1-7");
    assert!(!unread(&host).contains(&"online CPUs"), "{:?}", unread(&host));
    assert_eq!(host.topology.relation(CpuId(1), CpuId(5)), Some(Relation::SmtSibling));
    assert!(host.topology.caches.iter().any(|cache| cache.shared.contains(&CpuId(1))));
}
