//! What a budget has time for.

use std::collections::BTreeSet;
use std::time::Duration;

use super::{RunLoop, RunObserver, Runner};
use crate::harness::rounds::process_runner::predicted;
use crate::harness::rounds::run_plan::{by_importance, by_pair};
use crate::harness::rounds::{PlanEntry, RunPlan};
use crate::record::RecordError;

/// Fewer rounds than these tell little of how rounds scatter: a budget leaves out benchmarks before it goes below.
const FEWEST_ROUNDS: u32 = 3;

/// The shortest budget in which something is measured, and the shortest that leaves nothing out, both as foretold
/// before anything is known; `None` where there is nothing to measure.
pub fn shortest_budgets(plan: &RunPlan) -> Option<(Duration, Duration)> {
    let each = predicted(&plan.timing) * plan.rounds.min(FEWEST_ROUNDS);
    let pairs = by_pair(&plan.entries);
    let smallest = pairs.iter().map(Vec::len).min()?;
    let times = |many: usize| each.saturating_mul(u32::try_from(many).unwrap_or(u32::MAX));
    Some((times(smallest), times(plan.entries.len())))
}

impl RunLoop<'_> {
    /// How long `entry` will take in a round: as long as before, or else as long as nine of ten others did.
    pub(super) fn takes(&self, entry: &PlanEntry) -> Duration {
        const ENOUGH: usize = 10;
        if let Some(took) = self.state.takes(entry) {
            return took;
        }
        let mut others: Vec<Duration> = self.entries().iter().filter_map(|other| self.state.takes(other)).collect();
        if others.len() < ENOUGH {
            return predicted(&self.plan.timing);
        }
        others.sort_unstable();
        others[others.len() * 9 / 10]
    }

    pub(super) fn left(&self) -> Option<Duration> {
        self.plan.budget.map(|budget| budget.saturating_sub(self.state.spent() + self.discarded_time))
    }

    /// Keeps as many pairs, the more important ones first, as have time for the fewest rounds that tell something.
    pub(super) fn keep_what_fits(&mut self, round: u32) {
        let Some(mut left) = self.left() else { return };
        let rounds = self.plan.rounds.min(FEWEST_ROUNDS).max(round + 1);
        let mut kept = BTreeSet::new();
        for pair in by_importance(self.entries()) {
            let missing = |&index: &usize| {
                let entry = &self.entries()[index];
                let missing = (0..rounds).filter(|&round| !self.state.has(entry, round)).count();
                if self.state.is_given_up(entry) { 0 } else { u32::try_from(missing).unwrap_or(u32::MAX) }
            };
            let takes: Duration = pair.iter().map(|index| self.takes(&self.entries()[*index]) * missing(index)).sum();
            if takes <= left {
                left -= takes;
                kept.extend(pair);
            }
        }
        self.kept = kept;
    }

    /// Measures what was left out and fits after all: predictions before the first round are cautious.
    pub(super) fn make_use_of_what_is_left(
        &mut self,
        runner: &mut dyn Runner,
        observer: &mut dyn RunObserver,
    ) -> Result<(), RecordError> {
        let mut before = None;
        while before != self.left() && !self.stopped {
            before = self.left();
            self.keep_what_fits(0);
            let wanted = self.kept.clone();
            for round in 0..self.plan.rounds {
                self.round(round, &wanted, runner, observer)?;
            }
        }
        Ok(())
    }
}
