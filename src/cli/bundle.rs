//! `switchcost bundle`: a run as one file, to be sent.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::{ArgAction, Args, CommandFactory};
use serde_json::Value;

use super::export::{create, exists};
use crate::harness::rounds::{PLAN_FILE, Profile, RunPlan};
use crate::record::{BundleContent, FILE, Redaction, Run, is_bundle, open_bundle, read, whole};

/// Pack a run into one file, which `compare`, `report`, `show` and `export` can read
#[derive(Debug, Args)]
#[command(after_help = "\
What names a user, a folder or a host is left out, and the command says how much; --no-private keeps it.")]
pub(super) struct BundleArgs {
    /// The run's folder, its records.jsonl, or a bundle to strip further
    run: PathBuf,
    /// The file (default: the run's name with .tar.zst, here)
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(flatten)]
    private: PrivateArgs,
}

/// Whether what names people and places is left out.
#[derive(Debug, Default, Args)]
pub(super) struct PrivateArgs {
    /// Leave out of a bundle what names a user, a folder or a host (the default)
    #[arg(long, overrides_with = "no_private")]
    private: bool,
    /// Keep command lines, boot parameters and paths in a bundle as they were recorded
    #[arg(long, action = ArgAction::SetTrue, overrides_with = "private")]
    no_private: bool,
}

/// `--bundle` of `switchcost run`.
#[derive(Debug, Default, Args)]
pub(super) struct BundleOption {
    /// Also pack the run into this file, to be sent: `out.tar.zst`
    #[arg(long, value_name = "FILE")]
    bundle: Option<PathBuf>,
    #[command(flatten)]
    private: PrivateArgs,
}

impl BundleArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let file = self.file();
        write(&self.run, &file, !self.private.no_private, &mut std::io::stdout().lock())?;
        Ok(ExitCode::SUCCESS)
    }

    /// Where the bundle goes.
    pub(super) fn file(&self) -> PathBuf {
        self.out.clone().unwrap_or_else(|| {
            let run = if self.run.ends_with(FILE) { self.run.parent().unwrap_or(&self.run) } else { &self.run };
            let named = run.canonicalize().ok().and_then(|run| Some(run.file_name()?.to_string_lossy().into_owned()));
            format!("{}.tar.zst", named.unwrap_or_else(|| "run".into())).into()
        })
    }

    #[cfg(test)]
    pub(super) fn content(&self) -> anyhow::Result<BundleContent> {
        content(&self.run, !self.private.no_private)
    }
}

impl BundleOption {
    /// Where it goes, and whether names are left out.
    #[cfg(test)]
    pub(super) fn file(&self) -> Option<(&Path, bool)> {
        Some((self.bundle.as_deref()?, !self.private.no_private))
    }

    /// Before anything is measured.
    pub(super) fn refuse_existing(&self) -> anyhow::Result<()> {
        match &self.bundle {
            Some(file) if file.symlink_metadata().is_ok() => Err(exists(file)),
            _ => Ok(()),
        }
    }

    /// Packs the run in `folder`, where that was asked for.
    pub(super) fn write(&self, folder: &Path, out: &mut impl Write) -> anyhow::Result<()> {
        match &self.bundle {
            Some(file) => write(folder, file, !self.private.no_private, out),
            None => Ok(()),
        }
    }
}

fn write(run: &Path, file: &Path, private: bool, out: &mut impl Write) -> anyhow::Result<()> {
    let content = content(run, private)?;
    let target = create(file)?;
    let written = crate::record::write_bundle(&content, &target).and_then(|()| target.sync_all());
    written.inspect_err(|_| drop(std::fs::remove_file(file))).with_context(|| file.display().to_string())?;
    writeln!(out, "bundle:  {}", file.display())?;
    Ok(writeln!(out, "{}", told(&content, private))?)
}

