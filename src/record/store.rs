//! Writing lines so that a kill loses at most the one being written, and reading them back.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::schema::{BenchmarkLine, Line, MachineLine, SCHEMA};

/// The name of a run's file in its folder.
pub const FILE: &str = "records.jsonl";

/// Why a record could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// The file system refused.
    #[error("{path}: {source}")]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Its answer.
        source: io::Error,
    },
    /// A line that is no record.
    #[error("{path}:{line}: not a switchcost record: {reason}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// A line from another version.
    #[error("{path}:{line}: schema {found}, and this switchcost reads schema {SCHEMA}; use the version that wrote it")]
    OtherSchema {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Its version.
        found: String,
    },
    /// Nothing in it.
    #[error("{path}: no records in it; `cargo bench` or `switchcost run` make some")]
    Empty {
        /// The file or folder.
        path: PathBuf,
    },
}

impl RecordError {
    fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io { path: path.into(), source }
    }
}

/// Appends lines to a run.
#[derive(Debug)]
pub struct Writer {
    file: File,
    path: PathBuf,
}

impl Writer {
    /// Opens the run in `folder`, making both if need be. A torn last line, left by a kill, is cut off: it is lost
    /// already, and would make the line after it unreadable.
    ///
    /// # Errors
    /// What the file system says.
    pub fn open(folder: &Path) -> Result<Self, RecordError> {
        std::fs::create_dir_all(folder).map_err(RecordError::io(folder))?;
        let path = folder.join(FILE);
        let mut file =
            OpenOptions::new().create(true).append(true).read(true).open(&path).map_err(RecordError::io(&path))?;
        cut_torn_line(&mut file).map_err(RecordError::io(&path))?;
        Ok(Self { file, path })
    }

    /// The file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Whether nothing was written to the run yet.
    pub fn is_new(&self) -> bool {
        self.file.metadata().is_ok_and(|metadata| metadata.len() == 0)
    }

    /// Appends a line, whole, in one write(2): a kill at any moment leaves the lines before it readable.
    ///
    /// # Errors
    /// What the file system says; `ENOSPC` among them. Nothing of the line is then left, so that the next one, when
    /// there is room again, does not continue it.
    pub fn append(&mut self, line: &Line) -> Result<(), RecordError> {
        let mut text =
            encode(line).map_err(|error| RecordError::Io { path: self.path.clone(), source: error.into() })?;
        text.push('\n');
        let before = self.file.metadata().map_err(RecordError::io(&self.path))?.len();
        self.file.write_all(text.as_bytes()).map_err(|error| {
            // Should this fail too, the line is torn, as by a kill.
            let _ = self.file.set_len(before);
            RecordError::io(&self.path)(error)
        })
    }
}

fn cut_torn_line(file: &mut File) -> io::Result<()> {
    let mut bytes = Vec::new();
    file.seek(SeekFrom::Start(0))?;
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |newline| newline + 1);
    if whole < bytes.len() { file.set_len(whole as u64) } else { Ok(()) }
}

fn encode(line: &Line) -> serde_json::Result<String> {
    let mut object = Map::new();
    object.insert("schema".into(), SCHEMA.into());
    if let Value::Object(body) = serde_json::to_value(line)? {
        object.extend(body);
    }
    serde_json::to_string(&object)
}

/// A run, read back.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Run {
    /// Where it was read.
    pub path: PathBuf,
    /// The machines, one for each process that wrote; the same machine may stand there many times.
    pub machines: Vec<MachineLine>,
    /// The benchmarks, in the order in which they were measured.
    pub benchmarks: Vec<BenchmarkLine>,
    /// Whether the last line was torn by a kill, and is lost.
    pub torn: bool,
}

impl Run {
    /// The machine that `line` was measured on.
    pub fn machine(&self, line: &BenchmarkLine) -> Option<&MachineLine> {
        self.machines.iter().find(|machine| machine.id == line.machine)
    }
}

/// Reads a run: its folder, or the file itself.
///
/// # Errors
/// When it cannot be opened, holds no record, or a line but the last is none of this schema's; file and line are named.
pub fn read(path: &Path) -> Result<Run, RecordError> {
    let path = if path.is_dir() { path.join(FILE) } else { path.to_path_buf() };
    let bytes = match std::fs::read(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && path.ends_with(FILE) => {
            return Err(RecordError::Empty { path });
        }
        other => other.map_err(RecordError::io(&path))?,
    };
    let mut run = Run { path: path.clone(), ..Run::default() };
    let lines = bytes.split_inclusive(|&byte| byte == b'\n').enumerate();
    for (index, line) in lines {
        let torn = !line.ends_with(b"\n");
        match decode(line, &path, index + 1) {
            Ok(Line::Machine(machine)) => run.machines.push(*machine),
            Ok(Line::Benchmark(benchmark)) => run.benchmarks.push(*benchmark),
            // Only a line without its end can be one that a kill tore.
            Err(RecordError::Broken { .. }) if torn && index > 0 => run.torn = true,
            Err(error) => return Err(error),
        }
    }
    if run.machines.is_empty() && run.benchmarks.is_empty() {
        return Err(RecordError::Empty { path });
    }
    Ok(run)
}

fn decode(line: &[u8], path: &Path, number: usize) -> Result<Line, RecordError> {
    let broken = |reason: String| RecordError::Broken { path: path.into(), line: number, reason };
    let text = std::str::from_utf8(line).map_err(|_| broken("not text".into()))?;
    let value: Value = serde_json::from_str(text).map_err(|error| broken(error.to_string()))?;
    let Value::Object(mut object) = value else { return Err(broken("not a JSON object".into())) };
    match object.remove("schema") {
        Some(version) if version == SCHEMA => {}
        Some(other) => {
            return Err(RecordError::OtherSchema { path: path.into(), line: number, found: other.to_string() });
        }
        None => return Err(broken("it names no schema".into())),
    }
    serde_json::from_value(Value::Object(object)).map_err(|error| broken(error.to_string()))
}
