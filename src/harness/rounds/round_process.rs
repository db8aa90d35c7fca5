//! The parent's side of a child process: starting it, seeing how it ended, reading its answer, and killing it.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::de::DeserializeOwned;

use super::request::{REQUEST, RoundRequest, RoundTask};
use crate::record::{BenchmarkLine, read_answer};

/// How many can be alive at once.
pub(super) const MOST: usize = 2;

/// A process that was started. It ends with this at the latest, and those that it has started with it.
#[derive(Debug)]
pub(super) struct RoundProcess {
    child: Child,
    files: AnswerFiles,
}

/// Where its answer and what it says go. They are gone with this.
#[derive(Debug)]
struct AnswerFiles {
    answer: PathBuf,
    stderr: PathBuf,
}

impl AnswerFiles {
    fn new(folder: &Path, slot: usize) -> Self {
        let named = |names: [&str; MOST]| folder.join(names[slot % MOST]);
        Self { answer: named(["answer.json", "answer-2.json"]), stderr: named(["stderr.txt", "stderr-2.txt"]) }
    }
}

impl Drop for AnswerFiles {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.answer);
        let _ = std::fs::remove_file(&self.stderr);
    }
}

impl RoundProcess {
    /// Asks `program` for `what`, with `stdin` as its standard input. Answers pass through `folder`; no two processes
    /// that are alive at once share a `slot`.
    pub(super) fn new(
        program: &Path,
        what: RoundTask,
        folder: &Path,
        slot: usize,
        stdin: Option<OwnedFd>,
    ) -> Result<Self, String> {
        let files = AnswerFiles::new(folder, slot);
        // What a killed process left must not pass for this one's answer.
        let _ = std::fs::remove_file(&files.answer);
        // A file, because the child process would block on a pipe that is full.
        let stderr = File::create(&files.stderr).map_err(|error| error.to_string())?;
        let request = RoundRequest { what, answer: files.answer.clone(), parent: Pid::this().as_raw() };
        let text = serde_json::to_string(&request).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        command.arg0("switchcost-round").env(REQUEST, text);
        command.stdin(stdin.map_or_else(Stdio::null, Stdio::from)).stdout(Stdio::null()).stderr(stderr);
        // Out of the terminal's foreground group: Ctrl-C is the run's to hear, which lets the benchmark finish.
        command.process_group(0);
        let child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Self { child, files })
    }

    /// The benchmark that it measured, or why there is none; nothing while it runs.
    pub(super) fn benchmark(&mut self) -> Option<Result<BenchmarkLine, String>> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(self.read(status, read_answer)),
            Err(error) => Some(Err(error.to_string())),
        }
    }

    /// What it answers to any other question, when it has ended.
    pub(super) fn wait<T: DeserializeOwned>(mut self) -> Result<T, String> {
        let status = self.child.wait().map_err(|error| error.to_string())?;
        self.read(status, |text| serde_json::from_slice(text).map_err(|error| error.to_string()))
    }

    fn read<T>(&self, status: ExitStatus, parse: impl FnOnce(&[u8]) -> Result<T, String>) -> Result<T, String> {
        if !status.success() {
            return Err(ended(status, &self.files.stderr));
        }
        let text = std::fs::read(&self.files.answer).map_err(|error| format!("its answer: {error}"))?;
        parse(&text).map_err(|error| format!("its answer: {error}"))
    }
}

impl Drop for RoundProcess {
    fn drop(&mut self) {
        // After it was waited for, its number may be another's.
        if let (Ok(None), Ok(id)) = (self.child.try_wait(), i32::try_from(self.child.id())) {
            // Those that it has started are in its group.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
            let _ = self.child.wait();
        }
    }
}

/// How the process ended, and the last thing it said.
fn ended(status: ExitStatus, stderr: &Path) -> String {
    let how = match (status.code(), status.signal().map(Signal::try_from)) {
        (Some(code), _) => format!("its process ended with status {code}"),
        (None, Some(Ok(signal))) => format!("its process was ended by {signal}"),
        _ => "its process was ended by a signal".into(),
    };
    let said = std::fs::read(stderr).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    // A panic's message stands before the hint about backtraces.
    let last = said.lines().rfind(|line| !line.trim().is_empty() && !line.starts_with("note: run with"));
    last.map_or(how.clone(), |last| format!("{how}: {}", last.trim()))
}
