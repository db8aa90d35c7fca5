//! `switchcost sweep`: how a cost grows with the number of tasks, as far as the limits of this machine go.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Args;

use super::filter::{ExcludeArgs, Filter};
use super::limits::mechanism;
use super::options::{SettingArgs, UsageError};
use super::run::{has_failures, print_unmet};
use super::run_session::{RunSession, Start};
use super::terminal::errln;
use super::{FAILED, show};
use crate::harness::rounds::{RunOutcome, RunPlan, duration};
use crate::harness::{Choice, PlannedBenchmark, SweepSampling, TaskSweep, Timing, count_of, plan_counts};
use crate::host::Root;
use crate::mechanism::Mechanism;
use crate::record::{BenchmarkLine, Outcome, Run};
use crate::report::scaling_files;
use crate::terms::{Domain, Host, Parameter, Placement};

/// Measure mechanisms with more and more tasks, up to what fits: cost per operation and memory per task
#[derive(Debug, Args)]
#[command(after_help = "\
Each count is measured in a fresh process, which holds one instance and no counters; more than 2000 tasks are not \
audited. What a machine's limits allow, and what raises them: switchcost limits --tasks N --mechanism M --sweep.\n\
Exit status: 0 every count was measured, 1 one was not, 2 bad usage.")]
pub(super) struct SweepArgs {
    /// A list of mechanisms, each with a parameter `tasks`
    #[arg(long, value_name = "LIST", default_value = "brigade/thread,brigade/tokio_mpsc")]
    mechanism: String,
    /// How many tasks: a list of counts and ranges, such as 2,100,1000..50000 (default: 2 up to what fits). Ranges go
    /// in steps of 1, 2, 5, 10, 20 and so on
    #[arg(long, value_name = "LIST|FROM..TO")]
    tasks: Option<String>,
    #[command(flatten)]
    excluded: ExcludeArgs,
    #[command(flatten)]
    setting: SettingArgs,
    /// Also try counts that do not fit, and report how many tasks there were. Meanwhile other programs may be unable to
    /// start a process
    #[arg(long)]
    beyond: bool,
    /// How many rounds
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    rounds: u32,
    /// Time for all samples of a round together; at least three are taken, however long they last
    #[arg(long, value_name = "TIME", value_parser = duration)]
    measure: Option<Duration>,
    /// The most samples in a round
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100_000))]
    samples: Option<u32>,
    /// Leave the audit out
    #[arg(long)]
    no_audit: bool,
    /// Seed of the random order of every round (default: a new one for each run)
    #[arg(long, value_name = "NUMBER")]
    seed: Option<u64>,
    /// Print which counts fit, and measure nothing
    #[arg(long)]
    dry_run: bool,
    /// The folder for the record and the plots (default target/switchcost/<time>)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Continue a sweep
    #[arg(long, value_name = "DIR", exclusive = true)]
    resume: Option<PathBuf>,
}

