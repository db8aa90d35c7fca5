//! `switchcost run`: several rounds of chosen benchmarks, each in a fresh process.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use super::bundle::BundleOption;
use super::filter::FilterArgs;
use super::options::{CountingArgs, SettingArgs, UsageError, event_set};
use super::run_session::{RunSession, Start, positive_share};
use super::{FAILED, folder, report, show};
use crate::harness::rounds::{ALL, DEFAULT, Profile, RunOutcome, RunPlan, RunPlanError, duration};
use crate::host::Root;
use crate::record::{BenchmarkLine, Outcome, Run};
use crate::terms::Host;

/// Measure benchmarks in several rounds, each benchmark of each round in a fresh process, in random order
#[derive(Debug, Args)]
#[command(after_help = "Ctrl-C waits for the running benchmark, records it and prints the results so far; --resume \
                        continues.")]
pub(super) struct RunArgs {
    #[command(flatten)]
    filter: FilterArgs,
    #[command(flatten)]
    setting: SettingArgs,
    #[command(flatten)]
    measurement: MeasureArgs,
    #[arg(long, value_name = "NAME|FILE", help = profiles(
        "What to measure and how long (default: `default`, or `all` where a filter or --placement names something)"
    ))]
    profile: Option<String>,
    /// The folder for the run (default target/switchcost/<time>)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    #[command(flatten)]
    bundle: BundleOption,
    /// Continue this run, or the newest one
    #[arg(long, value_name = "DIR", num_args = 0..=1, conflicts_with_all = ["filter", "exclude", "out", "profile"])]
    resume: Option<Option<PathBuf>>,
}

/// How to measure; the same for a run and for a paired comparison.
#[derive(Debug, Default, PartialEq, Args)]
pub(super) struct MeasureArgs {
    /// Number of rounds (default: that of the profile, usually 5; for pairs at least 9)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: Option<u32>,
    /// Take at most this long: drop rounds, down to three, and then benchmarks
    #[arg(long, value_name = "TIME", value_parser = duration)]
    budget: Option<Duration>,
    /// Add rounds until every 95 % interval (of a pair: that of its ratio) is at most this wide on either side
    #[arg(long, value_name = "SHARE", value_parser = positive_share)]
    until: Option<f64>,
    /// Repeat a measurement, up to three times, if other programs ran or the CPU was slow meanwhile
    #[arg(long)]
    strict: bool,
    #[command(flatten)]
    counting: CountingArgs,
    /// Samples in a round, at least 10
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(10..=100_000))]
    samples: Option<u32>,
    /// Time for all samples of a round together
    #[arg(long, value_name = "TIME", value_parser = duration)]
    measure: Option<Duration>,
    /// Time to warm up
    #[arg(long, value_name = "TIME", value_parser = duration)]
    warm_up: Option<Duration>,
    /// Give up a benchmark that takes longer than this
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// Seed of the random order of every round (default: a new one for each run)
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
}

/// What `--profile` is for, with the names that there are.
pub(super) fn profiles(purpose: &str) -> String {
    format!("{purpose}: {}, or a TOML file", Profile::names())
}

impl MeasureArgs {
    /// A run goes on as it was begun: options that would be passed over are refused.
    pub(super) fn refuse_with_resume(&self, setting: &SettingArgs) -> Result<(), UsageError> {
        if *self == Self::default() && *setting == SettingArgs::default() {
            return Ok(());
        }
        Err(UsageError::Unknown(
            "--resume continues with the options that the run began with; leave out all others".into(),
        ))
    }

    /// What is asked for by these options and the profile's, without the benchmarks.
    pub(super) fn run_plan(&self, profile: &Profile) -> Result<RunPlan, UsageError> {
        event_set(self.counting.events.as_deref())?;
        let mut timing = profile.timing;
        timing.samples = self.samples.map_or(timing.samples, |samples| samples as usize);
        timing.measure = self.measure.unwrap_or(timing.measure);
        timing.warm_up = self.warm_up.unwrap_or(timing.warm_up);
        let rounds = self.rounds.unwrap_or(profile.rounds);
        let plan = RunPlan::new(super::command_line(), rounds, timing);
        Ok(RunPlan {
            until: self.until,
            budget: self.budget,
            timeout: self.timeout.unwrap_or(plan.timeout),
            seed: self.seed.unwrap_or(plan.seed),
            events: self.counting.events.clone(),
            counters: !self.counting.no_counters,
            audit: !self.counting.no_audit,
            strict: self.strict,
            ..plan
        })
    }
}

