//! `switchcost splice`: keeps a page's tables and sentences in step with the newest report and the registry.
//! `scripts/splice` runs it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::Args;

use super::terminal::errln;
use super::{FAILED, show, splice_lessons};
use crate::harness::rounds::{BenchmarkSelection, DEFAULT, Profile};
use crate::mechanism::{GROUPS, registry};
use crate::record::{BenchmarkLine, Run, read};
use crate::report::{NUMBERS, answers, answers_text, compact_table, worked_example};

/// Put the newest report's figures, what its machine says and the table of mechanisms between a page's markers
#[derive(Debug, Args)]
pub(super) struct SpliceArgs {
    /// The page with markers: `<!-- switchcost:numbers -->` … `<!-- /switchcost:numbers -->`, `mechanisms`,
    /// `screen`, `answers` and `example`. The folder of the lessons is taken as a whole
    #[arg(default_value = "README.md")]
    page: PathBuf,
    /// The folder of dated reports
    #[arg(long, value_name = "FOLDER", default_value = "reports")]
    reports: PathBuf,
    /// Change nothing; fail when the page is out of step
    #[arg(long)]
    check: bool,
}

impl SpliceArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        if let Some(root) = splice_lessons::root_of(&self.page) {
            return splice_lessons::splice_lessons(&root, self.check);
        }
        let failed = |verb: &str| format!("{verb} {}", self.page.display());
        let old = fs::read_to_string(&self.page).with_context(|| failed("reading"))?;
        let mut new = old.clone();
        let mut spliced = false;
        for (name, text) in SECTIONS {
            if has(&old, name) {
                new = put(&new, name, &text(self)?).with_context(|| failed("splicing"))?;
                spliced = true;
            }
        }
        if !spliced {
            bail!(
                "{}: no marker in it: write {} and {} on lines of their own",
                self.page.display(),
                open("numbers"),
                close("numbers")
            );
        }
        if new == old {
            return Ok(ExitCode::SUCCESS);
        }
        if self.check {
            errln!(
                "{} is out of step with {} or the registry; run scripts/splice",
                self.page.display(),
                self.reports.display()
            );
            return Ok(ExitCode::from(FAILED));
        }
        fs::write(&self.page, new).with_context(|| failed("writing"))?;
        Ok(ExitCode::SUCCESS)
    }

    /// The table of the newest report.
    fn numbers(&self) -> anyhow::Result<String> {
        let newest = self.newest(NUMBERS)?;
        let table = fs::read_to_string(&newest).with_context(|| format!("reading {}", newest.display()))?;
        let folder = newest.parent().unwrap_or(Path::new(""));
        let table = table.lines().map(wrapped).collect::<Vec<_>>().join("\n");
        Ok(format!("{}\nThe whole report: [{}]({}/report.md).", table.trim_end(), folder.display(), self.from(folder)))
    }

    /// What `switchcost show` prints of the brigades that `cargo bench` measures, on two placements that every machine
    /// has.
    fn screen(&self) -> anyhow::Result<String> {
        let profile = Profile::named(DEFAULT, &[])?;
        let is_shown = |line: &&BenchmarkLine| {
            let of = |selection: &BenchmarkSelection| {
                let named = selection.filter.as_ref().is_some_and(|filter| filter.matches(&line.id));
                named && selection.choice.placements.contains(&line.setting.placement)
            };
            line.id.starts_with("brigade/") && line.id.matches('/').count() == 2 && profile.selections.iter().any(of)
        };
        let lines: Vec<BenchmarkLine> = self.record()?.benchmarks.iter().filter(is_shown).cloned().collect();
        Ok(format!("```text\n{}\n```", compact_table(&show::sorted(lines))))
    }

    /// What the machine of the newest report says.
    fn answers(&self) -> anyhow::Result<String> {
        Ok(answers_text(&answers(&self.record()?), COLUMNS))
    }

    /// A service on the machine of the newest report.
    fn example(&self) -> anyhow::Result<String> {
        let record = self.record()?;
        let example = worked_example(&record);
        Ok(wrapped(&example.with_context(|| format!("{}: no brigades of threads and tasks", record.path.display()))?))
    }

    fn record(&self) -> anyhow::Result<Run> {
        Ok(read(&self.newest(RECORD)?)?)
    }

    /// The file called `name` of the newest whole report: one with a table of numbers, which a folder that only adds a
    /// record to it has not. A folder's name begins with a date, so that names sort by age.
    fn newest(&self, name: &str) -> anyhow::Result<PathBuf> {
        let entries = fs::read_dir(&self.reports).with_context(|| format!("reading {}", self.reports.display()))?;
        let dated = |path: &PathBuf| path.file_name().is_some_and(|name| name.as_encoded_bytes()[0].is_ascii_digit());
        let folders = entries.filter_map(Result::ok).map(|entry| entry.path()).filter(dated);
        let newest = folders
            .filter(|folder| folder.join(NUMBERS).is_file())
            .map(|folder| folder.join(name))
            .filter(|file| file.is_file())
            .max();
        newest.with_context(|| format!("no report in {}: {}", self.reports.display(), HOW))
    }

    /// The path of `folder` as the page's links need it.
    fn from(&self, folder: &Path) -> String {
        let up = match self.page.is_relative() && folder.is_relative() {
            true => self.page.components().count().saturating_sub(1),
            false => 0,
        };
        format!("{}{}", "../".repeat(up), folder.display())
    }
}

