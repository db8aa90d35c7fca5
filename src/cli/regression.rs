//! What `--fail-on-regression` says, last and on standard error.

use crate::compare::{Comparison, Gate, GateRow};

/// What the gate found, what it could have found, and what would settle the rest.
pub(super) fn told(gate: &Gate, comparison: &Comparison) -> String {
    let share = percent(gate.share);
    let (mut text, (grown, growth)) = (String::new(), comparison.by.growth());
    match gate.regressed.len() {
        0 => text.push_str(&format!("gate: none of {} benchmarks is {grown} by more than {share}\n", gate.judged)),
        some => text.push_str(&format!("gate: REGRESSED by more than {share}: {some} of {}\n", gate.judged)),
    }
    text.push_str(&rows(&gate.regressed, comparison));
    if !gate.suspects.is_empty() {
        text.push_str(&format!("gate: suspects, {grown} by more than {share} and not beyond doubt: "));
        text.push_str(&format!("{}\n{}", gate.suspects.len(), rows(&gate.suspects, comparison)));
    }
    if let Some(detectable) = gate.detectable {
        let found = if detectable > 10.0 { "10 times".into() } else { percent(detectable) };
        text.push_str(&format!(
            "gate: in half of the benchmarks it finds {growth} of {found} in 4 of 5 cases; \
             without any, it fails in at most 1 of 20\n"
        ));
    }
    if gate.inconclusive > 0 {
        let all = gate.judged + gate.inconclusive;
        text.push_str(&format!("gate: {} of {all} could not be judged; the letters say why\n", gate.inconclusive));
    }
    text
}

/// Suspects that are named where the rest is counted only.
const NAMED: usize = 20;

fn rows(rows: &[GateRow], comparison: &Comparison) -> String {
    let row = |row: &GateRow| {
        let mut id = row.id.clone();
        if row.other_id != row.id {
            id = format!("{id} → {}", row.other_id);
        }
        if comparison.runs.len() > 2 {
            id = format!("{id} in {}", comparison.runs.get(row.run).map_or("", String::as_str));
        }
        let marks = if row.marks.is_empty() { String::new() } else { format!(" {}", row.marks) };
        let ratio = &row.ratio;
        format!("    {id}: {:.3} ({:.3} – {:.3}){marks}\n", ratio.estimate, ratio.low, ratio.high)
    };
    let named: String = rows.iter().take(NAMED).map(row).collect();
    if rows.len() > NAMED { format!("{named}    and {} more\n", rows.len() - NAMED) } else { named }
}

fn percent(share: f64) -> String {
    let percent = share * 100.0;
    if percent >= 10.0 { format!("{percent:.0} %") } else { format!("{} %", (percent * 10.0).round() / 10.0) }
}
