//! Adding up counted samples, and what an operation costs in each event.

use std::collections::BTreeMap;

use super::refusal::free_a_counter;
use super::{Delta, EventScale};
use crate::terms::{CounterSummary, Shortfall};
use crate::units::Ops;

/// Below this share of running to enabled time a count is called an estimate. A scheduling hiccup costs less
/// than a percent; multiplexing costs at least one share in five.
const COUNTED_THROUGHOUT: f64 = 0.99;

/// The sums over counted samples, per event. Events are in alphabetical order.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Tally {
    sums: BTreeMap<String, Sum>,
}

#[derive(Debug, Clone, PartialEq)]
struct Sum {
    count: u64,
    ops: u64,
    enabled_ns: u64,
    running_ns: u64,
    scale: Option<EventScale>,
    samples: u64,
    /// The number of samples in which the event had a counter all the time, had to advance, and reads 0.
    silent: u64,
}

/// What one operation costs in one event.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EventCost {
    /// Counts per operation, in the event's unit where it has one (task-clock: ns); not negative. Where the
    /// event ran part of the time, scaled up to the whole of it.
    pub per_op: f64,
    /// The part of the enabled time in which the event had a counter: above 0, at most 1.
    pub running_share: f64,
    /// Whether the event ran so little (under 99 %) that `per_op` assumes the rest was like what was seen.
    pub estimated: bool,
}

impl Tally {
    /// Adds what was counted over `ops` operations.
    pub fn add(&mut self, delta: &Delta, ops: Ops) {
        for reading in delta.readings() {
            let sum = self.sums.entry(reading.event.clone()).or_insert_with(|| Sum {
                count: 0,
                ops: 0,
                enabled_ns: 0,
                running_ns: 0,
                scale: reading.scale.clone(),
                samples: 0,
                silent: 0,
            });
            sum.samples += 1;
            sum.silent += u64::from(reading.always_advances && reading.running_ns > 0 && reading.count == 0);
            sum.count += reading.count;
            sum.ops += ops.0;
            sum.enabled_ns += reading.enabled_ns;
            sum.running_ns += reading.running_ns;
        }
    }

    /// What an operation costs in `event`. `None` when it was not in any sample, never had a counter or
    /// a silent one, or no operation was done.
    pub fn per_op(&self, event: &str) -> Option<EventCost> {
        self.sums.get(event)?.per_op()
    }

    /// Every event that was counted.
    pub fn summaries(&self) -> Vec<CounterSummary> {
        let summary = |(event, sum): (&String, &Sum)| {
            let counted = sum.per_op()?;
            Some(CounterSummary {
                event: event.clone(),
                per_op: counted.per_op,
                count: sum.count,
                ops: sum.ops,
                enabled_ns: sum.enabled_ns,
                running_ns: sum.running_ns,
                estimated: counted.estimated,
                unit: sum.scale.as_ref().map(|scale| scale.unit.clone()),
            })
        };
        self.sums.iter().filter_map(summary).collect()
    }

    /// Every event that was opened and sampled and still not counted. `watchdog`: whether the NMI watchdog holds a
    /// counter.
    pub fn not_counted(&self, watchdog: bool) -> Vec<Shortfall> {
        self.sums.iter().filter_map(|(event, sum)| sum.not_counted(event, watchdog)).collect()
    }

    /// Those of the open `events` that were in no sample, because the turn of their set never came.
    pub fn not_sampled<'a>(&self, events: impl IntoIterator<Item = &'a str>) -> Vec<Shortfall> {
        let missed = events.into_iter().filter(|event| !self.sums.contains_key(*event));
        missed
            .map(|event| {
                let reason = "the sets of events take turns, and there were too few counted samples for this one's";
                Shortfall::new(event, reason, "take more samples")
            })
            .collect()
    }
}

impl Sum {
    fn per_op(&self) -> Option<EventCost> {
        if self.ops == 0 || self.running_ns == 0 || self.silent > 0 {
            return None;
        }
        let running_share = (self.running_ns as f64 / self.enabled_ns.max(1) as f64).min(1.0);
        let factor = self.scale.as_ref().map_or(1.0, |scale| scale.factor);
        Some(EventCost {
            per_op: self.count as f64 / running_share * factor / self.ops as f64,
            running_share,
            estimated: running_share < COUNTED_THROUGHOUT,
        })
    }

    fn not_counted(&self, event: &str, watchdog: bool) -> Option<Shortfall> {
        let (reason, remedy) = match self {
            Self { ops: 0, .. } => return None,
            Self { running_ns: 0, enabled_ns: 0, .. } => (
                "no counted task ran while the event was enabled".into(),
                "open the counters before the workers are created",
            ),
            Self { running_ns: 0, .. } => {
                ("it was enabled but never got one of the PMU's counters".into(), free_a_counter(watchdog))
            }
            // What a counter missed in one sample it may have missed in part of another.
            Self { silent: 1.., .. } => (
                format!(
                    "it is said to have run and reads 0 in {} of {} samples, in which it had to advance",
                    self.silent, self.samples
                ),
                "end other profilers, or run where the PMU has a counter for it",
            ),
            _ => return None,
        };
        Some(Shortfall::new(event, reason, remedy))
    }
}

#[cfg(test)]
mod tests {
    use super::super::CounterReading;
    use super::*;

    fn delta(event: &str, count: u64, enabled_ns: u64, running_ns: u64) -> Delta {
        Delta::of(vec![CounterReading {
            event: event.into(),
            count,
            enabled_ns,
            running_ns,
            scale: None,
            always_advances: true,
        }])
    }

