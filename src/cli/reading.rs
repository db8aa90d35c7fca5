//! The runs that a command line names, read and checked before they are set beside each other.

use std::path::PathBuf;

use super::paired_record::PairedRecord;
use super::terminal::errln;
use crate::compare::void_the_impossible;
use crate::harness::now_ms;
use crate::record::{RecordError, Run, clock_doubt, one_machine_for_each_id, read};

/// The runs at `paths` with their names, without figures that cannot be: both sides of a paired comparison are two.
pub(super) fn runs_of(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, Run)>> {
    let mut runs = recorded(paths)?;
    check(&mut runs)?;
    Ok(runs)
}

/// The same with every figure as it was recorded.
pub(super) fn recorded(paths: &[PathBuf]) -> anyhow::Result<Vec<(String, Run)>> {
    let mut runs = Vec::new();
    for path in paths {
        match PairedRecord::read(path)? {
            Some(record) => runs.extend(record.runs),
            None => runs.push((path.display().to_string(), read(path)?)),
        }
    }
    Ok(runs)
}

/// Refuses two machines with one id, takes figures out that cannot be, and says on standard error
/// which clock was wrong.
pub(super) fn check(runs: &mut [(String, Run)]) -> Result<(), RecordError> {
    one_machine_for_each_id(runs)?;
    runs.iter_mut().for_each(|(_, run)| void_the_impossible(run));
    for (name, run) in runs {
        if let Some(doubt) = clock_doubt(run, now_ms()) {
            errln!("switchcost: {name}: {doubt}");
        }
    }
    Ok(())
}
