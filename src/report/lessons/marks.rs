//! The marks of a page: what stands between them, and what goes there.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::evidence::{Evidence, Lack};
use super::expression::Expression;
use super::{PICTURES, claim, questions, quotation};
use crate::report::text;

/// A page whose marks are filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spliced {
    /// The page.
    pub page: String,
    /// Marks that could not be filled, and why.
    pub complaints: Vec<String>,
}

static FIGURE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?s)<!--= (.+?)\s-->(.*?)<!--/-->").expect("the expression is constant"));

static COMMENT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"(?s)<!--.*?-->").expect("the expression is constant"));

static BEGINS_A_LINE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?m)^ {0,3}<!--[=?/]").expect("the expression is constant"));

/// The variant of the questions that a page shows.
const SHOWN_SEED: u64 = 0;

/// `text` without comments, and so without marks.
pub(super) fn without(text: &str) -> String {
    COMMENT.replace_all(text, "").into_owned()
}

/// The page with its figures as they are in `evidence`, without their marks; other marks stay.
pub(super) fn with_figures(evidence: &Evidence) -> String {
    let figures = FIGURE.replace_all(&evidence.lesson.page, |found: &Captures| {
        let asked = found[1].split_whitespace().collect::<Vec<_>>().join(" ");
        figure(evidence, &asked).unwrap_or_else(|_| NO_FIGURE.into())
    });
    figures.into_owned()
}

/// A page as readers see it: without marks, and with each number of a figure on one line with its unit.
pub(super) fn unmarked(page: &str) -> String {
    without(&FIGURE.replace_all(page, |found: &Captures| text::unbroken(&found[2])))
}

/// The page with every figure, status, picture, question and quotation as it follows from the records. `file` reads a
/// file of the repository.
pub fn spliced(evidence: &Evidence, file: &dyn Fn(&str) -> std::io::Result<String>) -> Spliced {
    let mut complaints = Vec::new();
    let page = FIGURE.replace_all(&evidence.lesson.page, |found: &Captures| {
        let asked = found[1].split_whitespace().collect::<Vec<_>>().join(" ");
        let text = figure(evidence, &asked).unwrap_or_else(|why| {
            complaints.push(format!("{asked}: {why}"));
            found[2].to_string()
        });
        format!("<!--= {asked} -->{text}<!--/-->")
    });
    let mut page = page.into_owned();
    for found in BEGINS_A_LINE.find_iter(&page) {
        let line = page[..found.start()].matches('\n').count() + 1;
        complaints.push(format!("line {line} begins with a mark, which a forge takes for the end of the paragraph"));
    }
    let mut from = 0;
    while let Some(block) = Block::next(&page, from) {
        // What is written by hand may hold other blocks.
        from = block.begins;
        match block.text(evidence, file) {
            Ok(Some(text)) => {
                page.replace_range(block.begins..block.ends, &format!("\n{text}\n"));
                from += text.len();
            }
            Ok(None) => {}
            Err(why) => complaints.push(format!("{}: {why}", block.asked)),
        }
    }
    if page[from..].contains(OPEN) {
        complaints.push(format!("a `{OPEN}` has no end: <!-- /lesson:… -->"));
    }
    Spliced { page, complaints }
}

/// In place of a figure that a record does not have.
const NO_FIGURE: &str = "[no figure]";

/// `time threads`, in words.
fn figure(evidence: &Evidence, asked: &str) -> Result<String, String> {
    let (how, expression) = asked.split_once(' ').ok_or("write how, and what: `time threads`")?;
    match in_words(evidence, how, expression) {
        // In the middle of a sentence.
        Err(Lack::NotMeasured(_)) => Ok(NO_FIGURE.into()),
        Err(Lack::Wrong(why)) => Err(why),
        Ok(text) => Ok(text),
    }
}

/// The figures that the page shows: how, and what, each once.
pub(super) fn figures(page: &str) -> Vec<(String, String)> {
    let mut figures = Vec::new();
    for found in FIGURE.captures_iter(page) {
        let asked = found[1].split_whitespace().collect::<Vec<_>>().join(" ");
        let Some((how, what)) = asked.split_once(' ') else { continue };
        if !figures.iter().any(|(_, known)| known == what) {
            figures.push((how.to_string(), what.to_string()));
        }
    }
    figures
}

