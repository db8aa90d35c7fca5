//! `switchcost lessons`: the lessons as a site, their questions, and which of them wait for a record. `switchcost
//! lesson N`: one of them with this machine's figures beside the committed ones.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::options::UsageError;
use super::run::MeasureArgs;
use super::run_session::{RunSession, Start};
use super::{FAILED, report, terminal};
use crate::harness::Choice;
use crate::harness::rounds::{Profile, RunPlan};
use crate::host::Root;
use crate::record::{Run, read, read_only};
use crate::report::ReportFile;
use crate::report::lessons::{Evidence, Lesson, RecordSource, beside, outcome, questions, site};
use crate::terms::Host;

/// Where the lessons lie in a clone of the repository, and where its reports do.
pub(super) const PAGES: &str = "docs/lessons";
const REPORTS: &str = "reports";

/// What a lesson's own measurement may take.
const LONGEST: Duration = Duration::from_secs(120);

/// List the lessons about threads and async, quiz yourself, or write them as a site
#[derive(Debug, Args)]
#[command(
    after_help = "Without options it lists the lessons. `switchcost lesson N` measures the figures of lesson N again."
)]
pub(super) struct LessonsArgs {
    /// Write them as a site into this folder: no network, no script
    #[arg(long, value_name = "DIR", conflicts_with = "quiz")]
    out: Option<PathBuf>,
    /// Print the questions of this lesson
    #[arg(long, value_name = "LESSON")]
    quiz: Option<usize>,
    /// Which variants of the questions
    #[arg(long, value_name = "NUMBER", requires = "quiz", default_value_t = 0)]
    seed: u64,
    /// Print the answers too
    #[arg(long, requires = "quiz")]
    answers: bool,
    /// The clone of the repository that holds the lessons and their records
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
}

/// Measure what a lesson needs, in at most two minutes, and draw its page with your figures beside its own
#[derive(Debug, Args)]
pub(super) struct LessonArgs {
    /// The lesson's number; `switchcost lessons` lists them
    lesson: usize,
    /// Measure nothing: take this run's record
    #[arg(long, value_name = "RUN", conflicts_with = "out")]
    record: Option<PathBuf>,
    /// The folder for the run and the page (default target/switchcost/<time>)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// The clone of the repository that holds the lessons and their records
    #[arg(long, value_name = "DIR", default_value = ".")]
    root: PathBuf,
}

/// A lesson with its committed records, as far as they are there.
#[derive(Debug)]
pub(super) struct Material {
    pub(super) lesson: Lesson,
    pub(super) runs: BTreeMap<String, Run>,
    /// Files beside the records, by the names of both.
    files: BTreeMap<String, serde_json::Value>,
}

impl Material {
    pub(super) fn evidence(&self) -> Evidence<'_> {
        Evidence::committed(&self.lesson, &self.runs).with_files(self.files.clone())
    }
}

/// All lessons of the clone at `root`, by number, without their records.
///
/// # Errors
/// A folder without lessons, and a lesson that cannot be read.
pub(super) fn lessons(root: &Path) -> anyhow::Result<Vec<Lesson>> {
    let folder = root.join(PAGES);
    let nowhere = || {
        UsageError::Unknown(format!(
            "there are no lessons in {}; run it in a clone of the repository, or name one by --root",
            folder.display()
        ))
    };
    let entries = std::fs::read_dir(&folder).map_err(|_| nowhere())?;
    let pages = entries.filter_map(Result::ok).map(|entry| entry.path());
    let numbered = |name: &str| name.ends_with(".md") && name.starts_with(|first: char| first.is_ascii_digit());
    let mut pages: Vec<PathBuf> =
        pages.filter(|path| path.file_name().and_then(|name| name.to_str()).is_some_and(numbered)).collect();
    pages.sort();
    let all: anyhow::Result<Vec<Lesson>> = pages.iter().map(|page| lesson_at(page)).collect();
    let all = all?;
    if all.is_empty() { Err(nowhere().into()) } else { Ok(all) }
}

fn lesson_at(page: &Path) -> anyhow::Result<Lesson> {
    let text = |path: &Path| std::fs::read_to_string(path).with_context(|| path.display().to_string());
    let name = page.file_stem().unwrap_or_default().to_string_lossy();
    Ok(Lesson::new(&name, text(page)?, &text(&page.with_extension("toml"))?)?)
}

/// The lesson with this number.
fn numbered(root: &Path, number: usize) -> anyhow::Result<Lesson> {
    let all = lessons(root)?;
    let numbers: Vec<String> = all.iter().map(|lesson| lesson.number.to_string()).collect();
    let found = all.into_iter().find(|lesson| lesson.number == number);
    Ok(found
        .ok_or_else(|| UsageError::Unknown(format!("there is no lesson {number}; there are {}", numbers.join(", "))))?)
}

/// `lesson` with the records that are there, among the reports of the clone at `root`.
///
/// # Errors
/// A record that is broken.
pub(super) fn with_records(root: &Path, lesson: Lesson) -> anyhow::Result<Material> {
    let (mut runs, mut files) = (BTreeMap::new(), BTreeMap::new());
    for (name, source) in lesson.records() {
        let Some(folder) = committed(root, source) else { continue };
        runs.insert(name.to_string(), read_only(&folder, &lesson.ids(name))?);
        for file in lesson.files(name) {
            let path = folder.join(file);
            if path.exists() {
                let failed = || path.display().to_string();
                let text = std::fs::read_to_string(&path).with_context(failed)?;
                files.insert(format!("{name}/{file}"), serde_json::from_str(&text).with_context(failed)?);
            }
        }
    }
    Ok(Material { lesson, runs, files })
}

