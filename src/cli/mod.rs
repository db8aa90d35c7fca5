//! The front doors: the bench targets and the command line. One file a verb; this room wires the others together.

mod audit;
pub mod bench;
mod folder;
mod host;
mod list;
mod options;
mod report;
mod show;
mod splice;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

pub use options::Usage;

/// Exit status when something failed.
const FAILED: u8 = 1;
/// Exit status for bad usage: an unknown name, a value out of range, a file that is no record.
const USAGE: u8 = 2;

/// Measures what each way of passing control between tasks costs on this machine.
#[derive(Debug, Parser)]
#[command(name = "switchcost", version, about, max_term_width = 100)]
#[command(after_help = "Exit status: 0 fine, 1 failed, 2 bad usage, 3 a regression was found.\n\
                        To measure: `cargo bench`, and `cargo bench -- --help` for its options.")]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    List(list::List),
    Host(host::Show),
    Audit(audit::Audit),
    Show(show::Show),
    Report(report::Report),
    #[command(hide = true)]
    Splice(splice::Splice),
}

/// Runs the command line and returns the status to end with.
pub fn main() -> ExitCode {
    if let Some(status) = crate::harness::answer_audit_request() {
        return status;
    }
    let arguments = Arguments::parse();
    conclude(match arguments.verb {
        Verb::List(list) => list.run(),
        Verb::Host(show) => show.run(),
        Verb::Audit(audit) => audit.run(),
        Verb::Show(show) => show.run(),
        Verb::Report(report) => report.run(),
        Verb::Splice(splice) => splice.run(),
    })
}

/// Prints an error once, and turns it into a status.
fn conclude(outcome: anyhow::Result<ExitCode>) -> ExitCode {
    match outcome {
        Ok(status) => status,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("switchcost: {error:#}");
            ExitCode::from(if error.is::<Usage>() || error.is::<crate::harness::PlanError>() || is_bad_record(&error) {
                USAGE
            } else {
                FAILED
            })
        }
    }
}

/// `switchcost list | head`: whoever reads has seen enough.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    let broken = |error: &std::io::Error| error.kind() == std::io::ErrorKind::BrokenPipe;
    error.chain().filter_map(|cause| cause.downcast_ref()).any(broken)
}

fn is_bad_record(error: &anyhow::Error) -> bool {
    use crate::record::RecordError;
    matches!(
        error.downcast_ref::<RecordError>(),
        Some(RecordError::Broken { .. } | RecordError::OtherSchema { .. } | RecordError::Empty { .. })
    ) || matches!(error.downcast_ref::<RecordError>(),
        Some(RecordError::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound)
}
