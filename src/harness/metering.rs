//! Energy per operation over the bare samples: the meters run anyway, and reading them costs the measured code nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::pmu::{Energy, EnergyReading};
use crate::terms::{CounterSummary, Shortfall};
use crate::units::Ops;

/// What a summary of energy is in: an operation takes billionths of a joule.
const UNIT: &str = "nJ";

/// The energy of whole packages while bare samples ran, everything else that ran on them included.
#[derive(Debug)]
pub(super) struct EnergyMetering {
    energy: Energy,
    metered: BTreeMap<String, Metered>,
    trouble: Option<Shortfall>,
}

/// What one meter told, and of what.
#[derive(Debug, Default)]
struct Metered {
    joules: f64,
    ops: u64,
    lasted: Duration,
}

impl EnergyMetering {
    /// Opens the meters.
    pub(super) fn start() -> Self {
        Self { energy: Energy::open(), metered: BTreeMap::new(), trouble: None }
    }

    /// Reads the meters; nothing when they refuse, which is kept.
    pub(super) fn read(&mut self) -> Vec<EnergyReading> {
        self.energy.read().unwrap_or_else(|error| {
            let (why, remedy) = (error.to_string(), "run it again; the times are not affected".to_string());
            self.trouble.get_or_insert(Shortfall { what: "power/energy-pkg/".into(), why, remedy });
            Vec::new()
        })
    }

    /// Adds a sample of `ops` that lay between two readings, and how long it lasted by the clock on the wall.
    pub(super) fn add(&mut self, before: &[EnergyReading], after: &[EnergyReading], ops: Ops, lasted: Duration) {
        // A reading that failed has no partner.
        if before.len() != after.len() {
            return;
        }
        for (before, after) in before.iter().zip(after) {
            // Of a sample in which a meter began again that meter knows nothing: its operations are not divided by.
            let Some(joules) = after.joules_since(before) else { continue };
            let metered = self.metered.entry(after.event.clone()).or_default();
            metered.joules += joules;
            metered.ops += ops.0;
            metered.lasted += lasted;
        }
    }

    /// Discards what warming up took.
    pub(super) fn discard_warm_up(&mut self) {
        self.metered.clear();
    }

    /// Energy per operation, and what could not be metered.
    pub(super) fn finish(self) -> (Vec<CounterSummary>, Vec<Shortfall>) {
        let summary = |(event, metered): (&String, &Metered)| {
            // 584 years fit.
            let lasted_ns = metered.lasted.as_nanos() as u64;
            CounterSummary {
                event: event.clone(),
                per_op: metered.joules * 1e9 / metered.ops as f64,
                count: (metered.joules * 1e9) as u64,
                ops: metered.ops,
                enabled_ns: lasted_ns,
                running_ns: lasted_ns,
                estimated: false,
                unit: Some(UNIT.into()),
            }
        };
        let summaries = self.metered.iter().filter(|(_, metered)| metered.ops > 0).map(summary).collect();
        let not_metered = self.energy.not_counted().iter().cloned().chain(self.trouble).collect();
        (summaries, not_metered)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(joules: f64) -> Vec<EnergyReading> {
        const COUNTS_PER_JOULE: f64 = 4_294_967_296.0;
        let counts = vec![(joules * COUNTS_PER_JOULE) as u64];
        vec![EnergyReading::new("power/energy-pkg/", counts, 1.0 / COUNTS_PER_JOULE)]
    }

    /// Adds a sample of a thousand operations.
    fn add(metering: &mut EnergyMetering, before: &[EnergyReading], after: &[EnergyReading]) {
        metering.add(before, after, Ops(1000), Duration::from_millis(5));
    }

    #[test]
    fn energy_is_that_between_readings_per_operation() {
        let mut metering = EnergyMetering::start();
        add(&mut metering, &at(1.0), &at(9.0));
        metering.discard_warm_up();
        add(&mut metering, &at(10.0), &at(10.5));
        add(&mut metering, &at(20.0), &at(20.5));
        add(&mut metering, &at(20.0), &[]);
        let (summaries, _) = metering.finish();
        assert_eq!((summaries.len(), summaries[0].ops, summaries[0].per_op), (1, 2000, 500_000.0));
        assert_eq!((summaries[0].enabled_ns, summaries[0].running_ns), (10_000_000, 10_000_000));
    }

    /// A meter that began again between two readings tells nothing of that sample, whose operations would make the
    /// others' cheaper.
    #[test]
    fn a_sample_in_which_a_meter_began_again_is_left_out() {
        let mut metering = EnergyMetering::start();
        add(&mut metering, &at(10.0), &at(10.5));
        add(&mut metering, &at(65_535.5), &at(0.25));
        let (summaries, _) = metering.finish();
        assert_eq!((summaries[0].ops, summaries[0].per_op, summaries[0].count), (1000, 500_000.0, 500_000_000));
        assert_eq!(summaries[0].running_ns, 5_000_000);
    }

    #[test]
    fn without_meters_there_is_a_reason() {
        let (summaries, not_metered) = EnergyMetering::start().finish();
        assert!(summaries.is_empty());
        assert!(not_metered.iter().all(|not| !not.remedy.is_empty()));
    }
}
