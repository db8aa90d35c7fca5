//! Tables, charts and pages from records and statistics alone: pure functions, no system calls.
//!
//! For the terminal there are [`compact_table`] and [`compact_notes`], and with every detail [`group_table`] and
//! [`notes`]. For everything else there is [`files`]: a page, pictures,
//! a Markdown version and the data, from any number of runs. [`figure`] draws; it knows labels and numbers only.

pub mod export;
pub mod figure;

mod advice;
mod answers;
mod charts;
mod compact;
mod counters;
mod csv;
mod events_table;
mod host;
mod hosts_table;
pub mod lessons;
#[cfg(test)]
mod made_up;
mod markdown;
mod metrics_table;
mod missing;
mod page;
mod pairs_table;
mod parts;
mod pooling;
mod rounds_table;
mod run_view;
mod sections;
mod summary;
mod table;
mod text;

pub use advice::{advice_files, advice_of, advice_text};
pub use answers::{Answer, Answers, Unsaid, answers, answers_text, worked_example};
pub use compact::{compact_notes, compact_table};
pub use events_table::counter_tables;
pub use metrics_table::metrics_tables;
pub use pairs_table::pairs_tables;
pub use pooling::pooled;
pub use rounds_table::rounds_table;
pub use run_view::Catalogue;
pub use summary::{Summary, summarize};
pub use table::{NOT_COUNTED, group_table, notes};
pub use text::natural;

use crate::record::{BenchmarkLine, Run};
use charts::{ChartInput, pairs, scaling};
use figure::Figure;
use run_view::{RunView, groups};
use sections::Report;

/// The tables of where the time of handoffs between CPUs goes, from all lines of a run; empty where it lacks a part.
pub fn parts_tables(lines: &[BenchmarkLine]) -> String {
    let run = Run { benchmarks: lines.to_vec(), ..Run::default() };
    let view = run_view::RunView::new(String::new(), &run);
    parts::tables(&parts::parts(&view.benchmarks.iter().collect::<Vec<_>>()))
}

/// One file of a report's folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReportFile {
    /// Its path in the folder: `figures/cost-brigade.svg`.
    pub path: String,
    /// All of it.
    pub text: String,
}

impl ReportFile {
    /// What a line that names the file calls it: `picture` or `data`.
    pub fn kind(&self) -> &'static str {
        if self.path.ends_with(".svg") { "picture" } else { "data" }
    }
}

/// The page of a report.
pub const PAGE: &str = "index.html";

/// The table of a report's figures that a README shows.
pub const NUMBERS: &str = "numbers.md";

/// The pictures of how costs and memory grow with an amount, and their data, without a page around them.
pub fn scaling_files(run: &Run) -> Vec<ReportFile> {
    figure_files(run, |view, group| scaling(ChartInput { group, benchmarks: &view.of_group(group), run: None }))
}

/// The maps of what a handoff costs between each two CPUs, and their data, without a page around them.
pub fn pairs_files(run: &Run) -> Vec<ReportFile> {
    figure_files(run, |view, group| pairs(ChartInput { group, benchmarks: &view.pairs_of(group), run: None }))
}

fn figure_files(run: &Run, figures: impl Fn(&RunView, &str) -> Vec<Figure>) -> Vec<ReportFile> {
    let views = [RunView::new(String::new(), run)];
    let groups = groups(&views, &Catalogue::default());
    let source = views[0].described();
    let figures = groups.iter().flat_map(|group| figures(&views[0], group));
    let files = figures.flat_map(|figure| {
        let drawn = ReportFile { path: format!("{}.svg", figure.id), text: figure.file(&source) };
        [drawn, ReportFile { path: format!("{}.csv", figure.id), text: figure.csv }]
    });
    files.collect()
}

/// The report of `runs`, as the files of its folder: the page, its Markdown version, the README's table, every figure,
/// and the data of every figure and table. Runs with failed, unsupported or missing benchmarks have less in it and
/// say so.
pub fn files(runs: &[Run], catalogue: &Catalogue) -> Vec<ReportFile> {
    let report = Report::new(runs, catalogue);
    let file = |path: String, text: String| ReportFile { path, text };
    let mut files = vec![
        file(PAGE.into(), page::page(&report)),
        file("report.md".into(), markdown::markdown(&report)),
        file(NUMBERS.into(), markdown::numbers(&report)),
    ];
    let source = report.source();
    for figure in report.figures() {
        files.push(file(format!("figures/{}.svg", figure.id), figure.file(&source)));
        files.push(file(format!("data/{}.csv", figure.id), figure.csv.clone()));
    }
    for section in &report.sections {
        for view in &report.views {
            let benchmarks = view.of_group(&section.group);
            if !benchmarks.is_empty() {
                let name = view.anchor(&format!("counts-{}", text::slug(&section.group)));
                files.push(file(format!("data/{name}.csv"), counters::csv(&benchmarks)));
            }
        }
    }
    files
}
