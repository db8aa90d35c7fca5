//! The search for the rate at which a figure that rises with the rate reaches a target.

use serde::{Deserialize, Serialize};

/// What was measured at one rate.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateProbe {
    /// Requests per second.
    pub rate: f64,
    /// The figure; infinite beyond the rate that the server can answer.
    pub value: f64,
}

/// How the figure grows with the rate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RateGrowth {
    /// Nearly in proportion, as CPU time does.
    Proportional,
    /// Hardly at first and then steeply, as latencies do: the rate is halved between two probes.
    Steep,
}

/// A search, probe by probe. It makes no call: the caller measures.
#[derive(Debug, Clone)]
pub struct RateSearch {
    target: f64,
    tolerance: f64,
    growth: RateGrowth,
    first: f64,
    most_probes: usize,
    probes: Vec<RateProbe>,
}

/// A steep figure is found when its rate is known to this share.
const NARROW: f64 = 0.02;

impl RateSearch {
    /// For the rate at which the figure is within `tolerance` of `target`; begins at the rate `first`. All above 0.
    pub fn new(target: f64, tolerance: f64, growth: RateGrowth, first: f64, most_probes: usize) -> Self {
        Self { target, tolerance, growth, first, most_probes, probes: Vec::new() }
    }

    /// What was measured so far.
    pub fn probes(&self) -> &[RateProbe] {
        &self.probes
    }

    /// Enters what was measured at a rate.
    pub fn enter(&mut self, rate: f64, value: f64) {
        self.probes.push(RateProbe { rate, value });
    }

    fn below(&self) -> Option<RateProbe> {
        let below = self.probes.iter().filter(|probe| probe.value <= self.target);
        below.max_by(|a, b| a.rate.total_cmp(&b.rate)).copied()
    }

    /// The least rate that was too high, above all that were not.
    fn above(&self) -> Option<RateProbe> {
        let floor = self.below().map_or(0.0, |below| below.rate);
        let above = self.probes.iter().filter(|probe| probe.value > self.target && probe.rate > floor);
        above.min_by(|a, b| a.rate.total_cmp(&b.rate)).copied()
    }

    /// The probe that met the target, if one did.
    pub fn found(&self) -> Option<RateProbe> {
        let near = |probe: &&RateProbe| (probe.value - self.target).abs() <= self.tolerance;
        if let Some(found) = self.probes.iter().rev().find(near) {
            return Some(*found);
        }
        // A cliff: the highest rate below it is the answer.
        let (below, above) = (self.below()?, self.above()?);
        let narrow = self.growth == RateGrowth::Steep && above.rate - below.rate <= NARROW * below.rate;
        narrow.then_some(below)
    }

    /// The rate to measure next; `None` when the target is met, or no probe is left.
    pub fn next_rate(&self) -> Option<f64> {
        if self.found().is_some() || self.probes.len() >= self.most_probes {
            return None;
        }
        let rate = match (self.below(), self.above()) {
            (None, None) => self.first,
            // Four times as much at once finds any ceiling in ten probes.
            (Some(below), None) => below.rate * self.stretch(below).clamp(1.05, 4.0),
            (None, Some(above)) => above.rate * self.stretch(above).clamp(0.1, 0.95),
            (Some(below), Some(above)) => self.between(below, above),
        };
        Some(rate)
    }

    /// By how much the rate of the target would differ from that of `probe` if the figure were in proportion.
    fn stretch(&self, probe: RateProbe) -> f64 {
        match self.growth {
            RateGrowth::Proportional if probe.value > 0.0 => self.target / probe.value,
            RateGrowth::Proportional => f64::INFINITY,
            RateGrowth::Steep if probe.value > self.target => 0.5,
            RateGrowth::Steep => 2.0,
        }
    }

    fn between(&self, below: RateProbe, above: RateProbe) -> f64 {
        let middle = (below.rate * above.rate).sqrt();
        if self.growth == RateGrowth::Steep || !above.value.is_finite() {
            return middle;
        }
        // On the line through both, kept away from its ends, so that a noisy probe does not stop the search there.
        let part = (self.target - below.value) / (above.value - below.value);
        below.rate + (above.rate - below.rate) * part.clamp(0.1, 0.9)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn searched(search: &mut RateSearch, measure: impl Fn(f64) -> f64) -> Option<RateProbe> {
        while let Some(rate) = search.next_rate() {
            search.enter(rate, measure(rate));
        }
        search.found()
    }

    #[test]
    fn a_share_of_cpu_is_found_in_few_probes_from_anywhere() {
        // 5 % of housekeeping, and 12 µs a request that grow a little cheaper.
        let cpu = |rate: f64| (0.05 + rate * 12e-6 * (1.0 - 0.1 * (rate / 80_000.0).min(1.0))).min(1.0);
        for first in [10.0, 1000.0, 30_000.0, 500_000.0] {
            let mut search = RateSearch::new(0.6, 0.02, RateGrowth::Proportional, first, 12);
            let found = searched(&mut search, cpu).unwrap();
            assert!((found.value - 0.6).abs() <= 0.02, "{first}: {found:?}");
            assert!(search.probes().len() <= 12, "{:?}", search.probes());
        }
    }

    #[test]
    fn a_latency_is_found_at_the_foot_of_its_cliff() {
        let p99 = |rate: f64| if rate > 80_000.0 { f64::INFINITY } else { 1e-4 / (1.0 - rate / 80_001.0) };
        let mut search = RateSearch::new(5e-3, 2.5e-4, RateGrowth::Steep, 1000.0, 16);
        let found = searched(&mut search, p99).unwrap();
        assert!((0.96..=1.0).contains(&(found.rate / 78_400.0)), "{found:?}");
    }

    #[test]
    fn a_target_out_of_reach_ends_with_the_probes() {
        let mut search = RateSearch::new(0.6, 0.02, RateGrowth::Proportional, 1000.0, 12);
        assert_eq!(searched(&mut search, |_| 0.3), None);
        assert_eq!(search.probes().len(), 12);
        let mut search = RateSearch::new(0.6, 0.02, RateGrowth::Proportional, 1000.0, 12);
        assert_eq!(searched(&mut search, |_| 0.9), None, "the least that it uses is too much");
        assert!(search.probes().iter().all(|probe| probe.rate > 0.0));
    }
}
