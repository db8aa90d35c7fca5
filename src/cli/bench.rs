//! The front door: what a bench target runs. Criterion's own options work as everywhere; ours stand beside them.

use std::os::unix::process::CommandExt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use serde::{Deserialize, Serialize};

use super::options::{Filter, SettingArgs, UsageError, event_set};
use super::{FAILED, command_line, conclude, folder};
use crate::harness::rounds::{PLAN_FILE, Profile};
use crate::harness::{
    Auditor, BenchmarkObserver, MeasureOptions, Mode, PlannedBenchmark, Timing, answer_audit_request, measure, now_ms,
    plan,
};
use crate::host::Root;
use crate::mechanism::group;
use crate::record::{BenchmarkLine, Build, HostLine, Line, Outcome, RecordWriter};
use crate::report::{NOT_COUNTED, counter_tables, group_table, metrics_tables, notes};
use crate::terms::{Host, Moment};

/// Carries our options past Criterion, which refuses arguments that it does not know.
const OPTIONS: &str = "SWITCHCOST_BENCH_OPTIONS";

pub(super) const HELP: &str = "\
switchcost's own options, besides Criterion's:
      --set NAME=VALUE    Sets a parameter of every mechanism that has it (switchcost list); may be repeated
      --placement LIST    Only these placements: unpinned, same-cpu, smt-sibling, same-llc, cross-llc, cross-node,
                          one-per-cpu
      --idle MODE         What idle CPUs do: default, poll (holds /dev/cpu_dma_latency at 0; needs root), or spinner
                          (a SCHED_IDLE process on each CPU of the placement)
      --policy CLASS      How tasks are scheduled: other, batch, idle, fifo or rr
      --slice-us N        The slice asked of the fair scheduler, in microseconds (Linux 6.12)
      --events LIST       Counts these events too, by perf's names
      --no-counters       Takes no counted samples
      --no-audit          Leaves the audit out; the record says so
      --out FOLDER        Where the record goes (default target/switchcost/<start of cargo>)
With Criterion's --quick, and neither a filter nor --placement, each mechanism is measured in one placement only.
";

/// Our options.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct BenchOptions {
    what: SettingArgs,
    events: Option<String>,
    no_counters: bool,
    no_audit: bool,
    out: Option<PathBuf>,
    /// The command line as given, when this process was started over without its options.
    #[serde(default)]
    argv: Vec<String>,
}

/// What we must know of Criterion's options.
#[derive(Debug, Default, PartialEq)]
struct CriterionOptions {
    filter: Option<String>,
    exact: bool,
    quick: bool,
    mode: Option<Mode>,
}

/// Runs the group called `name` as a bench target's `main`, and returns the status to end with.
pub fn main(name: &str) -> ExitCode {
    if let Some(status) = answer_audit_request() {
        return status;
    }
    end_with_the_reader();
    conclude(run(name))
}

/// What the standard library's `println!` panics with when the reader has gone.
const NOBODY_READS: &str = "failed printing to stdout: Broken pipe";

/// `cargo bench | head`: whoever read has seen enough. Criterion prints with a macro that panics then, in places that
/// cannot unwind; ending by SIGPIPE as other programs do is no choice, because mechanisms write to pipes of their own.
fn end_with_the_reader() {
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.to_string().contains(NOBODY_READS) {
            std::process::exit(0);
        }
        before(panic);
    }));
}

fn run(name: &str) -> anyhow::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.iter().any(|argument| argument == "--help" || argument == "-h") {
        println!("{HELP}");
    }
    let (mut options, rest) = split(&arguments)?;
    if options != BenchOptions::default() {
        options.argv = command_line();
        return Err(start_over(&options, &rest)?);
    }
    let options: BenchOptions = match std::env::var(OPTIONS) {
        Ok(options) => serde_json::from_str(&options).context("reading the options of the process before this")?,
        Err(_) => options,
    };
    let Some(prepared) = prepare(name, &options, &rest)? else { return Ok(ExitCode::SUCCESS) };
    let Prepared { group, planned, timing, settings, host, folder } = prepared;
    let mode = settings.mode;
    let mut output = BenchOutput::default();
    if mode == Mode::Measure {
        output.writer = Some(open_record(&options, &folder, host)?);
    }
    let measured = without_backtrace(|| measure(group, &planned, &timing, &settings, &mut output));
    let status = output.conclude(mode)?;
    measured.map(|()| status)
}

