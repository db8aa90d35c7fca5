//! What `switchcost load` shows: progress while it runs, and a table at the end.

use std::fmt::Write;
use std::time::Duration;

use super::load_search::SearchOutcome;
use crate::load::{LoadEnd, LoadInterval, LoadObserver, LoadOutcome, LoadPlan, LoadProgress};
use crate::terms::ValueHistogram;

/// Looks on: a line a second on standard error, and intervals for a log.
pub(super) struct LoadWatch {
    quiet: bool,
    whole: Duration,
    next: Duration,
    length: Option<Duration>,
    intervals: Vec<LoadInterval>,
}

impl LoadWatch {
    /// With intervals of `least` or longer, if they are wanted.
    pub(super) fn new(plan: &LoadPlan, quiet: bool, least: Option<Duration>) -> Self {
        // At most some sixty, whose histograms are held until the end.
        let length = least.map(|least| (plan.duration / 60).max(least));
        Self { quiet, whole: plan.duration, next: Duration::from_secs(1), length, intervals: Vec::new() }
    }

    /// The same, which ends a run when `interrupted` says so.
    pub(super) fn until<'a>(&'a mut self, interrupted: &'a mut dyn FnMut() -> bool) -> WatchUntil<'a> {
        WatchUntil { watch: self, interrupted }
    }

    pub(super) fn say(&self, text: &str) {
        if !self.quiet {
            eprintln!("{text}");
        }
    }

    /// Begins to look on another run.
    pub(super) fn again(&mut self) {
        self.next = Duration::from_secs(1);
    }

    pub(super) fn intervals(&self) -> &[LoadInterval] {
        &self.intervals
    }

    /// Wipes the line of progress.
    pub(super) fn end(&self) {
        if !self.quiet {
            eprint!("\r\x1b[K");
        }
    }
}

/// A watch that may end the run.
pub(super) struct WatchUntil<'a> {
    watch: &'a mut LoadWatch,
    interrupted: &'a mut dyn FnMut() -> bool,
}

impl LoadObserver for WatchUntil<'_> {
    fn progress(&mut self, progress: &LoadProgress) -> bool {
        let watch = &mut *self.watch;
        if !watch.quiet && progress.elapsed >= watch.next {
            watch.next = progress.elapsed + Duration::from_secs(1);
            let seconds = progress.elapsed.as_secs_f64();
            let (rate, p99) = (progress.answered as f64 / seconds, time(progress.p99 as f64));
            let failed = if progress.failed > 0 { format!(", {} failed", progress.failed) } else { String::new() };
            let whole = watch.whole.as_secs_f64();
            eprint!("\r\x1b[K{seconds:.0} of {whole:.0} s: {rate:.0} answers/s, p99 {p99}{failed}");
        }
        !(self.interrupted)()
    }

    fn interval_length(&self) -> Option<Duration> {
        self.watch.length
    }

    fn interval(&mut self, interval: LoadInterval) {
        self.watch.intervals.push(interval);
    }
}

/// A time with three digits and its unit.
pub(super) fn time(nanos: f64) -> String {
    let (value, unit) = match nanos {
        nanos if nanos < 1e3 => return format!("{nanos:.0} ns"),
        nanos if nanos < 1e6 => (nanos / 1e3, "µs"),
        nanos if nanos < 1e9 => (nanos / 1e6, "ms"),
        nanos => (nanos / 1e9, "s"),
    };
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$} {unit}")
}

fn row(text: &mut String, name: &str, values: &ValueHistogram) {
    if values.count() == 0 {
        return;
    }
    let cells = [
        values.mean(),
        values.quantile(0.5) as f64,
        values.quantile(0.9) as f64,
        values.quantile(0.99) as f64,
        values.quantile(0.999) as f64,
        values.max() as f64,
    ];
    let _ = write!(text, "{name:<26}");
    for cell in cells {
        let _ = write!(text, "{:>11}", time(cell));
    }
    text.push('\n');
}

