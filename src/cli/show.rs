//! `switchcost show`: the tables of a run, from its record.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use crate::mechanism::GROUPS;
use crate::record::{BenchmarkLine, read};
use crate::report::{counter_tables, group_table, notes};

/// Print the tables of a run again, from its record
#[derive(Debug, Args)]
pub(super) struct Show {
    /// The run's folder, or its records.jsonl
    run: PathBuf,
}

impl Show {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let run = read(&self.run)?;
        let mut out = std::io::stdout().lock();
        for group in GROUPS {
            let of_group = |line: &&BenchmarkLine| line.mechanism.split('/').next() == Some(group.name);
            let lines: Vec<BenchmarkLine> = run.benchmarks.iter().filter(of_group).cloned().collect();
            if lines.is_empty() {
                continue;
            }
            writeln!(out, "{}: {}\n{}\n", group.name, group.question, group_table(&lines))?;
            writeln!(out, "{}\n", counter_tables(&lines))?;
            for note in notes(&lines) {
                writeln!(out, "{note}")?;
            }
            writeln!(out)?;
        }
        if run.torn {
            writeln!(out, "the last line of {} was cut short by a kill and is lost", run.path.display())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
