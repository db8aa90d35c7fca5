//! `switchcost export`: the records of runs as tables, for another program.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter, ErrorKind, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Context;
use clap::Args;

use super::options::UsageError;
use super::reading::recorded;
use crate::record::Run;
use crate::report::export::{Cell, ExportTable, RowSink, SqlScript, TABLES, csv_header, csv_line, rows};

/// The table that a single CSV file holds.
const ONE_TABLE: &str = "rounds";

/// The program that makes a database of a script.
const SQLITE: &str = "sqlite3";

/// Export the records of runs as tables: SQLite, CSV or SQL
#[derive(Debug, Args)]
#[command(
    after_help = "switchcost export --sqlite all.db A B      a database with tables of hosts, rounds, samples …\n\
                        switchcost export --csv tables A B         the same as CSV files in the folder `tables`\n\
                        switchcost export --csv rounds.csv A B     a line for each benchmark of each round\n\
                        switchcost export --sql - A | duckdb a.db  the statements, for another database\n\
                        The tables and columns: docs/method/export.md"
)]
pub(super) struct ExportArgs {
    /// The runs: folders, their records.jsonl, or bundles
    #[arg(required = true)]
    runs: Vec<PathBuf>,
    #[command(flatten)]
    to: TargetArgs,
}

/// Where the tables go.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct TargetArgs {
    /// A new SQLite database; the program `sqlite3` makes it
    #[arg(long, value_name = "FILE")]
    sqlite: Option<PathBuf>,
    /// A folder with a CSV file for each table; a name that ends in .csv is one file, of the table `rounds`
    #[arg(long, value_name = "DIR|FILE.csv")]
    csv: Option<PathBuf>,
    /// A new file with the statements that make the database; `-` is standard output
    #[arg(long, value_name = "FILE")]
    sql: Option<PathBuf>,
}

