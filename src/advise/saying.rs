//! The advice in words.

use super::advice::{Advice, AdviceReason, AdviceVerdict};
use super::machine_state::MachineState;
use super::prediction::TargetPrediction;
use crate::stats::Interval;
use crate::terms::{Observation, PointRole, ServerCalibration, WaitKind};
use crate::units::decimals;

/// A share as a percentage, with the digits that it bears.
fn percent(share: f64) -> String {
    let percent = share * 100.0;
    format!("{} %", decimals(percent, usize::from(percent.abs() < 9.95)))
}

/// From one share to another: `12 to 17 %`.
fn percents(share: &Interval) -> String {
    let digits = usize::from(share.low.abs().max(share.high.abs()) < 0.0995);
    format!("{} to {} %", decimals(share.low * 100.0, digits), decimals(share.high * 100.0, digits))
}

/// A rate per second: `48,200`.
fn count(rate: f64) -> String {
    let whole = decimals(rate, usize::from(rate < 10.0));
    let (front, back) = whole.split_once('.').map_or((whole.as_str(), None), |(front, back)| (front, Some(back)));
    let mut text = String::new();
    for (index, digit) in front.chars().enumerate() {
        if index > 0 && (front.len() - index) % 3 == 0 && digit.is_ascii_digit() {
            text.push(',');
        }
        text.push(digit);
    }
    back.map_or(text.clone(), |back| format!("{text}.{back}"))
}

/// CPU seconds per second, as CPUs.
fn cpus(used: f64) -> String {
    format!("{} CPUs", decimals(used, if used < 0.1 { 3 } else { 2 }))
}

fn micros(nanos: f64) -> String {
    decimals(nanos / 1000.0, 2)
}

/// What kept threads waiting, in words.
pub(super) fn waited_for(kind: WaitKind) -> &'static str {
    match kind {
        WaitKind::OneDescriptor => "one socket or pipe each",
        WaitKind::ManyDescriptors => "many descriptors at once",
        WaitKind::Lock => "locks or other threads of the program",
        WaitKind::Sleep => "time to pass",
        WaitKind::Disk => "the disk",
        WaitKind::Child => "child processes",
        WaitKind::Unknown => "what could not be determined",
    }
}

fn best(advice: &Advice) -> Option<&TargetPrediction> {
    advice.targets.iter().find(|prediction| Some(prediction.target) == advice.target)
}

/// The number and its interval, or why there is none.
pub(super) fn sentence(advice: &Advice, state: &MachineState) -> String {
    let now = advice.causes.whole;
    match (advice.reason, best(advice)) {
        (AdviceReason::Idle, _) => format!("it is idle: it uses {}, and there is nothing to save", cpus(now)),
        (AdviceReason::TooShort, _) => "it was watched for too short a time".into(),
        (AdviceReason::MachineChanged, _) => {
            let factor = if let MachineState::Moved(factor) = state { *factor } else { 1.0 };
            let factor = decimals(factor, 2);
            format!(
                "the machine changed its state: the same servers cost {factor} times as much after watching as before"
            )
        }
        (AdviceReason::Uncalibrated, _) => "the servers to compare with were not calibrated".into(),
        (reason, Some(best)) => {
            let (share, predicted) = (&best.share, &best.predicted);
            let number = if share.estimate >= 0.0 {
                format!("{} would save {} of its CPU time", best.target.in_words(), percent(share.estimate))
            } else {
                format!("{} would cost {} more CPU time", best.target.in_words(), percent(-share.estimate))
            };
            let range =
                format!("{} ({}): {} instead of {}", number, percents(share), cpus(predicted.estimate), cpus(now));
            match why(reason) {
                "" => range,
                why => format!("{why}; {range}"),
            }
        }
        (reason, None) => {
            let most =
                advice.convertible.high * super::operating_point::DEAREST_SWITCH / 1e9 / now.max(f64::MIN_POSITIVE);
            let most = format!("even at 20 µs each, what a loop does without is {} of its CPU time", percent(most));
            match why(reason) {
                "" => most,
                why => format!("{why}; {most}"),
            }
        }
    }
}

fn why(reason: AdviceReason) -> &'static str {
    match reason {
        AdviceReason::EventLoop => "it already is an event loop",
        AdviceReason::Locks => "it waits for locks, which a loop would not remove",
        AdviceReason::Disk => "it waits for the disk, which a loop would not make faster",
        AdviceReason::Sleeps => "it sleeps, and a loop would too",
        AdviceReason::Children => "it waits for child processes, and a loop would too",
        AdviceReason::Computes => "it computes, and hardly waits",
        AdviceReason::Spins => "it polls without waiting",
        AdviceReason::WaitsUnseen => "what its threads wait for was not seen; if all of it is descriptors",
        _ => "",
    }
}