impl RunArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        self.bundle.refuse_existing()?;
        let mut session = RunSession::start(self.start()?)?;
        if session.plan.sides() > 1 {
            let folder = session.folder.display();
            return Err(UsageError::Unknown(format!(
                "{folder} is a paired comparison: switchcost compare --resume {folder}"
            ))
            .into());
        }
        let outcome = session.go_on()?;
        let runs = session.runs()?;
        let mut out = std::io::stdout().lock();
        for run in &runs {
            show::print(run, &mut out)?;
        }
        print_unmet(&outcome, session.plan.until, &mut out)?;
        let folder = session.folder.display();
        if outcome.stopped {
            writeln!(out, "stopped; to continue: switchcost run --resume {folder}")?;
        }
        print_paths(&runs[0], &mut out)?;
        self.bundle.write(&session.folder, &mut out)?;
        let failed = runs.iter().any(has_failures) || runs.iter().any(|run| run.benchmarks.is_empty());
        Ok(if failed || outcome.stopped { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
    }

    /// Where the bundle goes, if one is asked for.
    #[cfg(test)]
    pub(super) fn bundle_file(&self) -> Option<(&std::path::Path, bool)> {
        self.bundle.file()
    }

    /// What these options come to.
    pub(super) fn start(&self) -> anyhow::Result<Start> {
        match &self.resume {
            Some(folder) => {
                self.measurement.refuse_with_resume(&self.setting)?;
                Ok(Start::Resume(self.to_resume(folder.as_ref())?))
            }
            None => Ok(Start::Begin(Box::new(self.run_plan()?), self.out.clone())),
        }
    }

    fn to_resume(&self, folder: Option<&PathBuf>) -> Result<PathBuf, RunPlanError> {
        let newest = || folder::newest_with_plan().ok_or_else(|| RunPlanError::NoRun { path: folder::usual() });
        folder.cloned().map_or_else(newest, Ok)
    }

    fn run_plan(&self) -> anyhow::Result<RunPlan> {
        let filter = self.filter.filter()?;
        let choice = self.setting.choice()?;
        let names_something = !self.filter.filter.is_empty() || !choice.placements.is_empty();
        let usual = if names_something { ALL } else { DEFAULT };
        let profile = Profile::named(self.profile.as_deref().unwrap_or(usual), &choice.cpus)?;
        let planned = profile.plan(&choice, |id| filter.matches(id))?;
        filter.check_plan(&choice, &planned)?;
        filter.check_support(&planned)?;
        let mut plan = self.measurement.run_plan(&profile)?;
        let host_id = Host::observe(&Root::default()).id();
        planned.iter().for_each(|planned| plan.add(planned, &host_id));
        Ok(plan)
    }
}

/// Writes the report of `run` and prints where everything lies, the report last.
pub(super) fn print_paths(run: &Run, out: &mut impl Write) -> anyhow::Result<()> {
    let folder = run.path.parent().unwrap_or(&run.path).display().to_string();
    writeln!(out, "record:  {}", run.path.display())?;
    writeln!(out, "details: switchcost show --details {folder}")?;
    writeln!(out, "report:  {}", report::write_beside(run)?.display())?;
    Ok(())
}

/// Whether a benchmark failed in any round.
pub(super) fn has_failures(run: &crate::record::Run) -> bool {
    let failed = |line: &BenchmarkLine| matches!(line.outcome, Outcome::Failed(_));
    run.benchmarks.iter().any(failed)
}

/// Prints which benchmarks lack rounds, and which intervals are wider than `until` asked for.
pub(super) fn print_unmet(outcome: &RunOutcome, until: Option<f64>, out: &mut impl Write) -> std::io::Result<()> {
    if !outcome.unmeasured.is_empty() {
        writeln!(
            out,
            "left out for lack of time (give it more by --budget, or choose fewer by a filter or --exclude):"
        )?;
        for unmeasured in &outcome.unmeasured {
            writeln!(out, "  {}: {} of {} rounds", unmeasured.id, unmeasured.rounds, unmeasured.of)?;
        }
    }
    if let Some(target) = until.filter(|_| !outcome.wide_intervals.is_empty()) {
        writeln!(out, "not known to within ±{} %:", target * 100.0)?;
        for not in &outcome.wide_intervals {
            let width = not.half_width.map_or("unknown".into(), |width| format!("±{:.2} %", width * 100.0));
            let further = match not.further {
                Some(rounds) => format!("about {rounds} more needed"),
                None => "the number of further rounds is not known".into(),
            };
            let counting = match not.counting < not.rounds as usize {
                true if not.counting == 1 => ", of which 1 counts".into(),
                true => format!(", of which {} count", not.counting),
                false => String::new(),
            };
            writeln!(out, "  {}: {width}, rounds so far: {}{counting}; {further}", not.id, not.rounds)?;
        }
    }
    Ok(())
}
