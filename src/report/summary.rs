//! One benchmark over all its rounds, in the figures that a table shows.

use std::collections::HashMap;

use crate::record::{BenchmarkLine, Measured, Outcome};
use crate::stats::{
    Basis, CONFIDENCE, Estimate, Modes, ProbedValue, Screening, median, modes, rounds_interval, screen,
};

/// Intervals are reproducible: the seed of their resampling is fixed, and its value is of no consequence.
pub(super) const SEED: u64 = 0x5343;

/// The mark of figures whose audit differs.
pub(super) const DIFFERS: &str = "†";

/// The mark of figures that are invalid.
pub(super) const INVALID: &str = "‡";

/// What the mark says.
pub(super) const INVALID_NOTE: &str = "‡ invalid: the generator of the requests was late";

/// A benchmark that ran.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// One of its lines, for everything that does not vary.
    pub line: BenchmarkLine,
    /// What an operation comes to, in what its line measures, over rounds; over samples where there is one round.
    pub per_op: Estimate,
    /// Rounds that were measured; those whose CPU was never at its highest CPU speed give no figure and are none of
    /// `per_op.rounds`.
    pub rounds: usize,
    /// CPU time per operation in nanoseconds, user and kernel, over all tasks.
    pub cpu_nanos: f64,
    /// Voluntary context switches per operation.
    pub voluntary: f64,
    /// Involuntary context switches per operation.
    pub involuntary: f64,
    /// System calls per operation, where the audit could count them.
    pub calls: Option<f64>,
    /// Instructions per cycle, user and kernel together.
    pub ipc: Option<f64>,
    /// Cycles per operation, user and kernel together.
    pub cycles: Option<f64>,
    /// Cycles per operation in user mode.
    pub user_cycles: Option<f64>,
    /// Cycles per operation in the kernel.
    pub kernel_cycles: Option<f64>,
    /// The audit's verdict, the worst of the rounds that were audited.
    pub audit: &'static str,
    /// Around which times the rounds gather; with fewer rounds than can tell, one.
    pub modes: Modes,
    /// In how many rounds the samples gather around more than one time.
    pub rounds_of_several_modes: usize,
    /// In how many rounds something else ran on the machine.
    pub disturbed_rounds: usize,
    /// Which share of the samples was discarded because the CPU ran slower than at its best: 0.1 is 10 %.
    pub discarded: f64,
    /// Whether its figure is invalid: in half of the rounds or more what generates its requests was the bottleneck.
    pub invalid: bool,
    /// How much slower the counted samples were: 0.1 is 10 %.
    pub counting_cost: Option<f64>,
}

/// Sums up the lines of one benchmark; `None` when none of them was measured.
pub fn summarize(lines: &[&BenchmarkLine]) -> Option<Summary> {
    let measured: Vec<&Measured> = lines
        .iter()
        .filter_map(|line| match &line.outcome {
            Outcome::Measured(measured) => Some(&**measured),
            _ => None,
        })
        .collect();
    let line = (*lines.iter().find(|line| matches!(line.outcome, Outcome::Measured(_)))?).clone();
    let screened = screened(&measured);
    let discarded = screened.set_aside;
    let rounds = screened.kept();
    let per_op_estimate = rounds_interval(&rounds, CONFIDENCE, SEED)?;
    let medians: Vec<f64> = rounds.iter().filter_map(|round| median(round)).collect();
    // A damaged record may hold any number: sums of `u64` would overflow.
    let ops: f64 = measured.iter().flat_map(|m| &m.samples).map(|sample| sample.ops.0 as f64).sum();
    let used = |total: fn(&Measured) -> u64| measured.iter().map(|m| total(m) as f64).sum::<f64>() / ops;
    let counter = |event: &str| mean(measured.iter().filter_map(|m| m.counted.per_op(event)));
    let (user_cycles, kernel_cycles) = (counter("cycles:u"), counter("cycles:k"));
    // Some PMUs count both modes together alone.
    let instructions = sum(counter("instructions:u"), counter("instructions:k")).or_else(|| counter("instructions"));
    let cycles = sum(user_cycles, kernel_cycles).or_else(|| counter("cycles"));
    Some(Summary {
        per_op: per_op_estimate,
        rounds: measured.len(),
        cpu_nanos: used(|m| m.usage.cpu().0),
        voluntary: used(|m| m.usage.voluntary),
        involuntary: used(|m| m.usage.involuntary),
        calls: mean(measured.iter().filter_map(|m| m.audit.calls_per_op())),
        ipc: instructions.zip(cycles).filter(|(_, cycles)| *cycles > 0.0).map(|(i, c)| i / c),
        cycles,
        user_cycles,
        kernel_cycles,
        audit: worst(measured.iter().map(|m| &m.audit).filter(|audit| audit.was_made()).map(|audit| audit.told())),
        modes: modes(&medians)?,
        rounds_of_several_modes: rounds.iter().filter_map(|r| modes(r)).filter(|modes| modes.count > 1).count(),
        disturbed_rounds: lines.iter().filter(|line| is_disturbed(line)).count(),
        discarded,
        invalid: Measured::are_void(&measured),
        counting_cost: mean(measured.iter().filter_map(|m| counting_cost(m))),
        line,
    })
}