/// What is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target<'a> {
    /// A SQLite database.
    Sqlite(&'a Path),
    /// A CSV file for each table, in a folder.
    Tables(&'a Path),
    /// One CSV file of one table.
    OneTable(&'a Path),
    /// Statements of SQL, into a file or to standard output.
    Sql(Option<&'a Path>),
}

impl ExportArgs {
    pub(super) fn run(&self) -> anyhow::Result<ExitCode> {
        let runs = self.read()?;
        match self.target() {
            Target::Sqlite(file) => sqlite(file, &runs)?,
            Target::Tables(folder) => csv_files(folder, &runs)?,
            Target::OneTable(file) => one_csv(file, &runs)?,
            Target::Sql(None) => script(io::stdout().lock(), &runs).map(drop)?,
            Target::Sql(Some(file)) => {
                script(BufWriter::new(create(file)?), &runs).map(drop).with_context(|| file.display().to_string())?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    pub(super) fn target(&self) -> Target<'_> {
        match (self.to.sqlite.as_deref(), self.to.csv.as_deref(), self.to.sql.as_deref()) {
            (Some(file), ..) => Target::Sqlite(file),
            (None, Some(path), _) if path.extension().is_some_and(|extension| extension == "csv") => {
                Target::OneTable(path)
            }
            (None, Some(folder), _) => Target::Tables(folder),
            (None, None, file) => Target::Sql(file.filter(|file| file.as_os_str() != "-")),
        }
    }

    /// The runs with their names: their paths as given.
    pub(super) fn read(&self) -> anyhow::Result<Vec<(String, Run)>> {
        recorded(&self.runs)
    }
}

/// A file that was not there.
pub(super) fn create(path: &Path) -> anyhow::Result<File> {
    match OpenOptions::new().write(true).create_new(true).open(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Err(exists(path)),
        other => other.with_context(|| path.display().to_string()),
    }
}

pub(super) fn exists(path: &Path) -> anyhow::Error {
    UsageError::Unknown(format!("{}: it already exists; name another file, or remove it", path.display())).into()
}

fn script<W: Write>(out: W, runs: &[(String, Run)]) -> io::Result<W> {
    let mut script = SqlScript::begin(out)?;
    runs.iter().try_for_each(|(name, run)| rows(name, run, &mut script))?;
    script.end()
}

/// Makes the database beside `file` and gives it its name when it is whole.
fn sqlite(file: &Path, runs: &[(String, Run)]) -> anyhow::Result<()> {
    if file.symlink_metadata().is_ok() {
        return Err(exists(file));
    }
    let mut name = file.file_name().unwrap_or_default().to_os_string();
    name.push(format!(".{}.part", std::process::id()));
    let part = file.with_file_name(name);
    let made = by_sqlite3(&part, runs).and_then(|()| {
        // A link is made only where there is no file: `rename` would replace one that came meanwhile.
        std::fs::hard_link(&part, file).with_context(|| file.display().to_string())
    });
    let _ = std::fs::remove_file(&part);
    made
}

fn by_sqlite3(part: &Path, runs: &[(String, Run)]) -> anyhow::Result<()> {
    // Claims the name, and says by the file's own name what is wrong with the folder.
    create(part).with_context(|| "making the database")?;
    // `-init /dev/null`: a user's ~/.sqliterc may hold anything.
    let mut child = Command::new(SQLITE)
        .args(["-batch", "-bail", "-init", "/dev/null"])
        .arg(part)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| {
            UsageError::Unknown(format!(
                "--sqlite needs the program `{SQLITE}`, which cannot be started here ({error}); install it \
                 (`apt-get install sqlite3`), or write the statements by --sql FILE and load them where it is: \
                 `sqlite3 NEW.db < FILE`"
            ))
        })?;
    let stdin = child.stdin.take().context("the standard input of sqlite3")?;
    let written = script(BufWriter::new(stdin), runs).map(drop);
    let ended = child.wait_with_output().context(SQLITE)?;
    if !ended.status.success() {
        let told = String::from_utf8_lossy(&ended.stderr);
        let told = told.lines().next().unwrap_or("it said nothing").to_string();
        anyhow::bail!("{SQLITE}: {told} ({})", ended.status);
    }
    written.with_context(|| format!("writing to {SQLITE}"))
}

fn one_csv(path: &Path, runs: &[(String, Run)]) -> anyhow::Result<()> {
    let mut files = CsvFiles::default();
    let one = TABLES.into_iter().filter(|table| table.name == ONE_TABLE);
    one.into_iter()
        .try_for_each(|table| files.begin(table, create(path)?).with_context(|| path.display().to_string()))?;
    files.write(runs).with_context(|| path.display().to_string())
}

fn csv_files(folder: &Path, runs: &[(String, Run)]) -> anyhow::Result<()> {
    let of_folder = || folder.display().to_string();
    std::fs::create_dir_all(folder).with_context(of_folder)?;
    if std::fs::read_dir(folder).with_context(of_folder)?.next().is_some() {
        let text = format!("{}: the folder is not empty; name another, or remove it", folder.display());
        return Err(UsageError::Unknown(text).into());
    }
    let mut files = CsvFiles::default();
    for table in TABLES {
        files.begin(table, create(&folder.join(format!("{}.csv", table.name)))?).with_context(of_folder)?;
    }
    files.write(runs).with_context(of_folder)
}

/// The CSV files by their tables; rows of a table without a file are passed over.
#[derive(Default)]
struct CsvFiles(BTreeMap<&'static str, BufWriter<File>>);

impl CsvFiles {
    fn begin(&mut self, table: &'static ExportTable, file: File) -> io::Result<()> {
        let mut file = BufWriter::new(file);
        file.write_all(csv_header(table).as_bytes())?;
        self.0.insert(table.name, file);
        Ok(())
    }

    fn write(&mut self, runs: &[(String, Run)]) -> io::Result<()> {
        runs.iter().try_for_each(|(name, run)| rows(name, run, self))?;
        self.0.values_mut().try_for_each(BufWriter::flush)
    }
}

impl RowSink for CsvFiles {
    fn row(&mut self, table: &'static ExportTable, cells: &[Cell]) -> io::Result<()> {
        match self.0.get_mut(table.name) {
            Some(file) => file.write_all(csv_line(cells).as_bytes()),
            None => Ok(()),
        }
    }
}
