//! Claims: what a record must say for a sentence to be true.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use regex::Regex;

use super::evidence::{Evidence, FigureValue, Lack};
use super::expression::Expression;
use super::{marks, questions};
use crate::report::answers::{Beside, beside};
use crate::report::text;

/// What the record says of a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClaimVerdict {
    /// It follows.
    Holds,
    /// The figures say the opposite.
    Opposite(String),
    /// The figures do not tell.
    NotTold(String),
    /// A figure is not there: why.
    NotMeasured(String),
    /// The claim is none.
    Wrong(String),
}

/// A claim of a page, and what became of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JudgedClaim {
    /// The condition: `threads > pinned`.
    pub condition: String,
    /// The sentence before it, without its marks.
    pub sentence: String,
    /// Whether it follows.
    pub verdict: ClaimVerdict,
}

static CLAIM: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"(?s)<!--\? (.+?)\s-->").expect("the expression is constant"));

/// The claims of a page, each judged by `evidence`.
pub fn claims(evidence: &Evidence) -> Vec<JudgedClaim> {
    // A reader's sentence has the reader's figures.
    let page = marks::with_figures(evidence);
    let judged = |found: regex::Captures| {
        let (whole, condition) = (found.get(0).expect("a match"), found[1].split_whitespace().collect::<Vec<_>>());
        let condition = condition.join(" ");
        let verdict = verdict(evidence, &condition);
        JudgedClaim { sentence: sentence_before(&page[..whole.start()]), verdict, condition }
    };
    CLAIM.captures_iter(&page).map(judged).collect()
}

/// The sentence called `name`, as it follows from `evidence`.
pub(super) fn said(evidence: &Evidence, name: &str) -> Result<String, String> {
    let source = evidence.lesson.source.verdicts.get(name);
    let source = source.ok_or_else(|| format!("there is no verdict `{name}` in {}.toml", evidence.lesson.name))?;
    let text = match verdict(evidence, &source.condition) {
        ClaimVerdict::Holds => &source.holds,
        ClaimVerdict::Opposite(_) => &source.opposite,
        ClaimVerdict::NotTold(_) => &source.not_told,
        ClaimVerdict::NotMeasured(_) => return Ok(format!("*Not measured yet: {}.*", source.asks)),
        ClaimVerdict::Wrong(why) => return Err(why),
    };
    questions::filled(evidence, text, &BTreeMap::new())
}

/// The last sentence of `text`, without marks.
fn sentence_before(text: &str) -> String {
    let paragraph = text.rsplit("\n\n").next().unwrap_or_default();
    let plain = marks::without(paragraph).split_whitespace().collect::<Vec<_>>().join(" ");
    let body = plain.trim_end_matches(['.', '!', '?']);
    let begins = [". ", "? ", "! "].iter().filter_map(|end| body.rfind(end).map(|at| at + end.len())).max();
    plain[begins.unwrap_or(0)..].trim().into()
}

/// What follows from `condition`: figures in an order, `a > b > c`, `a < 2`, or two that are not told apart, `a ~ b`.
pub(super) fn verdict(evidence: &Evidence, condition: &str) -> ClaimVerdict {
    let signs: Vec<char> = condition.chars().filter(|c| ['<', '>', '~'].contains(c)).collect();
    let sides: Result<Vec<Expression>, String> =
        condition.split(['<', '>', '~']).map(|side| Expression::parse(side.trim())).collect();
    let sides = match sides {
        Ok(sides) if !signs.is_empty() => sides,
        Ok(_) => return ClaimVerdict::Wrong(format!("`{condition}` compares nothing; write a > b, a < b or a ~ b")),
        Err(why) => return ClaimVerdict::Wrong(why),
    };
    let pairs = sides.windows(2).zip(signs);
    let verdicts = pairs.map(|(pair, sign)| compared(evidence, (&pair[0], &pair[1]), sign).unwrap_or_else(lacking));
    verdicts.into_iter().find(|verdict| *verdict != ClaimVerdict::Holds).unwrap_or(ClaimVerdict::Holds)
}

fn lacking(lack: Lack) -> ClaimVerdict {
    match lack {
        Lack::NotMeasured(why) => ClaimVerdict::NotMeasured(why),
        Lack::Wrong(why) => ClaimVerdict::Wrong(why),
    }
}

fn compared(evidence: &Evidence, (a, b): (&Expression, &Expression), sign: char) -> Result<ClaimVerdict, Lack> {
    let (is_more, is_less, told) = match evidence.pair(a, b)? {
        Some((first, second)) => {
            let found = beside(first, second);
            let told = match found {
                Beside::NotApart(low, high) => {
                    format!("{} to {} times as much", text::significant(low), text::significant(high))
                }
                apart => apart.times(),
            };
            (matches!(found, Beside::More(..)), matches!(found, Beside::Less(..)), told)
        }
        None => {
            let (first, second) = (a.value(evidence)?, b.value(evidence)?);
            let (left, right) = (first.interval, second.interval);
            let told = format!("{} against {}", range(&first), range(&second));
            (left.low > right.high, left.high < right.low, told)
        }
    };
    Ok(match (sign, is_more, is_less) {
        ('>', true, _) | ('<', _, true) | ('~', false, false) => ClaimVerdict::Holds,
        ('>', _, true) | ('<', true, _) | ('~', ..) => ClaimVerdict::Opposite(told),
        _ => ClaimVerdict::NotTold(told),
    })
}

fn range(value: &FigureValue) -> String {
    let amount = |of: f64| text::amount(value.quantity, of);
    let interval = value.interval;
    if interval.low < interval.high {
        format!("{} to {}", amount(interval.low), amount(interval.high))
    } else {
        amount(interval.estimate)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sentence_before_a_claim_has_no_marks() {
        let text = "# 1\n\nFirst one. Threads take <!--= time threads -->15 µs<!--/-->\na hop, more than others.";
        assert_eq!(sentence_before(text), "Threads take 15 µs a hop, more than others.");
        assert_eq!(sentence_before("x\n\nOnly *one*"), "Only *one*");
    }
}
