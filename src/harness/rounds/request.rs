//! The child process of a round: it measures one benchmark once and writes its line to a file.

use std::fs::File;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::process::ExitCode;

use nix::unistd::{Pid, dup2_stdin};
use serde::{Deserialize, Serialize};

use crate::harness::adapter::measure_one;
use crate::harness::sweep::measure_in_sweep;
use crate::harness::turn_token::TurnToken;
use crate::harness::{
    Auditor, BenchmarkObserver, BenchmarkSpec, MeasureOptions, Mode, PlannedBenchmark, SweepSampling, Timing,
};
use crate::pmu::{Event, EventSet};
use crate::record::{BenchmarkLine, Build, Line, line_text};
use crate::sys::process::die_with_parent;

/// The variable that tells a fresh process of this program that it is a round's.
pub(super) const REQUEST: &str = "SWITCHCOST_ROUND_REQUEST";

/// What the process is asked to do, and where its answer goes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct RoundRequest {
    pub(super) what: RoundTask,
    pub(super) answer: PathBuf,
    /// The process that asks. When it has ended, the child ends as well: its answer is of no use, and measuring on
    /// would disturb the next run.
    pub(super) parent: i32,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum RoundTask {
    /// To tell which build it is.
    Introduce,
    /// To tell whether it knows [`TurnOrder`]s. A build that does not know them does not know the question either, and
    /// ends.
    Turns,
    /// To measure. The answer is a line of a record, which says its version: the other side may be an earlier program.
    Measure(Box<MeasureRequest>),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct MeasureRequest {
    pub(super) chosen: BenchmarkSpec,
    pub(super) timing: Timing,
    pub(super) scale: Option<SweepSampling>,
    pub(super) round: u32,
    pub(super) host_id: String,
    pub(super) events: Option<String>,
    pub(super) counters: bool,
    pub(super) audit: bool,
    /// Where Criterion's files go.
    pub(super) criterion: PathBuf,
    /// Its place in the turns that it takes with the process at the other end of its standard input; none: it is alone.
    pub(super) turn: Option<TurnOrder>,
}

/// Who begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum TurnOrder {
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
            // The run reads the last line.
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    })
}

fn answer(request: &str) -> Result<(), String> {
    let request: RoundRequest = serde_json::from_str(request).map_err(|error| format!("the request: {error}"))?;
    if !die_with_parent(Pid::from_raw(request.parent)) {
        return Err("the run has ended".into());
    }
    let answer = match request.what {
        RoundTask::Introduce => serde_json::to_vec(&Build::current()),
        RoundTask::Turns => serde_json::to_vec(&true),
        RoundTask::Measure(measure) => line_text(&Line::Benchmark(Box::new(take(*measure)?))).map(String::into_bytes),
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

fn take(request: MeasureRequest) -> Result<BenchmarkLine, String> {
    let unknown = || format!("this program has no mechanism {}", request.chosen.mechanism);
    let benchmark = request.chosen.benchmark().ok_or_else(unknown)?;
    let settings = settings(&request)?;
    if let Some(scale) = request.scale {
        return Ok(measure_in_sweep(&PlannedBenchmark::Ready(benchmark), &scale, &settings));
    }
    let mut kept = SingleLine::default();
    let turns = turns(request.turn, request.timing.samples).map_err(|error| format!("its turns: {error}"))?;
    measure_one(&PlannedBenchmark::Ready(benchmark), &request.timing, &request.criterion, &settings, turns, &mut kept);
    kept.0.ok_or_else(|| "it measured nothing".into())
}

/// With what the request is measured.
pub(super) fn settings(request: &MeasureRequest) -> Result<MeasureOptions, String> {
    let extra = request.events.as_deref().map_or(Ok(Vec::new()), Event::parse_list).map_err(|e| e.to_string())?;
    Ok(MeasureOptions {
        mode: Mode::Measure,
        counters: request.counters.then(|| EventSet::default().with_events(&extra)),
        auditor: request.audit.then(Auditor::with_this_program),
        round: request.round,
        host_id: request.host_id.clone(),
    })
}

fn turns(turn: Option<TurnOrder>, samples: usize) -> std::io::Result<TurnToken> {
    let Some(turn) = turn else { return Ok(TurnToken::alone()) };
    // Not left on standard input, which every program that a mechanism or an audit starts would inherit.
    let partner = std::io::stdin().as_fd().try_clone_to_owned()?;
    dup2_stdin(File::open("/dev/null")?)?;
    Ok(TurnToken::with(partner.into(), turn == TurnOrder::First, samples))
}
