//! What differs between machines, builds and the CPUs that were used.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;

use crate::record::{HostLine, Run};
use crate::units::cpu_list;

/// One fact that is not the same in all runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// What it belongs to: `CPU`, `kernel`, …
    pub group: &'static str,
    /// Which one it is, as the record names it.
    pub name: String,
    /// Its value in each run; `None` where the run does not know it.
    pub values: Vec<Option<String>>,
}

/// The groups in the order in which they are shown, with the beginnings of the names that belong to them. What is in
/// none of them says nothing of the measurements: who ran them, how full a control group was, what could not be read.
const GROUPS: [(&str, &[&str]); 14] = [
    ("CPU", &["host.processor"]),
    ("topology", &["host.topology"]),
    ("kernel", &["host.kernel.release", "host.kernel.version", "host.kernel.architecture", "host.kernel."]),
    ("scheduler", &["host.scheduler"]),
    ("command line", &["host.kernel.command_line"]),
    ("mitigations", &["host.mitigations"]),
    ("governor", &["host.power.governors", "host.power."]),
    ("idle", &["host.power.idle"]),
    ("clock", &["host.clock"]),
    ("virtualization", &["host.virtualization"]),
    ("memory", &["host.memory.transparent_hugepages"]),
    ("settings", &["host.sysctls"]),
    ("toolchain", &["build.rustc", "build.target", "build.profile", "build.allocator"]),
    ("build", &["build.version", "build.revision", "build.changed"]),
];

/// What is not the same in all of `hosts`, in the order of the groups.
pub fn differences(hosts: &[&HostLine]) -> Vec<Difference> {
    let leaves: Vec<BTreeMap<String, String>> = hosts.iter().map(|host| leaves(host)).collect();
    let names: BTreeSet<&String> = leaves.iter().flat_map(BTreeMap::keys).collect();
    let mut found: Vec<(usize, Difference)> = Vec::new();
    for name in names {
        let Some(place) = group(name) else { continue };
        let values: Vec<Option<String>> = leaves.iter().map(|leaves| leaves.get(name).cloned()).collect();
        if values.windows(2).any(|pair| pair[0] != pair[1]) {
            let short = name.strip_prefix("host.").unwrap_or(name);
            found.push((place, Difference { group: GROUPS[place].0, name: short.into(), values }));
        }
    }
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, difference)| difference).collect()
}

/// The placements whose CPUs are not the same in all of `runs` that have them. The pairs of a matrix are left out:
/// their ids name their CPUs.
pub(super) fn differing_cpus(runs: &[(String, Run)]) -> Vec<Difference> {
    let used: Vec<BTreeMap<&str, BTreeSet<String>>> = runs.iter().map(|(_, run)| used_cpus(run)).collect();
    let placements: BTreeSet<&str> = used.iter().flat_map(|used| used.keys().copied()).collect();
    let difference = |placement: &str| {
        let told = |used: &BTreeMap<&str, BTreeSet<String>>| {
            Some(used.get(placement)?.iter().map(String::as_str).collect::<Vec<_>>().join(" or "))
        };
        let values: Vec<Option<String>> = used.iter().map(told).collect();
        let distinct: BTreeSet<&String> = values.iter().flatten().collect();
        (distinct.len() > 1).then(|| Difference { group: "CPUs used", name: placement.into(), values })
    };
    placements.into_iter().filter_map(difference).collect()
}

fn used_cpus(run: &Run) -> BTreeMap<&'static str, BTreeSet<String>> {
    let mut used: BTreeMap<&'static str, BTreeSet<String>> = BTreeMap::new();
    let settings = run.benchmarks.iter().filter(|line| line.pair().is_none()).map(|line| &line.setting);
    for setting in settings.filter(|setting| !setting.cpus.is_empty()) {
        used.entry(setting.placement.name()).or_default().insert(cpu_list(&setting.cpus));
    }
    used
}

/// The group of the longest beginning that fits.
fn group(name: &str) -> Option<usize> {
    let fitting = |(place, (_, begins)): (usize, &(&str, &[&str]))| {
        let longest = begins.iter().filter(|begin| name.starts_with(**begin)).map(|begin| begin.len()).max()?;
        Some((longest, place))
    };
    GROUPS.iter().enumerate().filter_map(fitting).max().map(|(_, place)| place)
}

fn leaves(host: &HostLine) -> BTreeMap<String, String> {
    let mut leaves = BTreeMap::new();
    let values = [("host", serde_json::to_value(&host.host)), ("build", serde_json::to_value(&host.build))];
    for (name, value) in values {
        if let Ok(value) = value {
            gather(name, &value, &mut leaves);
        }
    }
    leaves
}

/// A list is one value: a line for each CPU that differs would not help a reader.
fn gather(name: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
    match value {
        Value::Null => {}
        Value::Object(fields) => {
            for (field, value) in fields {
                gather(&format!("{name}.{field}"), value, leaves);
            }
        }
        Value::String(text) => drop(leaves.insert(name.into(), text.clone())),
        Value::Array(items) => drop(leaves.insert(name.into(), list(items))),
        other => drop(leaves.insert(name.into(), other.to_string())),
    }
}

/// Whole where it is short; its length and a part of it where it is not, with a digest that tells two of them apart.
fn list(items: &[Value]) -> String {
    const LONGEST: usize = 60;
    let whole: Vec<String> = items
        .iter()
        .map(|item| match item {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        })
        .collect();
    let whole = whole.join(", ");
    if whole.chars().count() <= LONGEST {
        return whole;
    }
    let digest = whole.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte)));
    let begin: String = whole.chars().take(LONGEST / 2).collect();
    format!("{} items, {begin}… ({digest:08x})", items.len())
}
