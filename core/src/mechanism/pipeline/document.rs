//! What messages carry when stages work: documents of JSON, made from a seed, and what a transform does with one.
//!
//! A document is an event of a log: an object of eight fields with a text, a nested object, a list, whole and broken
//! numbers, an escaped quotation and letters beyond ASCII. Its keys are in alphabetical order, so that it comes out of
//! every parser as it went in, whether that keeps the order of keys or sorts them; and it is exactly as long as was
//! asked for, so that bytes per second are exact. The transform sets its field `count`, which is 0.

use simd_json::prelude::{ValueAsMutObject, Writable};

use super::Failure;
use crate::crew::scramble;

/// How many different documents there are, which pipelines take in turn: together larger than what a branch predictor
/// learns by heart.
pub(super) const DOCUMENTS: usize = 16;

/// From which documents are made.
const SEED: u64 = 0x5eed_0f10_9e4e_7b1d;

/// The shortest document: all fields, and a few words.
pub(super) const SHORTEST: u64 = 256;

/// What the transform does, and so what messages carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PipelineWork {
    /// Nothing: messages carry no document.
    None,
    /// Decodes by `serde_json` from a `&str`, sets a field, encodes.
    Json,
    /// The same by `simd-json`, in the message's own bytes, which it overwrites.
    SimdJson,
}

/// A document, and where its field `count` stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Document {
    text: String,
    /// Where the digit 0 of the field stands.
    count: usize,
}

impl PipelineWork {
    /// Decodes `text`, sets its field `count` and encodes it again.
    pub(super) fn transform(self, text: String, count: u64) -> Result<String, Failure> {
        match self {
            Self::None => Ok(text),
            Self::Json => {
                let mut value: serde_json::Value = serde_json::from_str(&text).map_err(not_json)?;
                let object = value.as_object_mut().ok_or_else(|| not_json("no object"))?;
                object.insert("count".into(), count.into());
                serde_json::to_string(&value).map_err(not_json)
            }
            Self::SimdJson => {
                let mut bytes = text.into_bytes();
                let mut value = simd_json::to_borrowed_value(&mut bytes).map_err(not_json)?;
                let object = value.as_object_mut().ok_or_else(|| not_json("no object"))?;
                object.insert("count".into(), count.into());
                Ok(value.encode())
            }
        }
    }
}

fn not_json(error: impl std::fmt::Display) -> Failure {
    Failure::Corrupted(format!("a document is not what was sent: {error}"))
}

impl Document {
    /// All documents of `bytes` each.
    pub(super) fn all(bytes: usize) -> Vec<Self> {
        let mut state = SEED;
        let mut draw = |below: u64| {
            state = scramble(state);
            // The upper bits: the lower ones of a xorshift are the weakest.
            (state >> 33) % below
        };
        (0..DOCUMENTS).map(|_| Self::drawn(bytes, &mut draw)).collect()
    }

    /// One document of `bytes`, from numbers that `draw` draws below a bound.
    fn drawn(bytes: usize, draw: &mut impl FnMut(u64) -> u64) -> Self {
        const LEVELS: [&str; 4] = ["debug", "error", "info", "warning"];
        let (active, host, level) = (draw(2) == 1, draw(10_000), LEVELS[draw(4) as usize]);
        // Hundredths that are no tenths, so that encoders agree on the shortest text.
        let (load, free) = (draw(100) * 10 + 1 + draw(9), draw(1 << 36));
        let (tag, zone) = (draw(100), draw(100));
        let time = 1_700_000_000_000 + draw(100_000_000_000);
        let before = format!("{{\"active\":{active},\"count\":");
        let between = format!(",\"host\":\"web-{host:04}\",\"level\":\"{level}\",\"message\":\"");
        let after = format!(
            "\",\"metrics\":{{\"free\":{free},\"load\":{}.{:02}}},\"tags\":[\"t{tag}\",\"z{zone}\"],\"time\":{time}}}",
            load / 100,
            load % 100
        );
        let fixed = before.len() + 1 + between.len() + after.len();
        let message = words(bytes.saturating_sub(fixed), draw);
        Self { count: before.len(), text: format!("{before}0{between}{message}{after}") }
    }

