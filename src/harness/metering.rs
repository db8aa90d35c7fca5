//! Energy per operation over the bare samples: the meters run by themselves and cost the measured code nothing.

use std::collections::BTreeMap;

use crate::crew::Batch;
use crate::pmu::{Energy, EnergyReading};
use crate::terms::{CounterSummary, NotCounted};

/// What a summary of energy is in: an operation takes billionths of a joule.
const UNIT: &str = "nJ";

/// The energy of whole packages while bare samples ran, everything else that ran on them included.
#[derive(Debug)]
pub(super) struct EnergyMetering {
    energy: Energy,
    joules: BTreeMap<String, f64>,
    ops: u64,
    lasted_ns: u64,
    trouble: Option<NotCounted>,
}

impl EnergyMetering {
    /// Opens the meters.
    pub(super) fn start() -> Self {
        Self { energy: Energy::open(), joules: BTreeMap::new(), ops: 0, lasted_ns: 0, trouble: None }
    }

    /// Reads the meters; nothing when they refuse, which is kept.
    pub(super) fn read(&mut self) -> Vec<EnergyReading> {
        self.energy.read().unwrap_or_else(|error| {
            let (reason, remedy) = (error.to_string(), "run it again; the times are not affected".to_string());
            self.trouble.get_or_insert(NotCounted { event: "power/energy-pkg/".into(), reason, remedy });
            Vec::new()
        })
    }

    /// Adds a sample that lay between two readings.
    pub(super) fn add(&mut self, before: &[EnergyReading], after: &[EnergyReading], batch: Batch) {
        // A reading that failed has no partner.
        if before.len() != after.len() || before.is_empty() {
            return;
        }
        for (before, after) in before.iter().zip(after) {
            *self.joules.entry(after.event.clone()).or_default() += (after.joules - before.joules).max(0.0);
        }
        self.ops += batch.ops.0;
        self.lasted_ns += batch.elapsed.0;
    }

    /// Forgets what warming up took.
    pub(super) fn forget(&mut self) {
        self.joules.clear();
        (self.ops, self.lasted_ns) = (0, 0);
    }

    /// Energy per operation, and what could not be metered.
    pub(super) fn conclude(self) -> (Vec<CounterSummary>, Vec<NotCounted>) {
        let summary = |(event, joules): (&String, &f64)| CounterSummary {
            event: event.clone(),
            per_op: joules * 1e9 / self.ops as f64,
            count: (joules * 1e9) as u64,
            ops: self.ops,
            enabled_ns: self.lasted_ns,
            running_ns: self.lasted_ns,
            estimated: false,
            unit: Some(UNIT.into()),
        };
        let summaries = if self.ops == 0 { Vec::new() } else { self.joules.iter().map(summary).collect() };
        let not_metered = self.energy.not_counted().iter().cloned().chain(self.trouble).collect();
        (summaries, not_metered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::units::{Nanos, Ops};

    fn at(joules: f64) -> Vec<EnergyReading> {
        vec![EnergyReading { event: "power/energy-pkg/".into(), joules }]
    }

    #[test]
    fn energy_is_that_between_readings_per_operation() {
        let mut metering = EnergyMetering::start();
        let batch = Batch { ops: Ops(1000), elapsed: Nanos(5_000_000) };
        metering.add(&at(1.0), &at(9.0), batch);
        metering.forget();
        metering.add(&at(10.0), &at(10.5), batch);
        metering.add(&at(20.0), &at(20.5), batch);
        metering.add(&at(20.0), &[], batch);
        let (summaries, _) = metering.conclude();
        assert_eq!((summaries.len(), summaries[0].ops, summaries[0].per_op), (1, 2000, 500_000.0));
    }

    /// A meter that began again between two readings tells nothing, and takes nothing off what others told.
    #[test]
    fn a_meter_that_runs_backwards_takes_no_energy_back() {
        let mut metering = EnergyMetering::start();
        let batch = Batch { ops: Ops(1000), elapsed: Nanos(5_000_000) };
        metering.add(&at(10.0), &at(10.5), batch);
        metering.add(&at(65_535.5), &at(0.25), batch);
        let (summaries, _) = metering.conclude();
        assert_eq!((summaries[0].ops, summaries[0].per_op, summaries[0].count), (2000, 250_000.0, 500_000_000));
    }

    #[test]
    fn without_meters_it_is_told_why() {
        let (summaries, not_metered) = EnergyMetering::start().conclude();
        assert!(summaries.is_empty());
        assert!(not_metered.iter().all(|not| !not.remedy.is_empty()));
    }
}
