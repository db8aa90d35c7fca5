//! Every refusal is a result: a sandbox, a kernel or an environment that forbids something gives `unsupported` with
//! what was found and what would help, status 0, and the rest goes on.
//!
//! The sandboxes are seccomp filters and namespaces that need no privilege beyond a user namespace. Where even those
//! are missing, the test says so.
#![allow(clippy::unwrap_used)]

#[path = "refusals/building.rs"]
mod building;
#[path = "refusals/calls.rs"]
mod calls;
#[path = "refusals/environment.rs"]
mod environment;
#[path = "refusals/namespaces.rs"]
mod namespaces;
#[path = "refusals/readers.rs"]
mod readers;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use switchcost::record::{Outcome, read};
use switchcost::sys::seccomp::{CallRule, refuse_from_now_on};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_switchcost");

/// As short as a round can be.
const SHORT: [&str; 8] = ["--rounds", "1", "--samples", "10", "--measure", "20ms", "--warm-up", "5ms"];

/// A run of the benchmarks that `filter` names, and where it lies.
struct ShortRun {
    _folder: TempDir,
    at: PathBuf,
    command: Command,
}

impl ShortRun {
    /// With neither counters nor audits.
    fn of(filter: &str) -> Self {
        let mut run = Self::counted(filter);
        run.command.args(["--no-counters", "--no-audit"]);
        run
    }

    /// With both.
    fn counted(filter: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = folder.path().join("run");
        let mut command = Command::new(PROGRAM);
        command.args(["run", filter, "--out"]).arg(&at).args(SHORT);
        Self { _folder: folder, at, command }
    }

    /// How each benchmark ended, by id: nothing where it was measured, or why it was not.
    fn outcomes(&self) -> Vec<(String, Option<String>)> {
        outcomes(&self.at)
    }
}

fn outcomes(at: &Path) -> Vec<(String, Option<String>)> {
    let lines = read(at).unwrap().benchmarks;
    let told = |outcome: &Outcome| match outcome {
        Outcome::Measured(_) => None,
        Outcome::Unsupported(reason) => Some(reason.to_string()),
        Outcome::Failed(reason) => Some(format!("FAILED: {reason}")),
    };
    let mut told: Vec<_> = lines.iter().map(|line| (line.id.clone(), told(&line.outcome))).collect();
    told.sort();
    told
}

/// Runs `command` beneath a filter; nothing where this kernel has none.
fn beneath(rules: &[CallRule], command: &mut Command) -> Option<Output> {
    std::thread::scope(|scope| {
        // A filter is its thread's, and a child process has that of the thread that starts it.
        let parent = scope.spawn(|| match refuse_from_now_on(rules) {
            Ok(()) => Some(command.output().unwrap()),
            Err(error) => {
                println!("not checked: {error}");
                None
            }
        });
        parent.join().unwrap()
    })
}

fn err(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn out(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// That it ended well and panicked nowhere.
fn went_well(output: &Output) {
    let (out, err) = (out(output), err(output));
    assert!(output.status.success() && !err.contains("panicked"), "{:?}\n{out}\n{err}", output.status);
}