/// What can stand between markers, by their names.
type SectionText = (&'static str, fn(&SpliceArgs) -> anyhow::Result<String>);

const SECTIONS: [SectionText; 5] = [
    ("numbers", SpliceArgs::numbers),
    ("mechanisms", |_| Ok(mechanisms())),
    ("screen", SpliceArgs::screen),
    ("answers", SpliceArgs::answers),
    ("example", SpliceArgs::example),
];

/// The record's file in a report's folder.
const RECORD: &str = "records.jsonl";

/// The width of a page's lines.
const COLUMNS: usize = 120;

/// A sentence on lines of at most 120 columns, as the README's other lines; a table's row is one line.
fn wrapped(line: &str) -> String {
    if line.starts_with('|') {
        return line.into();
    }
    let mut lines = vec![String::new()];
    for word in line.split(' ') {
        let last = lines.len() - 1;
        if lines[last].is_empty() {
            lines[last].push_str(word);
        } else if lines[last].chars().count() + 1 + word.chars().count() <= COLUMNS {
            lines[last].extend([" ", word]);
        } else {
            lines.push(word.into());
        }
    }
    lines.join("\n")
}

const HOW: &str = "`switchcost report RUN --out reports/<date>-<host>` makes one";

/// Every mechanism of the registry, by group.
fn mechanisms() -> String {
    let mut text = String::new();
    for group in GROUPS {
        let members: Vec<_> = registry().iter().map(|m| m.descriptor()).filter(|d| d.group() == group.name).collect();
        let mut units: Vec<&str> = members.iter().map(|descriptor| descriptor.unit.name()).collect();
        units.sort_unstable();
        units.dedup();
        text.push_str(&format!("\n**{}**: {} Per {}.\n\n", group.name, group.question, units.join(" or ")));
        text.push_str("| mechanism | what its figure isolates |\n| --- | --- |\n");
        for descriptor in members {
            let baseline = if descriptor.id == descriptor.baseline { " (the baseline)" } else { "" };
            let isolates = descriptor.isolates.replace('|', "\\|");
            text.push_str(&format!("| `{}`{baseline} | {isolates} |\n", descriptor.id));
        }
    }
    text.trim().into()
}

fn open(name: &str) -> String {
    format!("<!-- switchcost:{name} -->")
}

fn close(name: &str) -> String {
    format!("<!-- /switchcost:{name} -->")
}

fn has(page: &str, name: &str) -> bool {
    page.contains(&open(name)) || page.contains(&close(name))
}

/// `page` with `text` between the markers called `name`.
fn put(page: &str, name: &str, text: &str) -> anyhow::Result<String> {
    let (open, close) = (open(name), close(name));
    let once = |marker: &str| page.matches(marker).count() == 1;
    if !once(&open) || !once(&close) {
        bail!("{open} and {close} must each stand there once");
    }
    let (before, rest) = page.split_once(&open).with_context(|| format!("{open} is missing"))?;
    let (_, after) = rest.split_once(&close).with_context(|| format!("{close} must stand behind {open}"))?;
    Ok(format!("{before}{open}\n\n{text}\n\n{close}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_goes_between_its_markers_and_again_changes_nothing() {
        let page = "# x\n<!-- switchcost:numbers -->\nold\n<!-- /switchcost:numbers -->\nrest\n";
        let once = put(page, "numbers", "| a |").unwrap();
        assert_eq!(once, "# x\n<!-- switchcost:numbers -->\n\n| a |\n\n<!-- /switchcost:numbers -->\nrest\n");
        assert_eq!(put(&once, "numbers", "| a |").unwrap(), once);
    }

    /// Every cell in its column, from the newest of the dated folders that hold a table.
    #[test]
    fn the_figures_are_those_of_the_newest_report_cell_by_cell() {
        let reports = tempfile::tempdir().unwrap();
        let table = "| mechanism | unpinned | same-cpu |\n| --- | ---: | ---: |\n| `a` | 1 | 2 |\n| `b` | 3 | 4 |";
        for (folder, text) in [("2026-01-02-x", Some("| old |")), ("2026-03-01-x", Some(table)), ("2026-04-01-x", None)]
        {
            fs::create_dir(reports.path().join(folder)).unwrap();
            if let Some(text) = text {
                fs::write(reports.path().join(folder).join(NUMBERS), format!("{text}\n\n")).unwrap();
            }
        }
        fs::create_dir(reports.path().join("undated")).unwrap();
        fs::write(reports.path().join("undated").join(NUMBERS), "| undated |").unwrap();
        let splice = SpliceArgs { page: "README.md".into(), reports: reports.path().into(), check: false };
        let newest = reports.path().join("2026-03-01-x");
        let expected = format!("{table}\nThe whole report: [{0}]({0}/report.md).", newest.display());
        assert_eq!(splice.numbers().unwrap(), expected);
    }

    #[test]
    fn links_lead_from_the_page_to_the_report() {
        let splice = |page: &str| SpliceArgs { page: page.into(), reports: "reports".into(), check: false };
        assert_eq!(splice("README.md").from(Path::new("reports/a")), "reports/a");
        assert_eq!(splice("docs/numbers.md").from(Path::new("reports/a")), "../reports/a");
    }

    #[test]
    fn a_sentence_is_wrapped_and_a_row_is_not() {
        let words = ["word"; 30].join(" ");
        let (first, second) = (["word"; 24].join(" "), ["word"; 6].join(" "));
        assert_eq!(wrapped(&words), format!("{first}\n{second}"));
        let row = format!("| {words} |");
        assert_eq!((wrapped(&row), wrapped("")), (row, String::new()));
    }

    #[test]
    fn broken_markers_are_refused() {
        for page in ["<!-- switchcost:x -->", "<!-- /switchcost:x --> <!-- switchcost:x -->"] {
            assert!(put(page, "x", "").is_err(), "{page}");
        }
    }

    #[test]
    fn every_mechanism_is_in_its_table() {
        let table = mechanisms();
        assert!(registry().iter().all(|mechanism| table.contains(&format!("`{}`", mechanism.descriptor().id))));
    }
}
