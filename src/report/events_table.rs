//! The second table after a group: what was counted per operation, event by event.

use crate::record::{BenchmarkLine, Outcome};
use crate::report::table::plain_table;
use crate::terms::CounterSummary;
use crate::units::decimals;

/// Columns that fit beside the ids at 120 columns.
const EVENTS_PER_TABLE: usize = 6;

/// The counted events of the benchmarks, as many tables as their number needs; empty when nothing was counted but what
/// the first table shows already. What was multiplexed is marked with a tilde: an estimate.
pub fn counter_tables(lines: &[BenchmarkLine]) -> String {
    let counted: Vec<(&str, &[CounterSummary])> = lines
        .iter()
        .enumerate()
        // Counts hardly vary between rounds: the first that was measured stands for all.
        .filter(|(index, line)| !lines[..*index].iter().any(|earlier| earlier.id == line.id && is_measured(earlier)))
        .map(|(_, line)| line)
        .filter_map(|line| match &line.outcome {
            Outcome::Measured(measured) => Some((line.id.as_str(), measured.counted.counters.as_slice())),
            _ => None,
        })
        .collect();
    let mut events: Vec<&str> = Vec::new();
    for counter in counted.iter().flat_map(|(_, counters)| *counters) {
        if !events.contains(&counter.event.as_str()) {
            events.push(&counter.event);
        }
    }
    events.chunks(EVENTS_PER_TABLE).map(|events| table(&counted, events)).collect::<Vec<_>>().join("\n")
}

fn is_measured(line: &BenchmarkLine) -> bool {
    matches!(line.outcome, Outcome::Measured(_))
}

fn table(counted: &[(&str, &[CounterSummary])], events: &[&str]) -> String {
    let header = std::iter::once("per op").chain(events.iter().copied()).map(String::from).collect();
    let rows = counted.iter().map(|(id, counters)| {
        let cell = |event: &&str| counters.iter().find(|counter| counter.event == **event).map_or("–".into(), figure);
        std::iter::once((*id).to_string()).chain(events.iter().map(cell)).collect()
    });
    plain_table(header, rows.collect(), 1)
}

/// Three decimals: counts that repeat do so to the last digit.
fn figure(counter: &CounterSummary) -> String {
    let mark = if counter.estimated { "~" } else { "" };
    let unit = counter.unit.as_deref().map_or(String::new(), |unit| format!(" {unit}"));
    format!("{mark}{}{unit}", decimals(counter.per_op, 3))
}
