//! What a handoff between two CPUs is made of, added up from parts that were measured separately.

use super::{CostPartKind, basis, left_out};
use crate::report::csv::{Csv, number};
use crate::report::figure::{Bar, Bars, Figure, Segment};
use crate::report::parts::{HandoffParts, parts};
use crate::report::run_view::{BenchmarkView, RunView};
use crate::report::text;

/// The figure; `None` where no handoff has all its parts.
pub(in crate::report) fn added_up(view: &RunView, title: &str, id: String) -> Option<Figure> {
    let benchmarks: Vec<&BenchmarkView> = view.in_placements().collect();
    let (all, invalid): (Vec<HandoffParts>, Vec<HandoffParts>) =
        parts(&benchmarks).into_iter().partition(HandoffParts::is_comparable);
    let subtitle = subtitle(all.first()?);
    Some(Figure {
        id,
        title: title.into(),
        subtitle,
        key: Some(format!(
            "Each part was measured by itself: the call that finds no task to wake, the handoff to a CPU that polls, \
             an interrupt to a busy CPU and back, a call to a sleeping CPU less one to a busy CPU, and programming the \
             CPU's timer. The remainder is the whole less these parts. Pale parts are not told from 0. The line below \
             a bar is the 95 % interval of the whole.{}",
            left_out("handoff", invalid.len())
        )),
        basis: basis(all.iter().flat_map(|parts| parts.benchmarks())),
        picture: Box::new(Bars {
            axis: "time per handoff".into(),
            several_scales: false,
            rows: all.iter().map(bar).collect(),
        }),
        csv: csv(&all),
    })
}

fn bar(parts: &HandoffParts) -> Bar {
    let segment = |kind: CostPartKind, nanos: f64, half_width: f64| Segment {
        name: kind.name().into(),
        series: kind.series(),
        nanos,
        told_from_zero: nanos.abs() > half_width,
    };
    let known = parts.parts.iter().map(|part| segment(part.kind, part.nanos, part.half_width));
    let remainder = segment(CostPartKind::Remainder, parts.remainder(), parts.remainder_half_width());
    Bar {
        label: parts.whole.name().into(),
        detail: parts.whole.detail(),
        mark: String::new(),
        parts: known.chain([remainder]).collect(),
        interval: Some(parts.whole.summary.per_op.interval),
    }
}

fn subtitle(parts: &HandoffParts) -> String {
    let whole = parts.whole.per_op();
    let of_whole = |nanos: f64| format!("{} ({})", text::nanos(nanos), text::percent(nanos / whole));
    let named: Vec<String> =
        parts.parts.iter().map(|part| format!("{} {}", part.kind.name(), of_whole(part.nanos))).collect();
    format!(
        "Of the {} of {} {}: {}; {} is left over{}.",
        text::nanos(whole),
        parts.whole.name(),
        parts.whole.detail(),
        text::list(&named),
        of_whole(parts.remainder()),
        if parts.remainder().abs() > parts.remainder_half_width() { "" } else { ", which is not told from 0" }
    )
}

fn csv(all: &[HandoffParts]) -> String {
    let mut csv = Csv::new(&["id", "part", "ns", "half_width_95", "from"]);
    for parts in all {
        let id = &parts.whole.line().id;
        let mut row = |name: &str, nanos: f64, half_width: f64, from: &str| {
            csv.row([id.clone(), name.into(), number(nanos), number(half_width), from.into()]);
        };
        for part in &parts.parts {
            row(part.kind.name(), part.nanos, part.half_width, &part.from);
        }
        row(CostPartKind::Remainder.name(), parts.remainder(), parts.remainder_half_width(), "");
        row("whole", parts.whole.per_op(), parts.whole.half_width(), id);
    }
    csv.into_text()
}
