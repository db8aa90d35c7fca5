//! `switchcost advise`: should this program switch to async?

use std::ffi::OsString;
use std::fmt::Arguments;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use clap::builder::PossibleValuesParser;

use super::advise_requests::RequestCounter;
use super::advise_stages::CalibrationStages;
use super::advise_watching::{Watched, watch_command, watch_process};
use super::options::{UsageError, cpus};
use super::run_session::host_line;
use super::terminal::errln;
use super::{FAILED, folder};
use crate::advise::AdviceVerdict;
use crate::harness::rounds::duration;
use crate::host::Root;
use crate::record::{AdviceRecord, Build};
use crate::report::{advice_of, advice_text};
use crate::terms::{Dispatch, Host, WatchTier};
use crate::units::CpuId;

/// Say whether a live program would use less CPU with an event loop, and what to look at instead
#[derive(Debug, Args)]
#[command(after_help = "\
The program is watched and never changed. Before and after, servers of this suite are measured under the same load, \
with blocking threads and with event loops. What they differ by per wait, times the waits that a loop would save the \
program, is the prediction. YES means that the whole 95 % interval is above 5 % of the program's CPU time, NO that it \
is below.\n\
With a COMMAND, signals are passed on to it, and the advice goes to standard error.\n\
Exit status: 0 a verdict, 1 no verdict or a failure, 2 bad usage; with a COMMAND, that of the command.")]
pub(super) struct AdviseArgs {
    /// The process to watch, with its threads and descendants
    #[arg(long, value_name = "PID", conflicts_with_all = ["from", "command"])]
    pub(super) pid: Option<i32>,
    /// How long to watch (default: 10s, or until the COMMAND ends)
    #[arg(long = "for", value_name = "TIME", value_parser = duration, conflicts_with = "from")]
    pub(super) watch_for: Option<Duration>,
    /// The kind of event loop; may be repeated (default: all)
    #[arg(long, value_name = "NAME", value_parser = PossibleValuesParser::new(target_names()))]
    pub(super) target: Vec<String>,
    /// The number of requests, for figures per request: a total (12000), a rate (1200/s), or a counter:
    /// file:PATH#FIELD, http://HOST:PORT/PATH#FIELD or cmd:COMMAND
    #[arg(long, value_name = "SOURCE", conflicts_with = "from")]
    pub(super) requests_from: Option<String>,
    /// How long to measure servers, in total
    #[arg(long, value_name = "TIME", default_value = "25s", value_parser = duration)]
    pub(super) calibrate_for: Duration,
    /// The CPUs to measure servers on, as 0-3,8 (default: those that the program may use)
    #[arg(long, value_name = "LIST")]
    pub(super) calibrate_cpus: Option<String>,
    /// Watch, but measure no servers; `advise --from RECORD --calibrate` continues later
    #[arg(long, conflicts_with_all = ["from", "calibrate"])]
    pub(super) watch_only: bool,
    /// Compute the advice again from an earlier record: its folder, or its advice.json
    #[arg(long, value_name = "RECORD", conflicts_with = "command")]
    pub(super) from: Option<PathBuf>,
    /// With --from: measure servers for what was watched, and keep that in the record
    #[arg(long, requires = "from")]
    pub(super) calibrate: bool,
    /// Do without this source of information besides /proc; may be repeated
    #[arg(long, value_name = "TIER", value_parser = PossibleValuesParser::new(TIERS.map(|(name, _)| name)))]
    pub(super) without: Vec<String>,
    /// Print the advice as JSON
    #[arg(long)]
    pub(super) json: bool,
    /// The folder for the record (default target/switchcost/<time>)
    #[arg(long, value_name = "DIR", conflicts_with = "from")]
    pub(super) out: Option<PathBuf>,
    /// Show no progress
    #[arg(long)]
    pub(super) quiet: bool,
    /// A program to start and watch, with its arguments
    #[arg(last = true, value_name = "COMMAND")]
    pub(super) command: Vec<OsString>,
}

/// Words for what can be left out.
pub(super) const TIERS: [(&str, WatchTier); 4] = [
    ("bpf", WatchTier::Bpf),
    ("switch-records", WatchTier::SwitchRecords),
    ("burst", WatchTier::Burst),
    ("call-tracepoints", WatchTier::CallTracepoints),
];

fn target_names() -> Vec<&'static str> {
    Dispatch::TARGETS.iter().map(|target| target.name()).collect()
}

