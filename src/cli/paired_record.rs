//! The record of a paired comparison, read back: two runs, what belongs together, and what each side was set to.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::harness::rounds::{PLAN_FILE, PlanEntry, RunPlan};
use crate::record::{FILE, Run, is_bundle, open_bundle, read, whole};

/// A paired comparison that was measured.
pub(super) struct PairedRecord {
    /// The folder of each side, and its run.
    pub(super) runs: Vec<(String, Run)>,
    /// The ids of the first and the second side that belong together.
    pub(super) pairs: Vec<(String, String)>,
    /// What each side was set to, where they differ.
    pub(super) settings: Vec<String>,
}

impl PairedRecord {
    /// The comparison in `folder`; `None` where there is a run, or nothing.
    pub(super) fn read(folder: &Path) -> anyhow::Result<Option<Self>> {
        if is_bundle(folder) {
            return Self::of_bundle(folder);
        }
        let path = folder.join(PLAN_FILE);
        if folder.join(FILE).exists() || !path.exists() {
            return Ok(None);
        }
        let text = std::fs::read_to_string(&path)
            .map_err(|error| super::options::UsageError::Unknown(format!("{}: {error}", path.display())))?;
        let plan = RunPlan::parse(&text, &path)?;
        if plan.sides() != 2 {
            return Ok(None);
        }
        let of = |side: PathBuf| -> anyhow::Result<_> { Ok((side.display().to_string(), read(&side)?)) };
        let runs = plan.folders(folder).into_iter().map(of).collect::<anyhow::Result<_>>()?;
        Ok(Some(Self { runs, pairs: pairs(&plan), settings: settings(&plan) }))
    }

    /// The comparison in the bundle `file`; `None` where it holds a run.
    fn of_bundle(file: &Path) -> anyhow::Result<Option<Self>> {
        let bundle = open_bundle(file)?;
        let Some(text) = bundle.plan.filter(|_| bundle.records.len() == 2) else { return Ok(None) };
        let plan = RunPlan::parse(&text, &file.join(PLAN_FILE))?;
        let names = ["a", "b"].map(|side| file.join(side).display().to_string());
        let read = |(name, salvage)| -> anyhow::Result<_> { Ok((name, whole(salvage)?)) };
        let runs = names.into_iter().zip(bundle.records).map(read).collect::<anyhow::Result<_>>()?;
        Ok(Some(Self { runs, pairs: pairs(&plan), settings: settings(&plan) }))
    }
}

/// The ids of both sides, pair by pair.
pub(super) fn pairs(plan: &RunPlan) -> Vec<(String, String)> {
    partners(plan).map(|(a, b)| (a.id.clone(), b.id.clone())).collect()
}

fn partners(plan: &RunPlan) -> impl Iterator<Item = (&PlanEntry, &PlanEntry)> {
    let side = |side: usize| plan.entries.iter().filter(move |entry| entry.side == side);
    side(0).filter_map(move |a| Some((a, side(1).find(|b| b.pair == a.pair)?)))
}

/// What each side was set to, where the sides differ: from the plan, so that it is what was measured.
pub(super) fn settings(plan: &RunPlan) -> Vec<String> {
    let mut differing: [BTreeMap<String, Vec<String>>; 2] = Default::default();
    for (a, b) in partners(plan) {
        let leaves = [a, b].map(leaves);
        for name in leaves[0].keys().chain(leaves[1].keys()) {
            let values = [0, 1].map(|side| leaves[side].get(name).cloned().unwrap_or_else(|| "absent".into()));
            if values[0] != values[1] {
                for (side, value) in values.into_iter().enumerate() {
                    let known = differing[side].entry(name.clone()).or_default();
                    if !known.contains(&value) {
                        known.push(value);
                    }
                }
            }
        }
    }
    let [a, b] = &plan.programs.0;
    let mut sides = differing.map(|side| {
        side.into_iter().map(|(name, values)| format!("{name}={}", values.join(" or "))).collect::<Vec<_>>()
    });
    if a != b {
        sides[0].push(format!("program {}", a.display()));
        sides[1].push(format!("program {}", b.display()));
    }
    let told = |side: Vec<String>| if side.is_empty() { "as the other side".into() } else { side.join(", ") };
    sides.map(told).into()
}

/// The choices of a benchmark by name: `tasks`, `idle`, `cpus`.
fn leaves(entry: &PlanEntry) -> BTreeMap<String, String> {
    fn gather(name: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(fields) => fields.iter().for_each(|(name, value)| gather(name, value, leaves)),
            Value::String(text) => drop(leaves.insert(name.into(), text.clone())),
            Value::Array(items) => {
                let items: Vec<String> = items.iter().map(ToString::to_string).collect();
                leaves.insert(name.into(), items.join("+"));
            }
            other => drop(leaves.insert(name.into(), other.to_string())),
        }
    }
    let mut leaves = BTreeMap::new();
    gather("", &serde_json::to_value(&entry.spec).unwrap_or_default(), &mut leaves);
    leaves
}
