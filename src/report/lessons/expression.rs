//! What stands between a mark and its figure: sums, ratios and comparisons of named figures.

use super::evidence::{Evidence, FigureValue, Lack};
use crate::units::Quantity;

/// What the name of a figure stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FigureSource {
    /// The record's name.
    pub(super) record: String,
    /// The benchmark's id.
    pub(super) id: String,
    /// What it found out, where not its figure per operation is meant.
    pub(super) metric: Option<MetricSource>,
    /// A file beside the record where the number is in no benchmark.
    pub(super) file: Option<FileSource>,
}

/// A number in a file of JSON beside a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct FileSource {
    /// The file's name.
    pub(super) name: String,
    /// Where in it a number lies, or an object with `low`, `estimate` and `high` (RFC 6901).
    pub(super) pointer: String,
    /// What kind of number it is.
    pub(super) quantity: Quantity,
}

/// One of the numbers that a benchmark found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct MetricSource {
    /// The word of its key: `lost after the call`.
    pub(super) key: String,
    /// Of a distribution, which thousandth: 500 is the median.
    pub(super) thousandth: Option<u16>,
}

impl FigureSource {
    /// Whether it is what a benchmark measures per operation, whose samples can be compared.
    pub(super) fn is_per_op(&self) -> bool {
        self.metric.is_none() && self.file.is_none()
    }

    /// Reads `main brigade/thread/unpinned`, `main file/poll/unpinned: called ready at once`,
    /// `main fairness/tokio/same-llc: response time p99`, or `main advice.json#/targets/0/share: share`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let (record, rest) = text.split_once(' ').ok_or("write the record's name and a benchmark's id")?;
        if let Some((name, at)) = rest.split_once('#') {
            let (pointer, quantity) = at.split_once(": ").unwrap_or((at, "number"));
            let quantity = match quantity {
                "ns" => Quantity::Nanoseconds,
                "share" => Quantity::Share,
                "number" => Quantity::Number,
                other => return Err(format!("`{other}`: a number in a file is in ns, a share or a number")),
            };
            let file = Some(FileSource { name: name.into(), pointer: pointer.into(), quantity });
            return Ok(Self { record: record.into(), id: String::new(), metric: None, file });
        }
        let (id, metric) = rest.split_once(": ").map_or((rest, None), |(id, of)| (id, Some(of)));
        let quantile = |word: &str| match word {
            "median" => Some(500),
            "p90" => Some(900),
            "p99" => Some(990),
            _ => None,
        };
        let metric = metric.map(|of| {
            let (key, last) = of.rsplit_once(' ').unwrap_or((of, ""));
            match quantile(last) {
                Some(thousandth) => MetricSource { key: key.into(), thousandth: Some(thousandth) },
                None => MetricSource { key: of.into(), thousandth: None },
            }
        });
        Ok(Self { record: record.into(), id: id.into(), metric, file: None })
    }
}

/// An expression over figures.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expression {
    /// A number.
    Number(f64),
    /// A figure, and which of its numbers where that is not the one per operation: `cpu`, `calls`, `switches`.
    Figure(String, Option<String>),
    /// Two of them, and what is between.
    Both(char, Box<(Self, Self)>),
}

impl Expression {
    /// Reads `threads - pinned`, `(threads - pinned) / threads`, `1000 * threads.cpu`.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut tokens = tokens(text)?;
        tokens.reverse();
        let parsed = sum(&mut tokens)?;
        match tokens.last() {
            None => Ok(parsed),
            Some(rest) => Err(format!("`{text}`: `{rest}` is one too many")),
        }
    }

    /// The figure that it is, and nothing else.
    pub(super) fn figure(&self) -> Option<&str> {
        if let Self::Figure(name, None) = self { Some(name) } else { None }
    }

    /// The names of all figures in it.
    pub(super) fn names(&self) -> Vec<&str> {
        match self {
            Self::Number(_) => Vec::new(),
            Self::Figure(name, _) => vec![name],
            Self::Both(_, both) => [both.0.names(), both.1.names()].concat(),
        }
    }

    /// What it comes to.
    pub(super) fn value(&self, evidence: &Evidence) -> Result<FigureValue, Lack> {
        match self {
            Self::Number(number) => Ok(FigureValue::exactly(*number)),
            Self::Figure(name, part) => evidence.value(name, part.as_deref()),
            Self::Both(operator, both) => {
                if *operator == '/'
                    && let Some(pair) = evidence.pair(&both.0, &both.1)?
                {
                    return FigureValue::ratio(pair.0, pair.1);
                }
                both.0.value(evidence)?.with(*operator, both.1.value(evidence)?)
            }
        }
    }
}