/// What the options come to. Nothing was written yet.
pub(super) struct Prepared {
    pub(super) group: &'static str,
    pub(super) planned: Vec<PlannedBenchmark>,
    pub(super) timing: Timing,
    pub(super) settings: MeasureOptions,
    pub(super) host: Host,
    pub(super) folder: PathBuf,
}

/// What our options and Criterion's come to; nothing where the group called `name` has nothing to do.
pub(super) fn prepare(name: &str, options: &BenchOptions, rest: &[String]) -> anyhow::Result<Option<Prepared>> {
    check_numbers(rest)?;
    let criterion_options = criterion_options(rest);
    let mode = criterion_options.mode.unwrap_or(Mode::Measure);
    let filter = Filter::new(criterion_options.filter.as_deref(), criterion_options.exact)?;
    let choice = options.what.choice()?;
    let counters = event_set(options.events.as_deref())?;
    let mine = group(name).with_context(|| format!("no group is called {name}"))?;
    let quick = criterion_options.quick.then(Profile::quick);
    let timing = quick.as_ref().map_or(Timing::default(), |quick| quick.timing);
    let names_something = criterion_options.filter.is_some() || options.what.placement.is_some();
    let everything = match quick.filter(|_| !names_something) {
        // Whoever is in a hurry and names nothing gets something of everything.
        Some(quick) => quick.plan(&choice, |_| true)?,
        None => plan(&choice, |id| filter.matches(id))?,
    };
    filter.must_leave_something(&choice, &everything)?;
    let planned: Vec<PlannedBenchmark> =
        everything.into_iter().filter(|planned| planned.mechanism().descriptor().group() == mine.name).collect();
    if planned.is_empty() && mode != Mode::Look {
        return Ok(None);
    }
    let host = Host::observe(&Root::default());
    let settings = MeasureOptions {
        mode,
        counters: (!options.no_counters).then_some(counters),
        auditor: (!options.no_audit).then(Auditor::with_this_program),
        round: 0,
        host_id: host.id(),
    };
    let folder = options.out.clone().unwrap_or_else(folder::of_this_run);
    Ok(Some(Prepared { group: mine.name, planned, timing, settings, host, folder }))
}

