//! Paths in JSON. One that is UTF-8 is its text. Serde refuses any other, and a folder may have any name
//! (path_resolution(7)), so of those the bytes are written.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum PathText {
    Text(String),
    Bytes { bytes: Vec<u8> },
}

impl From<&Path> for PathText {
    fn from(path: &Path) -> Self {
        let text = path.to_str().map(|text| Self::Text(text.into()));
        text.unwrap_or_else(|| Self::Bytes { bytes: path.as_os_str().as_bytes().into() })
    }
}

impl From<PathText> for PathBuf {
    fn from(text: PathText) -> Self {
        match text {
            PathText::Text(text) => text.into(),
            PathText::Bytes { bytes } => OsString::from_vec(bytes).into(),
        }
    }
}

pub(super) fn serialize<S: Serializer>(path: &Path, to: S) -> Result<S::Ok, S::Error> {
    PathText::from(path).serialize(to)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<PathBuf, D::Error> {
    PathText::deserialize(from).map(PathBuf::from)
}

/// The same of a path for each side.
pub(super) mod sides {
    use super::{Deserialize, Deserializer, PathBuf, PathText, Serialize, Serializer};

    pub(in super::super) fn serialize<S: Serializer>(paths: &[PathBuf; 2], to: S) -> Result<S::Ok, S::Error> {
        paths.each_ref().map(|path| PathText::from(path.as_path())).serialize(to)
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<[PathBuf; 2], D::Error> {
        Ok(<[PathText; 2]>::deserialize(from)?.map(PathBuf::from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::harness::rounds::Programs;

    #[test]
    fn paths_of_any_bytes_survive_and_usual_ones_are_text() {
        let odd = PathBuf::from(OsString::from_vec(b"/tmp/o\xff".into()));
        let programs = Programs([odd, "/bin/a".into()]);
        let text = serde_json::to_string(&programs).unwrap();
        assert_eq!(text, r#"[{"bytes":[47,116,109,112,47,111,255]},"/bin/a"]"#);
        assert_eq!(serde_json::from_str::<Programs>(&text).unwrap(), programs);
    }
}
