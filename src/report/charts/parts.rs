//! Where the time of a handoff between two CPUs goes, added up from parts that were measured separately.

use crate::report::csv::{Csv, number};
use crate::report::figure::{Bar, Bars, Figure, Segment};
use crate::report::parts::{HandoffParts, parts};
use crate::report::run_view::{BenchmarkView, RunView};
use crate::report::text;

/// The colour of the remainder, after those of the parts.
const REMAINDER: usize = 7;

/// The figure; `None` where no handoff has all its parts.
pub(in crate::report) fn added_up(view: &RunView, title: &str, id: String) -> Option<Figure> {
    let benchmarks: Vec<&BenchmarkView> = view.in_placements().collect();
    let all = parts(&benchmarks);
    let subtitle = subtitle(all.first()?);
    Some(Figure {
        id,
        title: title.into(),
        subtitle,
        key: Some(
            "Each part was measured by itself: the call that finds no task to wake, the handoff to a CPU that polls, \
             an interrupt to a busy CPU and back, a call to a sleeping CPU less one to a busy CPU, and programming the \
             CPU's timer. The remainder is the whole less these parts."
                .into(),
        ),
        picture: Box::new(Bars { axis: "time per handoff".into(), rows: all.iter().map(bar).collect() }),
        csv: csv(&all),
    })
}

fn bar(parts: &HandoffParts) -> Bar {
    let known = parts.parts.iter().enumerate().map(|(index, part)| Segment {
        name: part.name.into(),
        series: index,
        nanos: part.nanos,
        told_from_zero: part.nanos.abs() > part.half_width,
    });
    let (nanos, half_width) =
        (parts.remainder(), parts.parts.iter().map(|part| part.half_width).fold(parts.half_width, f64::hypot));
    let remainder =
        Segment { name: "remainder".into(), series: REMAINDER, nanos, told_from_zero: nanos.abs() > half_width };
    let (label, detail) = parts.name.split_once(' ').unwrap_or((&parts.name, ""));
    Bar { label: label.into(), detail: detail.into(), parts: known.chain([remainder]).collect() }
}

fn subtitle(parts: &HandoffParts) -> String {
    let of_whole = |nanos: f64| format!("{} ({})", text::nanos(nanos), text::percent(nanos / parts.whole));
    let named: Vec<String> = parts.parts.iter().map(|part| format!("{} {}", part.name, of_whole(part.nanos))).collect();
    format!(
        "Of the {} of {}, {}; {} is left over.",
        text::nanos(parts.whole),
        parts.name,
        text::list(&named),
        of_whole(parts.remainder())
    )
}

fn csv(all: &[HandoffParts]) -> String {
    let mut csv = Csv::new(&["id", "part", "ns", "half_width_95", "from"]);
    for parts in all {
        for part in &parts.parts {
            csv.row([
                parts.id.clone(),
                part.name.into(),
                number(part.nanos),
                number(part.half_width),
                part.from.clone(),
            ]);
        }
        csv.row([parts.id.clone(), "remainder".into(), number(parts.remainder()), String::new(), String::new()]);
        csv.row([parts.id.clone(), "whole".into(), number(parts.whole), number(parts.half_width), parts.id.clone()]);
    }
    csv.into_text()
}