fn told(content: &BundleContent, private: bool) -> String {
    if !private {
        return "kept:    command lines, boot parameters and paths, as recorded; no record holds the host's name"
            .into();
    }
    let left: Vec<String> = content.left_out.iter().map(|left| format!("{} {}", left.count, left.what)).collect();
    let left =
        if left.is_empty() { "nothing, for nothing in it names a person or place".into() } else { left.join(", ") };
    format!("left out: {left} (--no-private keeps it); no record holds the host's name")
}

/// What a bundle of the run or the paired comparison at `path` is made of.
fn content(path: &Path, private: bool) -> anyhow::Result<BundleContent> {
    let mut content = of(path)?;
    if private {
        let mut redaction = Redaction::new(&names(), known());
        redaction.before(&content.left_out);
        content.runs.iter_mut().for_each(|run| redaction.run(run));
        if let Some(plan) = &mut content.plan {
            *plan = private_plan(plan, &mut redaction, &content.runs)?;
        }
        content.left_out = redaction.left_out();
    }
    Ok(content)
}

fn of(path: &Path) -> anyhow::Result<BundleContent> {
    if is_bundle(path) {
        let bundle = open_bundle(path)?;
        let runs = bundle.records.into_iter().map(whole).collect::<Result<_, _>>()?;
        return Ok(BundleContent { plan: bundle.plan, runs, left_out: bundle.left_out });
    }
    let plan = path.join(PLAN_FILE);
    if !path.join(FILE).exists() && plan.exists() {
        let text = std::fs::read_to_string(&plan).with_context(|| plan.display().to_string())?;
        let folders = RunPlan::parse(&text, &plan)?.folders(path);
        if folders.len() == 2 {
            let runs = folders.iter().map(|folder| read(folder)).collect::<Result<_, _>>()?;
            return Ok(BundleContent { plan: Some(text), runs, left_out: Vec::new() });
        }
    }
    Ok(BundleContent { plan: None, runs: vec![read(path)?], left_out: Vec::new() })
}

/// The plan without words of its command line, and with the names of the programs alone.
fn private_plan(text: &str, redaction: &mut Redaction, runs: &[Run]) -> anyhow::Result<String> {
    let mut plan: RunPlan = serde_json::from_str(text)?;
    let ids: Vec<String> = runs.iter().flat_map(|run| &run.benchmarks).map(|line| line.id.clone()).collect();
    redaction.words(&mut plan.argv, &ids);
    let differ = plan.programs.0[0] != plan.programs.0[1];
    for program in &mut plan.programs.0 {
        *program = program.file_name().map(PathBuf::from).unwrap_or_default();
    }
    // Two builds of one name stay two.
    if differ && plan.programs.0[0] == plan.programs.0[1] {
        for (program, side) in plan.programs.0.iter_mut().zip(["A", "B"]) {
            *program = format!("{} of {side}", program.display()).into();
        }
    }
    let mut plan: Value = serde_json::to_value(&plan)?;
    plan["unsupported"] = Value::Array(Vec::new());
    Ok(plan.to_string())
}

/// The names of this host and user.
fn names() -> Vec<String> {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = host.trim();
    let variables = ["USER", "LOGNAME", "SUDO_USER"].into_iter().filter_map(|name| std::env::var(name).ok());
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let home = home.and_then(|home| Some(home.file_name()?.to_string_lossy().into_owned()));
    let short = host.split('.').next().unwrap_or_default();
    let mut names: Vec<String> = variables.chain(home).chain([host.into(), short.into()]).collect();
    // The longest first: an expression takes the first that fits.
    names.sort_by_key(|name| std::cmp::Reverse(name.len()));
    names.dedup();
    // These name no person, and kernels are called after the last two.
    names.retain(|name| !["root", "localhost", "debian", "ubuntu"].contains(&name.as_str()));
    names
}

/// Words of command lines that name no person: verbs, and profiles that come with the program.
fn known() -> Vec<String> {
    let command = super::Arguments::command();
    let verbs = command.get_subcommands().map(|verb| verb.get_name().to_string());
    verbs.chain(Profile::names().split(", ").map(String::from)).collect()
}
