//! Numbers as people read them, and the words around them.

use crate::units::{Quantity, decimals};

/// A number of some quantity with three significant digits and its unit.
pub(super) fn amount(quantity: Quantity, value: f64) -> String {
    match quantity {
        Quantity::Nanoseconds => nanos(value),
        Quantity::Bytes => {
            let (scaled, unit) = scaled_bytes(value);
            format!("{} {unit}", significant(scaled))
        }
        Quantity::Share => percent(value),
        Quantity::Number => significant(value),
    }
}

/// What is spent of it, in a word: `time`, `memory`.
pub(super) fn noun(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Nanoseconds => "time",
        Quantity::Bytes => "memory",
        Quantity::Share | Quantity::Number => "figure",
    }
}

/// The name of a column of data that holds it per operation: `ns_per_op`.
pub(super) fn column(quantity: Quantity) -> &'static str {
    match quantity {
        Quantity::Nanoseconds => "ns_per_op",
        Quantity::Bytes => "bytes_per_op",
        Quantity::Share => "share_per_op",
        Quantity::Number => "per_op",
    }
}

/// The name of a column that holds one value of a distribution of it: `median_ns`.
pub(super) fn value_column(value: &str, quantity: Quantity) -> String {
    match quantity {
        Quantity::Nanoseconds => format!("{value}_ns"),
        Quantity::Bytes => format!("{value}_bytes"),
        Quantity::Share => format!("{value}_share"),
        Quantity::Number => value.into(),
    }
}

/// How ticks of an axis are written.
pub(super) fn ticks(quantity: Quantity) -> fn(f64) -> String {
    match quantity {
        Quantity::Nanoseconds => tick,
        // Ticks stand at round decimal numbers, which are not round in KiB.
        Quantity::Bytes => |value| match value.abs() {
            size if size < 999.5 => format!("{} B", plain(value)),
            size if size < 999.5e3 => format!("{} kB", plain(value / 1e3)),
            size if size < 999.5e6 => format!("{} MB", plain(value / 1e6)),
            _ => format!("{} GB", plain(value / 1e9)),
        },
        Quantity::Share => percent,
        Quantity::Number => plain,
    }
}

/// A time in nanoseconds with three significant digits and the unit that keeps it below 1000: `4.12 µs`.
pub(super) fn nanos(value: f64) -> String {
    let (scaled, unit) = scaled(value);
    format!("{} {unit}", significant(scaled))
}

/// A round time for an axis: `5 µs`, without digits that say nothing.
pub(super) fn tick(value: f64) -> String {
    let (scaled, unit) = scaled(value);
    format!("{} {unit}", plain(scaled))
}

/// A number without trailing zeros, at most three decimals, with a true minus sign.
pub(super) fn plain(value: f64) -> String {
    decimals(value, 3).trim_end_matches('0').trim_end_matches('.').into()
}

fn scaled(value: f64) -> (f64, &'static str) {
    // 999.6 would round up to 1000 of its unit.
    match value.abs() {
        size if size < 999.5 => (value, "ns"),
        size if size < 999.5e3 => (value / 1e3, "µs"),
        size if size < 999.5e6 => (value / 1e6, "ms"),
        _ => (value / 1e9, "s"),
    }
}

fn scaled_bytes(value: f64) -> (f64, &'static str) {
    const KIB: f64 = 1024.0;
    match value.abs() {
        size if size < 1000.0 => (value, "B"),
        size if size < 1000.0 * KIB => (value / KIB, "KiB"),
        size if size < 1000.0 * KIB * KIB => (value / (KIB * KIB), "MiB"),
        _ => (value / (KIB * KIB * KIB), "GiB"),
    }
}

/// Three significant digits; what is below a thousandth is 0, because no counter and no clock here resolves it.
pub(super) fn significant(value: f64) -> String {
    let size = value.abs();
    let digits = match size {
        size if size >= 99.95 => 0,
        size if size >= 9.995 => 1,
        size if size >= 0.9995 => 2,
        _ => 3,
    };
    decimals(value, digits)
}

/// A rate per operation: whole ones as such, small ones not rounded to nothing.
pub(super) fn rate(value: f64) -> String {
    match value {
        value if (value - value.round()).abs() < 5e-4 => plain(value.round()),
        value if value.abs() >= 1000.0 => decimals(value, 0),
        value => significant(value),
    }
}

/// A share as a percentage: `12 %`, `0.4 %`.
pub(super) fn percent(share: f64) -> String {
    let value = share * 100.0;
    format!("{} %", decimals(value, if value.abs() >= 9.5 { 0 } else { 1 }))
}

/// Half of an interval's width over its figure from which on its ends say nothing any more: those of two rounds that
/// lie apart can be a billion times the figure.
pub(super) const HARDLY_KNOWN: f64 = 10.0;

/// What stands in place of such an interval.
pub(super) const BEYOND: &str = "> ±1000 %";

