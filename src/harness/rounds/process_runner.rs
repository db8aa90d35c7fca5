//! The runner that starts a fresh process for each benchmark of each round, waits for it with a deadline, and hears
//! Ctrl-C.

use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use serde::{Deserialize, Serialize};

use super::round_process::{InterleaveOrder, MeasureRequest, NoAnswer, RoundProcess, RoundTask};
use super::{Job, JobOutcome, RunPlan, Runner};
use crate::harness::criterion_adapter::{line, now_ms};
use crate::harness::{PlannedBenchmark, Timing};
use crate::record::{BenchmarkLine, Build, RunConditions};
use crate::sys::SysError;
use crate::sys::inherited::is_ignored;

/// How often [`ProcessRunner`] calls its tick while it waits.
const TICK: Duration = Duration::from_secs(1);

/// The programs that measure, by side.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Programs(#[serde(with = "super::path_text::sides")] pub [PathBuf; 2]);

impl Default for Programs {
    /// The running program, on both sides.
    fn default() -> Self {
        // The link is resolved by the kernel at exec, so it works even when the file was replaced meanwhile.
        Self(["/proc/self/exe".into(), "/proc/self/exe".into()])
    }
}

/// Starts processes, waits for them with a deadline, and receives the signals that ask to stop.
pub struct ProcessRunner<'a> {
    folder: PathBuf,
    plan: &'a RunPlan,
    host_id: String,
    signals: Signals,
    tick: Box<dyn FnMut() + 'a>,
    /// Called once, when a signal has asked to stop.
    stopping: Box<dyn FnMut() + 'a>,
    stop_announced: bool,
}

impl<'a> ProcessRunner<'a> {
    /// For the run in `folder`. `tick` is called every second of waiting; `stopping` when the first Ctrl-C came.
    pub fn new(
        plan: &'a RunPlan,
        folder: &Path,
        host_id: &str,
        signals: Signals,
        tick: impl FnMut() + 'a,
        stopping: impl FnMut() + 'a,
    ) -> Self {
        Self {
            folder: folder.into(),
            plan,
            host_id: host_id.into(),
            signals,
            tick: Box::new(tick),
            stopping: Box::new(stopping),
            stop_announced: false,
        }
    }

    fn measure(&self, job: &Job<'_>, order: Option<InterleaveOrder>) -> RoundTask {
        RoundTask::Measure(Box::new(request(self.plan, &self.folder, &self.host_id, job, order)))
    }

    /// Starts a process for each job; the samples of two are interleaved.
    fn start(&self, jobs: &[Job<'_>]) -> Result<Vec<RoundProcess>, String> {
        let program = |job: &Job<'_>| self.plan.programs.0[job.entry.side % 2].as_path();
        let [first, second] = jobs else {
            let alone = |job: &Job<'_>| RoundProcess::new(program(job), self.measure(job, None), &self.folder, 0, None);
            return jobs.iter().map(alone).collect();
        };
        // No end stays here: when one process is gone, the other must see the end of the file.
        let ends = UnixStream::pair().map_err(|error| format!("socketpair: {error}"))?;
        let beside = |job: &Job<'_>, order: InterleaveOrder, index: usize, end: UnixStream| {
            let task = self.measure(job, Some(order));
            RoundProcess::new(program(job), task, &self.folder, index, Some(OwnedFd::from(end)))
        };
        let first = beside(first, InterleaveOrder::First, 0, ends.0)?;
        Ok(vec![first, beside(second, InterleaveOrder::Second, 1, ends.1)?])
    }

    /// Waits for the answers. When one of two says that there is nothing measured, the other is ended: by itself it is
    /// no side of a pair.
    fn answers(
        &mut self,
        mut started: Vec<RoundProcess>,
        within: Option<Duration>,
    ) -> Result<Vec<Result<BenchmarkLine, NoAnswer>>, Ended> {
        let timeout = self.plan.timeout * u32::try_from(started.len()).unwrap_or(1);
        let (began, is_budget) = (Instant::now(), within.is_some_and(|within| within < timeout));
        let deadline = began + within.map_or(timeout, |within| within.min(timeout));
        let mut answers: Vec<Option<Result<BenchmarkLine, NoAnswer>>> = started.iter().map(|_| None).collect();
        loop {
            for (process, answer) in started.iter_mut().zip(&mut answers) {
                *answer = answer.take().or_else(|| process.benchmark());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let hung = || format!("it had not ended after {timeout:?} and was killed; --timeout gives it longer");
            let failed = answers.iter().flatten().find_map(reason).map(|reason| format!("the other side: {reason}"));
            if is_budget && left.is_zero() && failed.is_none() && answers.iter().any(Option::is_none) {
                return Err(Ended::OutOfTime(began.elapsed()));
            }
            let given_up = failed.or_else(|| left.is_zero().then(hung)).map(NoAnswer::Failed);
            if let Some(reason) = given_up {
                return Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(|| Err(reason.clone()))).collect());
            }
            if answers.iter().all(Option::is_some) {
                return Ok(answers.into_iter().flatten().collect());
            }
            if self.signals.count() > 1 {
                return Err(Ended::Stopped);
            }
            if let Err(error) = self.signals.wait(left.min(TICK)) {
                let failed = || Err(NoAnswer::Failed(error.to_string()));
                return Ok(answers.into_iter().map(|answer| answer.unwrap_or_else(failed)).collect());
            }
            if self.signals.count() > 0 && !std::mem::replace(&mut self.stop_announced, true) {
                (self.stopping)();
            }
            (self.tick)();
        }
    }
}

