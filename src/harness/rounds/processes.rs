//! The runner that starts a fresh process for each benchmark of each round.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::request::{Measure, Turn, What};
use super::started::Started;
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

    fn measure(&self, job: &Job<'_>, turn: Option<Turn>) -> What {
        What::Measure(Box::new(request(self.asked, &self.folder, &self.machine, job, turn)))
    }

    /// Starts a process for each job; two take turns.
    fn start(&self, jobs: &[Job<'_>]) -> Result<Vec<Started>, String> {
        let program = |job: &Job<'_>| self.asked.programs.0[job.entry.side % 2].as_path();
        let [first, second] = jobs else {
            let alone = |job: &Job<'_>| Started::new(program(job), self.measure(job, None), &self.folder, 0, None);
            return jobs.iter().map(alone).collect();
        };
        // No end stays here: when one process is gone, the other must see the end of the file.
        let ends = UnixStream::pair().map_err(|error| format!("socketpair: {error}"))?;
        let beside = |job: &Job<'_>, turn: Turn, slot: usize, end: UnixStream| {
            let what = self.measure(job, Some(turn));
            Started::new(program(job), what, &self.folder, slot, Some(OwnedFd::from(end)))
        };
        let first = beside(first, Turn::First, 0, ends.0)?;
        Ok(vec![first, beside(second, Turn::Second, 1, ends.1)?])
    }

    /// Waits for the answers; nothing when a second Ctrl-C came. When one of two says that there is nothing measured, the
    /// other is ended: by itself it is no side of a pair.
    fn answers(&mut self, mut started: Vec<Started>) -> Option<Vec<Result<BenchmarkLine, String>>> {
        let patience = self.asked.patience * u32::try_from(started.len()).unwrap_or(1);
        let deadline = Instant::now() + patience;
        let mut answers: Vec<Option<Result<BenchmarkLine, String>>> = started.iter().map(|_| None).collect();
        loop {
            for (process, answer) in started.iter_mut().zip(&mut answers) {
                *answer = answer.take().or_else(|| process.answer());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let hung = || format!("it had not ended after {patience:?} and was killed; --patience gives it longer");
            let failed = answers.iter().flatten().find_map(reason).map(|reason| format!("the other side: {reason}"));
            let given_up = failed.or_else(|| left.is_zero().then(hung));
            if let Some(reason) = given_up {
                return Some(answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(reason.clone()))).collect());
            }
            if answers.iter().all(Option::is_some) {
                return Some(answers.into_iter().flatten().collect());
            }
            if self.interrupts.asked() > 1 {
                return None;
            }
            if let Err(error) = self.interrupts.wait(left.min(TICK)) {
                return Some(answers.into_iter().map(|answer| answer.unwrap_or(Err(error.to_string()))).collect());
            }
            if self.interrupts.asked() > 0 && !std::mem::replace(&mut self.told, true) {
                (self.stopping)();
            }
            (self.tick)();
        }
    }
}

/// What a process is asked for: `job` of the plan.
fn request(asked: &Asked, folder: &Path, machine: &str, job: &Job<'_>, turn: Option<Turn>) -> Measure {
    Measure {
        chosen: job.entry.chosen.clone(),
        timing: asked.timing,
        scale: asked.scale,
        round: job.round,
        machine: machine.into(),
        events: asked.events.clone(),
        counters: asked.counters,
        audit: job.audit,
        criterion: folder.join(["criterion", "criterion-b"][job.entry.side % 2]),
        turn,
    }
}

/// Why there is nothing measured.
fn reason(answer: &Result<BenchmarkLine, String>) -> Option<String> {
    match answer {
        Ok(line) => line.outcome.reason(),
        Err(reason) => Some(reason.clone()),
    }
}

