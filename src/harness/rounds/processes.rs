//! The runner that starts a fresh process for each benchmark of each round.

use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use super::request::{Measure, REQUEST, Request, What};
use super::{Asked, Interrupts, Job, Ran, Runner};
use crate::harness::adapter::{line, now_ms};
use crate::harness::{Planned, Timing};
use crate::record::{BenchmarkLine, Circumstances, Outcome, Suite};

/// How often [`Processes`] calls its tick while it waits.
const TICK: Duration = Duration::from_secs(1);

/// The programs that measure, by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programs(pub [PathBuf; 2]);

impl Default for Programs {
    /// The one that is running, on both sides.
    fn default() -> Self {
        // The link is resolved by the kernel at exec, so it works even when the file was replaced meanwhile.
        Self(["/proc/self/exe".into(), "/proc/self/exe".into()])
    }
}

/// Starts processes, waits for them with a deadline, and hears who asks to stop.
pub struct Processes<'a> {
    folder: PathBuf,
    asked: &'a Asked,
    machine: String,
    interrupts: Interrupts,
    tick: Box<dyn FnMut() + 'a>,
    /// Is told once that somebody asked to stop.
    stopping: Box<dyn FnMut() + 'a>,
    told: bool,
}

impl<'a> Processes<'a> {
    /// For the run in `folder`. `tick` is called every second of waiting; `stopping` when the first Ctrl-C came.
    pub fn new(
        asked: &'a Asked,
        folder: &Path,
        machine: &str,
        interrupts: Interrupts,
        tick: impl FnMut() + 'a,
        stopping: impl FnMut() + 'a,
    ) -> Self {
        Self {
            folder: folder.into(),
            asked,
            machine: machine.into(),
            interrupts,
            tick: Box::new(tick),
            stopping: Box::new(stopping),
            told: false,
        }
    }

    fn request(&self, job: &Job<'_>) -> Request {
        let measure = Measure {
            chosen: job.entry.chosen.clone(),
            timing: self.asked.timing,
            scale: self.asked.scale,
            round: job.round,
            machine: self.machine.clone(),
            events: self.asked.events.clone(),
            counters: self.asked.counters,
            audit: job.audit,
            criterion: self.folder.join(["criterion", "criterion-b"][job.entry.side % 2]),
        };
        request(What::Measure(Box::new(measure)), &self.folder)
    }

    /// Waits until the process ends. `Err` says why there is no answer, `Ok(None)` that a second Ctrl-C came.
    fn answer(&mut self, mut child: Child) -> Result<Option<()>, String> {
        let deadline = Instant::now() + self.asked.patience;
        let told = |error: &dyn std::fmt::Display| error.to_string();
        loop {
            match child.try_wait().map_err(|error| told(&error))? {
                Some(status) if status.success() => return Ok(Some(())),
                Some(status) => return Err(ended(status, &self.folder)),
                None => {}
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let at_once = self.interrupts.asked() > 1;
            if left.is_zero() || at_once {
                end(&mut child);
                let waited = self.asked.patience;
                let hung = format!("it had not ended after {waited:?} and was killed; --patience gives it longer");
                return if at_once { Ok(None) } else { Err(hung) };
            }
            if let Err(error) = self.interrupts.wait(left.min(TICK)) {
                end(&mut child);
                return Err(told(&error));
            }
            if self.interrupts.asked() > 0 && !std::mem::replace(&mut self.told, true) {
                (self.stopping)();
            }
            (self.tick)();
        }
    }
}

impl Runner for Processes<'_> {
    fn run(&mut self, job: &Job<'_>) -> Ran {
        let (began, started_ms) = (Instant::now(), now_ms());
        let request = self.request(job);
        let child = start(&self.asked.programs.0[job.entry.side % 2], &request, &self.folder);
        let answered = match child.and_then(|child| self.answer(child)) {
            Ok(None) => return Ran::Stopped,
            Ok(Some(())) => read::<BenchmarkLine>(&request.answer),
            Err(reason) => Err(reason),
        };
        let mut line = match answered {
            Ok(line) => line,
            Err(reason) => {
                // Asked benchmarks come from this program's own plan.
                let Some(benchmark) = job.entry.chosen.benchmark() else { return Ran::Stopped };
                line(&Planned::Ready(benchmark), job.round, &self.machine, started_ms, Outcome::Failed(reason))
            }
        };
        let took_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        line.circumstances = Some(Circumstances { took_ms, ..Circumstances::default() });
        Ran::Done(Box::new(line))
    }

