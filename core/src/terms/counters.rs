//! What the counters of a benchmark tell.

use serde::{Deserialize, Serialize};

/// One event's part of a record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CounterSummary {
    /// The event, as records spell it.
    pub event: String,
    /// Counts per operation, in `unit` where the event has one; not negative. Where the event ran part of the time,
    /// scaled up to the whole of it.
    pub per_op: f64,
    /// The raw sum, neither scaled nor in the event's unit.
    pub count: u64,
    /// Operations done while the event was enabled.
    pub ops: u64,
    /// Time enabled, summed over the counted tasks while they ran, in nanoseconds.
    pub enabled_ns: u64,
    /// Time the event had a counter, in nanoseconds; at most `enabled_ns`.
    pub running_ns: u64,
    /// Whether the event ran so little (under 99 % of the time enabled) that `per_op` assumes the rest was like what
    /// was seen.
    pub estimated: bool,
    /// The unit of `per_op`; `None` for a plain number of events.
    pub unit: Option<String>,
}
