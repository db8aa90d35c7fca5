//! A round's process, at both ends: what the run asks of it and how it is started, watched and ended; and, in the child
//! process, how the answer is found and left in a file.

use std::fs::File;
use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, ExitStatus, Stdio};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, dup2_stdin};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::harness::criterion_adapter::measure_one;
use crate::harness::interleave_token::InterleaveToken;
use crate::harness::sweep::measure_in_sweep;
use crate::harness::unsupported::killed_for_a_call;
use crate::harness::{
    Auditor, BenchmarkObserver, BenchmarkSpec, MeasureOptions, Mode, PlannedBenchmark, SweepSampling, Timing,
};
use crate::pmu::{Event, EventSet};
use crate::record::{BenchmarkLine, Build, Line, Outcome, line_text, read_answer};
use crate::sys::nowhere::nowhere;
use crate::sys::process::die_with_parent;
use crate::terms::Unsupported;

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
    fn new(folder: &Path, index: usize) -> Self {
        let named = |names: [&str; MOST]| folder.join(names[index % MOST]);
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
    /// Gives `task` to `program`, with `stdin` as its standard input. Answers pass through `folder`; processes that are
    /// alive at once have different numbers `index`.
    pub(super) fn new(
        program: &Path,
        task: RoundTask,
        folder: &Path,
        index: usize,
        stdin: Option<OwnedFd>,
    ) -> Result<Self, String> {
        let files = AnswerFiles::new(folder, index);
        // What a killed process left must not pass for this one's answer.
        let _ = std::fs::remove_file(&files.answer);
        // A file, because the child process would block on a pipe that is full.
        let stderr = File::create(&files.stderr).map_err(|error| error.to_string())?;
        let request = RoundRequest { task, answer: files.answer.clone(), parent: Pid::this().as_raw() };
        let text = serde_json::to_string(&request).map_err(|error| error.to_string())?;
        let mut command = Command::new(program);
        // Criterion would otherwise look for cargo's target folder, in every process by a process of cargo.
        command.arg0("switchcost-round").env(REQUEST, text).env("CRITERION_HOME", folder);
        let nowhere = nowhere().map_err(|error| error.to_string())?;
        let stdin = stdin.map_or_else(|| nowhere.try_clone().map(Stdio::from), |stdin| Ok(stdin.into()));
        command.stdin(stdin.map_err(|error| error.to_string())?).stdout(nowhere).stderr(stderr);
        // Out of the terminal's foreground group: Ctrl-C is the run's to hear, which lets the benchmark finish.
        command.process_group(0);
        let child = command.spawn().map_err(|error| format!("{}: {error}", program.display()))?;
        Ok(Self { child, files })
    }

    /// The benchmark that it measured, or why there is none; nothing while it runs.
    pub(super) fn benchmark(&mut self) -> Option<Result<BenchmarkLine, NoAnswer>> {
        match self.child.try_wait() {
            Ok(None) => None,
            Ok(Some(status)) => Some(self.read(status, read_answer)),
            Err(error) => Some(Err(NoAnswer::Failed(error.to_string()))),
        }
    }

    /// What it answers to any other question, when it has ended.
    pub(super) fn wait<T: DeserializeOwned>(mut self) -> Result<T, NoAnswer> {
        let status = self.child.wait().map_err(|error| NoAnswer::Failed(error.to_string()))?;
        self.read(status, |text| serde_json::from_slice(text).map_err(|error| error.to_string()))
    }

    fn read<T>(&self, status: ExitStatus, parse: impl FnOnce(&[u8]) -> Result<T, String>) -> Result<T, NoAnswer> {
        if status.signal() == Some(Signal::SIGSYS as i32) {
            return Err(NoAnswer::Killed(killed_for_a_call()));
        }
        if !status.success() {
            return Err(NoAnswer::Failed(ended(status, &self.files.stderr)));
        }
        let text = std::fs::read(&self.files.answer).map_err(|error| error.to_string());
        text.and_then(|text| parse(&text)).map_err(|error| NoAnswer::Failed(format!("its answer: {error}")))
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

/// Why a process has no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// It was killed for a call that it made, and another process that makes the call would be.
    Killed(Unsupported),
    /// It failed, hung or was ended.
    Failed(String),
}

impl std::fmt::Display for NoAnswer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Killed(reason) => reason.fmt(f),
            Self::Failed(reason) => f.write_str(reason),
        }
    }
}

