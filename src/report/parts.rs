//! Where the time of a handoff between two CPUs goes: parts that were measured apart from it, added up against the
//! whole.
//!
//! | part | measured as |
//! | --- | --- |
//! | the call itself | syscall/futex_wake: a wake-up that finds no task to wake |
//! | waking and switching in | the handoff to a CPU that polls (`idle=poll`), less the call: no interrupt, no sleep |
//! | the interrupt | syscall/membarrier: from CPU to CPU and back, to a CPU that is busy |
//! | leaving idle | syscall/remote_call to a CPU that sleeps, less that to one that is kept busy: no task is woken |
//! | restarting the tick | syscall/timerfd_settime that programs the CPU's timer, less one that does not |
//!
//! Nothing of it is a difference from the whole, so the remainder says how well the whole is explained.

use super::run_view::BenchmarkView;
use super::table::{figure, plain_table};
use super::text;
use crate::terms::{Idle, Placement};

/// The other CPU of these is told apart from the first one.
const APART: [Placement; 4] = [Placement::SmtSibling, Placement::SameLlc, Placement::CrossLlc, Placement::CrossNode];

/// One part.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct CostPart {
    /// What it is.
    pub(super) name: &'static str,
    /// Which benchmarks say so.
    pub(super) from: String,
    /// Nanoseconds.
    pub(super) nanos: f64,
    /// Half the width of its 95 % interval.
    pub(super) half_width: f64,
}

/// A handoff and what it is made of.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct HandoffParts {
    /// The benchmark's name and placement.
    pub(super) name: String,
    /// The id of the whole.
    pub(super) id: String,
    /// Nanoseconds of the whole.
    pub(super) whole: f64,
    /// Half the width of its interval.
    pub(super) half_width: f64,
    /// In the order in which they pass.
    pub(super) parts: Vec<CostPart>,
}

impl HandoffParts {
    /// The sum of the parts.
    pub(super) fn sum(&self) -> f64 {
        self.parts.iter().map(|part| part.nanos).sum()
    }

    /// What the parts leave of the whole; negative when they are more than it.
    pub(super) fn remainder(&self) -> f64 {
        self.whole - self.sum()
    }
}

/// Every handoff between CPUs of which all parts were measured.
pub(super) fn parts(benchmarks: &[&BenchmarkView]) -> Vec<HandoffParts> {
    let wholes = benchmarks.iter().filter(|benchmark| {
        let setting = &benchmark.line().setting;
        benchmark.group() == "handoff" && APART.contains(&setting.placement) && setting.idle == Idle::Default
    });
    wholes.filter_map(|whole| of(whole, benchmarks)).collect()
}

fn of(whole: &BenchmarkView, all: &[&BenchmarkView]) -> Option<HandoffParts> {
    let line = whole.line();
    let placement = line.setting.placement;
    let find = |mechanism: &str, placement: Placement, idle: Idle| {
        all.iter().copied().find(|benchmark| {
            let setting = &benchmark.line().setting;
            let usual = benchmark.chosen().is_none_or(|chosen| chosen.starts_with("idle="));
            benchmark.line().mechanism == mechanism && (setting.placement, setting.idle) == (placement, idle) && usual
        })
    };
    let polling = all.iter().copied().find(|benchmark| {
        let setting = &benchmark.line().setting;
        benchmark.line().mechanism == line.mechanism
            && (setting.placement, setting.idle) == (placement, Idle::Poll)
            && setting.parameters == line.setting.parameters
            && setting.policy == line.setting.policy
    })?;
    let interrupt = find("syscall/membarrier", placement, Idle::Default)?;
    let asleep = find("syscall/remote_call", placement, Idle::Default)?;
    let busy = find("syscall/remote_call", placement, Idle::Spinner)?;
    let timer = |soon: bool| {
        all.iter().copied().find(|benchmark| {
            let line = benchmark.line();
            let expires = line.setting.parameters.iter().find(|(name, _)| *name == "expires");
            let is_soon = expires.is_some_and(|(_, value)| value.to_string() == "soon");
            line.mechanism == "syscall/timerfd_settime"
                && line.setting.placement == Placement::SameCpu
                && is_soon == soon
        })
    };
    let (soon, late) = (timer(true)?, timer(false)?);
    // A wake-up that finds no task is a part of a futex's handoff and of no other.
    let call = find("syscall/futex_wake", Placement::SameCpu, Idle::Default)
        .filter(|_| line.mechanism == "handoff/futex" || line.mechanism == "handoff/process_futex");
    let mut parts = Vec::new();
    match call {
        Some(call) => {
            parts.push(alone("the call itself", call));
            parts.push(difference("waking and switching in", polling, call));
        }
        None => parts.push(alone("the call, waking and switching in", polling)),
    }
    parts.push(alone("the interrupt", interrupt));
    parts.push(difference("leaving idle", asleep, busy));
    parts.push(difference("restarting the tick", soon, late));
    let name = format!("{} {}", whole.name(), whole.detail());
    Some(HandoffParts { name, id: line.id.clone(), whole: whole.per_op(), half_width: whole.half_width(), parts })
}

fn alone(name: &'static str, benchmark: &BenchmarkView) -> CostPart {
    CostPart { name, from: benchmark.line().id.clone(), nanos: benchmark.per_op(), half_width: benchmark.half_width() }
}

fn difference(name: &'static str, benchmark: &BenchmarkView, less: &BenchmarkView) -> CostPart {
    CostPart {
        name,
        from: format!("{} less {}", benchmark.line().id, less.line().id),
        nanos: benchmark.per_op() - less.per_op(),
        // Independent figures: their half widths add up as standard deviations do.
        half_width: benchmark.half_width().hypot(less.half_width()),
    }
}