impl Runner for Processes<'_> {
    fn run(&mut self, jobs: &[Job<'_>]) -> Ran {
        let (began, started_ms) = (Instant::now(), now_ms());
        let answers = match self.start(jobs) {
            Ok(started) => self.answers(started),
            Err(reason) => Some(jobs.iter().map(|_| Err(reason.clone())).collect()),
        };
        let Some(answers) = answers else { return Ran::Stopped };
        // Two that take turns take their time together.
        let each = began.elapsed() / u32::try_from(jobs.len()).unwrap_or(1).max(1);
        let took_ms = u64::try_from(each.as_millis()).unwrap_or(u64::MAX);
        let mut lines = Vec::new();
        for (job, answer) in jobs.iter().zip(answers) {
            let failed = |reason| {
                // Asked benchmarks come from this program's own plan.
                let planned = Planned::Ready(job.entry.chosen.benchmark()?);
                Some(line(&planned, job.round, &self.machine, started_ms, Outcome::Failed(reason)))
            };
            let Some(mut line) = answer.map_or_else(failed, Some) else { return Ran::Stopped };
            line.circumstances = Some(Circumstances { took_ms, in_turns: jobs.len() > 1, ..Circumstances::default() });
            lines.push(line);
        }
        Ran::Done(lines)
    }

    fn asked_to_stop(&mut self) -> bool {
        let _ = self.interrupts.wait(Duration::ZERO);
        self.interrupts.asked() > 0
    }
}

/// Asks `program` which build it is, for the machine line of its record. Its answer passes through `folder`.
///
/// # Errors
/// Why it did not answer: it is no switchcost, or one of before rounds.
pub fn introduce(program: &Path, folder: &Path) -> Result<Suite, String> {
    let suite = Started::new(program, What::Introduce, folder, 0, None).and_then(Started::wait);
    suite.map_err(|reason| format!("{} does not answer as a switchcost does: {reason}", program.display()))
}

/// Whether `program` can take turns with another process. Its answer passes through `folder`.
pub fn knows_turns(program: &Path, folder: &Path) -> bool {
    Started::new(program, What::Turns, folder, 0, None).and_then(Started::wait) == Ok(true)
}

/// How long a benchmark that was never measured may take in a round.
pub(super) fn predicted(timing: &Timing) -> Duration {
    // One counted sample follows three bare ones; starting, set-up, analysis and audit take about a second.
    timing.warm_up + timing.measure * 4 / 3 + Duration::from_secs(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::rounds::request::settings;
    use crate::harness::{Mode, Scale};
    use crate::pmu::{Event, Plan};

    const PLAN: &str = r#"{
        "schema": 1, "argv": [], "rounds": 5, "until": null, "budget": null,
        "patience": { "secs": 60, "nanos": 0 }, "seed": 7, "strict": true, "in_turns": true,
        "timing": { "warm_up": { "secs": 3, "nanos": 0 }, "measure": { "secs": 4, "nanos": 0 }, "samples": 33 },
        "events": "ref-cycles", "counters": true, "audit": true, "programs": ["a", "b"], "unsupported": [],
        "entries": [{ "id": "handoff/pipe/same-cpu", "side": 1, "pair": 0, "chosen": {
            "mechanism": "handoff/pipe", "parameters": {}, "placement": "same-cpu", "cpus": [0], "idle": "spinner",
            "policy": { "class": "batch", "slice_us": 500 } } }]
    }"#;

    #[test]
    fn the_request_holds_what_the_plan_asks_for() {
        let mut asked: Asked = serde_json::from_str(PLAN).unwrap();
        let scale = Scale { samples: 9, ..Scale::default() };
        asked.scale = Some(scale);
        let entry = asked.entries[0].clone();
        let job = Job { entry: &entry, round: 4, audit: true };
        let asks = |asked: &Asked, job: &Job<'_>| request(asked, Path::new("run"), "id", job, Some(Turn::Second));
        let full = asks(&asked, &job);
        assert_eq!((&full.chosen, full.timing, full.scale), (&entry.chosen, asked.timing, Some(scale)));
        assert_eq!((full.round, full.machine.as_str(), full.turn), (4, "id", Some(Turn::Second)));
        assert_eq!(full.criterion, Path::new("run/criterion-b"), "the sides' files lie apart");
        let told = settings(&full).unwrap();
        let events = Plan::default().with_events(&Event::parse_list("ref-cycles").unwrap());
        assert_eq!((told.counters, told.mode, told.round), (Some(events), Mode::Measure, 4));
        assert!(told.auditor.is_some() && told.machine == "id");
        asked.counters = false;
        let bare = settings(&asks(&asked, &Job { audit: false, ..job })).unwrap();
        assert!(bare.counters.is_none() && bare.auditor.is_none());
    }
}