impl Summary {
    /// Whether its figure rests on one round, so that nothing is known of how far processes differ.
    pub(super) fn rests_on_one_round(&self) -> bool {
        self.per_op.basis == Basis::WithinRunOnly
    }

    /// The rounds that count, and of how many where some do not.
    pub(super) fn rounds_counting(&self) -> String {
        let (counting, all) = (self.per_op.rounds, self.rounds);
        if counting == all { all.to_string() } else { format!("{counting} of {all}") }
    }
}

/// The lines of each benchmark, in the order in which benchmarks first stand in `lines`.
pub(super) fn by_id(lines: &[BenchmarkLine]) -> Vec<Vec<&BenchmarkLine>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut by_id: Vec<Vec<&BenchmarkLine>> = Vec::new();
    for line in lines {
        let place = *places.entry(&line.id).or_insert(by_id.len());
        match by_id.get_mut(place) {
            Some(lines) => lines.push(line),
            None => by_id.push(vec![line]),
        }
    }
    by_id
}

/// What counts of the bare samples of one benchmark, round by round.
pub(super) fn screened(rounds: &[&Measured]) -> Screening {
    let probed_values = |round: &&Measured| round.probed_values().map(ProbedValue::from).collect();
    screen(&rounds.iter().map(probed_values).collect::<Vec<Vec<ProbedValue>>>())
}

/// Whether something else ran on the machine meanwhile.
pub(super) fn is_disturbed(line: &BenchmarkLine) -> bool {
    line.conditions.as_ref().is_some_and(|conditions| !conditions.interference.is_empty())
}

fn counting_cost(measured: &Measured) -> Option<f64> {
    let per_op = |samples: &[crate::record::Sample]| samples.iter().map(|sample| sample.per_op()).collect::<Vec<_>>();
    let counted = median(&per_op(&measured.counted.samples))?;
    let bare = median(&per_op(&measured.samples))?;
    (bare > 0.0).then(|| counted / bare - 1.0)
}

fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let values: Vec<f64> = values.collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Both, or neither: half of a sum would pass for the whole.
fn sum(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    Some(a? + b?)
}

fn worst(verdicts: impl Iterator<Item = &'static str>) -> &'static str {
    let rank = |verdict: &&str| match *verdict {
        "DIFFERS" => 3,
        "none" => 2,
        "ok" => 0,
        // On a later attempt.
        _ => 1,
    };
    verdicts.max_by_key(rank).unwrap_or("none")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::CountedSamples;
    use crate::report::made_up;
    use crate::terms::{CounterSummary, Idle, Placement};

    /// A benchmark of which these events were counted.
    fn counted(events: &[(&str, f64)]) -> Summary {
        let counter = |(event, per_op): &(&str, f64)| CounterSummary {
            event: (*event).into(),
            per_op: *per_op,
            count: *per_op as u64,
            ops: 1,
            enabled_ns: 9,
            running_ns: 9,
            estimated: false,
            unit: None,
        };
        let counters = events.iter().map(counter).collect();
        let mut line = made_up::line("handoff/pipe", Placement::SameCpu, Idle::Default, 5);
        made_up::measured(&mut line).counted = CountedSamples { counters, ..CountedSamples::default() };
        summarize(&[&line]).unwrap()
    }

    #[test]
    fn half_of_the_cycles_or_instructions_makes_no_sum_and_no_ratio() {
        let halves = [("cycles:u", 100.0), ("cycles:k", 300.0), ("instructions:u", 50.0), ("instructions:k", 150.0)];
        let whole = counted(&halves);
        assert_eq!((whole.cycles, whole.ipc), (Some(400.0), Some(0.5)));
        for missing in 0..halves.len() {
            let rest: Vec<_> =
                halves.iter().enumerate().filter(|(i, _)| *i != missing).map(|(_, half)| *half).collect();
            let summary = counted(&rest);
            assert_eq!(summary.ipc, None, "without {}", halves[missing].0);
            assert_eq!(summary.cycles.is_some(), missing > 1, "without {}", halves[missing].0);
        }
    }

    #[test]
    fn modes_that_are_not_told_apart_have_a_sum_and_a_ratio() {
        let both = counted(&[("cycles", 400.0), ("instructions", 200.0)]);
        assert_eq!((both.cycles, both.user_cycles, both.kernel_cycles, both.ipc), (Some(400.0), None, None, Some(0.5)));
    }
}
