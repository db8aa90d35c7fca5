//! The bench targets and the command line, one file per verb. This room wires the others together.

mod advise;
mod advise_requests;
mod advise_stages;
mod advise_watching;
mod audit;
mod bench;
mod bench_options;
mod bench_output;
mod bundle;
mod compare;
mod confirm;
mod export;
mod filter;
mod folder;
mod host;
mod lessons;
mod limits;
mod list;
mod load;
mod load_netns;
mod load_record;
mod load_search;
mod load_view;
mod matrix;
mod options;
mod paired;
mod paired_record;
mod progress;
mod reading;
mod regression;
mod report;
mod run;
mod run_session;
mod scatter_files;
mod serve;
mod show;
mod splice;
mod splice_lessons;
mod sweep;
mod terminal;
#[cfg(test)]
mod tests;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use crate::sys::inherited::restore_signals;

pub use options::UsageError;
use terminal::errln;

/// Exit status when something failed.
const FAILED: u8 = 1;
/// Exit status for bad usage: an unknown name, a value out of range, a file that is no record.
const USAGE: u8 = 2;
/// Exit status when a regression was found that `--fail-on-regression` asked about.
const REGRESSION: u8 = 3;

/// Measures what each way of passing control between tasks costs on this machine.
#[derive(Debug, Parser)]
#[command(name = "switchcost", version, about, max_term_width = 100)]
#[command(after_help = "Exit status: 0 success, 1 failure, 2 bad usage, 3 a regression was found.\n\
                        To begin: `cargo bench` in a clone, or `switchcost run`; then `switchcost show` and \
                        `switchcost report`.")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    // In the order in which a newcomer needs them.
    Run(Box<run::RunArgs>),
    Show(show::ShowArgs),
    Report(report::ReportArgs),
    Compare(Box<compare::CompareArgs>),
    Advise(Box<advise::AdviseArgs>),
    List(list::ListArgs),
    Audit(audit::AuditArgs),
    Sweep(Box<sweep::SweepArgs>),
    Matrix(matrix::MatrixArgs),
    Serve(Box<serve::ServeArgs>),
    Load(Box<load::LoadArgs>),
    Host(host::HostArgs),
    Limits(limits::LimitsArgs),
    Bundle(bundle::BundleArgs),
    Export(export::ExportArgs),
    Lessons(lessons::LessonsArgs),
    Lesson(lessons::LessonArgs),
    #[command(hide = true)]
    Splice(splice::SpliceArgs),
}

/// Runs the command line and returns the status to end with.
pub fn main() -> ExitCode {
    restore_signals();
    // Rounds and audits start servers, and the variables that made them what they are are still set in theirs.
    if let Some(status) = crate::server::answer_server_request() {
        return status;
    }
    // A round's process starts audits, and the variable that made it one is still set in theirs.
    if let Some(status) = crate::harness::answer_audit_request().or_else(crate::harness::rounds::answer_round_request) {
        return status;
    }
    if let Some(status) = bench::stand_for_target() {
        return status;
    }
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(told) => return tell(&told),
    };
    exit_code(match arguments.verb {
        Verb::List(list) => list.run(),
        Verb::Host(show) => show.run(),
        Verb::Audit(audit) => audit.run(),
        Verb::Limits(limits) => limits.run(),
        Verb::Matrix(matrix) => matrix.run(),
        Verb::Run(run) => run.run(),
        Verb::Sweep(sweep) => sweep.run(),
        Verb::Load(load) => load.run(),
        Verb::Advise(advise) => advise.run(),
        Verb::Compare(compare) => compare.run(),
        Verb::Bundle(bundle) => bundle.run(),
        Verb::Export(export) => export.run(),
        Verb::Show(show) => show.run(),
        Verb::Serve(serve) => serve.run(),
        Verb::Report(report) => report.run(),
        Verb::Lessons(lessons) => lessons.run(),
        Verb::Lesson(lesson) => lesson.run(),
        Verb::Splice(splice) => splice.run(),
    })
}

/// Prints help where it was asked for, and a wrong command line as every other error is told: in one line, with what
/// would help.
fn tell(told: &clap::Error) -> ExitCode {
    if !told.use_stderr() || told.kind() == clap::error::ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        // When the help cannot be printed, no place is left to report that.
        let _ = told.print();
        return if told.use_stderr() { ExitCode::from(USAGE) } else { ExitCode::SUCCESS };
    }
    let said = options::in_one_line(told);
    let verb = command_line().into_iter().nth(1);
    let verb = verb.filter(|verb| Arguments::command().find_subcommand(verb).is_some());
    let help = verb.map_or_else(|| "switchcost --help".into(), |verb| format!("switchcost {verb} --help"));
    errln!("switchcost: {said}; `{help}` shows what there is");
    ExitCode::from(USAGE)
}

/// The arguments of this process for the record, which is passed on: without the folder that the program lies in, and
/// with a U+FFFD for what is not UTF-8.
fn command_line() -> Vec<String> {
    let mut arguments = std::env::args_os();
    let program = arguments.next().map(PathBuf::from);
    let name = program.as_deref().and_then(Path::file_name).map(OsStr::to_os_string);
    name.into_iter().chain(arguments).map(|word| word.to_string_lossy().into_owned()).collect()
}

/// Prints an error once, and returns the status to end with.
fn exit_code(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    match outcome {
        Ok(status) => status,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            errln!("switchcost: {}", in_one_line(&error));
            ExitCode::from(if is_usage(&error) { USAGE } else { FAILED })
        }
    }
}

/// The error and its causes; one whose text the last one quotes already is not said twice.
fn in_one_line(error: &anyhow::Error) -> String {
    error
        .chain()
        .skip(1)
        .map(ToString::to_string)
        .fold(error.to_string(), |told, cause| if told.contains(&cause) { told } else { format!("{told}: {cause}") })
}

/// `switchcost list | head`: the reader closes the pipe once it has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref()).any(broken)
}

/// Whether another command line would help.
fn is_usage(error: &anyhow::Error) -> bool {
    error.is::<UsageError>()
        || error.is::<crate::harness::PlanError>()
        || error.is::<crate::harness::rounds::ProfileError>()
        || error.is::<crate::harness::rounds::RunPlanError>()
        || is_bad_record(error)
}

fn is_bad_record(error: &anyhow::Error) -> bool {
    use crate::record::RecordError;
    matches!(
        error.downcast_ref::<RecordError>(),
        Some(
            RecordError::Broken { .. }
                | RecordError::OtherSchema { .. }
                | RecordError::Empty { .. }
                | RecordError::Bundle { .. }
                | RecordError::OneId { .. }
        )
    ) || matches!(error.downcast_ref::<RecordError>(),
        Some(RecordError::Io { source, .. }) if is_of_the_path(source.kind()))
}

/// Whether another path would help.
fn is_of_the_path(kind: std::io::ErrorKind) -> bool {
    use std::io::ErrorKind::{AlreadyExists, IsADirectory, NotADirectory, NotFound, PermissionDenied};
    matches!(kind, AlreadyExists | IsADirectory | NotADirectory | NotFound | PermissionDenied)
}
