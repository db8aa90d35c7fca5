//! `switchcost matrix`: what a handoff costs between each pair of CPUs.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::options::{SettingArgs, UsageError, meant};
use super::progress::shown;
use super::run_session::{check_same, host_line};
use super::terminal::{errln, line_of_stdout};
use super::{FAILED, folder};
use crate::crew::Failure;
use crate::harness::rounds::{PlanLock, Signals, lock_run};
use crate::harness::{MatrixSampling, matrix, pairs, usable_cpus};
use crate::host::Root;
use crate::mechanism::{Mechanism, find};
use crate::record::{BenchmarkLine, Build, Line, Outcome, RecordError, RecordWriter, Run, read};
use crate::report::{ReportFile, pairs_files, pairs_tables, summarize};
use crate::terms::{Host, Placement, Setting};
use crate::units::{CpuId, Nanos, cpu_list};

/// Measure the handoff between every pair of CPUs, and draw a heat map
#[derive(Debug, Args)]
#[command(after_help = "\
With --out, the map can be added to a run of the same machine and program, and is part of its report.\n\
Ctrl-C ends it after the current pair and records the results so far.\n\
Exit status: 0 every pair was measured, 1 one failed or it was stopped, 2 bad usage.")]
pub(super) struct MatrixArgs {
    /// The handoff: spin, futex, pipe, or any other that `switchcost list handoff/` prints
    #[arg(long, value_name = "NAME", default_value = "spin")]
    mechanism: String,
    #[command(flatten)]
    setting: SettingArgs,
    /// Measure each pair in both orders; the CPU named first is the one that begins
    #[arg(long)]
    ordered: bool,
    /// How often each pair is measured, in a new order each time; one measurement alone gives no figure
    #[arg(long, value_name = "N", default_value_t = 11, value_parser = clap::value_parser!(u32).range(2..=10_000))]
    rounds: u32,
    /// Milliseconds of each of these measurements
    #[arg(long, value_name = "MS", default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    sample_ms: u64,
    /// Print the numbers as JSON
    #[arg(long)]
    json: bool,
    /// The folder for the record and the map (default target/switchcost/<time>)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

/// What the options come to. Nothing was written yet.
pub(super) struct MatrixPlan {
    pub(super) mechanism: &'static dyn Mechanism,
    pub(super) setting: Setting,
    pub(super) cpus: Vec<CpuId>,
    pub(super) pairs: Vec<(CpuId, CpuId)>,
    pub(super) sampling: MatrixSampling,
    /// None is a new one.
    pub(super) folder: Option<PathBuf>,
}

impl MatrixArgs {
    /// Which pairs are measured, how, and where the record goes.
    pub(super) fn plan(&self) -> anyhow::Result<MatrixPlan> {
        let mechanism = self.mechanism()?;
        let choice = self.setting.choice()?;
        if !choice.placements.is_empty() {
            let reason = "--placement: each pair of CPUs is a placement of its own; choose among them by --cpus";
            return Err(UsageError::Unknown(reason.into()).into());
        }
        let (setting, cpus) = (choice.setting_of(mechanism)?, usable_cpus(&choice.cpus)?);
        let id = mechanism.descriptor().id;
        if let Some((name, _)) =
            choice.parameters.iter().find(|(name, _)| mechanism.descriptor().parameter(name).is_none())
        {
            let reason = format!("{id} has no parameter `{name}`; `switchcost list {id}` shows those it has");
            return Err(UsageError::Unknown(reason).into());
        }
        if !mechanism.tasks(&setting.parameters).fit(Placement::OnePerCpu) {
            let reason = format!("the tasks of {id} share a thread, and with it a CPU: there are no pairs to measure");
            return Err(UsageError::Unknown(reason).into());
        }
        let pairs = pairs(mechanism, &setting.parameters, &cpus, self.ordered);
        if pairs.is_empty() {
            return Err(UsageError::Unknown(format!(
                "{} needs two CPUs, and there is only CPU {}; a wider mask helps (taskset, cpuset, --cpus)",
                id,
                cpu_list(&cpus)
            ))
            .into());
        }
        let sampling = MatrixSampling { rounds: self.rounds, sample: Nanos(self.sample_ms * 1_000_000) };
        Ok(MatrixPlan { mechanism, setting, cpus, pairs, sampling, folder: self.out.clone() })
    }

    /// The numbers; `None` while no pair has two plan. As JSON, that is an empty list.
    pub(super) fn numbers(&self, plan: &MatrixPlan, lines: &[BenchmarkLine]) -> Option<String> {
        if self.json {
            return Some(format!("{:#}", as_json(plan.mechanism, &plan.cpus, lines)));
        }
        Some(pairs_tables(lines)).filter(|tables| !tables.is_empty())
    }

    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let plan = self.plan()?;
        let MatrixPlan { mechanism, ref setting, ref pairs, sampling, .. } = plan;
        let mut log = MatrixRecord::open(folder::named_or_new(plan.folder.clone())?)?;
        let mut signals = Signals::take_over()?;
        let watch = MatrixProgress::new(pairs.len(), self.rounds);
        let go_on = |done| {
            watch.visited(done);
            // With a timeout of zero this fails only for lack of memory, which is no reason to stop.
            let _ = signals.wait(Duration::ZERO);
            signals.count() == 0
        };
        let lines = matrix(mechanism, setting, pairs, sampling, &log.host_id, go_on);
        watch.end();
        let lines = match lines {
            Err(Failure::Unsupported(reason)) => {
                line_of_stdout(format_args!("{}: unsupported: {reason}", mechanism.descriptor().id))?;
                return Ok(ExitCode::SUCCESS);
            }
            other => other?,
        };
        log.append(&lines)?;
        for line in &lines {
            if let Outcome::Unsupported(reason) = &line.outcome {
                errln!("{}: unsupported: {reason}", line.id);
            }
        }
        let failed = lines.iter().filter(|line| matches!(line.outcome, Outcome::Failed(_)));
        let failed = failed.filter_map(|line| Some((&line.id, line.outcome.reason()?)));
        failed.clone().for_each(|(id, reason)| errln!("{id}: FAILED: {reason}"));
        let whole = failed.count() == 0 && signals.count() == 0;
        let status = if whole { ExitCode::SUCCESS } else { ExitCode::from(FAILED) };
        let mut out = std::io::stdout().lock();
        match self.numbers(&plan, &lines) {
            Some(numbers) => writeln!(out, "{numbers}")?,
            None => eprintln!("switchcost: no pair was measured twice: there are no figures"),
        }
        if self.json {
            return Ok(status);
        }
        for (kind, path) in log.draw()? {
            writeln!(out, "{:<9}{}", format!("{kind}:"), path.display())?;
        }
        writeln!(out, "record:  {}", log.writer.path().display())?;
        writeln!(out, "report:  switchcost report {}", log.folder.display())?;
        Ok(status)
    }

