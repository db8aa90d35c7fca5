//! The random order of a round, and which benchmarks are kept when the budget does not allow all.

use std::collections::BTreeMap;

use super::PlanEntry;
use crate::stats::Prng;

/// The entries of a round in the order in which they are measured: pairs in random order, and within each pair the
/// sides in random order. The same `seed` and `round` give the same order, so that a run that goes on keeps it.
pub(super) fn shuffled(entries: &[PlanEntry], seed: u64, round: u32) -> Vec<usize> {
    let mut prng = Prng::seeded(seed.wrapping_add(u64::from(round).wrapping_mul(0x9e37_79b9_7f4a_7c15)));
    let mut groups = groups(entries);
    shuffle(&mut groups, &mut prng);
    for group in &mut groups {
        shuffle(group, &mut prng);
    }
    groups.into_iter().flatten().collect()
}

/// Pairs, by rising number.
pub(super) fn groups(entries: &[PlanEntry]) -> Vec<Vec<usize>> {
    let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (index, entry) in entries.iter().enumerate() {
        groups.entry(entry.pair).or_default().push(index);
    }
    groups.into_values().collect()
}

/// Fisher and Yates, as Durstenfeld wrote it down (Communications of the ACM 7(7), 1964).
fn shuffle<T>(list: &mut [T], prng: &mut Prng) {
    for last in (1..list.len()).rev() {
        list.swap(last, prng.index(last + 1));
    }
}

/// The pairs by importance: the first of every Criterion group (its baseline), then the second of every one, and so on.
/// What is left out for lack of time then leaves every question with some of its answers.
pub(super) fn by_importance(entries: &[PlanEntry]) -> Vec<Vec<usize>> {
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    let mut ranked: Vec<(usize, Vec<usize>)> = Vec::new();
    for group in groups(entries) {
        let name = entries[group[0]].spec.mechanism.split('/').next().unwrap_or_default();
        let rank = seen.entry(name).or_insert(0);
        ranked.push((*rank, group));
        *rank += 1;
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    ranked.into_iter().map(|(_, group)| group).collect()
}
