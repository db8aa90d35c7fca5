//! `switchcost report`: a page with charts and tables, from the records of one run or several.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;

use super::load_record;
use super::options::UsageError;
use super::reading::runs_of;
use super::show::groups;
use crate::load::{ENGINES, LoadEngine};
use crate::mechanism::registry;
use crate::record::{AdviceRecord, Run};
use crate::report::{Catalogue, PAGE, ReportFile, advice_files, files};

/// Write a web page with what one run says, charts and tables; or of several runs side by side
#[derive(Debug, Args)]
pub(super) struct ReportArgs {
    /// The runs: folders, their records.jsonl, or bundles; or the record of one advice
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    /// The folder for the report (default: `report` in the first run's folder)
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
}

impl ReportArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let (folder, files) = match self.runs.iter().find(|path| AdviceRecord::file(path).is_some()) {
            Some(advice) => self.advice(advice)?,
            None => self.files()?,
        };
        write_all(&folder, files)?;
        super::terminal::line_of_stdout(folder.join(PAGE).display())?;
        Ok(ExitCode::SUCCESS)
    }

    /// The same of an advice.
    fn advice(&self, path: &Path) -> anyhow::Result<(PathBuf, Vec<ReportFile>)> {
        if self.runs.len() > 1 {
            let told = format!("{} is the record of an advice: report it alone", path.display());
            return Err(UsageError::Unknown(told).into());
        }
        let record = AdviceRecord::read(path)?;
        let file = AdviceRecord::file(path).unwrap_or_else(|| path.into());
        let beside = || file.parent().unwrap_or(Path::new(".")).join("report");
        Ok((self.out.clone().unwrap_or_else(beside), advice_files(&record)))
    }

    /// The folder, and what is written there.
    pub(super) fn files(&self) -> anyhow::Result<(PathBuf, Vec<ReportFile>)> {
        let named = runs_of(&self.runs)?;
        let pair = self.runs.iter().find(|path| named.iter().all(|(name, _)| Path::new(name) != path.as_path()));
        let runs: Vec<Run> = named.into_iter().map(|(_, run)| run).collect();
        let beside = || pair.map_or_else(|| beside(&runs[0]), |folder| folder.join("report"));
        let folder = self.out.clone().unwrap_or_else(beside);
        Ok((folder, files(&runs, &catalogue())))
    }
}

/// Writes the report of `run` into its folder, and returns the path of its page.
pub(super) fn write_beside(run: &Run) -> anyhow::Result<PathBuf> {
    let folder = beside(run);
    write_all(&folder, files(std::slice::from_ref(run), &catalogue()))?;
    Ok(folder.join(PAGE))
}

/// Writes `files` into `folder`.
pub(super) fn write_all(folder: &Path, files: Vec<ReportFile>) -> anyhow::Result<()> {
    files.into_iter().try_for_each(|file| write(&folder.join(&file.path), &file.text))
}

fn beside(run: &Run) -> PathBuf {
    run.path.parent().unwrap_or(Path::new(".")).join("report")
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    let failed = || format!("writing {}", path.display());
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder).with_context(failed)?;
    }
    std::fs::write(path, text).with_context(failed)
}

fn catalogue() -> Catalogue {
    let engine =
        |engine: &&dyn LoadEngine| (format!("{}/{}", load_record::GROUP, engine.name()), engine.describe().into());
    let engines = ENGINES.iter().map(engine);
    let mechanisms = registry().iter().map(|mechanism| mechanism.descriptor());
    Catalogue {
        groups: groups().map(|(name, question)| (name.into(), question.into())).collect(),
        mechanisms: mechanisms.map(|d| (d.id.into(), d.isolates.into())).chain(engines).collect(),
    }
}
