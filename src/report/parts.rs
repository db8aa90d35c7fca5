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

use super::charts::CostPartKind;
use super::run_view::BenchmarkView;
use super::table::{figure, plain_table};
use super::text;
use crate::terms::{Idle, Placement};

/// The other CPU of these is told apart from the first one.
const APART: [Placement; 4] = [Placement::SmtSibling, Placement::SameLlc, Placement::CrossLlc, Placement::CrossNode];

/// One part.
#[derive(Debug)]
pub(super) struct CostPart<'a> {
    /// What it is.
    pub(super) kind: CostPartKind,
    /// Which benchmarks say so.
    pub(super) from: String,
    /// Nanoseconds.
    pub(super) nanos: f64,
    /// Half the width of its 95 % interval.
    pub(super) half_width: f64,
    benchmarks: Vec<&'a BenchmarkView<'a>>,
}

/// A handoff and what it is made of.
#[derive(Debug)]
pub(super) struct HandoffParts<'a> {
    /// The whole.
    pub(super) whole: &'a BenchmarkView<'a>,
    /// In the order in which they pass.
    pub(super) parts: Vec<CostPart<'a>>,
}

impl<'a> HandoffParts<'a> {
    /// The sum of the parts.
    pub(super) fn sum(&self) -> f64 {
        self.parts.iter().map(|part| part.nanos).sum()
    }

    /// What the parts leave of the whole; negative when they are more than it.
    pub(super) fn remainder(&self) -> f64 {
        self.whole.per_op() - self.sum()
    }

    /// Half the width of its interval.
    pub(super) fn remainder_half_width(&self) -> f64 {
        self.parts.iter().map(|part| part.half_width).fold(self.whole.half_width(), f64::hypot)
    }

    /// Every benchmark that it rests on, the whole first.
    pub(super) fn benchmarks(&self) -> impl Iterator<Item = &'a BenchmarkView<'a>> {
        std::iter::once(self.whole).chain(self.parts.iter().flat_map(|part| part.benchmarks.iter().copied()))
    }

    /// Whether all of its figures may be compared.
    pub(super) fn is_comparable(&self) -> bool {
        self.benchmarks().all(|benchmark| benchmark.is_comparable())
    }
}

/// Every handoff between CPUs of which all parts were measured.
pub(super) fn parts<'a>(benchmarks: &[&'a BenchmarkView<'a>]) -> Vec<HandoffParts<'a>> {
    let wholes = benchmarks.iter().copied().filter(|benchmark| {
        let setting = &benchmark.line().setting;
        benchmark.group() == "handoff" && APART.contains(&setting.placement) && setting.idle == Idle::Default
    });
    wholes.filter_map(|whole| of(whole, benchmarks)).collect()
}

fn of<'a>(whole: &'a BenchmarkView<'a>, all: &[&'a BenchmarkView<'a>]) -> Option<HandoffParts<'a>> {
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
            parts.push(alone(CostPartKind::Call, call));
            parts.push(difference(CostPartKind::WakingAndSwitchingIn, polling, call));
        }
        None => parts.push(alone(CostPartKind::CallAndSwitchingIn, polling)),
    }
    parts.push(alone(CostPartKind::Interrupt, interrupt));
    parts.push(difference(CostPartKind::LeavingIdle, asleep, busy));
    parts.push(difference(CostPartKind::RestartingTick, soon, late));
    Some(HandoffParts { whole, parts })
}

fn alone<'a>(kind: CostPartKind, benchmark: &'a BenchmarkView<'a>) -> CostPart<'a> {
    let from = benchmark.line().id.clone();
    let (nanos, half_width) = (benchmark.per_op(), benchmark.half_width());
    CostPart { kind, from, nanos, half_width, benchmarks: vec![benchmark] }
}

fn difference<'a>(kind: CostPartKind, benchmark: &'a BenchmarkView<'a>, less: &'a BenchmarkView<'a>) -> CostPart<'a> {
    CostPart {
        kind,
        from: format!("{} less {}", benchmark.line().id, less.line().id),
        nanos: benchmark.per_op() - less.per_op(),
        // Independent figures: their half widths add up as standard deviations do.
        half_width: benchmark.half_width().hypot(less.half_width()),
        benchmarks: vec![benchmark, less],
    }
}

