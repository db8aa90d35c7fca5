//! Two settings or two programs, measured in turns or next to each other: both sides of a pair see the machine in one
//! state.

use std::collections::BTreeMap;
use std::path::PathBuf;

use clap::Args;

use super::filter::Filter;
use super::options::{SettingArgs, UsageError};
use super::paired_record::{pairs, settings as settings_of};
use super::run::{MeasureArgs, has_failures, print_unmet};
use super::run_session::{RunSession, Start, absolute};
use super::terminal::errln;
use crate::compare::Matching;
use crate::harness::rounds::{Profile, RunPlan};
use crate::harness::{Choice, PlannedBenchmark};
use crate::record::Run;

/// Unless told otherwise: the fewest of which the rank interval leaves out the extremes on either side, so that one
/// round in which the machine was slow for one side alone does not decide. With five it does, and 5 % were not found.
const ROUNDS: u32 = 9;

/// What the sides differ in.
#[derive(Debug, Default, PartialEq, Args)]
pub(super) struct SideArgs {
    /// What one side sets: idle, placement, cpus and parameters, as in tasks=64,idle=poll,cpus=0-3
    #[arg(long, value_name = "SETTINGS")]
    a: Option<String>,
    /// What the other side sets
    #[arg(long, value_name = "SETTINGS")]
    b: Option<String>,
    /// The program that measures one side (default: this one)
    #[arg(long, value_name = "PROGRAM")]
    a_program: Option<PathBuf>,
    /// The program that measures the other side
    #[arg(long, value_name = "PROGRAM")]
    b_program: Option<PathBuf>,
    /// Measure each side as a whole, one after the other, and not in turns
    #[arg(long)]
    no_turns: bool,
}

impl SideArgs {
    /// A plan of nothing yet, of enough rounds and with the programs of both sides.
    pub(super) fn plan(&self, how: &MeasureArgs, profile: &Profile) -> Result<RunPlan, UsageError> {
        let mut plan = how.run_plan(&profile.clone().with_rounds(profile.rounds.max(ROUNDS)))?;
        plan.interleaved = !self.no_turns;
        for (program, given) in plan.programs.0.iter_mut().zip([&self.a_program, &self.b_program]) {
            if let Some(given) = given {
                *program = absolute(given).map_err(|error| UsageError::Unknown(format!("{error:#}")))?;
            }
        }
        Ok(plan)
    }

    /// Whether nothing but programs and turns is chosen.
    pub(super) fn sets_nothing(&self) -> bool {
        self.a.is_none() && self.b.is_none()
    }
}

/// What there is to compare.
pub(super) struct ComparisonInput {
    /// The runs' names and records.
    pub(super) runs: Vec<(String, Run)>,
    /// What of them belongs together.
    pub(super) matching: Matching,
    /// What each run was set to, where they are sides of a pair; empty otherwise.
    pub(super) settings: Vec<String>,
    /// Whether everything that was asked for was measured.
    pub(super) complete: bool,
}

/// A paired comparison that can be measured.
pub(super) struct PairedRun {
    session: RunSession,
}