/// The tables for a terminal, one for each handoff; empty where nothing has all its parts.
pub(super) fn tables(all: &[HandoffParts]) -> String {
    let of = |parts: &HandoffParts| {
        let row = |name: &str, nanos: f64, half_width: f64, from: &str| {
            let share = text::percent(nanos / parts.whole);
            vec![name.to_string(), from.to_string(), figure(nanos), format!("±{}", figure(half_width)), share]
        };
        let mut rows: Vec<Vec<String>> =
            parts.parts.iter().map(|part| row(part.name, part.nanos, part.half_width, &part.from)).collect();
        let half_width = parts.parts.iter().map(|part| part.half_width).fold(0.0, f64::hypot);
        rows.push(row("sum", parts.sum(), half_width, ""));
        rows.push(row("remainder", parts.remainder(), half_width.hypot(parts.half_width), ""));
        rows.push(row("the whole", parts.whole, parts.half_width, &parts.id));
        let header = ["part", "from", "ns", "95 %", "share"].map(String::from).into();
        format!("Where the time of handoff/{} goes\n{}", parts.name, plain_table(header, rows, 2))
    };
    all.iter().map(of).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{AuditRecord, BenchmarkLine, CountedSamples, Measured, Noise, Outcome, Run, Sample};
    use crate::report::run_view::RunView;
    use crate::terms::{Parameters, Policy, ResourceUsage, Setting, Unit};
    use crate::units::{Nanos, Ops, Quantity};

    fn line(mechanism: &str, placement: Placement, idle: Idle, nanos: u64) -> BenchmarkLine {
        let moment = crate::terms::Moment::default();
        let parameters: Parameters = serde_json::from_str("{}").unwrap();
        BenchmarkLine {
            id: match idle {
                Idle::Default => format!("{mechanism}/{placement}"),
                _ => format!("{mechanism}/{placement}/idle={idle}"),
            },
            mechanism: mechanism.into(),
            unit: Unit::Handoff,
            measures: Quantity::Nanoseconds,
            baseline: "handoff/futex".into(),
            setting: Setting { placement, cpus: Vec::new(), idle, policy: Policy::default(), parameters },
            round: 0,
            host_id: "m".into(),
            started_ms: 0,
            outcome: Outcome::Measured(Box::new(Measured {
                samples: vec![Sample::new(Ops(1), Nanos(nanos)); 10],
                usage: ResourceUsage::default(),
                counted: CountedSamples::default(),
                metrics: Vec::new(),
                audit: AuditRecord::default(),
                noise: Noise { start: moment.clone(), end: moment, own_cpu: None, lasted: None },
            })),
            conditions: None,
        }
    }

    fn timer_soon() -> BenchmarkLine {
        let mut line = line("syscall/timerfd_settime", Placement::SameCpu, Idle::Default, 600);
        line.id = "syscall/timerfd_settime/same-cpu/expires=soon".into();
        line.setting.parameters = serde_json::from_str(r#"{"expires":"soon"}"#).unwrap();
        line
    }

    fn measured() -> Vec<BenchmarkLine> {
        use Placement::{SameCpu, SameLlc};
        vec![
            line("handoff/futex", SameLlc, Idle::Default, 17_500),
            line("handoff/futex", SameLlc, Idle::Poll, 2_400),
            line("handoff/pipe", SameLlc, Idle::Default, 18_000),
            line("handoff/pipe", SameLlc, Idle::Poll, 2_700),
            line("handoff/spin", SameLlc, Idle::Default, 50),
            line("syscall/futex_wake", SameCpu, Idle::Default, 200),
            line("syscall/membarrier", SameLlc, Idle::Default, 7_700),
            line("syscall/remote_call", SameLlc, Idle::Default, 15_000),
            line("syscall/remote_call", SameLlc, Idle::Spinner, 8_000),
            line("syscall/timerfd_settime", SameCpu, Idle::Default, 500),
            timer_soon(),
        ]
    }

    fn of_lines(lines: Vec<BenchmarkLine>) -> Vec<HandoffParts> {
        let run = Run { benchmarks: lines, ..Run::default() };
        let view = RunView::new(String::new(), &run);
        parts(&view.benchmarks.iter().collect::<Vec<_>>())
    }

    #[test]
    fn parts_measured_apart_are_added_up_and_the_rest_is_named() {
        let all = of_lines(measured());
        let names: Vec<&str> = all.iter().map(|parts| parts.id.as_str()).collect();
        assert_eq!(names, ["handoff/futex/same-llc", "handoff/pipe/same-llc"]);
        let nanos: Vec<f64> = all[0].parts.iter().map(|part| part.nanos).collect();
        assert_eq!(nanos, [200.0, 2_200.0, 7_700.0, 7_000.0, 100.0]);
        assert_eq!((all[0].sum(), all[0].remainder()), (17_200.0, 300.0));
        assert_eq!(all[1].parts.len(), 4, "a pipe is not woken by a futex's call");
        let text = tables(&all);
        assert!(text.contains("remainder") && text.contains("1.7 %"), "{text}");
    }

    #[test]
    fn what_lacks_a_part_is_left_out() {
        let without = |id: &str| measured().into_iter().filter(|line| !line.id.starts_with(id)).collect();
        assert_eq!(of_lines(without("syscall/membarrier")), []);
        assert_eq!(of_lines(without("syscall/remote_call/same-llc/idle=spinner")), []);
        assert_eq!(of_lines(without("handoff/futex/same-llc/idle=poll")).len(), 1);
    }
}
