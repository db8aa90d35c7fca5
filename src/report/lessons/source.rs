//! What a lesson asks of its records, as the file beside its page says it.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::expression::FigureSource;

/// A lesson: its page, and what the page asks of its records.
#[derive(Debug, Clone)]
pub struct Lesson {
    /// The name of its files: `01-pinning`.
    pub name: String,
    /// Its number, the beginning of its name.
    pub number: usize,
    /// The page, with its marks.
    pub page: String,
    pub(super) source: LessonSource,
}

/// A lesson that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{file}: {reason}")]
pub struct LessonError {
    /// The file's name.
    pub file: String,
    /// What is wrong with it.
    pub reason: String,
}

/// The file beside the page.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LessonSource {
    /// The records, by the names that figures use.
    pub(super) records: BTreeMap<String, RecordSource>,
    /// What each name of a figure stands for: `RECORD ID`, and of what the benchmark found out `RECORD ID: KEY`.
    figures: BTreeMap<String, String>,
    /// The picture.
    pub(super) picture: PictureSource,
    /// Questions to think about.
    #[serde(default)]
    pub(super) questions: Vec<QuestionSource>,
    /// Sentences that depend on what the record says: for what is measured after the page was written.
    #[serde(default)]
    pub(super) verdicts: BTreeMap<String, VerdictSource>,
    #[serde(skip)]
    pub(super) defined: BTreeMap<String, FigureSource>,
}

/// Where a record lies and which command makes it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordSource {
    /// Its folder among the reports. An asterisk at the beginning stands for a date and a host: the newest is taken.
    pub folder: String,
    /// The command that fills such a folder.
    pub fill: String,
}

/// What is drawn.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PictureSource {
    pub(super) title: String,
    /// What it shows, in a sentence without numbers.
    pub(super) shows: String,
    /// What its axis measures; of curves the vertical one.
    pub(super) axis: String,
    /// What the horizontal axis of curves counts.
    #[serde(default)]
    pub(super) across: String,
    #[serde(default)]
    pub(super) bands: Vec<BandSource>,
    #[serde(default)]
    pub(super) curves: Vec<CurveSource>,
}

/// Lines of a picture that belong together: what each is called, and an expression over figures.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct BandSource {
    pub(super) label: String,
    pub(super) rows: Vec<(String, String)>,
}

/// A curve: an amount and an expression for each point.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CurveSource {
    pub(super) label: String,
    pub(super) points: Vec<(f64, String)>,
}

/// A question with variants, and its answer. `{word}` is replaced by the variant's, `{time EXPRESSION}` by a figure.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct QuestionSource {
    pub(super) ask: String,
    pub(super) answer: String,
    pub(super) variants: Vec<BTreeMap<String, crate::terms::Value>>,
}

/// What a page says if a condition follows from the record, if its opposite does, and if neither does. Figures stand in
/// braces, as in an answer.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct VerdictSource {
    /// What is asked, for a page whose record is not there yet: `whether threads cost more`.
    pub(super) asks: String,
    /// As in a claim.
    pub(super) condition: String,
    pub(super) holds: String,
    pub(super) opposite: String,
    pub(super) not_told: String,
}

impl Lesson {
    /// The lesson `name` with this page, and this text of the file beside it.
    ///
    /// # Errors
    /// What is wrong with the name or the file.
    pub fn new(name: &str, page: String, source: &str) -> Result<Self, LessonError> {
        let wrong = |reason: String| LessonError { file: format!("{name}.toml"), reason };
        let number = name.split('-').next().and_then(|digits| digits.parse().ok());
        let number = number.ok_or_else(|| wrong("a lesson's name begins with its number: 01-pinning".into()))?;
        let mut source: LessonSource = toml::from_str(source).map_err(|error| wrong(error.to_string()))?;
        for (figure, text) in &source.figures {
            let defined = FigureSource::parse(text).map_err(|why| wrong(format!("{figure}: {why}")))?;
            if !source.records.contains_key(&defined.record) {
                return Err(wrong(format!("{figure}: there is no record `{}`", defined.record)));
            }
            source.defined.insert(figure.clone(), defined);
        }
        if source.questions.iter().any(|question| question.variants.is_empty()) {
            return Err(wrong("a question has no variants".into()));
        }
        Ok(Self { name: name.into(), number, page, source })
    }

    /// Its heading: `1. Why does pinning take async's advantage away?`
    pub fn title(&self) -> &str {
        let heading = self.page.lines().find_map(|line| line.strip_prefix("# "));
        heading.unwrap_or(&self.name).trim()
    }

    /// The records that it needs, by name.
    pub fn records(&self) -> impl Iterator<Item = (&str, &RecordSource)> {
        self.source.records.iter().map(|(name, record)| (name.as_str(), record))
    }

    /// The ids of the benchmarks that it needs of the record `name`.
    pub fn ids(&self, name: &str) -> Vec<&str> {
        let defined = self.source.defined.values().filter(|figure| figure.record == name && figure.file.is_none());
        let mut ids: Vec<&str> = defined.map(|figure| figure.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        ids
    }

    /// The files of JSON that it needs beside the record `name`.
    pub fn files(&self, name: &str) -> BTreeSet<&str> {
        let defined = self.source.defined.values().filter(|figure| figure.record == name);
        defined.filter_map(|figure| figure.file.as_ref()).map(|file| file.name.as_str()).collect()
    }

    /// The command that makes its figures again.
    pub fn command(&self) -> String {
        format!("switchcost lesson {}", self.number)
    }
}
