//! The front door: what a bench target runs. Criterion's own options work as everywhere; ours stand beside them.

use std::collections::{BTreeSet, HashMap};
use std::ffi::OsString;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;

use super::bench_options::{BenchOptions, CriterionOptions, check_numbers, criterion_options, help, split};
use super::bench_output::BenchOutput;
use super::filter::Filter;
use super::options::{UsageError, event_set};
use super::terminal::{end_if_unread, line_of_stdout};
use super::{command_line, exit_code, folder};
use crate::harness::rounds::{DEFAULT, PLAN_FILE, Profile};
use crate::harness::{Auditor, MeasureOptions, Mode, PlannedBenchmark, Timing, measure, now_ms, plan};
use crate::host::Root;
use crate::mechanism::{GROUPS, group};
use crate::record::{BenchmarkLine, Build, HostLine, Line, RecordWriter, salvage};
use crate::terms::{Host, Moment};
use crate::units::cpu_list;

/// Carries our options past Criterion, which refuses arguments that it does not know.
const OPTIONS: &str = "SWITCHCOST_BENCH_OPTIONS";

/// Set by `benches/start/mod.rs`: which bench target this program stands for, a group or [`ALL`].
const TARGET: &str = "SWITCHCOST_BENCH_TARGET";

/// The bench target that runs every group.
const ALL: &str = "all";

/// Where this program stands for a bench target: does what that does, and returns the status to end with.
pub(super) fn stand_for_target() -> Option<ExitCode> {
    let target = std::env::var(TARGET).ok()?;
    exit_on_broken_pipe();
    Some(exit_code(run(&target)))
}

/// Ends this process when the reader of its output has gone, as in `cargo bench | head`. Criterion prints with a macro
/// that panics then, in places that cannot unwind.
fn exit_on_broken_pipe() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        end_if_unread(&panic.to_string());
        before(panic);
    }));
}

fn run(name: &str) -> anyhow::Result<ExitCode> {
    let arguments = std::env::args_os().skip(1).map(OsString::into_string).collect::<Result<Vec<String>, _>>();
    let arguments = arguments.map_err(|word| {
        UsageError::Unknown(format!(
            "{}: an option of cargo bench must be UTF-8, which Criterion wants",
            word.display()
        ))
    })?;
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        line_of_stdout(help())?;
    }
    let (mut options, rest) = split(&arguments)?;
    if options != BenchOptions::default() {
        options.argv = command_line();
        return Err(exec_for_criterion(&options, &rest)?);
    }
    let options: BenchOptions = match std::env::var(OPTIONS) {
        Ok(options) => serde_json::from_str(&options).context("reading the options of the process before this")?,
        Err(_) => options,
    };
    let Some(prepared) = prepare(name, &options, &rest)? else { return Ok(ExitCode::SUCCESS) };
    let Prepared { planned, left_out, timing, measure_options, host, folder } = prepared;
    let mode = measure_options.mode;
    if mode == Mode::List {
        return list(&planned, &rest);
    }
    let mut output = BenchOutput::new(&planned, &timing, !measure_options.criterion_output);
    output.left_out = left_out;
    if mode == Mode::Measure {
        let folder = folder::of_this_cargo(folder)?;
        check_cpus(&folder, &planned)?;
        output.writer = Some(open_record(&options, &folder, host)?);
    }
    let pages = folder::of_criterion();
    let measured = without_backtrace(|| measure(&planned, &timing, &pages, &measure_options, &mut output));
    let status = output.finish(mode)?;
    measured.map(|()| status)
}

