//! Made-up records for the unit tests of this room.

use crate::record::{AuditRecord, BenchmarkLine, CountedSamples, Measured, Noise, Outcome, Sample};
use crate::terms::{Idle, Moment, Placement, Policy, ResourceUsage, Setting, Unit};
use crate::units::{Nanos, Ops, Quantity};

/// A benchmark of one round whose ten samples all took `nanos` per operation.
pub(super) fn line(mechanism: &str, placement: Placement, idle: Idle, nanos: u64) -> BenchmarkLine {
    let moment = Moment::default();
    let differing = if idle == Idle::Default { String::new() } else { format!("/idle={idle}") };
    let group = mechanism.split('/').next().unwrap_or_default();
    BenchmarkLine {
        id: format!("{mechanism}/{placement}{differing}"),
        mechanism: mechanism.into(),
        unit: if group == "brigade" { Unit::Hop } else { Unit::Handoff },
        measures: Quantity::Nanoseconds,
        baseline: if group == "brigade" { "brigade/one_thread" } else { "handoff/futex" }.into(),
        setting: Setting {
            placement,
            cpus: Vec::new(),
            idle,
            policy: Policy::default(),
            parameters: serde_json::from_str("{}").unwrap(),
        },
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

/// What was measured of a line.
pub(super) fn measured(line: &mut BenchmarkLine) -> &mut Measured {
    let Outcome::Measured(measured) = &mut line.outcome else { panic!("{}: not measured", line.id) };
    measured
}