fn tokens(text: &str) -> Result<Vec<String>, String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut goes_on = false;
    for character in text.chars() {
        let of_word = character.is_ascii_alphanumeric() || "_.".contains(character);
        match tokens.last_mut().filter(|_| goes_on && of_word) {
            Some(word) => word.push(character),
            None if of_word || "+-*/()".contains(character) => tokens.push(character.into()),
            None if character == ' ' => {}
            None => return Err(format!("`{text}`: `{character}` stands in no expression")),
        }
        goes_on = of_word;
    }
    Ok(tokens)
}

/// The tokens come last first.
fn sum(tokens: &mut Vec<String>) -> Result<Expression, String> {
    chain(tokens, &['+', '-'], |tokens| chain(tokens, &['*', '/'], atom))
}

fn chain(
    tokens: &mut Vec<String>,
    operators: &[char],
    part: impl Fn(&mut Vec<String>) -> Result<Expression, String>,
) -> Result<Expression, String> {
    let mut left = part(tokens)?;
    while let Some(operator) = tokens.last().and_then(|token| token.chars().next().filter(|c| operators.contains(c))) {
        tokens.pop();
        left = Expression::Both(operator, Box::new((left, part(tokens)?)));
    }
    Ok(left)
}

fn atom(tokens: &mut Vec<String>) -> Result<Expression, String> {
    let token = tokens.pop().ok_or("an expression ends too early")?;
    if token == "(" {
        let inner = sum(tokens)?;
        return if tokens.pop().as_deref() == Some(")") { Ok(inner) } else { Err("a `(` is never closed".into()) };
    }
    if token.starts_with(|first: char| first.is_ascii_digit()) {
        return token.parse().map(Expression::Number).map_err(|_| format!("`{token}` is no number"));
    }
    if !token.starts_with(|first: char| first.is_ascii_alphabetic()) {
        return Err(format!("`{token}` stands where a figure should"));
    }
    let (name, part) = token.split_once('.').map_or((token.as_str(), None), |(name, part)| (name, Some(part.into())));
    Ok(Expression::Figure(name.into(), part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_bind_tighter_than_sums_and_what_is_none_is_refused() {
        let figure = |name: &str| Expression::Figure(name.into(), None);
        let both = |operator, a, b| Expression::Both(operator, Box::new((a, b)));
        assert_eq!(
            Expression::parse("a - 2 * b").unwrap(),
            both('-', figure("a"), both('*', Expression::Number(2.0), figure("b")))
        );
        assert_eq!(
            Expression::parse("(a-b)/a.cpu").unwrap(),
            both('/', both('-', figure("a"), figure("b")), Expression::Figure("a".into(), Some("cpu".into())))
        );
        for wrong in ["", "a b", "(a", "a +", "a > b", "1.2.3"] {
            assert!(Expression::parse(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_figure_names_a_record_a_benchmark_and_what_it_found_out() {
        let of = |text: &str| FigureSource::parse(text).unwrap().metric;
        assert_eq!(of("main brigade/epoll/same-cpu/trigger=edge"), None);
        let found = |key: &str, thousandth| Some(MetricSource { key: key.into(), thousandth });
        assert_eq!(of("main a/b/c: lost after the call"), found("lost after the call", None));
        assert_eq!(of("main a/b/c: response time p99"), found("response time", Some(990)));
        assert!(FigureSource::parse("main").is_err());
        let of_file = FigureSource::parse("main advice.json#/targets/0/share: share").unwrap().file.unwrap();
        assert_eq!((of_file.name.as_str(), of_file.pointer.as_str()), ("advice.json", "/targets/0/share"));
        assert!(FigureSource::parse("main advice.json#/x: litres").is_err());
    }
}