/// Names the benchmarks as Criterion does, whose own ids are shorter where a folder's name would be too long.
fn list(planned: &[PlannedBenchmark], rest: &[String]) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    // None is ignored; test runners ask for those apart.
    let listed = planned.iter().filter(|_| !rest.iter().any(|option| option == "--ignored"));
    for benchmark in listed.filter(|planned| matches!(planned, PlannedBenchmark::Ready(_))) {
        writeln!(out, "{}: benchmark", benchmark.id())?;
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// What the options come to. Nothing was written yet.
pub(super) struct Prepared {
    pub(super) planned: Vec<PlannedBenchmark>,
    /// How many benchmarks a profile leaves out that `--all` would measure.
    pub(super) left_out: usize,
    pub(super) timing: Timing,
    pub(super) measure_options: MeasureOptions,
    pub(super) host: Host,
    /// The one named.
    pub(super) folder: Option<PathBuf>,
}

/// What our options and Criterion's come to; nothing where the bench target called `name` has nothing to do.
pub(super) fn prepare(name: &str, options: &BenchOptions, rest: &[String]) -> anyhow::Result<Option<Prepared>> {
    check_numbers(rest)?;
    let CriterionOptions { filters, exact, quick, mode, tests, output } = criterion_options(rest);
    let filters = if options.filters.is_empty() { filters } else { options.filters.clone() };
    let filter = Filter::new(&filters, exact, &options.excluded)?;
    let choice = options.setting.choice()?;
    let counters = event_set(options.counting.events.as_deref())?;
    if name != ALL {
        group(name).with_context(|| format!("no group is called {name}"))?;
    }
    let quick = quick.then(Profile::quick);
    let timing = quick.as_ref().map_or(Timing::default(), |quick| quick.timing);
    let names_something = !filters.is_empty() || options.setting.placement.is_some();
    let profile = match quick {
        _ if names_something || options.all => None,
        // A hurried run that names nothing gets something of everything.
        Some(quick) => Some(quick),
        None if name == ALL && mode == Mode::Measure => Some(Profile::named(DEFAULT, &choice.cpus)?),
        None => None,
    };
    let mut left_out = 0;
    let everything = match profile {
        Some(profile) => {
            let mut planned = profile.plan(&choice, |id| filter.matches(id))?;
            // A profile's selections are in the order of its own; groups are measured one after the other.
            planned.sort_by_key(|planned| GROUPS.iter().position(|group| group.name == planned.group()));
            let whole = plan(&choice, |id| filter.matches(id))?;
            let chosen: BTreeSet<String> = planned.iter().map(PlannedBenchmark::id).collect();
            left_out = whole.iter().filter(|planned| !chosen.contains(&planned.id())).count();
            planned
        }
        None => plan(&choice, |id| filter.matches(id))?,
    };
    // A filter of `cargo test` names tests of any target.
    if !tests {
        filter.check_plan(&choice, &everything)?;
        if !matches!(mode, Mode::DryRun | Mode::List) {
            filter.check_support(&everything)?;
        }
    }
    let is_mine = |planned: &PlannedBenchmark| name == ALL || planned.group() == name;
    let planned: Vec<PlannedBenchmark> = everything.into_iter().filter(is_mine).collect();
    if planned.is_empty() && !matches!(mode, Mode::DryRun | Mode::List) {
        return Ok(None);
    }
    let host = Host::observe(&Root::default());
    let measure_options = MeasureOptions {
        mode,
        counters: (!options.counting.no_counters).then_some(counters),
        auditor: (!options.counting.no_audit).then(Auditor::with_this_program),
        round: 0,
        host_id: host.id(),
        criterion_output: output || mode != Mode::Measure,
    };
    let folder = options.out.clone();
    Ok(Some(Prepared { planned, left_out, timing, measure_options, host, folder }))
}

/// Criterion panics where it is given what it cannot do: a baseline that was never saved. That is one line here, and
/// what was measured before it stands.
fn without_backtrace(work: impl FnOnce()) -> anyhow::Result<()> {
    let told = Arc::<Mutex<Option<String>>>::default();
    let hook = Arc::clone(&told);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        end_if_unread(&panic.to_string());
        // `panicked at FILE:LINE:` and, behind it, what happened.
        let text = panic.to_string().lines().nth(1).unwrap_or("it panicked").to_string();
        hook.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(text);
    }));
    let done = catch_unwind(AssertUnwindSafe(work));
    std::panic::set_hook(before);
    done.map_err(|_| {
        let text = told.lock().unwrap_or_else(PoisonError::into_inner).take();
        UsageError::Unknown(format!("Criterion stopped: {}", text.unwrap_or_default())).into()
    })
}

/// What is measured twice into one record counts as two rounds of one figure. An id names no CPUs, so they must be the
/// same.
///
/// # Errors
/// When the record in `folder` holds one of `planned` on other CPUs.
pub(super) fn check_cpus(folder: &Path, planned: &[PlannedBenchmark]) -> Result<(), UsageError> {
    // Where there is no record, or a broken one, opening it says so.
    let Ok(before) = salvage(folder) else { return Ok(()) };
    let lines: HashMap<&str, &BenchmarkLine> = before.run.benchmarks.iter().map(|l| (l.id.as_str(), l)).collect();
    for planned in planned.iter().filter(|planned| matches!(planned, PlannedBenchmark::Ready(_))) {
        let (id, now) = (planned.id(), planned.setting().clone().for_the_record().cpus);
        if let Some(line) = lines.get(id.as_str()).filter(|line| line.setting.cpus != now) {
            return Err(UsageError::Unknown(format!(
                "--out {}: {id} was measured there on CPUs {}, and would be on {} now, as rounds of one figure: name \
                 another folder",
                folder.display(),
                cpu_list(&line.setting.cpus),
                cpu_list(&now)
            )));
        }
    }
    Ok(())
}

fn open_record(options: &BenchOptions, folder: &Path, host: Host) -> anyhow::Result<RecordWriter> {
    if folder.join(PLAN_FILE).exists() {
        let text = "is a run of `switchcost run`, and these records would count as its rounds: name another folder";
        return Err(UsageError::Unknown(format!("--out {}: {text}", folder.display())).into());
    }
    let mut writer = RecordWriter::open(folder)?;
    let host_id = HostLine {
        id: host.id(),
        moment: Moment::observe(&Root::default()),
        host: host.for_the_record(),
        build: Build::current(),
        argv: if options.argv.is_empty() { command_line() } else { options.argv.clone() },
        started_ms: now_ms(),
    };
    writer.append(&Line::Host(Box::new(host_id)))?;
    Ok(writer)
}

/// Replaces this process by one whose arguments Criterion understands. Returns only when that fails.
fn exec_for_criterion(options: &BenchOptions, rest: &[String]) -> anyhow::Result<anyhow::Error> {
    let options = serde_json::to_string(options)?;
    let error = Command::new("/proc/self/exe").args(rest).env(OPTIONS, options).exec();
    Ok(anyhow::Error::new(error).context("starting this program again"))
}
