//! `switchcost compare`: compares runs with the first of them, from their records; or measures and compares two
//! settings or programs.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::str::FromStr;

use clap::{Args, ValueEnum};

use super::confirm;
use super::filter::{ExcludeArgs, Filter};
use super::options::{SettingArgs, UsageError};
use super::paired::{ComparisonInput, PairedRun, SideArgs};
use super::paired_record::PairedRecord;
use super::reading;
use super::regression;
use super::run::{MeasureArgs, profiles};
use super::run_session::{Start, share};
use super::scatter_files;
use super::terminal::errln;
use super::{FAILED, REGRESSION};
use crate::compare::{
    ComparedBy, Comparison, Matching, ScatterKnowledge, bencher, compare_on, csv, github_action_benchmark, json,
    markdown, table,
};
use crate::record::{Run, read};

/// How the comparison is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OutputFormat {
    Table,
    Markdown,
    Csv,
    Json,
    // Said in the option's help: a line of its own would spread out the help of every other option.
    Bencher,
    GithubActionBenchmark,
}

impl OutputFormat {
    /// Whether it holds the figures of one run, for programs that keep a history.
    fn is_of_one_run(self) -> bool {
        matches!(self, Self::Bencher | Self::GithubActionBenchmark)
    }
}

/// Compare runs with the first one; with --paired, measure two settings or two programs side by side
#[derive(Debug, Args)]
#[command(after_help = "switchcost compare A B                                  two runs, from their records\n\
                        switchcost compare FOLDER                               a paired comparison, from its record\n\
                        switchcost compare --paired --b idle=poll handoff/      two settings, measured now\n\
                        switchcost compare --paired --b-program ./switchcost-new handoff/pipe")]
pub(super) struct CompareArgs {
    /// The runs' folders, records or bundles; with --paired filters, of which an id has to match one
    #[arg(value_name = "RUN|FILTER")]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    excluded: ExcludeArgs,
    /// Differences smaller than this do not matter
    #[arg(long, value_name = "SHARE", value_parser = share, default_value = "1%")]
    smallest_effect: f64,
    /// Exit with status 3 when benchmarks are slower (or what --by names is higher) by more than this share, judged
    /// together: at most one comparison in twenty between which nothing changed fails
    #[arg(long, value_name = "SHARE", value_parser = share)]
    fail_on_regression: Option<f64>,
    /// Measure what the gate names and suspects again, both programs interleaved, and let that decide; --a-program and
    /// --b-program name the builds that are not this program
    #[arg(long, requires = "fail_on_regression", conflicts_with_all = ["paired", "resume"])]
    pub(super) confirm: bool,
    /// Learn how far runs of one program scatter on this host from these: runs that are not compared, or a file that
    /// --keep-scatter wrote
    #[arg(long, value_name = "RUN|FILE", num_args = 1..)]
    scatter: Vec<PathBuf>,
    /// Keep what several runs of one program tell of the scatter, beside the first run, for later comparisons on the
    /// host
    #[arg(long)]
    keep_scatter: bool,
    /// Compare by this: time (or what a group measures), cpu (time of the tasks), switches, or an event that was
    /// counted, such as instructions:u
    #[arg(long, value_name = "WHAT", default_value = "time", value_parser = ComparedBy::from_str)]
    pub(super) by: ComparedBy,
    /// The format of the output; bencher is Bencher's metric format and github-action-benchmark that action's
    /// customSmallerIsBetter, both for the last run
    #[arg(long, value_enum, default_value = "table")]
    format: OutputFormat,
    /// Measure two sides in each round, alternating sample by sample; where both cannot be set up at once (they differ
    /// in idle, spin, wait or hold memory), one after the other. Without --a and --b both sides are the same, which
    /// shows how much differs by chance
    #[arg(long)]
    pub(super) paired: bool,
    #[command(flatten)]
    sides: SideArgs,
    #[command(flatten)]
    what: SettingArgs,
    #[command(flatten)]
    how: MeasureArgs,
    #[arg(long, value_name = "NAME|FILE", help = profiles("With --paired: what to measure and how long"))]
    profile: Option<String>,
    /// With --paired: the folder for the two runs
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue a paired comparison
    #[arg(long, value_name = "DIR", conflicts_with_all = ["paired", "out", "profile", "runs", "exclude"])]
    pub(super) resume: Option<PathBuf>,
}

