//! Comma-separated values (RFC 4180), for reading a figure's data in another program.

use std::fmt::Write;

/// A table under construction.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Csv {
    text: String,
}

impl Csv {
    /// A table with these columns.
    pub(super) fn new(columns: &[&str]) -> Self {
        let mut csv = Self::default();
        csv.row(columns.iter().map(|column| (*column).to_string()));
        csv
    }

    /// Adds a row.
    pub(super) fn row(&mut self, fields: impl IntoIterator<Item = String>) {
        let fields: Vec<String> = fields.into_iter().map(|field| quoted(&field)).collect();
        self.text.push_str(&fields.join(","));
        self.text.push('\n');
    }

    /// The file.
    pub(super) fn into_text(self) -> String {
        self.text
    }
}

/// A number with enough digits to compute with.
pub(super) fn number(value: f64) -> String {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, "{value:.4}");
    text.trim_end_matches('0').trim_end_matches('.').into()
}

/// The same, or an empty field.
pub(super) fn optional(value: Option<f64>) -> String {
    value.map(number).unwrap_or_default()
}

/// A text that a spreadsheet would take for a formula gets an apostrophe before it (OWASP, "CSV Injection"); a negative
/// number is none.
pub(super) fn quoted(field: &str) -> String {
    let formula = field.starts_with(['=', '+', '-', '@', '\t', '\r']) && field.parse::<f64>().is_err();
    let field = &if formula { format!("'{field}") } else { field.to_string() };
    if field.contains([',', '"', '\n', '\r']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_quotes_gets_them() {
        let mut csv = Csv::new(&["id", "ns"]);
        csv.row(["brigade/thread/same-cpu/tasks=8,transport=pipe".into(), number(4117.25)]);
        csv.row(["say \"x\"".into(), optional(None)]);
        assert_eq!(
            csv.into_text(),
            "id,ns\n\"brigade/thread/same-cpu/tasks=8,transport=pipe\",4117.25\n\"say \"\"x\"\"\",\n"
        );
    }
}
