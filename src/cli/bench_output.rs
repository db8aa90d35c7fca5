//! What `cargo bench` shows: progress, a table as soon as a group is done, and at the end what this machine says.

use std::io::{ErrorKind, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::FAILED;
use super::progress::Countdown;
use super::run::print_paths;
use super::show::print_answers;
use crate::harness::{BenchmarkObserver, Mode, PlannedBenchmark, Timing};
use crate::record::{BenchmarkLine, Line, Outcome, RecordWriter, read};
use crate::report::{NOT_COUNTED, compact_notes, compact_table, counter_tables, group_table, metrics_tables, notes};

/// Keeps what was measured: in the record at once, and for the tables.
#[derive(Debug)]
pub(super) struct BenchOutput {
    pub(super) writer: Option<RecordWriter>,
    /// How many benchmarks the usual profile leaves out.
    pub(super) left_out: usize,
    lines: Vec<BenchmarkLine>,
    /// From which of the lines on no table was printed.
    untold: usize,
    /// Where Criterion does not print: what is being measured.
    progress: Option<Countdown>,
    planned: usize,
    of_a_benchmark: Duration,
    trouble: Option<anyhow::Error>,
}

impl BenchmarkObserver for BenchOutput {
    fn begins(&mut self, benchmark: &PlannedBenchmark) {
        if self.lines.get(self.untold).is_some_and(|line| !in_group(line, benchmark.group())) {
            self.tell_group();
        }
        if let Some(progress) = &mut self.progress {
            progress.begins(&benchmark.id());
        }
    }

    fn finished(&mut self, line: BenchmarkLine) {
        if let Some(writer) = &mut self.writer
            && let Err(error) = writer.append(&Line::Benchmark(Box::new(line.clone())))
        {
            // The figures are still shown; the status tells that the record is not whole.
            self.trouble.get_or_insert(anyhow::Error::from(error).context("the record is not complete"));
        }
        self.lines.push(line);
    }
}

fn in_group(line: &BenchmarkLine, group: &str) -> bool {
    line.mechanism.split('/').next() == Some(group)
}

impl BenchOutput {
    /// For `planned`, each measured for about as long as `timing` says. Where it is not `compact`, Criterion prints,
    /// every table is at the end.
    pub(super) fn new(planned: &[PlannedBenchmark], timing: &Timing, compact: bool) -> Self {
        let ready = planned.iter().filter(|planned| matches!(planned, PlannedBenchmark::Ready(_))).count();
        let of_a_benchmark = timing.of_a_benchmark();
        Self {
            writer: None,
            left_out: 0,
            lines: Vec::new(),
            untold: 0,
            progress: compact.then(|| Countdown::new(ready, of_a_benchmark)),
            planned: planned.len(),
            of_a_benchmark,
            trouble: None,
        }
    }

    /// Prints the table of the group whose lines are the last ones.
    fn tell_group(&mut self) {
        let Some(progress) = &self.progress else { return };
        let table = compact_table(&self.lines[self.untold..]);
        self.untold = self.lines.len();
        if table.is_empty() {
            return;
        }
        let print = || {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{table}\n").and_then(|()| out.flush())
        };
        match progress.aside(print) {
            // The reader has seen enough: `cargo bench | head`.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => std::process::exit(0),
            Err(error) => {
                self.trouble.get_or_insert(error.into());
            }
            Ok(()) => {}
        }
    }

    /// Prints the rest, and returns the status to end with.
    pub(super) fn finish(mut self, mode: Mode) -> anyhow::Result<ExitCode> {
        if mode == Mode::DryRun {
            return Ok(ExitCode::SUCCESS);
        }
        self.tell_group();
        let compact = self.progress.take().is_some();
        let mut out = std::io::stdout().lock();
        if mode == Mode::Measure && !compact {
            let tables = [group_table(&self.lines), counter_tables(&self.lines), metrics_tables(&self.lines)];
            for table in tables.iter().filter(|table| !table.is_empty()) {
                writeln!(out, "\n{table}")?;
            }
        }
        let told = if compact { compact_notes(&self.lines) } else { notes(&self.lines) };
        for note in told.iter().filter(|note| mode == Mode::Measure || !note.starts_with(NOT_COUNTED)) {
            writeln!(out, "{note}")?;
        }
        if let Some(writer) = &self.writer {
            let run = read(writer.path())?;
            print_answers(&run, &mut out)?;
            self.print_left_out(&mut out)?;
            print_paths(&run, &mut out)?;
        }
        if let Some(trouble) = self.trouble {
            return Err(trouble);
        }
        let failed = self.lines.iter().any(|line| matches!(line.outcome, Outcome::Failed(_)));
        let differs = self.lines.iter().any(|line| match &line.outcome {
            Outcome::Measured(measured) => measured.audit.differences().next().is_some(),
            _ => false,
        });
        // A measurement with a wrong audit is kept, marked; a test of the benchmarks has found what it looks for.
        Ok(if failed || (differs && mode == Mode::Test) { ExitCode::from(FAILED) } else { ExitCode::SUCCESS })
    }

    /// What was not measured, and the commands that measure it.
    fn print_left_out(&self, out: &mut impl Write) -> std::io::Result<()> {
        if self.left_out == 0 {
            return Ok(());
        }
        let all = self.of_a_benchmark * u32::try_from(self.left_out + self.planned).unwrap_or(u32::MAX);
        writeln!(
            out,
            "Measured: {} benchmarks, once. {} more are left out; `cargo bench -- --all` measures them too (about {} \
             min),\n`cargo bench -- FILTER` those whose names match. ± is half of the 95 % interval, which holds for \
             this\nprocess alone: `switchcost run` measures in five fresh ones.\n",
            self.planned,
            self.left_out,
            all.as_secs().div_ceil(60)
        )
    }
}
