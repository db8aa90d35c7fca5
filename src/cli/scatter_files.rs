//! What is known of the scatter between runs of a host: read from runs and from the files beside them, and kept there.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;

use super::folder;
use super::options::UsageError;
use crate::compare::{ScatterKnowledge, StoredScatter};
use crate::record::{Run, read};

/// What is known of the hosts of `runs`: from these runs, from the runs and files that `given` names, and from what
/// was kept beside the runs or in the usual folder.
pub(super) fn known(runs: &[(String, Run)], given: &[PathBuf]) -> anyhow::Result<ScatterKnowledge> {
    let (further, named) = read_given(given)?;
    let mut stored: BTreeMap<String, StoredScatter> = kept(runs);
    // What was named holds, whatever was kept.
    stored.extend(named.into_iter().map(|stored| (stored.host_id.clone(), stored)));
    let compared: Vec<&Run> = runs.iter().map(|(_, run)| run).collect();
    Ok(ScatterKnowledge::new(&compared, &further.iter().collect::<Vec<_>>(), stored.into_values().collect()))
}

/// Keeps what the runs of `given` tell, or where there are none `runs`, beside the first run.
pub(super) fn keep(runs: &[(String, Run)], given: &[PathBuf]) -> anyhow::Result<()> {
    let (further, _) = read_given(given)?;
    let compared = runs.iter().map(|(_, run)| run);
    let all: Vec<&Run> = if further.is_empty() { compared.collect() } else { further.iter().collect() };
    let found = StoredScatter::of(&all);
    if found.is_empty() {
        let text = "--keep-scatter needs three runs of one program on one host, or more";
        return Err(UsageError::Unknown(text.into()).into());
    }
    let folder = runs.first().and_then(|(_, run)| beside(run)).unwrap_or_else(folder::usual);
    for stored in found {
        let path = folder.join(StoredScatter::file_name(&stored.host_id));
        let text = serde_json::to_string(&stored)?;
        std::fs::write(&path, text).with_context(|| format!("writing {}", path.display()))?;
        eprintln!("the scatter of {} runs is kept in {}", stored.runs, path.display());
    }
    Ok(())
}

fn read_given(given: &[PathBuf]) -> anyhow::Result<(Vec<Run>, Vec<StoredScatter>)> {
    let (mut runs, mut stored) = (Vec::new(), Vec::new());
    for path in given {
        if path.extension().is_some_and(|extension| extension == "json") {
            let text = std::fs::read_to_string(path).map_err(|error| told(path, &error.to_string()))?;
            stored.push(StoredScatter::parse(&text).map_err(|reason| told(path, &format!("no scatter: {reason}")))?);
        } else {
            runs.push(read(path)?);
        }
    }
    Ok((runs, stored))
}

fn told(path: &Path, reason: &str) -> UsageError {
    UsageError::Unknown(format!("{}: {reason}", path.display()))
}

/// What was kept of the hosts of `runs`. A file that cannot be read is none: it is only looked for.
fn kept(runs: &[(String, Run)]) -> BTreeMap<String, StoredScatter> {
    let mut kept = BTreeMap::new();
    for (_, run) in runs {
        for host in &run.hosts {
            let places = beside(run).into_iter().chain([folder::usual()]);
            let found = places.map(|place| place.join(StoredScatter::file_name(&host.id))).find_map(|path| {
                StoredScatter::parse(&std::fs::read_to_string(path).ok()?)
                    .ok()
                    .filter(|stored| stored.host_id == host.id)
            });
            kept.extend(found.map(|stored| (host.id.clone(), stored)));
        }
    }
    kept
}

/// The folder in which the run's folder lies.
fn beside(run: &Run) -> Option<PathBuf> {
    let folder = std::path::absolute(&run.path).ok()?;
    Some(folder.parent()?.parent()?.to_path_buf())
}