/// What the options come to, but for whom they are about.
#[derive(Debug)]
pub(super) struct AdvisePlan {
    /// How long to watch; `None` until the command ends.
    pub(super) duration: Option<Duration>,
    pub(super) targets: Vec<Dispatch>,
    pub(super) counter: Option<RequestCounter>,
    /// The CPUs to measure servers on, where they were chosen.
    pub(super) cpus: Option<Vec<CpuId>>,
    pub(super) without: Vec<WatchTier>,
}

/// How long a process is watched unless told.
const USUAL: Duration = Duration::from_secs(10);

impl AdviseArgs {
    /// What the options come to.
    pub(super) fn plan(&self) -> Result<AdvisePlan, UsageError> {
        let left_out = TIERS.iter().filter(|(name, _)| self.without.iter().any(|without| without == name));
        Ok(AdvisePlan {
            duration: self.watch_for.or_else(|| self.command.is_empty().then_some(USUAL)),
            targets: self.targets(),
            counter: self.requests_from.as_deref().map(RequestCounter::named).transpose()?,
            cpus: self.calibrate_cpus.as_deref().map(cpus).transpose()?,
            without: left_out.map(|(_, tier)| *tier).collect(),
        })
    }

    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if let Some(record) = &self.from {
            return self.again(record);
        }
        let plan = self.plan()?;
        let Watched { observation, calibrations, status } = match self.pid {
            Some(pid) => watch_process(self, &plan, pid)?,
            None if self.command.is_empty() => {
                let told = "nothing to watch: give --pid PID, a program behind --, or --from RECORD";
                return Err(UsageError::Unknown(told.into()).into());
            }
            None => watch_command(self, &plan)?,
        };
        let folder = folder::named_or_new(self.out.clone())?;
        let host = host_line(super::command_line(), &Host::observe(&Root::default()), Build::current());
        let record = AdviceRecord::new(host, plan.targets, observation, calibrations);
        record.write(&folder)?;
        let own = self.tell(&record, &folder, status.is_some())?;
        Ok(status.map_or(own, |status| ExitCode::from(u8::try_from(status).unwrap_or(FAILED))))
    }

    /// From the record of an earlier advice.
    fn again(&self, path: &Path) -> anyhow::Result<ExitCode> {
        let mut record = AdviceRecord::read(path)?;
        let file = AdviceRecord::file(path).unwrap_or_else(|| path.into());
        let folder = file.parent().unwrap_or(Path::new(".")).to_path_buf();
        if !self.target.is_empty() {
            record.targets = self.targets();
        }
        if self.calibrate {
            let on = self.plan()?.cpus.unwrap_or_else(|| record.observation.cpus_allowed.clone());
            let stages = CalibrationStages { args: self, on, program: Vec::new(), stopped: &|| false };
            let before = stages.before()?;
            let after = stages.after(&record.observation, &before);
            record.calibrations = std::iter::once(before).chain(after).collect();
            record.write(&folder)?;
        }
        self.tell(&record, &folder, false)
    }

    /// The kinds of event loop that were asked for.
    pub(super) fn targets(&self) -> Vec<Dispatch> {
        let named = |target: &&Dispatch| self.target.is_empty() || self.target.iter().any(|name| name == target.name());
        Dispatch::TARGETS.iter().filter(named).copied().collect()
    }

    /// Tells on a terminal how it gets on.
    pub(super) fn say(&self, what: Arguments<'_>) {
        if !self.quiet && std::io::stderr().is_terminal() {
            errln!("{what}");
        }
    }

    /// Prints the advice, and returns the status to end with.
    fn tell(&self, record: &AdviceRecord, folder: &Path, aside: bool) -> anyhow::Result<ExitCode> {
        let advice = advice_of(record);
        let text = if self.json {
            let mut value = serde_json::to_value(&advice)?;
            value["pid"] = record.observation.pid.into();
            value["command"] = record.observation.command.clone().into();
            value["record"] = folder.display().to_string().into();
            format!("{value:#}\n")
        } else {
            let folder = folder.display();
            format!("{}\nrecord:  {folder}\nreport:  switchcost report {folder}\n", advice_text(&advice))
        };
        if aside {
            // What a command prints stays its own, and its status is told whether or not this is read.
            let _ = std::io::stderr().lock().write_all(text.as_bytes());
        } else {
            std::io::stdout().lock().write_all(text.as_bytes())?;
        }
        let refused = advice.verdict == AdviceVerdict::Refused;
        Ok(if refused { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
    }
}