/// The newest folder of a record that is there.
fn committed(root: &Path, source: &RecordSource) -> Option<PathBuf> {
    let reports = root.join(REPORTS);
    let holds = |folder: &PathBuf| folder.join(RECORD).is_file();
    let Some(ending) = source.folder.strip_prefix('*') else {
        return Some(reports.join(&source.folder)).filter(holds);
    };
    let entries = std::fs::read_dir(reports).into_iter().flatten().filter_map(Result::ok);
    let named = entries.map(|entry| entry.path()).filter(|path| path.to_string_lossy().ends_with(ending));
    named.filter(holds).max()
}

/// The record's file in its folder.
const RECORD: &str = "records.jsonl";

impl LessonsArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let mut out = std::io::stdout().lock();
        match &self.out {
            Some(folder) => {
                report::write_all(folder, self.site()?)?;
                writeln!(out, "{}", folder.join("index.html").display())?;
            }
            None => self.print(&mut out)?,
        }
        Ok(ExitCode::SUCCESS)
    }

    /// Where the site goes.
    #[cfg(test)]
    pub(super) fn folder(&self) -> Option<&Path> {
        self.out.as_deref()
    }

    /// The files of the site.
    pub(super) fn site(&self) -> anyhow::Result<Vec<ReportFile>> {
        let all: anyhow::Result<Vec<Material>> =
            lessons(&self.root)?.into_iter().map(|lesson| with_records(&self.root, lesson)).collect();
        let all = all?;
        let index = self.root.join(PAGES).join("README.md");
        let index = std::fs::read_to_string(&index).with_context(|| index.display().to_string())?;
        Ok(site(&all.iter().map(Material::evidence).collect::<Vec<_>>(), &index))
    }

    /// The list of lessons, or the questions of one.
    pub(super) fn print(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let Some(number) = self.quiz else {
            for lesson in lessons(&self.root)? {
                let absent = lesson.records().filter(|(_, source)| committed(&self.root, source).is_none());
                let absent: Vec<&str> = absent.map(|(_, source)| source.folder.as_str()).collect();
                let lacks = if absent.is_empty() { String::new() } else { "   (not measured yet)".into() };
                writeln!(out, "{}{lacks}", lesson.title())?;
            }
            return Ok(());
        };
        let material = with_records(&self.root, numbered(&self.root, number)?)?;
        let asked = questions(&material.evidence(), self.seed).map_err(anyhow::Error::msg)?;
        writeln!(out, "{}", material.lesson.title())?;
        for (index, question) in asked.iter().enumerate() {
            writeln!(out, "\n{}. {}", index + 1, question.ask)?;
            if self.answers {
                writeln!(out, "   Answer: {}", question.answer)?;
            }
        }
        Ok(())
    }
}

impl LessonArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let material = with_records(&self.root, numbered(&self.root, self.lesson)?)?;
        let mut stopped = false;
        let run = match &self.record {
            Some(record) => read(record)?,
            None => {
                let mut session =
                    RunSession::start(Start::Begin(Box::new(self.plan(&material.lesson)?), self.out.clone()))?;
                stopped = session.go_on()?.stopped;
                session.runs()?.swap_remove(0)
            }
        };
        let yours = Evidence::readers(&material.lesson, &run);
        let mut out = std::io::stdout().lock();
        writeln!(out, "{}\n", material.lesson.title())?;
        for line in outcome(&yours) {
            writeln!(out, "- {line}")?;
        }
        for (name, source) in material.evidence().absent() {
            writeln!(
                out,
                "\nnothing committed to compare with: the record `{name}` is not there yet: {}",
                source.fill
            )?;
        }
        let folder = run.path.parent().unwrap_or(Path::new("."));
        let page = beside(&material.evidence(), &yours);
        let path = folder.join(&page.path);
        report::write_all(folder, vec![page])?;
        writeln!(out, "\nrecord: {}\npage:   {}", run.path.display(), path.display())?;
        if stopped {
            terminal::errln!("switchcost: stopped; the page has what was measured until then");
        }
        Ok(if stopped || run.benchmarks.is_empty() { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
    }

    /// What is measured: the profile beside the page, for two minutes at most.
    fn plan(&self, lesson: &Lesson) -> anyhow::Result<RunPlan> {
        let path = self.root.join(PAGES).join(format!("{}.profile.toml", lesson.name));
        let profile = Profile::named(&path.to_string_lossy(), &[])?;
        let mut plan = MeasureArgs::default().run_plan(&profile)?;
        plan.budget = Some(LONGEST);
        let host_id = Host::observe(&Root::default()).id();
        profile.plan(&Choice::default(), |_| true)?.iter().for_each(|planned| plan.add(planned, &host_id));
        Ok(plan)
    }

    /// What these options come to.
    #[cfg(test)]
    pub(super) fn asked(&self) -> anyhow::Result<(RunPlan, Option<PathBuf>, Option<PathBuf>)> {
        let plan = self.plan(&numbered(&self.root, self.lesson)?)?;
        Ok((plan, self.out.clone(), self.record.clone()))
    }
}