    fn asked_to_stop(&mut self) -> bool {
        let _ = self.interrupts.wait(Duration::ZERO);
        self.interrupts.asked() > 0
    }
}

impl Drop for Processes<'_> {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(answer_path(&self.folder));
        let _ = std::fs::remove_file(stderr_path(&self.folder));
    }
}

/// Asks `program` which build it is, for the machine line of its record. Its answer passes through `folder`.
///
/// # Errors
/// Why it did not answer: it is no switchcost, or one of before rounds.
pub fn introduce(program: &Path, folder: &Path) -> Result<Suite, String> {
    let request = request(What::Introduce, folder);
    let child = start(program, &request, folder)?;
    let status = child.wait_with_output().map_err(|error| error.to_string())?.status;
    let suite = if status.success() { read(&request.answer) } else { Err(ended(status, folder)) };
    let _ = std::fs::remove_file(stderr_path(folder));
    suite.map_err(|reason| format!("{} does not answer as a switchcost does: {reason}", program.display()))
}

fn request(what: What, folder: &Path) -> Request {
    let parent = Pid::this().as_raw();
    Request { what, answer: answer_path(folder), parent }
}

fn answer_path(folder: &Path) -> PathBuf {
    folder.join("answer.json")
}

fn stderr_path(folder: &Path) -> PathBuf {
    folder.join("stderr.txt")
}

fn start(program: &Path, request: &Request, folder: &Path) -> Result<Child, String> {
    // What a killed process left must not pass for this one's answer.
    let _ = std::fs::remove_file(&request.answer);
    // A file, because a pipe that nobody empties would stop whoever fills it.
    let stderr = std::fs::File::create(stderr_path(folder)).map_err(|error| error.to_string())?;
    let text = serde_json::to_string(request).map_err(|error| error.to_string())?;
    let mut command = Command::new(program);
    command.arg0("switchcost-round").env(REQUEST, text);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(stderr);
    // Out of the terminal's foreground group: Ctrl-C is the run's to hear, which lets the benchmark finish.
    command.process_group(0);
    command.spawn().map_err(|error| format!("{}: {error}", program.display()))
}

/// Ends the process and those it has started: they are in its group.
fn end(child: &mut Child) {
    if let Ok(id) = i32::try_from(child.id()) {
        let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
    }
    let _ = child.wait();
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, String> {
    let text = std::fs::read(path).map_err(|error| format!("its answer: {error}"))?;
    let _ = std::fs::remove_file(path);
    serde_json::from_slice(&text).map_err(|error| format!("its answer: {error}"))
}

/// How the process ended, and the last thing it said.
fn ended(status: ExitStatus, folder: &Path) -> String {
    let how = match (status.code(), status.signal().map(Signal::try_from)) {
        (Some(code), _) => format!("its process ended with status {code}"),
        (None, Some(Ok(signal))) => format!("its process was ended by {signal}"),
        _ => "its process was ended by a signal".into(),
    };
    let said = std::fs::read(stderr_path(folder)).unwrap_or_default();
    let said = String::from_utf8_lossy(&said);
    // A panic's message stands before the hint about backtraces.
    let last = said.lines().rfind(|line| !line.trim().is_empty() && !line.starts_with("note: run with"));
    last.map_or(how.clone(), |last| format!("{how}: {}", last.trim()))
}

/// How long a benchmark that was never measured may take in a round.
pub(super) fn predicted(timing: &Timing) -> Duration {
    // One counted sample follows three bare ones; starting, set-up, analysis and audit take about a second.
    timing.warm_up + timing.measure * 4 / 3 + Duration::from_secs(1)
}
