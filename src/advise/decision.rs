//! The answer, and what it rests on.

use super::advice::{Advice, AdviceReason, AdviceVerdict, ThreadMemory};
use super::causes::CpuCauses;
use super::machine_state::{MachineState, machine_state};
use super::operating_point::{DEAREST_SWITCH, most_saved};
use super::prediction::TargetPrediction;
use super::waits::{WaitCounts, cpu, seconds, staying};
use super::{WORTHWHILE, saying};
use crate::stats::{CONFIDENCE, Interval, median};
use crate::terms::{
    CalibrationTime, Dispatch, Observation, PointRole, ServerCalibration, Shortfall, WaitKind, WatchTier,
};
use crate::units::decimals;

/// CPU seconds per second below which a program is idle: half a percent of a CPU.
pub(super) const IDLE: f64 = 0.005;

/// Watched for less, in seconds, nothing follows.
const SHORTEST: f64 = 0.5;

/// Calls per voluntary switch beyond which a program asks without waiting.
const SPINNING: f64 = 50.0;

/// Bytes of a thread's stack in the kernel (THREAD_SIZE of x86-64 and arm64).
const KERNEL_STACK: f64 = 16384.0;

/// The share of wake-ups from other CPUs above which calibrated servers, of which all are, are woken alike.
const MOSTLY: f64 = 0.5;

/// What an interval of the saved share says.
pub(super) fn by_interval(share: &Interval) -> AdviceVerdict {
    match share {
        share if share.high < WORTHWHILE => AdviceVerdict::No,
        share if share.low >= WORTHWHILE => AdviceVerdict::Yes,
        _ => AdviceVerdict::TooClose,
    }
}

/// The advice for what was observed, about the kinds of loop in `targets`.
pub fn advise(observation: &Observation, calibrations: &[ServerCalibration], targets: &[Dispatch]) -> Advice {
    let waits = WaitCounts::of(observation);
    let convertible = waits.convertible();
    let after = calibrations.iter().rev().find(|calibration| calibration.time == CalibrationTime::After);
    let of_target = |target: &Dispatch| TargetPrediction::of(observation, &waits, after?, *target);
    let predictions: Vec<TargetPrediction> = targets.iter().filter_map(of_target).collect();
    let state = machine_state(calibrations);
    // The one that is surest to save.
    let surer = |a, b| if TargetPrediction::low(b) > TargetPrediction::low(a) { b } else { a };
    let best = predictions.iter().reduce(surer);
    let (verdict, reason) = decide(observation, &waits, best, &state);
    let seconds = seconds(observation);
    let mut unseen = observation.unseen.clone();
    unseen.extend(calibrations.iter().flat_map(|calibration| calibration.lacking.clone()));
    unseen.extend(not_modelled(observation, &waits, calibrations, &state));
    unseen.dedup();
    let mut advice = Advice {
        verdict,
        reason,
        sentence: String::new(),
        evidence: Vec::new(),
        instead: Vec::new(),
        unseen,
        target: best.map(|best| best.target),
        causes: CpuCauses::of(observation, convertible, after),
        waits,
        convertible,
        preemptions: observation.involuntary as f64 / seconds,
        run_queue: observation.run_queue_wait.map(|waited| waited.0 as f64 / 1e9 / seconds),
        requests: observation.requests.as_ref().map(|requests| requests.count / seconds),
        memory: memory(observation, after, best.map(|best| best.target)),
        targets: predictions,
        staying: staying(observation),
        watcher: observation.overhead.watcher_cpu.0 as f64 / 1e9 / seconds,
        burden: burden(observation),
    };
    advice.sentence = saying::sentence(&advice, &state);
    advice.evidence = saying::evidence(&advice, observation, after);
    advice.instead = saying::instead(&advice);
    advice
}

fn decide(
    observation: &Observation,
    waits: &WaitCounts,
    best: Option<&TargetPrediction>,
    state: &MachineState,
) -> (AdviceVerdict, AdviceReason) {
    if seconds(observation) < SHORTEST {
        return (AdviceVerdict::Refused, AdviceReason::TooShort);
    }
    // One that waits for a CPU would use it.
    let wanted =
        cpu(observation) + observation.run_queue_wait.map_or(0.0, |wait| wait.0 as f64 / 1e9 / seconds(observation));
    if wanted < IDLE {
        return (AdviceVerdict::No, AdviceReason::Idle);
    }
    // Whatever the machine's state: no switch costs as much as would be needed.
    if most_saved(observation) < WORTHWHILE {
        return (AdviceVerdict::No, no(observation, waits));
    }
    if let MachineState::Moved(_) = state {
        return (AdviceVerdict::Refused, AdviceReason::MachineChanged);
    }
    let Some(best) = best else { return (AdviceVerdict::Refused, AdviceReason::Uncalibrated) };
    match by_interval(&best.share) {
        AdviceVerdict::No => (AdviceVerdict::No, no(observation, waits)),
        // Any of the switches may be none that a loop would do without.
        _ if !waits.is_told() => (AdviceVerdict::TooClose, AdviceReason::WaitsUnseen),
        AdviceVerdict::Yes => (AdviceVerdict::Yes, AdviceReason::Saves),
        _ => (AdviceVerdict::TooClose, AdviceReason::Unsure),
    }
}