impl PairedRun {
    /// What these options come to.
    pub(super) fn start(
        sides: &SideArgs,
        what: &SettingArgs,
        how: &MeasureArgs,
        profile: &str,
        filter: &Filter,
        out: Option<PathBuf>,
    ) -> anyhow::Result<Start> {
        let both = what.choice()?;
        let profile = Profile::named(profile, &both.cpus)?;
        let choices = [&sides.a, &sides.b].map(|side| side.as_deref().map_or(Ok(Choice::default()), settings));
        let [a, b] = choices;
        let (a, b) = (both.overruled_by(&a?), both.overruled_by(&b?));
        // Placements that both sides set are what is compared; otherwise each is compared with itself.
        let across = a.placements.len() == 1 && b.placements.len() == 1 && a.placements != b.placements;
        let first = profile.plan(&a, |id| filter.matches(id))?;
        filter.check_plan(&a, &first)?;
        // What the other side sets must be a parameter of the same mechanisms; its ids differ.
        filter.check_plan(&b, &first)?;
        // Of the same mechanisms: what the other side sets may be out of range for others.
        let asked_for = |id: &str| {
            !filter.excludes(id) && first.iter().any(|planned| is_of(id, planned.mechanism().descriptor().id))
        };
        let second = profile.plan(&b, asked_for)?;
        let second: BTreeMap<String, &PlannedBenchmark> =
            second.iter().map(|planned| (key(planned, across), planned)).collect();
        let mut plan = sides.plan(how, &profile)?;
        for planned in &first {
            match (planned, second.get(&key(planned, across))) {
                (PlannedBenchmark::Ready(a), Some(PlannedBenchmark::Ready(b))) => plan.add_pair([a, b]),
                (_, Some(other)) => [planned, other].into_iter().for_each(foretell),
                (_, None) => {}
            }
        }
        if plan.entries.is_empty() {
            return Err(
                UsageError::Unknown("no benchmark that the filter names can run on both sides here".into()).into()
            );
        }
        Ok(Start::Begin(Box::new(plan), out))
    }

    /// Begins one or goes on with one.
    pub(super) fn open(start: Start) -> anyhow::Result<Self> {
        let session = RunSession::start(start)?;
        if session.plan.sides() == 2 {
            return Ok(Self { session });
        }
        let folder = session.folder.display();
        Err(UsageError::Unknown(format!("{folder} is no paired comparison: switchcost run --resume {folder}")).into())
    }

    /// Measures.
    pub(super) fn measure(mut self) -> anyhow::Result<ComparisonInput> {
        let conclusion = self.session.go_on()?;
        let plan = &self.session.plan;
        print_unmet(&conclusion, plan.until, &mut std::io::stderr())?;
        if conclusion.stopped {
            errln!("stopped; to continue: switchcost compare --resume {}", self.session.folder.display());
        }
        let runs = self.session.runs()?;
        let lacking = |run: &Run| run.benchmarks.is_empty() || has_failures(run);
        let complete = !conclusion.stopped && !runs.iter().any(lacking);
        let names = plan.folders(&self.session.folder).into_iter().map(|folder| folder.display().to_string());
        errln!("again:  switchcost compare {}", self.session.folder.display());
        let (runs, settings) = (names.zip(runs).collect(), settings_of(plan));
        Ok(ComparisonInput { runs, matching: Matching::Pairs(pairs(plan)), settings, complete })
    }
}

/// `tasks=64,idle=poll,placement=same-cpu`.
fn settings(text: &str) -> Result<Choice, UsageError> {
    let mut what = SettingArgs::default();
    let pairs = text.split(',').map(str::trim).filter(|pair| !pair.is_empty()).collect::<Vec<_>>();
    // A list of CPUs has commas of its own: `cpus=0,2,idle=poll`.
    for pair in pairs.chunk_by(|_, next| next.starts_with(|digit: char| digit.is_ascii_digit()) && !next.contains('='))
    {
        let pair = pair.join(",");
        match pair.split_once('=') {
            Some(("placement", placement)) => what.placement = Some(placement.into()),
            Some(("cpus", cpus)) => what.cpus = Some(cpus.into()),
            _ => what.set.push(pair),
        }
    }
    what.choice()
}

fn is_of(id: &str, mechanism: &str) -> bool {
    id.strip_prefix(mechanism).is_some_and(|rest| rest.starts_with('/'))
}

fn key(planned: &PlannedBenchmark, across: bool) -> String {
    let mechanism = planned.mechanism().descriptor().id;
    if across { mechanism.into() } else { format!("{mechanism}/{}", planned.setting().placement) }
}

/// Says why a pair is left out.
fn foretell(side: &PlannedBenchmark) {
    if let PlannedBenchmark::Unsupported { reason, .. } = side {
        errln!("{}: left out: {reason}", side.id());
    }
}