/// Why there are no answers.
enum Ended {
    /// A second Ctrl-C came.
    Stopped,
    /// The budget was over, after this long.
    OutOfTime(Duration),
}

/// What a process is asked for: `job` of the plan.
fn request(
    plan: &RunPlan,
    folder: &Path,
    host_id: &str,
    job: &Job<'_>,
    order: Option<InterleaveOrder>,
) -> MeasureRequest {
    MeasureRequest {
        spec: job.entry.spec.clone(),
        timing: plan.timing,
        sweep: plan.sweep,
        round: job.round,
        host_id: host_id.into(),
        events: plan.events.clone(),
        counters: plan.counters,
        audit: job.audit,
        criterion: folder.join(["criterion", "criterion-b"][job.entry.side % 2]),
        order,
    }
}

/// Why there is nothing measured.
fn reason(answer: &Result<BenchmarkLine, NoAnswer>) -> Option<String> {
    match answer {
        Ok(line) => line.outcome.reason(),
        Err(none) => Some(none.to_string()),
    }
}

impl Runner for ProcessRunner<'_> {
    fn run(&mut self, jobs: &[Job<'_>], within: Option<Duration>) -> JobOutcome {
        let (began, started_ms) = (Instant::now(), now_ms());
        let answers = match self.start(jobs) {
            Ok(started) => self.answers(started, within),
            Err(reason) => Ok(jobs.iter().map(|_| Err(NoAnswer::Failed(reason.clone()))).collect()),
        };
        let answers = match answers {
            Ok(answers) => answers,
            Err(Ended::Stopped) => return JobOutcome::Stopped,
            Err(Ended::OutOfTime(took)) => return JobOutcome::OutOfTime(took),
        };
        // Two that are interleaved take their time together.
        let each = began.elapsed() / u32::try_from(jobs.len()).unwrap_or(1).max(1);
        let took_ms = u64::try_from(each.as_millis()).unwrap_or(u64::MAX);
        let mut lines = Vec::new();
        for (job, answer) in jobs.iter().zip(answers) {
            let failed = |none: NoAnswer| {
                // The benchmarks come from this program's own plan.
                let planned = PlannedBenchmark::Ready(job.entry.spec.benchmark()?);
                Some(line(&planned, job.round, &self.host_id, started_ms, none.into()))
            };
            let Some(mut line) = answer.map_or_else(failed, Some) else { return JobOutcome::Stopped };
            line.conditions = Some(RunConditions { took_ms, interleaved: jobs.len() > 1, ..RunConditions::default() });
            lines.push(line);
        }
        JobOutcome::Done(lines)
    }

    fn stop_requested(&mut self) -> bool {
        let _ = self.signals.wait(Duration::ZERO);
        self.signals.count() > 0
    }
}

/// Asks `program` which build it is, for the host line of its record. Its answer passes through `folder`.
///
/// # Errors
/// Why it did not answer: it is no switchcost, or one of before rounds.
pub fn identify(program: &Path, folder: &Path) -> Result<Build, String> {
    let asked = RoundProcess::new(program, RoundTask::Identify, folder, 0, None);
    let build = asked.and_then(|asked| asked.wait().map_err(|none| none.to_string()));
    build.map_err(|reason| format!("{} does not answer like a switchcost program: {reason}", program.display()))
}

/// Whether `program` can be interleaved with another process, sample by sample. Its answer passes through `folder`.
pub fn supports_interleaving(program: &Path, folder: &Path) -> bool {
    let asked = RoundProcess::new(program, RoundTask::SupportsInterleaving, folder, 0, None);
    asked.and_then(|asked| asked.wait().map_err(|none| none.to_string())) == Ok(true)
}

/// How long a benchmark that was never measured may take in a round.
pub(super) fn predicted(timing: &Timing) -> Duration {
    // One counted sample follows three bare ones; starting, set-up, analysis and audit take about a second.
    timing.warm_up + timing.measure * 4 / 3 + Duration::from_secs(1)
}

