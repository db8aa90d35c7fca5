//! Questions to think about, with variants that follow from a seed.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::NOT_MEASURED;
use super::evidence::{Evidence, Lack};
use super::marks::{in_words, wrapped};
use super::source::QuestionSource;
use crate::stats::Prng;
use crate::terms::Value as Word;

/// A question in one of its variants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AskedQuestion {
    /// The question.
    pub ask: String,
    /// Its answer.
    pub answer: String,
}

static FIGURE: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"\{([a-z]+) ([^{}]+)\}").expect("the expression is constant"));

/// The questions of a lesson, each in the variant that `seed` chooses.
///
/// # Errors
/// A figure of a question that cannot be had from the records that are there.
pub fn questions(evidence: &Evidence, seed: u64) -> Result<Vec<AskedQuestion>, String> {
    // Questions of different lessons do not all take their first variant.
    let mut chance = Prng::seeded(seed.wrapping_mul(100).wrapping_add(evidence.lesson.number as u64));
    evidence.lesson.source.questions.iter().map(|question| asked(evidence, question, &mut chance)).collect()
}

fn asked(evidence: &Evidence, question: &QuestionSource, chance: &mut Prng) -> Result<AskedQuestion, String> {
    let variant = &question.variants[chance.index(question.variants.len())];
    Ok(AskedQuestion {
        ask: filled(evidence, &question.ask, variant)?,
        answer: filled(evidence, &question.answer, variant)?,
    })
}

/// `text` with the words of `variant` and the figures of `evidence` in place of what stands in braces.
pub(super) fn filled(evidence: &Evidence, text: &str, variant: &BTreeMap<String, Word>) -> Result<String, String> {
    // A word of a variant may hold figures, and figures numbers of the variant: twice is enough for both.
    let mut text = text.to_string();
    for _ in 0..2 {
        for (word, value) in variant {
            text = text.replace(&format!("{{{word}}}"), &value.to_string());
        }
    }
    let mut wrong = None;
    let filled = FIGURE.replace_all(&text, |found: &Captures| match in_words(evidence, &found[1], &found[2]) {
        Ok(text) => text,
        Err(Lack::NotMeasured(_)) => NOT_MEASURED.into(),
        Err(Lack::Wrong(why)) => {
            wrong = Some(format!("{}: {why}", &found[0]));
            String::new()
        }
    });
    let filled = filled.into_owned();
    let left = filled.contains(['{', '}']).then(|| format!("`{filled}` has braces that nothing fills"));
    wrong.or(left).map_or(Ok(filled), Err)
}

/// The questions as a page shows them.
pub(super) fn block(evidence: &Evidence, seed: u64) -> Result<String, String> {
    let questions = questions(evidence, seed)?;
    let shown = questions.iter().enumerate().map(|(index, question)| {
        let AskedQuestion { ask, answer } = question;
        let ask = wrapped(ask, &format!("{}. ", index + 1), "   ");
        let answer = wrapped(answer, "   ", "   ");
        format!("{ask}\n\n   <details><summary>Answer</summary>\n\n{answer}\n\n   </details>")
    });
    let shown = shown.collect::<Vec<_>>().join("\n\n");
    let number = evidence.lesson.number;
    let more = format!(
        "The same questions with other numbers: `switchcost lessons --quiz {number} --seed 7`, and with `--answers` \
         what follows."
    );
    Ok(format!("{shown}\n\n{}", wrapped(&more, "", "")))
}
