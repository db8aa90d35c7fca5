//! The runs that a command line names, read and checked before they are set beside each other.

use std::path::PathBuf;

use super::paired_record::PairedRecord;
use super::terminal::errln;
use crate::harness::now_ms;
use crate::record::{RecordError, Run, clock_doubt, one_machine_for_each_id, read};

/// The runs at `paths` with their names: both sides of a paired comparison are two.
pub(super) fn runs_of(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, Run)>> {
    let mut runs = Vec::new();
    for path in paths {
        match PairedRecord::read(path)? {
            Some(record) => runs.extend(record.runs),
            None => runs.push((path.display().to_string(), read(path)?)),
        }
    }
    check(&runs)?;
    Ok(runs)
}

/// Refuses two machines with one id, and says on standard error whose clock was wrong.
pub(super) fn check(runs: &[(String, Run)]) -> Result<(), RecordError> {
    one_machine_for_each_id(runs)?;
    for (name, run) in runs {
        if let Some(doubt) = clock_doubt(run, now_ms()) {
            errln!("switchcost: {name}: {doubt}");
        }
    }
    Ok(())
}
