//! What people read, from records and statistics alone: pure functions, no system calls.
//!
//! For the terminal there are [`group_table`] and [`notes`]. For everything else there is [`files`]: a page, pictures, a
//! Markdown version and the data, from any number of runs. [`figure`] draws; it knows labels and numbers only.

pub mod figure;

mod counters;
mod csv;
mod events_table;
mod findings_table;
mod found;
mod machine;
mod markdown;
mod missing;
mod outline;
mod page;
mod pairs_table;
mod parts;
mod rounds_table;
mod study;
mod subject;
mod summary;
mod table;
mod text;

pub use events_table::counter_tables;
pub use findings_table::findings_tables;
pub use found::found;
pub use pairs_table::pairs_tables;
pub use rounds_table::rounds_table;
pub use study::Catalogue;
pub use summary::{Summary, summarize};
pub use table::{NOT_COUNTED, group_table, notes};
pub use text::natural;

use crate::record::{BenchmarkLine, Run};
use figure::Figure;
use outline::Outline;
use study::{Study, groups};
use subject::{Subject, pairs, scaling};

/// The tables of where the time of handoffs between CPUs goes, from all lines of a run; empty where it lacks a part.
pub fn parts_tables(lines: &[BenchmarkLine]) -> String {
    let run = Run { benchmarks: lines.to_vec(), ..Run::default() };
    let study = study::Study::new(String::new(), &run);
    parts::tables(&parts::parts(&study.benches.iter().collect::<Vec<_>>()))
}

/// One file of a report's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path in the folder: `figures/cost-brigade.svg`.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// The page of a report.
pub const PAGE: &str = "index.html";

/// The table of a report's figures that a README shows.
pub const NUMBERS: &str = "numbers.md";

/// The pictures of how costs and memory grow with an amount, and their data, without a page around them.
pub fn scaling_files(run: &Run) -> Vec<File> {
    figure_files(run, |study, group| scaling(Subject { group, benches: &study.of_group(group), run: None }))
}

/// The maps of what a handoff costs between each two CPUs, and their data, without a page around them.
pub fn pairs_files(run: &Run) -> Vec<File> {
    figure_files(run, |study, group| pairs(Subject { group, benches: &study.pairs_of(group), run: None }))
}

fn figure_files(run: &Run, figures: impl Fn(&Study, &str) -> Vec<Figure>) -> Vec<File> {
    let studies = [Study::new(String::new(), run)];
    let groups = groups(&studies, &Catalogue::default());
    let figures = groups.iter().flat_map(|group| figures(&studies[0], group));
    let files = figures.flat_map(|figure| {
        let drawn = File { path: format!("{}.svg", figure.id), text: figure.file() };
        [drawn, File { path: format!("{}.csv", figure.id), text: figure.csv }]
    });
    files.collect()
}

/// The report of `runs`, as the files of its folder: the page, its Markdown version, the README's table, every figure,
/// and the data of every figure and table. Runs with failed, unsupported or missing benchmarks have less in it and
/// say so.
pub fn files(runs: &[Run], catalogue: &Catalogue) -> Vec<File> {
    let outline = Outline::new(runs, catalogue);
    let file = |path: String, text: String| File { path, text };
    let mut files = vec![
        file(PAGE.into(), page::page(&outline)),
        file("report.md".into(), markdown::markdown(&outline)),
        file(NUMBERS.into(), markdown::numbers(&outline)),
    ];
    for figure in outline.figures() {
        files.push(file(format!("figures/{}.svg", figure.id), figure.file()));
        files.push(file(format!("data/{}.csv", figure.id), figure.csv.clone()));
    }
    for section in &outline.sections {
        for study in &outline.studies {
            let benches = study.of_group(&section.group);
            if !benches.is_empty() {
                let name = study.anchor(&format!("counts-{}", text::slug(&section.group)));
                files.push(file(format!("data/{name}.csv"), counters::csv(&benches)));
            }
        }
    }
    files
}
