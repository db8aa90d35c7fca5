//! Where `/proc` and `/sys` are, and reading from them with errors that name the path.

use std::io;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::terms::host::UnreadFact;

/// The directory under which `/proc`, `/sys` and `/boot` are looked for: `/` on a machine, a fixture tree in
/// a test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root(PathBuf);

/// A file of `/proc` or `/sys` that gave no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// It could not be read.
    #[error("{}: {source}", path.display())]
    Read {
        /// The file or directory, root included.
        path: PathBuf,
        /// What the kernel answered.
        source: io::Error,
    },
    /// It was read and is not what the kernel's documentation promises.
    #[error("{}: expected {expected}, found {found:?}", path.display())]
    Malformed {
        /// The file, root included.
        path: PathBuf,
        /// What should have been there.
        expected: String,
        /// The beginning of what was there.
        found: String,
    },
}

impl Default for Root {
    fn default() -> Self {
        Self(PathBuf::from("/"))
    }
}

impl Root {
    /// Reads below `path` instead of `/`.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// Whether this is the running system, so that system calls and files describe the same machine.
    pub fn is_running_system(&self) -> bool {
        self.0 == Path::new("/")
    }

    /// Where the machine's absolute `path` lies under this root.
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.join(path.trim_start_matches('/'))
    }

    /// The bytes of the machine's file `path`.
    ///
    /// # Errors
    /// [`HostError::Read`] when it cannot be read.
    pub fn bytes(&self, path: &str) -> Result<Vec<u8>, HostError> {
        let path = self.path(path);
        std::fs::read(&path).map_err(|source| HostError::Read { path, source })
    }

    /// The text of the machine's file `path` without white space at its end. Bytes that are not UTF-8 become
    /// U+FFFD: a model name may hold anything, and one odd byte must not hide the rest.
    ///
    /// # Errors
    /// [`HostError::Read`] when it cannot be read.
    pub fn text(&self, path: &str) -> Result<String, HostError> {
        let bytes = self.bytes(path)?;
        Ok(String::from_utf8_lossy(&bytes).trim_end().to_owned())
    }

    /// The single value that the machine's file `path` holds.
    ///
    /// # Errors
    /// [`HostError::Read`] when it cannot be read, [`HostError::Malformed`] when it is not a `T`.
    pub fn value<T: FromStr>(&self, path: &str) -> Result<T, HostError> {
        let text = self.text(path)?;
        text.trim().parse().map_err(|_| self.malformed(path, std::any::type_name::<T>(), &text))
    }

    /// The names in the machine's directory `path`, sorted.
    ///
    /// # Errors
    /// [`HostError::Read`] when it cannot be listed.
    pub fn names(&self, path: &str) -> Result<Vec<String>, HostError> {
        let directory = self.path(path);
        let listed: io::Result<Vec<String>> = std::fs::read_dir(&directory)
            .and_then(|entries| entries.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect());
        let mut names = listed.map_err(|source| HostError::Read { path: directory, source })?;
        names.sort_unstable();
        Ok(names)
    }

    /// The error of a file at `path` whose `text` is not `expected`.
    pub(super) fn malformed(&self, path: &str, expected: &str, text: &str) -> HostError {
        // Sixty characters are enough to recognise the file by.
        let found = text.chars().take(60).collect();
        HostError::Malformed { path: self.path(path), expected: expected.to_owned(), found }
    }
}

/// Reads facts and keeps the list of those it could not have.
pub(super) struct FactReader<'a> {
    pub(super) root: &'a Root,
    unread: Vec<UnreadFact>,
}

impl<'a> FactReader<'a> {
    pub(super) fn new(root: &'a Root) -> Self {
        Self { root, unread: Vec::new() }
    }

    pub(super) fn into_unread(self) -> Vec<UnreadFact> {
        self.unread
    }

    /// Notes that `what` is missing, once: what each of 256 CPUs lacks is one fact.
    pub(super) fn miss(&mut self, what: &str, path: &str, reason: impl Into<String>) {
        if self.unread.iter().all(|line| line.what != what) {
            let (what, path) = (what.to_owned(), path.to_owned());
            self.unread.push(UnreadFact { what, path, reason: reason.into() });
        }
    }

    /// Notes that `what` is missing, unless there is a file at `path`.
    pub(super) fn look_for(&mut self, what: &str, path: &str) {
        if let Err(error) = self.root.path(path).metadata() {
            self.miss(what, path, error.to_string());
        }
    }

    pub(super) fn text(&mut self, what: &str, path: &str) -> Option<String> {
        let answer = self.root.text(path);
        self.keep(what, path, answer)
    }

    pub(super) fn value<T: FromStr>(&mut self, what: &str, path: &str) -> Option<T> {
        let answer = self.root.value(path);
        self.keep(what, path, answer)
    }

    pub(super) fn names(&mut self, what: &str, path: &str) -> Vec<String> {
        let answer = self.root.names(path);
        self.keep(what, path, answer).unwrap_or_default()
    }

    /// The value of `parse` over the text at `path`.
    pub(super) fn parsed<T>(
        &mut self,
        what: &str,
        path: &str,
        expected: &str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let root = self.root;
        let answer = root.text(path).and_then(|text| parse(&text).ok_or_else(|| root.malformed(path, expected, &text)));
        self.keep(what, path, answer)
    }

    fn keep<T>(&mut self, what: &str, path: &str, answer: Result<T, HostError>) -> Option<T> {
        match answer {
            Ok(value) => Some(value),
            Err(HostError::Read { source, .. }) => {
                self.miss(what, path, source.to_string());
                None
            }
            Err(HostError::Malformed { expected, found, .. }) => {
                self.miss(what, path, format!("expected {expected}, found {found:?}"));
                None
            }
        }
    }
}
