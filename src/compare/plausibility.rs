//! Figures that no machine can have: nothing is compared with them, and no table shows them.

use crate::record::{BenchmarkLine, Measured, Outcome, Run};
use crate::stats::median;
use crate::terms::{Host, Placement};
use crate::units::decimals;

/// What the reason of a figure that is void begins with.
pub const VOID: &str = "void: ";

/// Of processors whose records do not say how fast they are: none is sold that is faster (in kHz).
const FASTEST_KHZ: u64 = 7_000_000;

/// Cycles of the least operation: a loop whose body the compiler removed still takes one for each time around.
const LEAST_CYCLES: f64 = 1.0;

/// Cycles that a cache line takes from one core to another: at least those of a load that the second-level cache
/// answers, 12 to 14 on processors of the last ten years ("Cache Parameters" in Intel's Optimization
/// Reference Manual; AMD's Software Optimization Guides), for a line of another core is answered behind it.
const LINE_CYCLES: f64 = 12.0;

/// Cycles that a line takes between two CPUs of one core: those of a load that the first-level cache answers (4 to 5).
const SIBLING_CYCLES: f64 = 4.0;

/// Marks every benchmark of `run` as failed whose figure is impossible, and says why. What was measured is in the
/// record still; `run` is what was read of it.
pub fn void_the_impossible(run: &mut Run) {
    let reasons: Vec<(usize, String)> = run
        .benchmarks
        .iter()
        .enumerate()
        .filter_map(|(index, line)| Some((index, impossible(line, run.host(line).map(|host| &host.host))?)))
        .collect();
    for (index, reason) in reasons {
        run.benchmarks[index].outcome = Outcome::Failed(format!("{VOID}{reason}"));
    }
}

/// Why the figure of a line cannot be; `None` where it can.
fn impossible(line: &BenchmarkLine, host: Option<&Host>) -> Option<String> {
    let Outcome::Measured(measured) = &line.outcome else { return None };
    if !line.measures.is_time() {
        return None;
    }
    let per_op = figure(measured)?;
    // Times are whole numbers of nanoseconds from the clock: none is negative unless that clock went back, and then the
    // record has what is left when it wraps around.
    if per_op <= 0.0 {
        return Some("0 ns per operation: the clock stood still, or the operation was not made".into());
    }
    if per_op > 1e15 {
        return Some(format!("{per_op:.1e} ns per operation: the clock went back"));
    }
    let khz = host.and_then(|host| host.processor.maximum_khz.max(host.processor.nominal_khz)).filter(|khz| *khz > 0);
    // Boost beyond what the firmware says is common by some per cent.
    let khz = khz.map_or(FASTEST_KHZ, |khz| (khz + khz / 4).min(FASTEST_KHZ)) as f64;
    let nanos = |cycles: f64| cycles * 1e6 / khz;
    let (cycles, what) = bound(line);
    (per_op < nanos(cycles)).then(|| {
        format!(
            "{} ns per operation, and {what} takes {} ns at {} GHz",
            decimals(per_op, 2),
            decimals(nanos(cycles), 2),
            decimals(khz / 1e6, 1)
        )
    })
}

/// The median of the bare samples, raw.
fn figure(measured: &Measured) -> Option<f64> {
    median(&measured.samples.iter().filter(|sample| sample.ops.0 > 0).map(|sample| sample.per_op()).collect::<Vec<_>>())
}

/// How many cycles an operation takes at the least, and for what.
fn bound(line: &BenchmarkLine) -> (f64, &'static str) {
    let is_handoff = line.mechanism.starts_with("handoff/");
    let paired = line.pair().is_some();
    match line.setting.placement {
        Placement::SmtSibling if is_handoff => (SIBLING_CYCLES, "a cache line's way between two CPUs of a core"),
        Placement::SameLlc | Placement::CrossLlc | Placement::CrossNode if is_handoff => {
            (LINE_CYCLES, "a cache line's way between two cores")
        }
        // Which pair of CPUs is a core's own, the id does not say.
        _ if is_handoff && paired => (SIBLING_CYCLES, "a cache line's way between two CPUs of a core"),
        _ => (LEAST_CYCLES, "one cycle"),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::record::{Sample, read};
    use crate::units::{Nanos, Ops};

    /// The reason for which a handoff of so many nanoseconds in a thousand operations is void.
    fn reason(placement: Placement, mechanism: &str, nanos: u64) -> Option<String> {
        let mut run = read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/report/three-rounds")).unwrap();
        run.hosts[0].host.processor.maximum_khz = Some(4_000_000);
        let host_id = run.hosts[0].id.clone();
        let is_measured = |line: &&BenchmarkLine| matches!(line.outcome, Outcome::Measured(_));
        let mut line = run.benchmarks.iter().find(is_measured).unwrap().clone();
        let Outcome::Measured(measured) = &mut line.outcome else { unreachable!() };
        measured.samples = vec![Sample::new(Ops(1000), Nanos(nanos)); 5];
        line.setting.placement = placement;
        (line.mechanism, line.host_id) = (mechanism.into(), host_id);
        run.benchmarks = vec![line];
        void_the_impossible(&mut run);
        run.benchmarks[0].outcome.reason()
    }

    #[test]
    fn nothing_negative_and_less_than_a_cycle_are_void() {
        let told = |nanos| reason(Placement::SameCpu, "syscall/getppid", nanos);
        assert!(told(0).unwrap().starts_with("void: 0 ns per operation"));
        assert!(told(u64::MAX - 5).unwrap().contains("the clock went back"));
        assert_eq!(told(100).as_deref(), Some("void: 0.10 ns per operation, and one cycle takes 0.20 ns at 5.0 GHz"));
        assert_eq!(told(300), None);
    }

    #[test]
    fn a_handoff_is_no_faster_than_a_cache_lines_way() {
        let told = |placement, nanos| reason(placement, "handoff/spin", nanos);
        let line = told(Placement::SameLlc, 2_000).unwrap();
        assert!(line.contains("a cache line's way between two cores takes 2.40 ns"), "{line}");
        assert_eq!(told(Placement::SameLlc, 3_000), None);
        assert!(told(Placement::SmtSibling, 700).is_some() && told(Placement::SmtSibling, 900).is_none());
        assert_eq!(told(Placement::SameCpu, 2_000), None, "on one CPU no line has a way");
    }
}
