//! The second table of a run with several rounds: how the rounds' processes scatter, and what disturbed them.

use comfy_table::{CellAlignment, ContentArrangement, LineStyle, Table, TableStyle};

use super::table::{chosen, figure, summaries};
use super::{Summary, text};
use crate::record::BenchmarkLine;

const WIDTH: u16 = 120;

/// One row for each benchmark that was measured in several rounds; empty when there is none.
pub fn rounds_table(lines: &[BenchmarkLine]) -> String {
    let summaries: Vec<Summary> = summaries(lines).into_iter().filter(|summary| summary.rounds > 1).collect();
    if summaries.is_empty() {
        return String::new();
    }
    let mut table = Table::new();
    let rule = LineStyle::none().fill('─').junction('─');
    table.load_style(TableStyle::new().header_separator(rule)).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_width(WIDTH);
    table.set_header([
        "mechanism",
        "placement",
        "rounds",
        "low",
        "high",
        "between",
        "within",
        "disturbed",
        "slowed",
        "modes",
    ]);
    for summary in &summaries {
        table.add_row(row(summary));
    }
    for column in 2..9 {
        if let Some(column) = table.column_mut(column) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 1));
    }
    table.to_string()
}

fn row(summary: &Summary) -> [String; 10] {
    let line = &summary.line;
    let name = line.mechanism.split_once('/').map_or(line.mechanism.as_str(), |(_, name)| name);
    let spread = |share: Option<f64>| share.map_or("–".into(), |share| format!("{:.1} %", share * 100.0));
    let estimate = &summary.per_op;
    let known = estimate.interval.relative_half_width().is_some_and(|half| half <= text::HARDLY_KNOWN);
    let end = |bound| if known { figure(bound) } else { "–".into() };
    [
        chosen(line).map_or(name.into(), |chosen| format!("{name} {chosen}")),
        line.setting.placement.name().into(),
        summary.rounds_counting(),
        end(estimate.interval.low),
        end(estimate.interval.high),
        spread(estimate.between_round_cv),
        spread(estimate.within_round_cv),
        summary.disturbed_rounds.to_string(),
        slowed(summary.discarded),
        modes(summary),
    ]
}

fn slowed(share: f64) -> String {
    if share > 0.0 { format!("{:.0} %", share * 100.0) } else { "–".into() }
}

/// The times around which rounds gather, when they are several; otherwise whether samples do.
fn modes(summary: &Summary) -> String {
    let modes = &summary.modes;
    if modes.count > 1 {
        let each = modes.centres.iter().zip(&modes.shares);
        let each = each.map(|(centre, share)| format!("{} in {:.0} %", figure(*centre), share * 100.0));
        return format!("{}: {}", modes.count, each.collect::<Vec<_>>().join(", "));
    }
    match summary.rounds_of_several_modes {
        0 => "1".into(),
        several => format!("1; several within {several} of {} rounds", summary.per_op.rounds),
    }
}