impl From<NoAnswer> for Outcome {
    fn from(none: NoAnswer) -> Self {
        match none {
            NoAnswer::Killed(reason) => Self::Unsupported(reason),
            NoAnswer::Failed(reason) => Self::Failed(reason),
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

/// The variable that tells a fresh process of this program that it is a round's.
pub(super) const REQUEST: &str = "SWITCHCOST_ROUND_REQUEST";

/// What the process is asked to do, and where its answer goes.
///
/// A paired comparison also sends requests to an earlier build. So names on the wire stay as that build reads them:
/// `rename` gives them where the code has another name.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RoundRequest {
    #[serde(rename = "what")]
    pub(super) task: RoundTask,
    #[serde(with = "super::path_text")]
    pub(super) answer: PathBuf,
    /// The run that asks. When it is gone the answer has no reader, and measuring on would disturb the next process.
    pub(super) parent: i32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RoundTask {
    /// To answer which build it is.
    #[serde(rename = "introduce")]
    Identify,
    /// To answer whether it can be interleaved with another process. A build that cannot does not know the question
    /// either, and ends.
    #[serde(rename = "turns")]
    SupportsInterleaving,
    /// To measure. The answer is a line of a record, which says its version: the other side may be an earlier program.
    Measure(Box<MeasureRequest>),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct MeasureRequest {
    #[serde(rename = "chosen")]
    pub(super) spec: BenchmarkSpec,
    pub(super) timing: Timing,
    #[serde(rename = "scale")]
    pub(super) sweep: Option<SweepSampling>,
    pub(super) round: u32,
    pub(super) host_id: String,
    pub(super) events: Option<String>,
    pub(super) counters: bool,
    pub(super) audit: bool,
    /// Where Criterion's files go.
    #[serde(with = "super::path_text")]
    pub(super) criterion: PathBuf,
    /// Whether it begins, where its samples are interleaved with those of the process at the other end of its standard
    /// input; `None`: it measures alone.
    #[serde(rename = "turn")]
    pub(super) order: Option<InterleaveOrder>,
}

/// Which of two interleaved processes takes the first sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum InterleaveOrder {
    First,
    Second,
}

/// If this process was started by a run, does what it asks and returns the status to end with. To be called first thing
/// in `main`, after [`answer_audit_request`](crate::harness::answer_audit_request): a round's process starts audits,
/// and the variable that made it one is still set in theirs.
pub fn answer_round_request() -> Option<ExitCode> {
    let request = std::env::var(REQUEST).ok()?;
    Some(match answer(&request) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            // The run reads the last line. Where there is no room for it, the status is what remains.
            let _ = writeln!(std::io::stderr(), "{reason}");
            ExitCode::FAILURE
        }
    })
}

fn answer(request: &str) -> Result<(), String> {
    let request: RoundRequest = serde_json::from_str(request).map_err(|error| format!("the request: {error}"))?;
    if !die_with_parent(Pid::from_raw(request.parent)) {
        return Err("the run has ended".into());
    }
    let answer = match request.task {
        RoundTask::Identify => serde_json::to_vec(&Build::current()),
        RoundTask::SupportsInterleaving => serde_json::to_vec(&true),
        RoundTask::Measure(request) => {
            line_text(&Line::Benchmark(Box::new(measure(*request)?))).map(String::into_bytes)
        }
    };
    let answer = answer.map_err(|error| error.to_string())?;
    std::fs::write(&request.answer, answer).map_err(|error| format!("{}: {error}", request.answer.display()))
}

/// Keeps the one line.
#[derive(Default)]
struct SingleLine(Option<BenchmarkLine>);

impl BenchmarkObserver for SingleLine {
    fn finished(&mut self, line: BenchmarkLine) {
        self.0 = Some(line);
    }
}

fn measure(request: MeasureRequest) -> Result<BenchmarkLine, String> {
    let unknown = || format!("this program has no mechanism {}", request.spec.mechanism);
    let benchmark = request.spec.benchmark().ok_or_else(unknown)?;
    request.spec.prepare_process();
    let options = measure_options(&request)?;
    if let Some(sampling) = request.sweep {
        return Ok(measure_in_sweep(&PlannedBenchmark::Ready(benchmark), &sampling, &options));
    }
    let mut kept = SingleLine::default();
    let token = token(request.order, request.timing.samples).map_err(|error| format!("its token: {error}"))?;
    measure_one(&PlannedBenchmark::Ready(benchmark), &request.timing, &request.criterion, &options, token, &mut kept);
    kept.0.ok_or_else(|| "it measured nothing".into())
}

/// What the request is measured with.
pub(super) fn measure_options(request: &MeasureRequest) -> Result<MeasureOptions, String> {
    let extra = request.events.as_deref().map_or(Ok(Vec::new()), Event::parse_list).map_err(|e| e.to_string())?;
    Ok(MeasureOptions {
        mode: Mode::Measure,
        counters: request.counters.then(|| EventSet::default().with_events(&extra)),
        auditor: request.audit.then(Auditor::with_this_program),
        round: request.round,
        host_id: request.host_id.clone(),
        criterion_output: true,
    })
}

fn token(order: Option<InterleaveOrder>, samples: usize) -> std::io::Result<InterleaveToken> {
    let Some(order) = order else { return Ok(InterleaveToken::alone()) };
    // Not left on standard input, which every program that a mechanism or an audit starts would inherit.
    let partner = std::io::stdin().as_fd().try_clone_to_owned()?;
    dup2_stdin(nowhere().map_err(|error| error.errno)?)?;
    Ok(InterleaveToken::with(partner.into(), order == InterleaveOrder::First, samples))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mechanism::find;
    use crate::terms::{Placement, Setting};
    use crate::units::CpuId;

    /// An earlier build, which may be the other side of a comparison, reads these names and no others.
    #[test]
    fn a_request_has_the_names_that_earlier_builds_read() {
        let setting =
            Setting::new(Placement::SameCpu, vec![CpuId(0)], find("handoff/pipe").unwrap().descriptor().defaults());
        let measure = MeasureRequest {
            spec: BenchmarkSpec { mechanism: "handoff/pipe".into(), setting },
            timing: Timing::default(),
            sweep: None,
            round: 0,
            host_id: "id".into(),
            events: None,
            counters: true,
            audit: true,
            criterion: "criterion".into(),
            order: Some(InterleaveOrder::First),
        };
        let json = |task| serde_json::to_value(RoundRequest { task, answer: "answer".into(), parent: 1 }).unwrap();
        assert_eq!(json(RoundTask::Identify)["what"], "introduce");
        assert_eq!(json(RoundTask::SupportsInterleaving)["what"], "turns");
        let request = json(RoundTask::Measure(Box::new(measure)));
        let names: Vec<&String> = request["what"]["measure"].as_object().unwrap().keys().collect();
        let known =
            ["audit", "chosen", "counters", "criterion", "events", "host_id", "round", "scale", "timing", "turn"];
        assert_eq!(names, known);
        assert_eq!(request["what"]["measure"]["turn"], "first");
    }
}
