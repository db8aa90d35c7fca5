//! The page of an advice: the answer, where the CPU time goes, what a loop would make of it at other loads, and what
//! the program did while it was watched.

mod advice_figures;
mod advice_page;
mod advice_text;

pub use advice_text::advice_text;

use super::figure::Figure;
use super::{PAGE, ReportFile, host};
use crate::advise::{Advice, advise};
use crate::record::AdviceRecord;

/// The advice that a record comes to.
pub fn advice_of(record: &AdviceRecord) -> Advice {
    advise(&record.observation, &record.calibrations, &record.targets)
}

/// The report of an advice, as the files of its folder: the page, its text, the pictures and their data.
pub fn advice_files(record: &AdviceRecord) -> Vec<ReportFile> {
    let advice = advice_of(record);
    let figures: Vec<Figure> = advice_figures::figures(&advice, &record.observation);
    let file = |path: String, text: String| ReportFile { path, text };
    let source = format!("{}, {}", record.observation.command, host::when(record.host.started_ms));
    let mut files = vec![
        file(PAGE.into(), advice_page::page(record, &advice, &figures)),
        file("advice.txt".into(), advice_text(&advice)),
    ];
    for figure in figures {
        files.push(file(format!("figures/{}.svg", figure.id), figure.file(&source)));
        files.push(file(format!("data/{}.csv", figure.id), figure.csv));
    }
    files
}

#[cfg(test)]
mod tests;