/// The signals that ask a run to stop: Ctrl-C, a terminal that closes, `kill`.
const STOPS: [Signal; 3] = [Signal::SIGINT, Signal::SIGHUP, Signal::SIGTERM];

/// Receives signals instead of being ended by them.
#[derive(Debug)]
pub struct Signals {
    signals: SignalFd,
    asked: u32,
}

impl Signals {
    /// Takes the signals over for the rest of the process's life. To be called before it has a second thread: threads
    /// made earlier would still be ended by them. Children start with no signal blocked (`std::process::Command`).
    ///
    /// # Errors
    /// `EMFILE` when descriptors run out.
    pub fn take_over() -> Result<Self, SysError> {
        let mut set = SigSet::empty();
        // What the parent had ignored stays so: a signal that is blocked arrives even then (sig_ignored in
        // kernel/signal.c), and would end a run that nohup(1) is to keep alive.
        set.extend(STOPS.into_iter().filter(|&signal| !is_ignored(signal)));
        set.add(Signal::SIGCHLD);
        set.thread_block().map_err(|errno| SysError::new("pthread_sigmask", errno))?;
        let signals = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)
            .map_err(|errno| SysError::new("signalfd", errno))?;
        Ok(Self { signals, asked: 0 })
    }

    /// Waits until a child ends, a signal asks to stop, or `longest` has passed. The caller finds out which.
    ///
    /// # Errors
    /// poll(2) and read(2) fail only for lack of memory.
    pub fn wait(&mut self, longest: Duration) -> Result<(), SysError> {
        let timeout = PollTimeout::try_from(longest).unwrap_or(PollTimeout::MAX);
        let mut waiting = [PollFd::new(self.signals.as_fd(), PollFlags::POLLIN)];
        match poll(&mut waiting, timeout) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(SysError::new("poll", errno)),
        }
        while let Some(info) = self.signals.read_signal().map_err(|errno| SysError::new("read", errno))? {
            let stops = |signal: &Signal| u32::try_from(*signal as i32) == Ok(info.ssi_signo);
            self.asked += u32::from(STOPS.iter().any(stops));
        }
        Ok(())
    }

    /// How often it was asked to stop.
    pub fn count(&self) -> u32 {
        self.asked
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::rounds::round_process::measure_options;
    use crate::harness::{Mode, SweepSampling};
    use crate::pmu::{Event, EventSet};

    const PLAN: &str = r#"{
        "schema": 2, "argv": [], "rounds": 5, "until": null, "budget": null,
        "timeout": { "secs": 60, "nanos": 0 }, "seed": 7, "strict": true, "interleaved": true,
        "timing": { "warm_up": { "secs": 3, "nanos": 0 }, "measure": { "secs": 4, "nanos": 0 }, "samples": 33 },
        "events": "ref-cycles", "counters": true, "audit": true, "programs": ["a", "b"], "unsupported": [],
        "entries": [{ "id": "handoff/pipe/same-cpu", "side": 1, "pair": 0, "spec": {
            "mechanism": "handoff/pipe", "parameters": {}, "placement": "same-cpu", "cpus": [0], "idle": "spinner",
            "policy": { "class": "batch", "slice_us": 500 } } }]
    }"#;

    #[test]
    fn the_request_holds_what_the_plan_asks_for() {
        let mut plan: RunPlan = serde_json::from_str(PLAN).unwrap();
        let sampling = SweepSampling { samples: 9, ..SweepSampling::default() };
        plan.sweep = Some(sampling);
        let entry = plan.entries[0].clone();
        let job = Job { entry: &entry, round: 4, audit: true };
        let asks =
            |plan: &RunPlan, job: &Job<'_>| request(plan, Path::new("run"), "id", job, Some(InterleaveOrder::Second));
        let full = asks(&plan, &job);
        assert_eq!((&full.spec, full.timing, full.sweep), (&entry.spec, plan.timing, Some(sampling)));
        assert_eq!((full.round, full.host_id.as_str(), full.order), (4, "id", Some(InterleaveOrder::Second)));
        assert_eq!(full.criterion, Path::new("run/criterion-b"), "the sides' files are in different folders");
        let options = measure_options(&full).unwrap();
        let events = EventSet::default().with_events(&Event::parse_list("ref-cycles").unwrap());
        assert_eq!((options.counters, options.mode, options.round), (Some(events), Mode::Measure, 4));
        assert!(options.auditor.is_some() && options.host_id == "id");
        plan.counters = false;
        let bare = measure_options(&asks(&plan, &Job { audit: false, ..job })).unwrap();
        assert!(bare.counters.is_none() && bare.auditor.is_none());
    }
}
