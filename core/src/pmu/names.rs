//! The names perf gives to the kernel's generic events, and the most similar ones to a mistyped name.
//!
//! The tables follow `event_symbols_hw`, `event_symbols_sw` (tools/perf/util/parse-events.c) and
//! `evsel__hw_cache*` (tools/perf/util/evsel.c). The first name of a row is the one written into records.

use perf_event::events::{Cache, CacheId, CacheOp, CacheResult, Hardware, Software};

type NamedValue<T> = (T, &'static [&'static str]);

const HARDWARE: &[NamedValue<Hardware>] = &[
    (Hardware::CPU_CYCLES, &["cycles", "cpu-cycles"]),
    (Hardware::INSTRUCTIONS, &["instructions"]),
    (Hardware::CACHE_REFERENCES, &["cache-references"]),
    (Hardware::CACHE_MISSES, &["cache-misses"]),
    (Hardware::BRANCH_INSTRUCTIONS, &["branches", "branch-instructions"]),
    (Hardware::BRANCH_MISSES, &["branch-misses"]),
    (Hardware::BUS_CYCLES, &["bus-cycles"]),
    (Hardware::STALLED_CYCLES_FRONTEND, &["stalled-cycles-frontend", "idle-cycles-frontend"]),
    (Hardware::STALLED_CYCLES_BACKEND, &["stalled-cycles-backend", "idle-cycles-backend"]),
    (Hardware::REF_CPU_CYCLES, &["ref-cycles"]),
];

const SOFTWARE: &[NamedValue<Software>] = &[
    (Software::CPU_CLOCK, &["cpu-clock"]),
    (Software::TASK_CLOCK, &["task-clock"]),
    (Software::PAGE_FAULTS, &["page-faults", "faults"]),
    (Software::CONTEXT_SWITCHES, &["context-switches", "cs"]),
    (Software::CPU_MIGRATIONS, &["cpu-migrations", "migrations"]),
    (Software::PAGE_FAULTS_MIN, &["minor-faults"]),
    (Software::PAGE_FAULTS_MAJ, &["major-faults"]),
    (Software::ALIGNMENT_FAULTS, &["alignment-faults"]),
    (Software::EMULATION_FAULTS, &["emulation-faults"]),
    (Software::DUMMY, &["dummy"]),
    (Software::BPF_OUTPUT, &["bpf-output"]),
    (Software::CGROUP_SWITCHES, &["cgroup-switches"]),
];

const CACHES: &[NamedValue<CacheId>] = &[
    (CacheId::L1D, &["L1-dcache", "l1-d", "l1d", "L1-data"]),
    (CacheId::L1I, &["L1-icache", "l1-i", "l1i", "L1-instruction"]),
    (CacheId::LL, &["LLC", "L2"]),
    (CacheId::DTLB, &["dTLB", "d-tlb", "Data-TLB"]),
    (CacheId::ITLB, &["iTLB", "i-tlb", "Instruction-TLB"]),
    (CacheId::BPU, &["branch", "branches", "bpu", "btb", "bpc"]),
    (CacheId::NODE, &["node"]),
];

/// The first name goes before a result (`load-misses`), the second stands alone (`loads`).
const OPERATIONS: &[NamedValue<CacheOp>] = &[
    (CacheOp::READ, &["load", "loads", "read"]),
    (CacheOp::WRITE, &["store", "stores", "write"]),
    (CacheOp::PREFETCH, &["prefetch", "prefetches", "speculative-read", "speculative-load"]),
];

const RESULTS: &[NamedValue<CacheResult>] =
    &[(CacheResult::ACCESS, &["refs", "Reference", "ops", "access"]), (CacheResult::MISS, &["misses", "miss"])];

/// The generic hardware event of this name.
pub(super) fn hardware(name: &str) -> Option<Hardware> {
    value_of(HARDWARE, name)
}

/// The software event of this name.
pub(super) fn software(name: &str) -> Option<Software> {
    value_of(SOFTWARE, name)
}

/// The cache event of this name: a cache, then operation and result in either order, each at most once. Without
/// an operation loads are meant, without a result accesses, as `parse_events__decode_legacy_cache` has it.
pub(super) fn cache(name: &str) -> Option<Cache> {
    let (which, mut rest) = take(CACHES, name)?;
    let (mut operation, mut result) = (None, None);
    while let Some(words) = rest {
        if let Some((found, left)) = take(OPERATIONS, words).filter(|_| operation.is_none()) {
            (operation, rest) = (Some(found), left);
        } else {
            let (found, left) = take(RESULTS, words).filter(|_| result.is_none())?;
            (result, rest) = (Some(found), left);
        }
    }
    let operation = operation.unwrap_or(CacheOp::READ);
    let result = result.unwrap_or(CacheResult::ACCESS);
    has_operation(which, operation).then_some(Cache { which, operation, result })
}

/// How records spell a generic hardware event.
pub(super) fn of_hardware(event: Hardware) -> &'static str {
    name_of(HARDWARE, event)
}

/// How records spell a software event.
pub(super) fn of_software(event: Software) -> &'static str {
    name_of(SOFTWARE, event)
}

