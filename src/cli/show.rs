//! `switchcost show`: the tables of a run, from its record.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::load_record;
use super::paired_record::PairedRecord;
use super::reading;
use crate::compare::{Matching, compare, table};
use crate::mechanism::{GROUPS, registry};
use crate::record::{BenchmarkLine, Run, read};
use crate::report::{
    NOT_COUNTED, answers, answers_text, compact_notes, compact_table, counter_tables, group_table, metrics_tables,
    natural, notes, pairs_tables, parts_tables, rounds_table,
};

/// Print the tables of an earlier run, and what they say
#[derive(Debug, Args)]
pub(super) struct ShowArgs {
    /// The run's folder, its records.jsonl, or a bundle
    run: PathBuf,
    /// Print counters, percentiles, rounds and findings too
    #[arg(long)]
    details: bool,
}

impl ShowArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        self.print(&mut std::io::stdout().lock())?;
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn print(&self, out: &mut impl Write) -> anyhow::Result<()> {
        let print: fn(&Run, &mut _) -> _ = if self.details { print_details } else { print };
        let Some(mut record) = PairedRecord::read(&self.run)? else {
            let mut run = (self.run.display().to_string(), read(&self.run)?);
            reading::check(std::slice::from_mut(&mut run))?;
            return Ok(print(&run.1, out)?);
        };
        reading::check(&mut record.runs)?;
        for ((name, run), settings) in record.runs.iter().zip(&record.settings) {
            writeln!(out, "{name} ({settings})\n")?;
            print(run, out)?;
        }
        let mut comparison = compare(&record.runs, &Matching::Pairs(record.pairs), 0.01);
        comparison.settings = record.settings;
        Ok(write!(out, "{}", table(&comparison))?)
    }
}

/// Columns of a terminal that tables and sentences are made for.
const WIDTH: usize = 120;

fn position(line: &BenchmarkLine) -> usize {
    let all = registry();
    all.iter().position(|mechanism| mechanism.descriptor().id == line.mechanism).unwrap_or(all.len())
}

/// The groups of the catalogue, and that of `switchcost load`: each name with its question.
pub(super) fn groups() -> impl Iterator<Item = (&'static str, &'static str)> {
    GROUPS.iter().map(|group| (group.name, group.question)).chain([(load_record::GROUP, load_record::QUESTION)])
}

/// The lines of the group called `group`.
fn of_group(run: &Run, group: &str) -> Vec<BenchmarkLine> {
    let wanted = |line: &&BenchmarkLine| line.mechanism.split('/').next() == Some(group);
    sorted(run.benchmarks.iter().filter(wanted).cloned().collect())
}

/// Lines as a reader wants them: by mechanism, placement and what was chosen. Rounds were measured in random order.
pub(super) fn sorted(mut lines: Vec<BenchmarkLine>) -> Vec<BenchmarkLine> {
    let order = |line: &BenchmarkLine| (position(line), line.setting.placement);
    lines.sort_by(|a, b| {
        let (placed, numbered) = (order(a).cmp(&order(b)), || natural(&a.id).cmp(&natural(&b.id)));
        placed.then_with(numbered).then(a.round.cmp(&b.round))
    });
    lines
}

/// Prints a table for each group of `run`, what a reader of them must know, and what the machine says.
pub(super) fn print(run: &Run, out: &mut impl Write) -> std::io::Result<()> {
    for (group, _) in groups() {
        let mut lines = of_group(run, group);
        let maps = pairs_tables(&lines);
        lines.retain(|line| line.pair().is_none());
        for table in [compact_table(&lines), maps].iter().filter(|table| !table.is_empty()) {
            writeln!(out, "{table}\n")?;
        }
    }
    for note in compact_notes(&run.benchmarks) {
        writeln!(out, "{note}")?;
    }
    print_answers(run, out)?;
    print_torn(run, out)
}

/// Prints what the machine says by `run`; nothing where it answers no question.
pub(super) fn print_answers(run: &Run, out: &mut impl Write) -> std::io::Result<()> {
    let answers = answers_text(&answers(run), WIDTH);
    if answers.is_empty() { Ok(()) } else { writeln!(out, "What this machine says\n{answers}\n") }
}

fn print_torn(run: &Run, out: &mut impl Write) -> std::io::Result<()> {
    if run.torn {
        writeln!(out, "the last line of {} was cut short by a kill and is lost", run.path.display())?;
    }
    Ok(())
}

/// As [`print`], with every table that there is.
pub(super) fn print_details(run: &Run, out: &mut impl Write) -> std::io::Result<()> {
    for (group, question) in groups() {
        let mut lines = of_group(run, group);
        if lines.is_empty() {
            continue;
        }
        let maps = pairs_tables(&lines);
        lines.retain(|line| line.pair().is_none());
        writeln!(out, "{group}: {question}\n{}", group_table(&lines))?;
        let further = [counter_tables(&lines), metrics_tables(&lines), rounds_table(&lines), maps];
        for table in further.iter().filter(|table| !table.is_empty()) {
            writeln!(out, "\n{table}")?;
        }
        for note in notes(&lines).iter().filter(|note| !note.starts_with(NOT_COUNTED)) {
            writeln!(out, "{note}")?;
        }
        writeln!(out)?;
    }
    // Mostly the machine's doing, and then the same in every group.
    let missing = notes(&run.benchmarks);
    for note in missing.iter().filter(|note| note.starts_with(NOT_COUNTED)) {
        writeln!(out, "{note}")?;
    }
    let parts = parts_tables(&run.benchmarks);
    if !parts.is_empty() {
        writeln!(out, "{parts}\n")?;
    }
    print_answers(run, out)?;
    print_torn(run, out)
}