/// Why a loop saves nothing, or too little.
fn no(observation: &Observation, waits: &WaitCounts) -> AdviceReason {
    if waits.voluntary * DEAREST_SWITCH / 1e9 < WORTHWHILE * cpu(observation) {
        // Though it hardly waits, what it waits in may show that it is a loop already.
        let is_loop = waits.dominant().is_some_and(|(kind, share)| kind == WaitKind::ManyDescriptors && share > 0.5);
        return match () {
            () if spins(observation, waits) => AdviceReason::Spins,
            () if is_loop => AdviceReason::EventLoop,
            () => AdviceReason::Computes,
        };
    }
    match waits.dominant() {
        Some((WaitKind::ManyDescriptors, _)) => AdviceReason::EventLoop,
        Some((WaitKind::Lock, _)) => AdviceReason::Locks,
        Some((WaitKind::Sleep, _)) => AdviceReason::Sleeps,
        Some((WaitKind::Disk, _)) => AdviceReason::Disk,
        Some((WaitKind::Child, _)) => AdviceReason::Children,
        _ => AdviceReason::SavesLittle,
    }
}

/// Whether it makes far more calls than it waits, and most of them are those that ask whether there is something to do.
fn spins(observation: &Observation, waits: &WaitCounts) -> bool {
    let Some(calls) = &observation.calls else { return false };
    let asking =
        ["sched_yield", "poll", "ppoll", "epoll_wait", "epoll_pwait", "select", "pselect6", "nanosleep", "futex"];
    let asked: f64 = asking.iter().filter_map(|call| calls.get(*call)).sum();
    let all: f64 = calls.values().sum();
    asked > SPINNING * waits.voluntary.max(1.0) && asked > 0.5 * all
}

fn memory(
    observation: &Observation,
    after: Option<&ServerCalibration>,
    target: Option<Dispatch>,
) -> Option<ThreadMemory> {
    let one = observation.waits.iter().filter(|wait| wait.kind == WaitKind::OneDescriptor);
    let threads = one.map(|wait| wait.threads).sum::<u64>();
    let stacks = observation.stack_resident? as f64;
    if threads == 0 || observation.threads_peak == 0 {
        return None;
    }
    let held = stacks / observation.threads_peak as f64 + KERNEL_STACK;
    let task = after.zip(target).and_then(|(after, target)| {
        let point = after.point(PointRole::Load(1.0))?;
        median(&point.figures(target, |lap| lap.memory_per_connection))
    });
    Some(ThreadMemory { threads, held: held * threads as f64, tasks: task.map(|task| task.max(0.0) * threads as f64) })
}

/// By how much the program's CPU time rose in spans in which it was watched more closely.
fn burden(observation: &Observation) -> Option<Interval> {
    let pairs = observation.overhead.pairs.iter().filter(|pair| pair.tier != WatchTier::Burst);
    let more = |pair: &crate::terms::OverheadPair| {
        let (watched, bare) = (pair.watched.cpu_rate()?, pair.bare.cpu_rate()?);
        (bare > 0.0).then(|| watched / bare - 1.0)
    };
    let more: Vec<f64> = pairs.filter_map(more).collect();
    let none = vec![0.0; more.len()];
    crate::stats::difference_interval(&more, &none, true, CONFIDENCE)
}

/// What the model leaves out of this program, and what makes its figures vary.
fn not_modelled(
    observation: &Observation,
    waits: &WaitCounts,
    calibrations: &[ServerCalibration],
    state: &MachineState,
) -> Vec<Shortfall> {
    let mut left = Vec::new();
    let name = observation.command.to_ascii_lowercase();
    let locks = observation.waits.iter().any(|wait| wait.kind == WaitKind::Lock && wait.switches > 0.0);
    if locks && ["python", "ruby", "gunicorn", "uwsgi", "perl"].iter().any(|word| name.contains(word)) {
        left.push(Shortfall::new(
            "the interpreter's lock",
            "with one thread it would hardly be waited for, and an event loop has one thread; this is not modelled",
            "read the saving as a lower bound",
        ));
    }
    if waits.timers > 0.0 {
        left.push(Shortfall::new(
            "what the sleeps of serving threads are for",
            "they are taken as a part of each request, which a loop keeps as a timer",
            "count on less of the saving where they are not: a thread that polls, or that backs off from a lock",
        ));
    }
    let remotely = observation.switches.as_ref().and_then(|seen| seen.woken_remotely);
    let apart = calibrations
        .iter()
        .any(|calibration| !calibration.client_cpus.iter().any(|cpu| calibration.server_cpus.contains(cpu)));
    if let Some(remotely) = remotely.filter(|share| *share < MOSTLY)
        && apart
    {
        let why = format!(
            "{} % of its wake-ups came from another CPU, and all of the calibrated servers' did, whose clients have \
             CPUs of their own",
            decimals(remotely * 100.0, 0)
        );
        left.push(Shortfall::new(
            "what waking on the same CPU costs",
            why,
            "run switchcost on a single CPU, as clients then are on the servers': taskset -c CPU switchcost advise",
        ));
    }
    if calibrations.iter().any(|calibration| calibration.beside_program) {
        left.push(Shortfall::new(
            "a calibration undisturbed by the program",
            "the program went on using CPUs on which the servers were calibrated",
            "--calibrate-cpus LIST with others of the same kind, or later `advise --from RECORD --calibrate`",
        ));
    }
    if !calibrations.is_empty() && *state == MachineState::Unchecked {
        left.push(Shortfall::new(
            "whether the machine changed its state",
            "one of the two reference calibrations is missing",
            "give --calibrate-for more time",
        ));
    }
    left
}
