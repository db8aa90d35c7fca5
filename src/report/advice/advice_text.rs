//! The advice as lines of text: the verdict first, then its evidence.

use std::fmt::Write;

use crate::advise::{Advice, AdviceVerdict, TargetPrediction};
use crate::report::text;
use crate::stats::Interval;
use crate::units::Quantity;

/// Names stand in a column of this width.
const COLUMN: usize = 13;

/// The advice for a terminal: the verdict and its number, three lines of evidence, and what follows from it.
pub fn advice_text(advice: &Advice) -> String {
    let mut out = format!("{}: {}\n\n", advice.verdict.in_words(), advice.sentence);
    lines(&mut out, "evidence", &advice.evidence);
    let best = advice.targets.iter().find(|prediction| Some(prediction.target) == advice.target);
    if let Some(best) = best {
        lines(&mut out, "saving", &advice.targets.iter().map(saving).collect::<Vec<_>>());
        if advice.verdict != AdviceVerdict::Refused {
            lines(&mut out, "load", &[load(best)]);
        }
        if let Some(request) = &best.per_request {
            let predicted = times(&request.predicted);
            let now = text::nanos(request.now);
            let told = format!("{now} of CPU time a request now, {predicted} with {}", best.target.in_words());
            lines(&mut out, "request", &[told]);
        }
        if let Some(elsewhere) = &best.elsewhere {
            lines(&mut out, "elsewhere", &[elsewhere_told(elsewhere)]);
        }
    }
    if let Some(memory) = &advice.memory {
        let held = text::amount(Quantity::Bytes, memory.held);
        let tasks = memory.tasks.map(|tasks| format!("; as many tasks {}", text::amount(Quantity::Bytes, tasks)));
        let threads = text::count(usize::try_from(memory.threads).unwrap_or(usize::MAX), "thread");
        lines(&mut out, "memory", &[format!("{threads} hold {held} in stacks{}", tasks.unwrap_or_default())]);
    }
    let staying = advice.staying.iter().map(staying_wait);
    lines(&mut out, "stays", &staying.collect::<Vec<_>>());
    lines(&mut out, "look at", &advice.instead);
    lines(&mut out, "not seen", &advice.unseen.iter().map(ToString::to_string).collect::<Vec<_>>());
    lines(&mut out, "watching", &[watching(advice)]);
    out
}

fn lines(out: &mut String, name: &str, lines: &[String]) {
    for (index, line) in lines.iter().enumerate() {
        let name = if index == 0 { name } else { "" };
        let _ = writeln!(out, "  {name:<COLUMN$}{line}");
    }
}

fn times(interval: &Interval) -> String {
    let [low, high] = [interval.low, interval.high].map(text::nanos);
    format!("{} ({low} to {high})", text::nanos(interval.estimate))
}

/// Of a share: `24 % (16 to 32 %)`.
pub(super) fn share(share: &Interval) -> String {
    let [low, high] = [share.low, share.high].map(text::percent);
    format!("{} ({low} to {high})", text::percent(share.estimate))
}

fn saving(prediction: &TargetPrediction) -> String {
    let events = prediction.events_per_wake.map(|events| format!(", {} events at a wake", text::significant(events)));
    format!("{} {}{}", prediction.target.in_words(), share(&prediction.share), events.unwrap_or_default())
}

/// Over which loads the verdict holds, and below which the loop costs more.
pub(super) fn load(best: &TargetPrediction) -> String {
    let target = best.target.in_words();
    let holds = match best.holds {
        Some(range) if range.from < range.to => {
            format!("the verdict holds from {} to {} times this load", text::plain(range.from), text::plain(range.to))
        }
        _ => "the verdict holds at this load, and not at the loads measured around it".into(),
    };
    let crossover = match best.crossover {
        Some(factor) => format!("below {} times it {target} costs more", text::significant(factor)),
        None if best.curve.iter().all(|point| point.per_switch.estimate > 0.0) => {
            format!("{target} costs less at all loads measured")
        }
        None => format!("no load was measured above which {target} costs less"),
    };
    let ceiling = best.curve.iter().find(|point| !point.reached).map(|point| {
        format!("; at {} times it the calibrated servers were at their ceiling", text::plain(point.factor))
    });
    format!("{holds}; {crossover}{}", ceiling.unwrap_or_default())
}

fn elsewhere_told(elsewhere: &Interval) -> String {
    let less = if elsewhere.estimate >= 0.0 { "less" } else { "more" };
    let cpus = text::significant(elsewhere.estimate.abs());
    format!("what wakes it would use {cpus} CPUs {less}, which its own account does not show")
}

fn staying_wait(wait: &crate::advise::StayingWait) -> String {
    let kind = match wait.kind {
        crate::terms::WaitKind::Lock => "locks and other threads",
        crate::terms::WaitKind::Sleep => "sleeping",
        crate::terms::WaitKind::Disk => "the disk",
        crate::terms::WaitKind::Child => "child processes",
        _ => "other waits",
    };
    let (switches, threads) = (text::rate(wait.switches), text::significant(wait.threads));
    format!("{kind}: {switches} waits/s in {}, {threads} threads at once", wait.call)
}

fn watching(advice: &Advice) -> String {
    let own = format!("switchcost used {} of a CPU", text::percent(advice.watcher));
    match &advice.burden {
        Some(burden) => format!("{own}; the program used {} more CPU while it was watched closely", share(burden)),
        None => format!("{own}; what that cost the program was not measured"),
    }
}
