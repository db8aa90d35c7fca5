//! The record of an advice: what was seen of a program and what servers cost, from which the advice is computed again.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::schema::HostLine;
use super::store::{LONGEST_LINE, RecordError};
use crate::terms::{Dispatch, Observation, ServerCalibration};

/// The name of an advice's file in its folder.
pub const ADVICE_FILE: &str = "advice.json";

/// The version of the file. It increases with every change that a reader of the previous version would misread.
const ADVICE_SCHEMA: u32 = 1;

/// What an advice is computed from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdviceRecord {
    /// The version of this format.
    pub schema: u32,
    /// The machine and the build that watched and calibrated.
    pub host: HostLine,
    /// The kinds of event loop that the advice is about.
    pub targets: Vec<Dispatch>,
    /// What was seen of the program.
    pub observation: Observation,
    /// What servers cost, in the order of time; empty where none were needed, or none were measured yet.
    pub calibrations: Vec<ServerCalibration>,
}

/// The version alone, whatever else there is.
#[derive(Deserialize)]
struct AdviceSchema {
    schema: u32,
}

impl AdviceRecord {
    /// A record of the present version.
    pub fn new(
        host: HostLine,
        targets: Vec<Dispatch>,
        observation: Observation,
        calibrations: Vec<ServerCalibration>,
    ) -> Self {
        Self { schema: ADVICE_SCHEMA, host, targets, observation, calibrations }
    }

    /// The file that `path` names: itself, or the one in the folder; `None` where there is no advice.
    pub fn file(path: &Path) -> Option<PathBuf> {
        let inside = path.join(ADVICE_FILE);
        if inside.is_file() {
            return Some(inside);
        }
        path.file_name().filter(|name| *name == ADVICE_FILE && path.is_file()).map(|_| path.into())
    }

    /// Reads the record of a folder, or its file.
    ///
    /// # Errors
    /// What the file system answers; what is broken, and at which line; another version.
    pub fn read(path: &Path) -> Result<Self, RecordError> {
        let file = Self::file(path).unwrap_or_else(|| path.into());
        let length = fs::metadata(&file).map_err(RecordError::io(&file))?.len();
        let broken =
            |line, reason: String| RecordError::Broken { path: file.clone(), line, reason, rest: String::new() };
        if length > LONGEST_LINE as u64 {
            return Err(broken(1, format!("{length} bytes are more than the {LONGEST_LINE} of the longest record")));
        }
        let text = fs::read_to_string(&file).map_err(RecordError::io(&file))?;
        let told = |error: serde_json::Error| broken(error.line().max(1), error.to_string());
        let AdviceSchema { schema } = serde_json::from_str(&text).map_err(told)?;
        if schema != ADVICE_SCHEMA {
            let reason = format!("schema {schema} of an advice, and this switchcost reads {ADVICE_SCHEMA}");
            return Err(broken(1, reason));
        }
        serde_json::from_str(&text).map_err(told)
    }

    /// Writes it into `folder`, whole or not at all; returns the file's path.
    ///
    /// # Errors
    /// What the file system answers.
    pub fn write(&self, folder: &Path) -> Result<PathBuf, RecordError> {
        let (path, unfinished) = (folder.join(ADVICE_FILE), folder.join(format!("{ADVICE_FILE}.new")));
        fs::create_dir_all(folder).map_err(RecordError::io(folder))?;
        let text = serde_json::to_string_pretty(self).expect("a record is plain data");
        let mut file = fs::File::create(&unfinished).map_err(RecordError::io(&unfinished))?;
        file.write_all(text.as_bytes())
            .and_then(|()| file.write_all(b"\n"))
            .and_then(|()| file.sync_all())
            .map_err(RecordError::io(&unfinished))?;
        fs::rename(&unfinished, &path).map_err(RecordError::io(&path))?;
        Ok(path)
    }
}