/// Three lines: what it does, what that costs, and what a loop would make of it.
pub(super) fn evidence(advice: &Advice, observation: &Observation, after: Option<&ServerCalibration>) -> Vec<String> {
    let causes = &advice.causes;
    let mut lines = vec![waiting(advice, observation)];
    let point = after.and_then(|after| after.point(PointRole::Load(1.0)));
    lines.push(match (best(advice), point) {
        (Some(best), Some(point)) => {
            let cost = &best.per_switch;
            let (size, more) = (micros(cost.estimate.abs()), if cost.estimate < 0.0 { "less" } else { "more" });
            let range = format!("({} to {} µs, {} laps each)", micros(cost.low), micros(cost.high), best.laps);
            let load = match point.rate {
                Some(rate) => format!("{} connections, {} requests/s", point.connections, count(rate)),
                None => format!("{} connections that always have a request", point.connections),
            };
            format!(
                "under the same load ({load}) a blocking server of ours uses {size} µs {more} CPU per wait than {} \
                 {range}",
                best.target.in_words()
            )
        }
        _ => {
            let share = |part: f64| percent(part / causes.whole.max(f64::MIN_POSITIVE));
            format!("{} of its CPU time is in user mode, {} in the kernel", share(causes.user), share(causes.system))
        }
    });
    lines.push(queueing(advice, observation));
    lines
}

fn waiting(advice: &Advice, observation: &Observation) -> String {
    let waits = &advice.waits;
    let uses = format!("it uses {} and waits {} times/s", cpus(advice.causes.whole), count(waits.voluntary));
    let Some((kind, share)) = waits.dominant() else { return uses };
    let of_kind = observation.waits.iter().filter(|wait| wait.kind == kind && wait.switches > 0.0);
    let mut calls: Vec<&str> = of_kind.map(|wait| wait.call.as_str()).collect();
    calls.dedup();
    calls.truncate(3);
    let timers = match waits.timers {
        timers if timers > 0.0 => format!(", and {} in sleeps of the same threads", percent(timers / waits.voluntary)),
        _ => String::new(),
    };
    format!("{uses}, {} of that for {} ({}){timers}", percent(share), waited_for(kind), calls.join(", "))
}

fn queueing(advice: &Advice, observation: &Observation) -> String {
    let mut parts = Vec::new();
    let seen = observation.switches.as_ref();
    if let Some(direct) = seen.and_then(|seen| seen.direct) {
        let straight = format!("{} of its switches went straight to another of its threads", percent(direct));
        let idle = seen.and_then(|seen| seen.to_idle);
        parts.push(idle.map_or(straight.clone(), |idle| {
            format!("{straight}, and {} left the CPU idle, where a loop would sleep too", percent(idle))
        }));
    }
    if let Some(events) = best(advice).and_then(|best| best.events_per_wake) {
        parts.push(format!("a loop would find {} events per wake", decimals(events, 1)));
    }
    if let Some(queue) = advice.run_queue {
        let queue = format!("on average {} threads were ready but had no CPU", decimals(queue, 2));
        let delay = seen.and_then(|seen| seen.run_queue_delay);
        parts.push(delay.map_or(queue.clone(), |delay| format!("{queue}, each for {} µs", micros(delay.0 as f64))));
    }
    parts.push(format!("threads were preempted {} times/s", count(advice.preemptions)));
    parts.truncate(3);
    parts.join("; ")
}

/// What to look at instead.
pub(super) fn instead(advice: &Advice) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    let mut say = |line: &str| lines.push(line.into());
    match advice.reason {
        AdviceReason::Saves => {}
        AdviceReason::EventLoop => {
            say("what it does with each event: `perf record -g -p PID`");
            say("how many calls it makes per event: `perf trace -s -p PID`; io_uring submits several with one call");
        }
        AdviceReason::Locks => {
            say("which lock, and who holds it: `perf lock contention -p PID`");
            say("shorter critical sections, or data that threads do not share");
        }
        AdviceReason::Disk => {
            say("how long the disk takes, and whether the page cache could hold it: `iostat -x 1`, `vmtouch`");
            say("reads that go to the disk may cost less CPU through io_uring, and those from the page cache more: \
                 `switchcost run --profile files` measures it here");
        }
        AdviceReason::Sleeps => say("what the timers are for: `perf trace -e '*sleep*,*timer*' -p PID`"),
        AdviceReason::Children => say("the child processes: run `switchcost advise` on the one that uses the CPU"),
        AdviceReason::Computes => say("what it computes: `perf record -g -p PID`"),
        AdviceReason::Spins => {
            say("the loop that polls: `perf trace -s -p PID` names the call, `perf record -g` the place")
        }
        AdviceReason::Idle => say("latency, if it is slow: it does not lack CPU time"),
        AdviceReason::SavesLittle if advice.causes.user >= advice.causes.system => {
            say("what it computes: most of its CPU time is in user mode; `perf record -g -p PID`");
        }
        AdviceReason::SavesLittle => {
            say("the calls that it makes: most of its CPU time is in the kernel; `perf trace -s -p PID`");
            say("fewer and larger reads and writes (writev, sendmmsg, larger buffers)");
        }
        AdviceReason::Unsure => {
            say("a longer look and calibration, at full load: --for 60s --calibrate-for 120s");
            say("a trial: the part of the program that waits most, as an event loop");
        }
        AdviceReason::WaitsUnseen => {
            say("run it again as root, or as the program's own user, to see what each wait is for")
        }
        AdviceReason::MachineChanged => say("run it again on a quiet machine, or with a longer --calibrate-for"),
        AdviceReason::Uncalibrated => {
            say("`switchcost advise --from RECORD --calibrate` calibrates for what was watched")
        }
        AdviceReason::TooShort => say("a longer look: --for 10s, or a COMMAND that runs for some seconds"),
    }
    if advice.run_queue.is_some_and(|queue| queue > 1.0) && advice.verdict != AdviceVerdict::Yes {
        say("more CPUs, or a wider CPU mask: threads that are ready wait for a CPU");
    }
    lines
}