    /// The document as a source sends it.
    pub(super) fn text(&self) -> &str {
        &self.text
    }

    /// Whether `text` is this document with its field set to `count`, to the last byte.
    pub(super) fn is_with(&self, text: &str, count: u64) -> bool {
        let (before, after) = (&self.text[..self.count], &self.text[self.count + 1..]);
        let digits = text.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
        digits.is_some_and(|digits| is_decimal(digits, count))
    }
}

/// Whether `digits` is `number` in decimal. Without a `String`: a sink asks this of each message.
fn is_decimal(digits: &str, number: u64) -> bool {
    let mut left = number;
    let right = digits.bytes().rev().all(|digit| {
        let same = u64::from(digit) == u64::from(b'0') + left % 10;
        left /= 10;
        same
    });
    right && left == 0 && !digits.is_empty() && (digits == "0" || !digits.starts_with('0'))
}

/// Text of exactly `bytes`, as it stands between quotation marks.
fn words(bytes: usize, draw: &mut impl FnMut(u64) -> u64) -> String {
    const WORDS: [&str; 12] = [
        "request",
        "timeout",
        "from",
        "upstream",
        "\\\"retry\\\"",
        "na\u{ef}ve",
        "cache",
        "miss",
        "for",
        "key",
        "shard",
        "closed",
    ];
    let mut text = String::with_capacity(bytes);
    loop {
        let word = WORDS[draw(WORDS.len() as u64) as usize];
        if text.len() + word.len() >= bytes {
            break;
        }
        text.push_str(word);
        text.push(' ');
    }
    while text.len() < bytes {
        text.push('.');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_differ_are_as_long_as_asked_for_and_the_same_every_time() {
        for bytes in [SHORTEST as usize, 512, 4096] {
            let documents = Document::all(bytes);
            assert_eq!(documents, Document::all(bytes));
            for (index, document) in documents.iter().enumerate() {
                assert_eq!(document.text.len(), bytes, "{}", document.text);
                assert!(!documents[..index].contains(document));
                assert!(document.is_with(&document.text, 0), "{}", document.text);
            }
        }
        let all: String = Document::all(4096).iter().map(Document::text).collect();
        assert!(all.contains("\\\"retry\\\"") && all.contains("na\u{ef}ve"), "escapes and letters beyond ASCII");
    }

    #[test]
    fn both_parsers_change_the_field_and_nothing_else() {
        for bytes in [SHORTEST as usize, 512, 4096] {
            for document in Document::all(bytes) {
                for work in [PipelineWork::Json, PipelineWork::SimdJson] {
                    for count in [1, 10, 987_654_321, u64::MAX] {
                        let text = work.transform(document.text.clone(), count).unwrap();
                        assert!(document.is_with(&text, count), "{work:?}: {text}");
                        assert!(!document.is_with(&text, count - 1), "{work:?}");
                        let value: serde_json::Value = serde_json::from_str(&text).unwrap();
                        assert_eq!(value["count"], count);
                    }
                }
                assert_eq!(PipelineWork::None.transform(document.text.clone(), 1).unwrap(), document.text);
            }
        }
    }

    #[test]
    fn a_document_with_another_byte_is_not_the_one_that_was_sent() {
        let document = &Document::all(512)[0];
        let text = PipelineWork::Json.transform(document.text.clone(), 7).unwrap();
        for at in 0..text.len() {
            let mut bytes = text.clone().into_bytes();
            bytes[at] ^= 1;
            let Ok(changed) = String::from_utf8(bytes) else { continue };
            assert!(!document.is_with(&changed, 7), "{at}");
        }
        for (digits, number) in [("", 0), ("07", 7), ("7 ", 7), ("17", 7), ("7", 17), ("+7", 7)] {
            assert!(!is_decimal(digits, number), "{digits}");
        }
        assert!(is_decimal("0", 0) && is_decimal("18446744073709551615", u64::MAX));
        let failure = PipelineWork::SimdJson.transform("{".into(), 1).unwrap_err().to_string();
        assert!(failure.starts_with("a document is not what was sent"), "{failure}");
    }
}