impl SweepArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let Some(start) = self.start()? else { return Ok(ExitCode::SUCCESS) };
        let mut session = RunSession::start(start)?;
        let outcome = session.go_on()?;
        let runs = session.runs()?;
        print_results(&session, &outcome, &runs[0])
    }

    /// What these options come to; nothing for a dry run, which has said what fits.
    pub(super) fn start(&self) -> anyhow::Result<Option<Start>> {
        if let Some(folder) = &self.resume {
            return Ok(Some(Start::Resume(folder.clone())));
        }
        let plan = Box::new(self.run_plan()?);
        Ok((!self.dry_run).then(|| Start::Begin(plan, self.out.clone())))
    }

    fn run_plan(&self) -> anyhow::Result<RunPlan> {
        let counts = self.tasks.as_deref().map(counts).transpose()?;
        let choice = self.choice()?;
        let filter = Filter::new(&[], false, &self.excluded)?;
        let mechanisms = self.mechanism.split(',').map(|id| mechanism(id.trim())).collect::<Result<Vec<_>, _>>()?;
        check_parameters(&choice, &mechanisms)?;
        let host_id = Host::observe(&Root::default()).id();
        let sampling = SweepSampling::default();
        let sampling = SweepSampling {
            measure: self.measure.unwrap_or(sampling.measure),
            samples: self.samples.unwrap_or(sampling.samples),
            ..sampling
        };
        let timing = Timing { warm_up: Duration::ZERO, measure: sampling.measure, samples: sampling.samples as usize };
        let plan = RunPlan::new(super::command_line(), self.rounds, timing);
        let (seed, audit) = (self.seed.unwrap_or(plan.seed), !self.no_audit);
        let mut plan = RunPlan { sweep: Some(sampling), seed, counters: false, audit, ..plan };
        let mut timeout = Duration::ZERO;
        for mechanism in mechanisms {
            let id = mechanism.descriptor().id;
            let chosen = |parameter: &Parameter, most| chosen_counts(counts.as_deref(), parameter, most);
            let mut planned = plan_counts(&choice, mechanism, self.beyond, chosen)?;
            if planned.planned.is_empty() {
                let placements: Vec<&str> = choice.placements.iter().map(|placement| placement.name()).collect();
                return Err(UsageError::Unknown(format!("{id} does not run {}", placements.join(", "))).into());
            }
            planned.planned.retain(|planned| filter.matches(&planned.id()));
            if planned.planned.is_empty() {
                continue;
            }
            print_prediction(id, &planned);
            for planned in &planned.planned {
                if let PlannedBenchmark::Ready(benchmark) = planned {
                    timeout = timeout.max(benchmark.timeout());
                }
                plan.add(planned, &host_id);
            }
        }
        if plan.entries.is_empty() && plan.unsupported.is_empty() {
            return Err(filter.names_nothing().into());
        }
        filter.check_exclusions()?;
        // Set-up, a batch and the end may each take the crew's timeout; its watchdog speaks first.
        plan.timeout = timeout * 3 + sampling.measure * 10 + Duration::from_secs(180);
        Ok(plan)
    }

    /// On one CPU unless something else is asked for: there every mechanism runs, and the scheduler decides least.
    fn choice(&self) -> Result<Choice, UsageError> {
        let mut choice = self.setting.choice()?;
        if choice.placements.is_empty() {
            choice.placements.push(Placement::SameCpu);
        }
        Ok(choice)
    }
}

/// Fails where what `choice` sets is a parameter of none of `mechanisms`, or what the sweep itself varies.
fn check_parameters(choice: &Choice, mechanisms: &[&dyn Mechanism]) -> Result<(), UsageError> {
    for (name, _) in &choice.parameters {
        let mut descriptors = mechanisms.iter().map(|mechanism| mechanism.descriptor());
        if descriptors.clone().any(|descriptor| count_of(descriptor).is_some_and(|count| count.name == *name)) {
            return Err(UsageError::Unknown(format!("--set {name}: a sweep takes its numbers of tasks from --tasks")));
        }
        if !descriptors.any(|descriptor| descriptor.parameter(name).is_some()) {
            return Err(UsageError::Unknown(format!(
                "no mechanism of this sweep has a parameter `{name}`; `switchcost list MECHANISM` shows those it has"
            )));
        }
    }
    Ok(())
}

/// Reads `2,100,1000..50000`.
fn counts(list: &str) -> Result<Vec<u64>, UsageError> {
    let wrong = || UsageError::Unknown(format!("`{list}` is no list of task counts, such as 2,100 or 1000..50000"));
    let number = |text: &str| text.trim().replace('_', "").parse::<u64>().ok().filter(|count| *count > 0);
    let mut counts = Vec::new();
    for part in list.split(',') {
        match part.split_once("..") {
            None => counts.push(number(part).ok_or_else(wrong)?),
            Some((from, to)) => {
                let (from, to) = (number(from).ok_or_else(wrong)?, number(to).ok_or_else(wrong)?);
                if from > to {
                    return Err(wrong());
                }
                counts.extend(steps(from, to));
            }
        }
    }
    counts.sort_unstable();
    counts.dedup();
    Ok(counts)
}

