//! The hosts of many runs, a line each: what each is, and in what it differs from the first.

use maud::{Markup, html};

use super::run_view::RunView;
use super::{host, text};
use crate::compare::{Difference, differences};

/// The columns.
pub(super) const COLUMNS: [&str; 6] = ["run", "host", "CPUs", "kernel", "measured", "differs from the first in"];

/// Groups of facts that are named before the rest is counted.
const MOST_GROUPS: usize = 4;

/// A row for each run.
pub(super) fn rows(views: &[RunView]) -> Vec<[String; 6]> {
    views.iter().map(|view| row(view, views.first())).collect()
}

/// The table for a page.
pub(super) fn markup(views: &[RunView]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="The hosts" {
            table.hosts {
                thead { tr { @for column in COLUMNS { th { (column) } } } }
                tbody {
                    @for row in rows(views) {
                        tr { th scope="row" { (row[0]) } @for cell in &row[1..] { td { (cell) } } }
                    }
                }
            }
        }
    }
}

fn row(view: &RunView, first: Option<&RunView>) -> [String; 6] {
    let rounds = text::count(view.rounds(), "round");
    let measured = format!("{} in {rounds}", text::count(view.in_placements().count(), "benchmark"));
    let Some(line) = view.run.hosts.first() else {
        let unknown = || "–".to_string();
        return [view.name.clone(), "not described".into(), unknown(), unknown(), measured, unknown()];
    };
    let topology = &line.host.topology;
    let (cpus, cores) = (topology.cpus.len(), topology.cores());
    let cpus = if cpus == cores { cpus.to_string() } else { format!("{cpus} on {}", text::count(cores, "core")) };
    let kernel = line.host.kernel.release.clone().unwrap_or_else(|| "not known".into());
    let differs = match first.and_then(|first| first.run.hosts.first()) {
        Some(before) if !std::ptr::eq(before, line) => differing(&differences(&[before, line])),
        _ => String::new(),
    };
    [view.name.clone(), host::kind(&line.host), cpus, kernel, measured, differs]
}

/// The groups of facts in one line, with how many facts of each differ.
fn differing(differences: &[Difference]) -> String {
    let mut groups: Vec<(&str, usize)> = Vec::new();
    for difference in differences {
        match groups.iter_mut().find(|(group, _)| *group == difference.group) {
            Some((_, count)) => *count += 1,
            None => groups.push((difference.group, 1)),
        }
    }
    if groups.is_empty() {
        return "nothing that the records tell".into();
    }
    let more = groups.len().saturating_sub(MOST_GROUPS);
    let named = groups.iter().take(MOST_GROUPS);
    let mut named: Vec<String> =
        named.map(|(group, count)| if *count > 1 { format!("{group} ({count})") } else { (*group).into() }).collect();
    if more > 0 {
        named.push(format!("{more} more"));
    }
    named.join(", ")
}