    fn mechanism(&self) -> Result<&'static dyn Mechanism, UsageError> {
        let name = self.mechanism.strip_prefix("handoff/").unwrap_or(&self.mechanism);
        find(&format!("handoff/{name}")).ok_or_else(|| {
            let meant = meant(&format!("handoff/{name}"));
            UsageError::Unknown(format!("no handoff is called `{name}`{meant}; `switchcost list handoff/` prints them"))
        })
    }
}

/// What is shown meanwhile: a bar on a terminal, a line for each round elsewhere.
struct MatrixProgress {
    bar: Option<indicatif::ProgressBar>,
    pairs: usize,
    rounds: u32,
}

impl MatrixProgress {
    fn new(pairs: usize, rounds: u32) -> Self {
        let visits = pairs as u64 * u64::from(rounds);
        let bar = shown(indicatif::ProgressBar::new(visits));
        Self { bar, pairs, rounds }
    }

    fn visited(&self, done: usize) {
        match &self.bar {
            Some(bar) => bar.set_position(done as u64),
            None if done.is_multiple_of(self.pairs) => errln!("round {}/{} done", done / self.pairs, self.rounds),
            None => {}
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// The run that the pairs are written to: a new one, or one of this machine that has other benchmarks.
struct MatrixRecord {
    folder: PathBuf,
    host_id: String,
    before: Run,
    writer: RecordWriter,
    /// Written when there is something to write beside it.
    introduction: Option<Line>,
    _held: Option<PlanLock>,
}

impl MatrixRecord {
    /// Before minutes of measuring.
    fn open(folder: PathBuf) -> anyhow::Result<Self> {
        let held = lock_run(&folder)?;
        let writer = RecordWriter::open(&folder)?;
        let before = if writer.is_new() { Run::default() } else { read(&folder)? };
        let (host, build) = (Host::observe(&Root::default()), Build::current());
        check_same(&before, &host, &build, &folder)?;
        let introduction = Line::Host(Box::new(host_line(super::command_line(), &host, build)));
        Ok(Self { folder, host_id: host.id(), before, writer, introduction: Some(introduction), _held: held })
    }

    /// Writes `lines` as the round after those that the run has of them.
    fn append(&mut self, lines: &[BenchmarkLine]) -> Result<(), RecordError> {
        if let Some(introduction) = self.introduction.take_if(|_| !lines.is_empty()) {
            self.writer.append(&introduction)?;
        }
        let mut rounds: HashMap<&str, usize> = HashMap::new();
        for before in &self.before.benchmarks {
            *rounds.entry(&before.id).or_default() += 1;
        }
        for line in lines {
            let round = rounds.get(line.id.as_str()).copied().unwrap_or_default();
            let line = BenchmarkLine { round: u32::try_from(round).unwrap_or(u32::MAX), ..line.clone() };
            self.writer.append(&Line::Benchmark(Box::new(line)))?;
        }
        Ok(())
    }

    /// Draws all maps of the run: what each file is, and where.
    fn draw(&self) -> anyhow::Result<Vec<(&'static str, PathBuf)>> {
        let write = |file: ReportFile| {
            let (kind, path) = (file.kind(), self.folder.join(&file.path));
            std::fs::write(&path, file.text).with_context(|| format!("writing {}", path.display()))?;
            Ok((kind, path))
        };
        pairs_files(&read(&self.folder)?).into_iter().map(write).collect()
    }
}

fn as_json(mechanism: &dyn Mechanism, cpus: &[CpuId], lines: &[BenchmarkLine]) -> serde_json::Value {
    let pair = |line: &BenchmarkLine| {
        let ((first, second), summary) = (line.pair()?, summarize(&[line])?);
        let Outcome::Measured(measured) = &line.outcome else { return None };
        let samples: Vec<f64> = measured.samples.iter().map(|sample| sample.per_op()).collect();
        let interval = summary.per_op.interval;
        Some(serde_json::json!({
            "first": first,
            "second": second,
            "median_ns": interval.estimate,
            "low_ns": interval.low,
            "high_ns": interval.high,
            "least_ns": samples.iter().copied().min_by(f64::total_cmp),
            "samples_ns": samples,
        }))
    };
    let descriptor = mechanism.descriptor();
    let pairs: Vec<_> = lines.iter().filter_map(pair).collect();
    serde_json::json!({ "mechanism": descriptor.id, "unit": descriptor.unit, "cpus": cpus, "pairs": pairs })
}