impl CompareArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let material = if self.paired || self.resume.is_some() {
            PairedRun::open(self.start()?)?.measure()?
        } else {
            self.recorded()?
        };
        let mut out = std::io::stdout().lock();
        let confirmation = if self.confirm { self.confirmation(&material)? } else { None };
        let status = self.conclude(material, &mut out)?;
        let Some(start) = confirmation else { return Ok(ExitCode::from(status)) };
        errln!("gate: measuring again, interleaved, what it names and suspects");
        let again = PairedRun::open(start)?.measure()?;
        Ok(ExitCode::from(self.conclude(again, &mut out)?))
    }

    /// What is compared from records: runs, or both sides of one paired comparison.
    fn recorded(&self) -> anyhow::Result<ComparisonInput> {
        if let [folder] = self.runs.as_slice()
            && let Some(record) = PairedRecord::read(folder)?
        {
            let filter = Filter::new(&[], false, &self.excluded)?;
            let pairs = record.pairs.into_iter().filter(|(a, _)| filter.matches(a)).collect();
            let (mut runs, settings) = (record.runs, record.settings);
            reading::check(&mut runs)?;
            return Ok(ComparisonInput { runs, matching: Matching::Pairs(pairs), settings, complete: true });
        }
        Ok(ComparisonInput { runs: self.read()?, matching: Matching::Ids, settings: Vec::new(), complete: true })
    }

    /// The measurement that settles what the gate over `material` finds; `None` where it finds nothing.
    pub(super) fn confirmation(&self, material: &ComparisonInput) -> anyhow::Result<Option<Start>> {
        let runs = self.compared_by(material.runs.clone())?;
        let known = self.known(&runs)?;
        let comparison = compare_on(&known, &runs, &material.matching, self.smallest_effect);
        let gate = comparison.gate(self.fail_on_regression.unwrap_or_default());
        if gate.regressed.is_empty() && gate.suspects.is_empty() {
            return Ok(None);
        }
        confirm::start(&gate, &material.runs, (&self.sides, &self.how), self.out.clone()).map(Some)
    }

    /// Writes the comparison of `material`, and returns the status to end with.
    pub(super) fn conclude(&self, material: ComparisonInput, out: &mut impl Write) -> anyhow::Result<u8> {
        let ComparisonInput { runs, matching, settings, complete } = material;
        let runs = self.compared_by(runs)?;
        let known = self.known(&runs)?;
        let mut comparison = compare_on(&known, &runs, &matching, self.smallest_effect);
        comparison.settings = settings;
        comparison.by = self.by.clone();
        let single = runs.len() == 1 && self.format.is_of_one_run();
        if comparison.rows.is_empty() && !complete {
            // It was stopped before a pair was whole, or failed and said so.
            return Ok(FAILED);
        }
        if comparison.rows.is_empty() && !single {
            let names = comparison.runs.join(" and ");
            let left = if self.excluded.exclude.is_empty() { "" } else { " and that --exclude leaves" };
            let text = format!("{names} have no benchmark in common that was measured in both{left}");
            return Err(UsageError::Unknown(text).into());
        }
        self.write(&comparison, &runs, out)?;
        if self.keep_scatter {
            scatter_files::keep(&runs, &self.scatter)?;
        }
        let gate = self.fail_on_regression.map(|share| comparison.gate(share));
        if let Some(gate) = &gate {
            out.flush()?;
            errln!("{}", regression::told(gate, &comparison).trim_end());
            if !(self.confirm || self.paired || gate.regressed.is_empty() && gate.suspects.is_empty()) {
                errln!("gate: to settle it, the same with --confirm, and --a-program or --b-program for another build");
            }
        }
        let regressed = gate.is_some_and(|gate| !gate.regressed.is_empty());
        Ok(match (regressed, complete) {
            (true, _) => REGRESSION,
            (false, true) => 0,
            (false, false) => FAILED,
        })
    }

    /// The runs with what they are to be compared by.
    fn compared_by(&self, runs: Vec<(String, Run)>) -> anyhow::Result<Vec<(String, Run)>> {
        if self.by != ComparedBy::Time && (self.keep_scatter || !self.scatter.is_empty()) {
            let text = "--scatter and --keep-scatter are about times: leave them out, or --by";
            return Err(UsageError::Unknown(text.into()).into());
        }
        let events: BTreeSet<String> = runs.iter().flat_map(|(_, run)| ComparedBy::events(run)).collect();
        let mut lacking = BTreeSet::new();
        let mut apply = |(name, run)| {
            let (run, without) = self.by.apply(run);
            lacking.extend(without);
            (name, run)
        };
        let runs: Vec<(String, Run)> = runs.into_iter().map(&mut apply).collect();
        if let ComparedBy::Event(event) = &self.by
            && !events.contains(event)
        {
            let counted = if events.is_empty() { "none".into() } else { Vec::from_iter(events).join(", ") };
            let text = format!("--by {event}: no run has counted it; counted were: {counted}");
            return Err(UsageError::Unknown(text).into());
        }
        if !lacking.is_empty() {
            let many = lacking.len();
            errln!("compare: {many} benchmarks are left out, of which a run has no count, or none but 0");
        }
        Ok(runs)
    }

    /// What is known of the scatter between runs. What was kept is about times.
    fn known(&self, runs: &[(String, Run)]) -> anyhow::Result<ScatterKnowledge> {
        if self.by == ComparedBy::Time {
            return scatter_files::known(runs, &self.scatter);
        }
        let compared: Vec<&Run> = runs.iter().map(|(_, run)| run).collect();
        Ok(ScatterKnowledge::new(&compared, &[], Vec::new()))
    }

    fn write(&self, comparison: &Comparison, runs: &[(String, Run)], out: &mut impl Write) -> anyhow::Result<()> {
        match self.format {
            OutputFormat::Table => write!(out, "{}", table(comparison))?,
            OutputFormat::Markdown => write!(out, "{}", markdown(comparison))?,
            OutputFormat::Csv => write!(out, "{}", csv(comparison))?,
            OutputFormat::Json => writeln!(out, "{}", json(comparison)?)?,
            OutputFormat::Bencher | OutputFormat::GithubActionBenchmark => {
                let write = if self.format == OutputFormat::Bencher { bencher } else { github_action_benchmark };
                let last = runs.last().map(|(_, run)| write(run)).transpose()?;
                writeln!(out, "{}", last.unwrap_or_default())?;
            }
        }
        Ok(())
    }

    pub(super) fn read(&self) -> anyhow::Result<Vec<(String, Run)>> {
        if self.confirm && self.sides.sets_nothing() && self.what == SettingArgs::default() && self.profile.is_none() {
            return self.read_runs();
        }
        let needs_paired = |what: &str| Err(UsageError::Unknown(format!("{what} measures: it needs --paired")).into());
        if self.sides != SideArgs::default() {
            return needs_paired("--a, --b, --a-program, --b-program or --no-turns");
        }
        if self.how != MeasureArgs::default()
            || self.what != SettingArgs::default()
            || self.profile.is_some()
            || self.out.is_some()
        {
            return needs_paired("an option of `switchcost run`");
        }
        self.read_runs()
    }

    fn read_runs(&self) -> anyhow::Result<Vec<(String, Run)>> {
        let fewest = if self.format.is_of_one_run() { 1 } else { 2 };
        if self.runs.len() < fewest {
            let text = "compare needs two runs or more: `switchcost compare A B`, or --paired to measure two settings";
            return Err(UsageError::Unknown(text.into()).into());
        }
        let filter = Filter::new(&[], false, &self.excluded)?;
        let read = |path: &PathBuf| {
            let mut run = read(path)?;
            run.benchmarks.retain(|line| filter.matches(&line.id));
            Ok((path.display().to_string(), run))
        };
        let mut runs: Vec<(String, Run)> = self.runs.iter().map(read).collect::<anyhow::Result<_>>()?;
        reading::check(&mut runs)?;
        filter.check_exclusions()?;
        Ok(runs)
    }

    /// Which benchmarks a paired comparison measures.
    fn filter(&self) -> Result<Filter, UsageError> {
        let filters: Vec<String> = self.runs.iter().map(|filter| filter.to_string_lossy().into_owned()).collect();
        Filter::new(&filters, false, &self.excluded)
    }

    /// What the options of a paired comparison come to.
    pub(super) fn start(&self) -> anyhow::Result<Start> {
        match &self.resume {
            Some(folder) => {
                self.how.refuse_with_resume(&self.what)?;
                if self.sides != SideArgs::default() {
                    let text = "--resume continues with the sides that the comparison began with; leave out --a, --b \
                                and the like";
                    return Err(UsageError::Unknown(text.into()).into());
                }
                Ok(Start::Resume(folder.clone()))
            }
            None => PairedRun::start(
                &self.sides,
                &self.what,
                &self.how,
                self.profile.as_deref().unwrap_or(crate::harness::rounds::ALL),
                &self.filter()?,
                self.out.clone(),
            ),
        }
    }
}