/// An expression's value in words.
pub(super) fn in_words(evidence: &Evidence, how: &str, expression: &str) -> Result<String, Lack> {
    let value = Expression::parse(expression).map_err(Lack::Wrong)?.value(evidence)?;
    let text = value.formatted(how);
    text.ok_or_else(|| Lack::Wrong(format!("`{how}`: use time, told, times, range, percent or number")))
}

/// What stands between `<!-- lesson:KIND … -->` and its end.
struct Block {
    /// The kind, and what is told to it.
    asked: String,
    begins: usize,
    ends: usize,
}

const OPEN: &str = "<!-- lesson:";

impl Block {
    /// The first one behind `from`; one without an end is none.
    fn next(page: &str, from: usize) -> Option<Self> {
        let open = from + page.get(from..)?.find(OPEN)?;
        let begins = open + page[open..].find("-->")? + "-->".len();
        let asked = page[open + OPEN.len()..begins - "-->".len()].trim().to_string();
        let kind = asked.split(' ').next()?;
        let ends = begins + page[begins..].find(&format!("<!-- /lesson:{kind} -->"))?;
        Some(Self { asked, begins, ends })
    }

    /// What goes there; `None` for what is written by hand.
    fn text(
        &self,
        evidence: &Evidence,
        file: &dyn Fn(&str) -> std::io::Result<String>,
    ) -> Result<Option<String>, String> {
        let (kind, told) = self.asked.split_once(' ').unwrap_or((&self.asked, ""));
        Ok(Some(match kind {
            "status" => status(evidence),
            "picture" => {
                let picture = &evidence.lesson.source.picture;
                format!("![{}. {}]({PICTURES}/{}.svg)", picture.title, picture.shows, evidence.lesson.name)
            }
            "verdict" => wrapped(&claim::said(evidence, told)?, "", ""),
            "questions" => questions::block(evidence, SHOWN_SEED)?,
            "code" => quotation::block(told, file)?,
            "sentence" => return Ok(None),
            other => return Err(format!("`{other}`: use status, picture, verdict, questions, code or sentence")),
        }))
    }
}

/// Where the figures come from, or that there are none yet and how they come to be.
fn status(evidence: &Evidence) -> String {
    let mut out = Vec::new();
    for (name, record) in evidence.lesson.records() {
        match (evidence.machine(name), evidence.path(name)) {
            (Some(machine), Some(path)) => {
                let below = path.iter().rev().take_while(|part| *part != "reports").collect::<Vec<_>>();
                let below = below.iter().rev().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/");
                out.push(format!("*Measured on {machine} ([record](../../reports/{below})).*"));
            }
            _ => {
                let text = format!(
                    "**Not measured yet.** This page needs a record in a folder `{}` of the reports, which this \
                     command fills on a quiet machine: `{}`. Until then the page asks, and does not answer.",
                    record.folder.replacen('*', "<date>-<host>", 1),
                    record.fill
                );
                out.push(wrapped(&text, "> ", "> "));
            }
        }
    }
    out.join("\n\n")
}

/// `text` in lines of at most 120 columns, the first of which begins with `first` and the others with `others`.
pub(super) fn wrapped(text: &str, first: &str, others: &str) -> String {
    const COLUMNS: usize = 120;
    let mut lines = vec![first.to_string()];
    for word in text.split_whitespace() {
        let last = lines.len() - 1;
        let begun = lines[last].len() > if last == 0 { first.len() } else { others.len() };
        if begun && lines[last].chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push(format!("{others}{word}"));
        } else {
            lines[last].push_str(if begun { " " } else { "" });
            lines[last].push_str(word);
        }
    }
    lines.join("\n")
}

/// What stands in the block `kind` of a page, without marks and as one line; `None` where it has none.
pub(super) fn block(page: &str, kind: &str) -> Option<String> {
    let (_, rest) = page.split_once(&format!("{OPEN}{kind} -->"))?;
    let (text, _) = rest.split_once(&format!("<!-- /lesson:{kind} -->"))?;
    Some(without(text).split_whitespace().collect::<Vec<_>>().join(" "))
}

/// The page with `text` in place of the block `kind`.
pub(super) fn with_block(page: &str, kind: &str, text: &str) -> String {
    let (open, close) = (format!("{OPEN}{kind} -->"), format!("<!-- /lesson:{kind} -->"));
    match page.split_once(&open).and_then(|(before, rest)| Some((before, rest.split_once(&close)?.1))) {
        Some((before, after)) => format!("{before}{text}{after}"),
        None => page.into(),
    }
}