    #[test]
    fn counts_and_operations_add_up_per_event() {
        let mut tally = Tally::default();
        tally.add(&delta("cycles:u", 300, 1000, 1000), Ops(10));
        tally.add(&delta("cycles:u", 100, 1000, 1000), Ops(10));
        tally.add(&delta("branches", 7, 50, 50), Ops(7));
        let cycles = tally.per_op("cycles:u").unwrap();
        assert_eq!(cycles, EventCost { per_op: 20.0, running_share: 1.0, estimated: false });
        assert_eq!(tally.per_op("branches").map(|counted| counted.per_op), Some(1.0));
        assert_eq!(tally.per_op("instructions"), None);
        assert!(tally.not_counted(true).is_empty());
    }

    #[test]
    fn multiplexed_counts_are_scaled_and_marked() {
        let mut tally = Tally::default();
        tally.add(&delta("cycles", 250, 1000, 250), Ops(10));
        tally.add(&delta("cycles", 250, 1000, 750), Ops(10));
        let counted = tally.per_op("cycles").unwrap();
        assert_eq!(counted, EventCost { per_op: 50.0, running_share: 0.5, estimated: true });
        let summary = &tally.summaries()[0];
        assert_eq!((summary.count, summary.ops, summary.estimated), (500, 20, true));
    }

    #[test]
    fn a_hiccup_is_scaled_and_not_marked() {
        let mut tally = Tally::default();
        tally.add(&delta("cycles", 990, 1000, 990), Ops(1));
        let counted = tally.per_op("cycles").unwrap();
        assert!(!counted.estimated && (counted.per_op - 1000.0).abs() < 1e-9, "{counted:?}");
    }

    #[test]
    fn an_event_that_never_ran_is_not_a_zero() {
        let mut tally = Tally::default();
        tally.add(&delta("cycles", 0, 1000, 0), Ops(10));
        tally.add(&delta("cs", 0, 0, 0), Ops(10));
        assert_eq!((tally.per_op("cycles"), tally.summaries()), (None, vec![]));
        let reasons: Vec<String> = tally.not_counted(true).into_iter().map(|refusal| refusal.why).collect();
        assert!(reasons[0].contains("no counted task") && reasons[1].contains("never got"), "{reasons:?}");
    }

    #[test]
    fn an_event_that_ran_and_had_to_advance_is_not_a_zero() {
        let mut tally = Tally::default();
        tally.add(&delta("cycles:k", 0, 1000, 1000), Ops(10));
        tally.add(&delta("cycles:u", 70, 1000, 1000), Ops(10));
        tally.add(&delta("cycles:u", 0, 1000, 1000), Ops(10));
        assert_eq!((tally.per_op("cycles:k"), tally.per_op("cycles:u"), tally.summaries()), (None, None, vec![]));
        let refusals = tally.not_counted(false);
        assert!(refusals[0].what == "cycles:k" && refusals[0].why.contains("0 in 1 of 1 samples"), "{refusals:?}");
        assert!(refusals[1].what == "cycles:u" && refusals[1].why.contains("0 in 1 of 2 samples"), "{refusals:?}");
    }

    #[test]
    fn an_event_that_need_not_happen_is_a_zero() {
        let rare = CounterReading { always_advances: false, ..delta("cpu-migrations", 0, 9, 9).readings()[0].clone() };
        let mut tally = Tally::default();
        tally.add(&Delta::of(vec![rare]), Ops(10));
        assert_eq!(tally.per_op("cpu-migrations").map(|counted| counted.per_op), Some(0.0));
        assert!(tally.not_counted(false).is_empty());
    }

    #[test]
    fn an_event_whose_turn_never_came_is_listed() {
        let mut tally = Tally::default();
        tally.add(&delta("cycles", 5, 9, 9), Ops(1));
        let missed = tally.not_sampled(["cycles", "branches"]);
        assert!(matches!(&missed[..], [missed] if missed.what == "branches" && missed.why.contains("too few")));
    }

    #[test]
    fn the_watchdog_is_blamed_for_a_missing_counter_only_where_it_holds_one() {
        let mut tally = Tally::default();
        tally.add(&delta("cycles", 0, 1000, 0), Ops(10));
        let remedy = |watchdog| tally.not_counted(watchdog)[0].remedy.clone();
        assert!(remedy(true).contains("nmi_watchdog") && !remedy(false).contains("watchdog"));
    }

    #[test]
    fn nothing_is_per_operation_without_operations() {
        let mut tally = Tally::default();
        tally.add(&delta("cycles", 5, 10, 10), Ops(0));
        assert_eq!((tally.per_op("cycles"), tally.not_counted(true)), (None, vec![]));
    }

    #[test]
    fn units_are_applied_and_named_and_survive_json() {
        let scale = Some(EventScale { factor: 0.5, unit: "Joules".into() });
        let reading = CounterReading {
            event: "e".into(),
            count: 40,
            enabled_ns: 9,
            running_ns: 9,
            scale,
            always_advances: false,
        };
        let mut tally = Tally::default();
        tally.add(&Delta::of(vec![reading]), Ops(10));
        let summaries = tally.summaries();
        assert_eq!((summaries[0].per_op, summaries[0].unit.as_deref()), (2.0, Some("Joules")));
        let json = serde_json::to_string(&summaries).unwrap();
        assert_eq!(serde_json::from_str::<Vec<CounterSummary>>(&json).unwrap(), summaries);
    }
}