/// How many times: `3.4×`, `120×`.
pub(super) fn times(ratio: f64) -> String {
    format!("{}×", significant(ratio))
}

/// `1 round`, `3 rounds`.
pub(super) fn count(number: usize, noun: &str) -> String {
    if number == 1 { format!("1 {noun}") } else { format!("{number} {noun}s") }
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(words: &[String]) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// The text with a capital at its beginning.
pub(super) fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// The text with numbers kept on one line with their units.
pub(super) fn unbroken(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(character) = rest.next() {
        let after_digit = kept.ends_with(|last: char| last.is_ascii_digit());
        let mut before_unit = || rest.peek().is_some_and(|next| "%nµmC".contains(*next));
        kept.push(if character == ' ' && after_digit && before_unit() { '\u{a0}' } else { character });
    }
    kept
}

/// By what ids are sorted, so that `tasks=5` comes before `tasks=20`: their parts, and the numbers behind them.
pub fn natural(id: &str) -> Vec<(&str, u64)> {
    let mut parts = Vec::new();
    let mut rest = id;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let (words, after) = rest.split_at(digits);
        let end = after.find(|c: char| !c.is_ascii_digit()).unwrap_or(after.len());
        // No number is 0, and one that is too long the greatest.
        let number = if end == 0 { 0 } else { after[..end].parse().unwrap_or(u64::MAX) };
        parts.push((words, number));
        rest = &after[end..];
    }
    parts
}

/// A word that may stand in an anchor, a file name and a URL: lower case letters, digits and hyphens.
pub(super) fn slug(text: &str) -> String {
    let mut slug = String::new();
    for character in text.chars() {
        match character.to_ascii_lowercase() {
            character if character.is_ascii_alphanumeric() => slug.push(character),
            _ if slug.ends_with('-') || slug.is_empty() => {}
            _ => slug.push('-'),
        }
    }
    slug.trim_end_matches('-').into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_three_digits_and_a_fitting_unit() {
        for (value, text) in
            [(0.4, "0.400 ns"), (96.34, "96.3 ns"), (999.7, "1.00 µs"), (4117.0, "4.12 µs"), (-52_300.0, "−52.3 µs")]
        {
            assert_eq!(nanos(value), text);
        }
        assert_eq!((tick(500.0), tick(20_000.0), tick(0.0)), ("500 ns".into(), "20 µs".into(), "0 ns".into()));
    }

    #[test]
    fn memory_is_told_in_its_own_units() {
        let formatted = |value| amount(Quantity::Bytes, value);
        assert_eq!([812.0, 8704.0, 1_572_864.0].map(formatted), ["812 B", "8.50 KiB", "1.50 MiB"]);
        assert_eq!(
            (ticks(Quantity::Bytes)(20_480.0), ticks(Quantity::Nanoseconds)(500.0)),
            ("20.48 kB".into(), "500 ns".into())
        );
        assert_eq!(amount(Quantity::Nanoseconds, 4117.0), nanos(4117.0));
    }

    #[test]
    fn bytes_at_ticks_are_round() {
        assert_eq!([800.0, 40_000.0, 1_500_000.0].map(ticks(Quantity::Bytes)), ["800 B", "40 kB", "1.5 MB"]);
    }

    #[test]
    fn rates_are_not_rounded_to_nothing() {
        assert_eq!([2.000_01, 0.002, 1.333, 5210.4, -0.0].map(rate), ["2", "0.002", "1.33", "5210", "0"]);
    }

    #[test]
    fn ids_are_sorted_by_their_numbers() {
        let mut ids =
            ["a/b/tasks=20", "a/b/tasks=5,idle=poll", "a/b", "a/b/tasks=5", "a/b2", "a/b/99999999999999999999"];
        ids.sort_by_key(|id| natural(id));
        assert_eq!(
            ids,
            ["a/b", "a/b2", "a/b/99999999999999999999", "a/b/tasks=5", "a/b/tasks=5,idle=poll", "a/b/tasks=20"]
        );
    }

    #[test]
    fn numbers_stay_with_their_units() {
        assert_eq!(unbroken("2 CPUs take 4.12 µs, 84 % of it"), "2\u{a0}CPUs take 4.12\u{a0}µs, 84\u{a0}% of it");
        assert_eq!(unbroken("from 10 to 1000"), "from 10 to 1000");
    }

    #[test]
    fn words_are_joined_and_made_into_anchors() {
        assert_eq!(list(&["a".into(), "b".into(), "c".into()]), "a, b and c");
        assert_eq!((capitalised("speed after"), capitalised("")), ("Speed after".into(), String::new()));
        assert_eq!(slug("brigade/thread, tasks=64"), "brigade-thread-tasks-64");
        assert_eq!((count(1, "round"), count(3, "round")), ("1 round".into(), "3 rounds".into()));
    }
}