/// Criterion panics where it is given what it cannot do: a baseline that was never saved. That is one line here, and
/// what was measured before it stands.
fn without_backtrace(work: impl FnOnce()) -> anyhow::Result<()> {
    let told = Arc::<Mutex<Option<String>>>::default();
    let hook = Arc::clone(&told);
    let before = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if panic.to_string().contains(NOBODY_READS) {
            std::process::exit(0);
        }
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

/// The numbers that Criterion takes, with the least that it accepts; it would panic below.
const NUMBERS: [(&str, f64, f64); 7] = [
    ("--sample-size", 10.0, 1e5),
    ("--warm-up-time", 1e-9, 1e9),
    ("--measurement-time", 1e-9, 1e9),
    ("--nresamples", 1.0, 1e9),
    ("--noise-threshold", 0.0, 1e9),
    ("--confidence-level", 1e-9, 1.0 - 1e-9),
    ("--significance-level", 1e-9, 1.0 - 1e-9),
];

fn check_numbers(rest: &[String]) -> Result<(), UsageError> {
    for (index, argument) in rest.iter().enumerate() {
        let (name, attached) = argument.split_once('=').map_or((argument.as_str(), None), |(n, v)| (n, Some(v)));
        let Some((_, least, most)) = NUMBERS.iter().find(|(number, ..)| *number == name) else { continue };
        let given = attached.or_else(|| rest.get(index + 1).map(String::as_str)).unwrap_or_default();
        // Counts are whole numbers; a fraction of a sample makes Criterion panic.
        let whole = *least < 1.0 || given.parse::<u64>().is_ok();
        if !whole || !given.parse::<f64>().is_ok_and(|value| (*least..=*most).contains(&value)) {
            let bound = match *least {
                least if least >= 1.0 => format!("from {least} to {most}, whole"),
                _ if *most < 1.0 => "between 0 and 1".into(),
                _ => "above 0".into(),
            };
            return Err(UsageError::Unknown(format!("{name} {given}: it is a number {bound}")));
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
fn start_over(options: &BenchOptions, rest: &[String]) -> anyhow::Result<anyhow::Error> {
    let options = serde_json::to_string(options)?;
    let error = Command::new("/proc/self/exe").args(rest).env(OPTIONS, options).exec();
    Ok(anyhow::Error::new(error).context("starting this program again"))
}

/// Parts our options from Criterion's.
pub(super) fn split(arguments: &[String]) -> Result<(BenchOptions, Vec<String>), UsageError> {
    let mut options = BenchOptions::default();
    let mut rest = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let (name, attached) = match argument.split_once('=') {
            Some((name, value)) if name.starts_with("--") => (name, Some(value.to_string())),
            _ => (argument.as_str(), None),
        };
        let mut value =
            || attached.clone().or_else(|| arguments.next().cloned()).ok_or_else(|| UsageError::NoValue(name.into()));
        match name {
            "--set" => options.what.set.push(value()?),
            "--placement" => options.what.placement = Some(value()?),
            "--idle" => options.what.idle = Some(value()?),
            "--policy" => options.what.policy = Some(value()?),
            "--slice-us" => {
                let text = value()?;
                let slice = text.parse().map_err(|_| UsageError::Unknown(format!("--slice-us {text} is no number")))?;
                options.what.slice_us = Some(slice);
            }
            "--events" => options.events = Some(value()?),
            "--out" => options.out = Some(value()?.into()),
            "--no-counters" => options.no_counters = true,
            "--no-audit" => options.no_audit = true,
            _ => rest.push(argument.clone()),
        }
    }
    Ok((options, rest))
}

/// Criterion's options that take a value (its `configure_from_args`): what follows them is no filter.
const WITH_VALUE: [&str; 18] = [
    "-c",
    "--color",
    "-s",
    "--save-baseline",
    "-b",
    "--baseline",
    "--baseline-lenient",
    "--format",
    "--profile-time",
    "--load-baseline",
    "--sample-size",
    "--warm-up-time",
    "--measurement-time",
    "--nresamples",
    "--noise-threshold",
    "--confidence-level",
    "--significance-level",
    "--plotting-backend",
];

fn criterion_options(rest: &[String]) -> CriterionOptions {
    let mut criterion_options = CriterionOptions::default();
    let mut arguments = rest.iter();
    while let Some(argument) = arguments.next() {
        match argument.split('=').next().unwrap_or_default() {
            "--exact" => criterion_options.exact = true,
            "--quick" => criterion_options.quick = true,
            "--list" | "--load-baseline" => criterion_options.mode = Some(Mode::Look),
            "--test" => criterion_options.mode = Some(Mode::Test),
            "--profile-time" => criterion_options.mode = Some(Mode::Profile),
            _ => {}
        }
        if WITH_VALUE.contains(&argument.as_str()) || argument == "--output-format" {
            arguments.next();
        } else if !argument.starts_with('-') && criterion_options.filter.is_none() {
            criterion_options.filter = Some(argument.clone());
        }
    }
    criterion_options
}

/// Keeps what was measured: in the record at once, and for the table at the end.
#[derive(Debug, Default)]
struct BenchOutput {
    writer: Option<RecordWriter>,
    lines: Vec<BenchmarkLine>,
    trouble: Option<anyhow::Error>,
}

impl BenchmarkObserver for BenchOutput {
    fn finished(&mut self, line: BenchmarkLine) {
        if let Some(writer) = &mut self.writer
            && let Err(error) = writer.append(&Line::Benchmark(Box::new(line.clone())))
        {
            // The figures are still shown; the status tells that the record is not whole.
            self.trouble.get_or_insert(error.into());
        }
        self.lines.push(line);
    }
}

impl BenchOutput {
    fn conclude(self, mode: Mode) -> anyhow::Result<ExitCode> {
        if mode == Mode::Look {
            return Ok(ExitCode::SUCCESS);
        }
        if mode == Mode::Measure {
            let tables = [group_table(&self.lines), counter_tables(&self.lines), metrics_tables(&self.lines)];
            for table in tables.iter().filter(|table| !table.is_empty()) {
                println!("\n{table}");
            }
        }
        for note in notes(&self.lines).iter().filter(|note| mode == Mode::Measure || !note.starts_with(NOT_COUNTED)) {
            println!("{note}");
        }
        if let Some(writer) = &self.writer {
            println!("\nrecord: {}", writer.path().display());
            println!("again:  switchcost show {}", writer.path().parent().unwrap_or(writer.path()).display());
        }
        if let Some(trouble) = self.trouble {
            return Err(trouble.context("the record is not complete"));
        }
        let failed = self.lines.iter().any(|line| matches!(line.outcome, Outcome::Failed(_)));
        let differs = self.lines.iter().any(|line| match &line.outcome {
            Outcome::Measured(measured) => measured.audit.differences().next().is_some(),
            _ => false,
        });
        // A measurement with a wrong audit is kept, marked; a test of the benchmarks has found what it looks for.
        Ok(if failed || (differs && mode == Mode::Test) { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_string).collect()
    }

    fn parted(line: &str) -> (BenchOptions, String) {
        let (options, rest) = split(&words(line)).unwrap();
        (options, rest.join(" "))
    }

    #[test]
    fn our_options_are_taken_out_and_criterions_stay_in_order() {
        let (options, rest) = parted(
            "--bench --set tasks=64 brigade/thread --placement=same-cpu,unpinned --sample-size 10 --idle poll \
             --events=cache-misses --set transport=socketpair --no-audit --no-counters --out /tmp/x --save-baseline a",
        );
        assert_eq!(rest, "--bench brigade/thread --sample-size 10 --save-baseline a");
        assert_eq!(options.what.set, ["tasks=64", "transport=socketpair"]);
        assert_eq!(options.what.placement.as_deref(), Some("same-cpu,unpinned"));
        assert_eq!((options.what.idle.as_deref(), options.events.as_deref()), (Some("poll"), Some("cache-misses")));
        assert_eq!((options.no_audit, options.no_counters, options.out), (true, true, Some("/tmp/x".into())));
        let (options, rest) = parted("--bench --baseline a handoff");
        assert_eq!((options, rest.as_str()), (BenchOptions::default(), "--bench --baseline a handoff"));
    }

    #[test]
    fn an_attached_value_may_hold_an_equals_sign() {
        let (options, _) = parted("--set=tasks=64");
        assert_eq!(options.what.set, ["tasks=64"]);
    }

    #[test]
    fn an_option_without_its_value_is_refused() {
        for line in ["--set", "brigade --placement", "--out"] {
            assert!(matches!(split(&words(line)), Err(UsageError::NoValue(_))), "{line}");
        }
    }

    #[test]
    fn our_options_survive_the_second_start() {
        let (options, _) = parted("--set tasks=64 --idle poll --out x --no-audit");
        let carried: BenchOptions = serde_json::from_str(&serde_json::to_string(&options).unwrap()).unwrap();
        assert_eq!(carried, options);
    }

    #[test]
    fn criterions_filter_is_the_first_word_that_is_no_options_value() {
        let filter = |line: &str| criterion_options(&words(line)).filter;
        assert_eq!(filter("--bench --save-baseline a brigade/mio --noplot later"), Some("brigade/mio".into()));
        assert_eq!(filter("--bench --save-baseline=a --sample-size 10"), None);
        assert_eq!(filter("-b main -- x"), Some("x".into()));
        for option in WITH_VALUE {
            assert_eq!(filter(&format!("{option} value")), None, "{option}");
        }
    }

    #[test]
    fn numbers_that_criterion_would_panic_on_are_refused() {
        let refused = |line: &str| check_numbers(&words(line)).unwrap_err().to_string();
        assert!(check_numbers(&words("--sample-size 10 --nresamples=1000 --noise-threshold 0.05")).is_ok());
        for line in ["--sample-size 10.5", "--sample-size=10.5", "--sample-size 9", "--nresamples 1e3", "--sample-size"]
        {
            assert!(refused(line).contains("whole"), "{line}: {}", refused(line));
        }
        for line in ["--confidence-level 1", "--warm-up-time 0", "--measurement-time NaN", "--noise-threshold=-1"] {
            assert!(refused(line).contains("it is a number"), "{line}: {}", refused(line));
        }
    }

    #[test]
    fn an_unknown_event_is_bad_usage() {
        let error = event_set(Some("cache-mises")).unwrap_err().to_string();
        assert!(error.contains("cache-mises") && error.lines().count() == 1, "{error}");
        assert!(event_set(Some("cache-misses,page-faults")).is_ok());
    }

    #[test]
    fn modes_are_read() {
        let mode = |line: &str| criterion_options(&words(line)).mode;
        assert_eq!(mode("--bench brigade"), None);
        assert_eq!(mode("--bench --test"), Some(Mode::Test));
        assert_eq!(mode("--list"), Some(Mode::Look));
        assert_eq!(mode("--load-baseline a"), Some(Mode::Look));
        assert_eq!(mode("--profile-time=5"), Some(Mode::Profile));
        assert!(criterion_options(&words("--exact brigade/thread/same-cpu")).exact);
        assert!(
            criterion_options(&words("--bench --quick")).quick && !criterion_options(&words("--bench quick")).quick
        );
    }
}