/// The outcome for people.
pub(super) fn outcome_table(plan: &LoadPlan, outcome: &LoadOutcome) -> String {
    let mut text = String::new();
    let counts = &outcome.counts;
    let seconds = outcome.lasted.0 as f64 / 1e9;
    let asked = match outcome.asked_rate {
        Some(rate) => format!("{rate:.0} requests/s, {}", plan.driver.name()),
        None => "a closed loop".into(),
    };
    let _ = writeln!(text, "{}: {} connections, {asked}, engine {}", plan.address, plan.connections, outcome.engine);
    let (ended, answers) = (&outcome.ended, counts.answered as f64 / seconds.max(1e-9));
    let _ = writeln!(text, "{seconds:.2} s ({ended}): {answers:.0} answers/s, {:.2} in flight", outcome.in_flight);
    text.push('\n');
    let _ = write!(text, "{:<26}", "");
    for head in ["mean", "p50", "p90", "p99", "p99.9", "max"] {
        let _ = write!(text, "{head:>11}");
    }
    text.push('\n');
    if outcome.asked_rate.is_some() {
        row(&mut text, "response, from due", &outcome.response);
        row(&mut text, "service, from sent", &outcome.service);
        row(&mut text, "lateness of sending", &outcome.lateness);
    } else {
        row(&mut text, "service, from sent", &outcome.service);
    }
    if let Some(p99) = &outcome.p99 {
        let beyond = (outcome.response.count() as f64 * 0.01).round();
        let (low, high) = (time(p99.low), time(p99.high));
        let _ = writeln!(text, "p99 within {low} to {high} (95 %); {beyond} responses are longer");
    }
    text.push('\n');
    let _ = writeln!(text, "requests: {}", told_counts(outcome));
    for told in &outcome.told {
        let _ = writeln!(text, "  {told}");
    }
    let client = &outcome.client;
    let per_request = client.cpu.0 as f64 / counts.sent.max(1) as f64;
    let _ = write!(text, "client: {:.0} % of its CPUs' time busy", client.busy() * 100.0);
    if client.spun.0 > 0 {
        let spun = client.spun.0 as f64 / client.available.0.max(1) as f64;
        let _ = write!(text, ", {:.0} % spinning", spun * 100.0);
    }
    let _ = write!(text, ", {} CPU per request", time(per_request));
    if let Some(events) = client.events_per_wake() {
        let _ = write!(text, ", {events:.2} events per wake");
    }
    if client.connects > 0 {
        let _ = write!(text, ", {} connections opened", client.connects);
    }
    text.push('\n');
    if let Some(net) = &outcome.network {
        let told = [
            (net.listen_overflows, "listen overflows"),
            (net.listen_drops, "listen drops"),
            (net.syn_retransmits, "SYNs sent again"),
            (net.retransmits, "segments sent again"),
            (net.datagrams_dropped, "datagrams dropped"),
        ];
        let told: Vec<String> =
            told.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
        let told = if told.is_empty() { "nothing lost".into() } else { told.join(", ") };
        let _ = writeln!(text, "network (all programs): {told}");
    }
    if let Some(backlog) = &outcome.backlog {
        let (asked, answered) = (backlog.asked, backlog.answered);
        let _ = writeln!(
            text,
            "BACKLOG: {asked:.0}/s were asked for and {answered:.0}/s answered: response times are those of a queue \
             that grows; {answered:.0}/s is the ceiling with {} connections",
            plan.connections
        );
    }
    for reason in &outcome.void {
        let _ = writeln!(text, "VOID: {reason}");
    }
    text
}

fn told_counts(outcome: &LoadOutcome) -> String {
    let counts = &outcome.counts;
    let mut told = vec![format!("{} intended", counts.intended), format!("{} answered", counts.answered)];
    let more = [
        (counts.shed, "shed by the server"),
        (counts.late, "sent late"),
        (counts.held, "held for a free connection"),
        (counts.unsent, "unsent"),
    ];
    told.extend(more.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")));
    told.extend(counts.failed.iter().map(|(kind, count)| format!("{count} {}", kind.name())));
    if matches!(outcome.ended, LoadEnd::GaveUp(_)) {
        told.push("then given up".into());
    }
    told.join(", ")
}

/// The probes of a search.
pub(super) fn search_table(found: &SearchOutcome) -> String {
    let mut text = String::from("\nsearch:\n");
    let value = |value: f64| match value {
        value if !value.is_finite() => "backlog".into(),
        value if found.is_share => format!("{:.1} %", value * 100.0),
        value => time(value * 1e9),
    };
    for probe in &found.probes {
        let _ = writeln!(text, "{:>12.0} requests/s {:>12}", probe.rate, value(probe.value));
    }
    match &found.met {
        Some(met) => {
            let (target, at) = (value(found.target), value(met.value));
            let _ = writeln!(text, "{target} of {} is reached at {:.0} requests/s ({at})", found.figure, met.rate);
        }
        None => {
            let _ = write!(text, "{} of {} was not met", value(found.target), found.figure);
            if let Some(ceiling) = found.ceiling {
                let _ = write!(text, ": it answers no more than {ceiling:.0} requests/s, and waits for something else");
            }
            text.push('\n');
        }
    }
    text
}
