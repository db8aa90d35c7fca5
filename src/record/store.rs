//! Writing lines so that a kill loses at most the one being written.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::schema::{Line, SCHEMA};

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
    #[error("{path}:{line}: not a switchcost record: {reason}{rest}")]
    Broken {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
        /// What there is besides: further broken lines, and how many are whole.
        rest: String,
    },
    /// A line from another version.
    #[error(
        "{path}:{line}: schema {found}, and this switchcost reads schemas 1 to {SCHEMA}; use the version that wrote it"
    )]
    OtherSchema {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Its version.
        found: String,
    },
    /// A bundle that cannot be read.
    #[error("{path}: {reason}")]
    Bundle {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, and what would help.
        reason: String,
    },
    /// Two machines whose records have one id.
    #[error(
        "{first} and {second} are of two machines with one host id, {id}: {differing}; one of the records was edited, \
         so leave it out"
    )]
    OneId {
        /// One run.
        first: String,
        /// The other one, or the same.
        second: String,
        /// The id.
        id: String,
        /// What differs: `processor`.
        differing: String,
    },
    /// Nothing in it.
    #[error("{path}: no records in it; `cargo bench` or `switchcost run` make some")]
    Empty {
        /// The file or folder.
        path: PathBuf,
    },
}

/// The longest line in bytes: what is longer is not written, and is read past without being held. A hundred thousand
/// samples, the most that a benchmark takes, fill a tenth of it.
pub const LONGEST_LINE: usize = 64 << 20;

impl RecordError {
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + '_ {
        |source| Self::Io { path: path.into(), source }
    }

    /// The line that it is about; none where it is about the file.
    pub fn line(&self) -> Option<usize> {
        match self {
            Self::Broken { line, .. } | Self::OtherSchema { line, .. } => Some(*line),
            Self::Io { .. } | Self::Empty { .. } | Self::Bundle { .. } | Self::OneId { .. } => None,
        }
    }
}

/// Appends lines to a run.
#[derive(Debug)]
pub struct RecordWriter {
    file: File,
    path: PathBuf,
}

impl RecordWriter {
    /// Opens the run in `folder`, making both if need be. A torn last line, left by a kill, is cut off: it is lost
    /// already, and would make the line after it unreadable. A whole one whose end is missing, as editors leave it,
    /// gets its end.
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

    /// The path of the record's file.
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
            line_text(line).map_err(|error| RecordError::Io { path: self.path.clone(), source: error.into() })?;
        text.push('\n');
        if text.len() > LONGEST_LINE {
            let reason = format!("a line of {} bytes, and readers take {LONGEST_LINE}", text.len());
            return Err(RecordError::io(&self.path)(io::Error::new(io::ErrorKind::InvalidInput, reason)));
        }
        let before = self.file.metadata().map_err(RecordError::io(&self.path))?.len();
        self.file.write_all(text.as_bytes()).map_err(|error| {
            // Should this fail too, the line is torn, as by a kill.
            let _ = self.file.set_len(before);
            RecordError::io(&self.path)(error)
        })
    }
}

/// Looks for the end of the last whole line from the end, in pieces: the torn line may be as long as the disk was free.
fn cut_torn_line(file: &mut File) -> io::Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    let mut piece = vec![0; 1 << 16];
    let mut end = length;
    while end > 0 {
        let begin = end.saturating_sub(piece.len() as u64);
        let piece = &mut piece[..(end - begin) as usize];
        file.seek(SeekFrom::Start(begin))?;
        file.read_exact(piece)?;
        if let Some(newline) = piece.iter().rposition(|&byte| byte == b'\n') {
            return cut_from(file, begin + newline as u64 + 1, length);
        }
        end = begin;
    }
    cut_from(file, 0, length)
}

/// Cuts what stands behind `whole`, the end of the last line that has one, unless it is a line.
fn cut_from(file: &mut File, whole: u64, length: u64) -> io::Result<()> {
    if whole == length {
        return Ok(());
    }
    let rest = length - whole;
    if rest < LONGEST_LINE as u64 {
        let mut line = vec![0; rest as usize];
        file.seek(SeekFrom::Start(whole))?;
        file.read_exact(&mut line)?;
        if serde_json::from_slice::<serde::de::IgnoredAny>(&line).is_ok() {
            // The file is open for appending.
            return file.write_all(b"\n");
        }
    }
    file.set_len(whole)
}

/// The text of a line, without its end.
///
/// # Errors
/// None that the types of a line allow.
pub fn line_text(line: &Line) -> serde_json::Result<String> {
    let mut object = Map::new();
    object.insert("schema".into(), SCHEMA.into());
    if let Value::Object(body) = serde_json::to_value(line)? {
        object.extend(body);
    }
    serde_json::to_string(&object)
}