/// The tables for a terminal, one for each handoff; empty where nothing has all its parts.
pub(super) fn tables(all: &[HandoffParts]) -> String {
    let of = |parts: &HandoffParts| {
        let whole = parts.whole.per_op();
        let row = |name: &str, nanos: f64, half_width: f64, from: &str| {
            let share = text::percent(nanos / whole);
            vec![name.to_string(), from.to_string(), figure(nanos), format!("±{}", figure(half_width)), share]
        };
        let known = parts.parts.iter().map(|part| row(part.kind.name(), part.nanos, part.half_width, &part.from));
        let mut rows: Vec<Vec<String>> = known.collect();
        let half_width = parts.parts.iter().map(|part| part.half_width).fold(0.0, f64::hypot);
        rows.push(row("sum", parts.sum(), half_width, ""));
        rows.push(row(CostPartKind::Remainder.name(), parts.remainder(), parts.remainder_half_width(), ""));
        rows.push(row("the whole", whole, parts.whole.half_width(), &parts.whole.line().id));
        let header = ["part", "from", "ns", "95 %", "share"].map(String::from).into();
        let (name, detail) = (parts.whole.name(), parts.whole.detail());
        format!("Where the time of handoff/{name} {detail} goes\n{}", plain_table(header, rows, 2))
    };
    all.iter().map(of).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{BenchmarkLine, Run};
    use crate::report::made_up::{line, measured as of_line};
    use crate::report::run_view::RunView;
    use crate::terms::{Metric, MetricKey};
    use crate::units::Quantity;

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

    /// Of each handoff: its id, whether it may be compared, and its parts in nanoseconds, the remainder last.
    fn of_lines(lines: Vec<BenchmarkLine>) -> Vec<(String, bool, Vec<f64>)> {
        let run = Run { benchmarks: lines, ..Run::default() };
        let view = RunView::new(String::new(), &run);
        let of = |parts: &HandoffParts| {
            let nanos = parts.parts.iter().map(|part| part.nanos).chain([parts.remainder()]);
            (parts.whole.line().id.clone(), parts.is_comparable(), nanos.collect())
        };
        parts(&view.benchmarks.iter().collect::<Vec<_>>()).iter().map(of).collect()
    }

    #[test]
    fn parts_measured_apart_are_added_up_and_the_rest_is_named() {
        let all = of_lines(measured());
        let names: Vec<&str> = all.iter().map(|(id, ..)| id.as_str()).collect();
        assert_eq!(names, ["handoff/futex/same-llc", "handoff/pipe/same-llc"]);
        assert_eq!(all[0].2, [200.0, 2_200.0, 7_700.0, 7_000.0, 100.0, 300.0]);
        assert_eq!(all[1].2.len(), 5, "a pipe is not woken by a futex's call");
        let text = crate::report::parts_tables(&measured());
        assert!(text.contains("remainder") && text.contains("1.7 %"), "{text}");
    }

    #[test]
    fn what_lacks_a_part_is_left_out() {
        let without = |id: &str| measured().into_iter().filter(|line| !line.id.starts_with(id)).collect();
        assert_eq!(of_lines(without("syscall/membarrier")), []);
        assert_eq!(of_lines(without("syscall/remote_call/same-llc/idle=spinner")), []);
        assert_eq!(of_lines(without("handoff/futex/same-llc/idle=poll")).len(), 1);
    }

    #[test]
    fn a_part_that_is_invalid_makes_its_whole_one_that_is_not_to_be_compared() {
        let mut lines = measured();
        let late = Metric::scalar(MetricKey::GeneratorBottleneck, Quantity::Share, 0.5);
        let call = lines.iter_mut().find(|line| line.mechanism == "syscall/futex_wake").unwrap();
        of_line(call).metrics.push(late);
        let comparable: Vec<bool> = of_lines(lines).into_iter().map(|(_, comparable, _)| comparable).collect();
        assert_eq!(comparable, [false, true], "the call is a part of a futex's handoff alone");
    }
}