/// How perf and records spell a cache event: `L1-dcache-loads`, `LLC-load-misses`.
pub(super) fn of_cache(event: &Cache) -> String {
    let cache = name_of(CACHES, event.which);
    let operation = OPERATIONS.iter().find(|(value, _)| *value == event.operation);
    let (before_result, alone) = operation.map_or(("?", "?"), |(_, names)| (names[0], names[1]));
    match event.result {
        CacheResult::ACCESS => format!("{cache}-{alone}"),
        result => format!("{cache}-{before_result}-{}", name_of(RESULTS, result)),
    }
}

/// Up to three known names that differ little from `name`, the most similar first.
pub(super) fn nearest(name: &str) -> Vec<String> {
    // A third of the letters wrong is where suggestions stop looking like the word that was meant.
    let bound = (name.chars().count() / 3).max(2);
    let mut ranked: Vec<(usize, String)> = known()
        .into_iter()
        .map(|known| (edit_distance(&name.to_ascii_lowercase(), &known.to_ascii_lowercase()), known))
        .filter(|(distance, _)| *distance <= bound)
        .collect();
    ranked.sort();
    ranked.truncate(3);
    ranked.into_iter().map(|(_, known)| known).collect()
}

/// Every generic name, as records spell it and as its aliases do; of the cache events only the records' spelling.
pub(super) fn known() -> Vec<String> {
    let hardware = HARDWARE.iter().flat_map(|(_, names)| names.iter());
    let software = SOFTWARE.iter().flat_map(|(_, names)| names.iter());
    let mut known: Vec<String> = hardware.chain(software).map(|name| (*name).to_owned()).collect();
    for &(which, _) in CACHES {
        for &(operation, _) in OPERATIONS.iter().filter(|(operation, _)| has_operation(which, *operation)) {
            known.extend(RESULTS.iter().map(|&(result, _)| of_cache(&Cache { which, operation, result })));
        }
    }
    known
}

/// `evsel__hw_cache_stat`: instruction caches are not written, translation and branch caches only read.
fn has_operation(which: CacheId, operation: CacheOp) -> bool {
    match which {
        CacheId::L1I => operation != CacheOp::WRITE,
        CacheId::ITLB | CacheId::BPU => operation == CacheOp::READ,
        _ => true,
    }
}

fn value_of<T: Copy>(table: &[NamedValue<T>], name: &str) -> Option<T> {
    let row = table.iter().find(|(_, names)| names.iter().any(|known| known.eq_ignore_ascii_case(name)));
    row.map(|(value, _)| *value)
}

/// A value that stands in no table came from the kernel's future, not from a parsed name.
fn name_of<T: PartialEq>(table: &[NamedValue<T>], wanted: T) -> &'static str {
    table.iter().find(|(value, _)| *value == wanted).map_or("?", |(_, names)| names[0])
}

/// The value whose longest name begins `text` and ends at a hyphen or the end, and what follows that hyphen.
/// The longest, because names contain hyphens themselves (`l1-d` begins `L1-dcache`).
fn take<'a, T: Copy>(table: &[NamedValue<T>], text: &'a str) -> Option<(T, Option<&'a str>)> {
    let candidates = table.iter().flat_map(|(value, names)| names.iter().map(move |name| (*value, *name)));
    candidates
        .filter_map(|(value, name)| {
            let rest = text.get(name.len()..)?;
            let begins = text.get(..name.len())?.eq_ignore_ascii_case(name);
            let left = if rest.is_empty() { None } else { Some(rest.strip_prefix('-')?) };
            begins.then_some((name.len(), value, left))
        })
        .max_by_key(|(length, ..)| *length)
        .map(|(_, value, left)| (value, left))
}

/// Levenshtein's distance in characters.
fn edit_distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let substituted = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_is_levenshteins() {
        for (a, b, distance) in [("", "", 0), ("kitten", "sitting", 3), ("cycles", "cycels", 2), ("", "abc", 3)] {
            assert_eq!(edit_distance(a, b), distance, "{a} {b}");
        }
    }

    #[test]
    fn cache_names_have_parts_in_either_order() {
        let misses = cache("L1-dcache-load-misses");
        assert!(misses.is_some());
        for alias in ["l1d-misses", "L1-DATA-read-miss", "l1-d-misses-loads", "L1-dcache-misses"] {
            assert_eq!(cache(alias), misses, "{alias}");
        }
        assert_eq!(cache("LLC"), cache("L2-loads-refs"));
        for wrong in
            ["iTLB-stores", "L1-icache-write", "LLC-", "LLC-x", "LLC-loads-loads", "LLC-miss-misses", "L3-loads"]
        {
            assert_eq!(cache(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_mistyped_name_finds_its_neighbours() {
        assert_eq!(nearest("cycels").first().map(String::as_str), Some("cycles"));
        assert_eq!(nearest("L1-dcahce-load-misses").first().map(String::as_str), Some("L1-dcache-load-misses"));
        assert_eq!(nearest("quite-something-else-altogether"), Vec::<String>::new());
    }
}