/// Both ends, and between them 1, 2, 5, 10, 20 and so on.
fn steps(from: u64, to: u64) -> Vec<u64> {
    let round = (0..19).flat_map(|power| [1, 2, 5].map(|digit| digit * 10_u64.pow(power)));
    let mut steps: Vec<u64> = round.filter(|count| (from..=to).contains(count)).chain([from, to]).collect();
    steps.sort_unstable();
    steps.dedup();
    steps
}

/// Those asked for, or as far as it goes. The last step is the most that fits, in two digits: what else runs takes a
/// few more or less of each limit.
fn chosen_counts(plan: Option<&[u64]>, parameter: &Parameter, most: Option<u64>) -> Vec<u64> {
    let least = match parameter.domain {
        Domain::Number { min, .. } => min.max(1),
        Domain::Word { .. } => 1,
    };
    match (plan, most) {
        (Some(plan), _) => plan.to_vec(),
        (None, Some(most)) => steps(least, rounded_down(most).max(least)),
        (None, None) => vec![least],
    }
}

fn rounded_down(count: u64) -> u64 {
    let unit = 10_u64.pow(count.checked_ilog10().unwrap_or(0).saturating_sub(1));
    count / unit * unit
}

/// Prints how many tasks fit and which counts will be measured, before anything is measured.
fn print_prediction(id: &str, counts: &TaskSweep) {
    let most = counts.most.map_or("none".into(), |most| most.to_string());
    let tasks = |planned: &PlannedBenchmark| {
        let count = count_of(planned.mechanism().descriptor())?;
        Some(planned.setting().parameters.number(count.name).to_string())
    };
    let ready = counts.planned.iter().filter(|planned| matches!(planned, PlannedBenchmark::Ready(_)));
    let ready: Vec<String> = ready.filter_map(tasks).collect();
    let listed = if ready.is_empty() { "nothing".into() } else { ready.join(", ") };
    errln!("{id}: {most} tasks fit with the present limits; to be measured: {listed}");
    for planned in &counts.planned {
        if let PlannedBenchmark::Unsupported { reason, .. } = planned {
            errln!("{id}: left out: {reason}");
        }
    }
}

fn print_results(session: &RunSession, outcome: &RunOutcome, run: &Run) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    show::print_details(run, &mut out)?;
    print_unmet(outcome, None, &mut out)?;
    for file in scaling_files(run) {
        let (path, kind) = (session.folder.join(&file.path), format!("{}:", file.kind()));
        std::fs::write(&path, file.text).with_context(|| format!("writing {}", path.display()))?;
        writeln!(out, "{kind:<9}{}", path.display())?;
    }
    let folder = session.folder.display();
    writeln!(out, "record:  {}", run.path.display())?;
    if outcome.stopped {
        writeln!(out, "stopped; to continue: switchcost sweep --resume {folder}")?;
    } else {
        writeln!(out, "report:  switchcost report {folder}")?;
    }
    let short = |line: &BenchmarkLine| matches!(line.outcome, Outcome::Unsupported(_));
    let whole = !has_failures(run) && !run.benchmarks.iter().any(short) && !outcome.stopped;
    Ok(if whole { ExitCode::SUCCESS } else { ExitCode::from(FAILED) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_lists_and_ranges() {
        assert_eq!(counts("500,2").unwrap(), [2, 500]);
        assert_eq!(counts("2..30").unwrap(), [2, 5, 10, 20, 30]);
        assert_eq!(
            counts("7, 100..180_000").unwrap(),
            [7, 100, 200, 500, 1000, 2000, 5000, 10_000, 20_000, 50_000, 100_000, 180_000]
        );
        for wrong in ["", "x", "5..2", "2..", "0", "-3", "1,,2"] {
            assert!(counts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_last_count_is_what_fits_in_two_digits() {
        let tasks = Parameter { name: "tasks", meaning: "", domain: Domain::Number { default: 5, min: 2, max: 1000 } };
        assert_eq!(chosen_counts(None, &tasks, Some(57)), [2, 5, 10, 20, 50, 57]);
        assert_eq!(chosen_counts(None, &tasks, Some(1677)).last(), Some(&1600));
        assert_eq!(chosen_counts(None, &tasks, None), [2]);
        assert_eq!(chosen_counts(Some(&[4000]), &tasks, Some(57)), [4000], "what was asked for is answered");
    }
}
