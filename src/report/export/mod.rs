//! Records as tables, for questions that no report asks: the rows that `switchcost export` writes as CSV files or as
//! statements of SQL.
//!
//! A row is made and handed over before the next, so that a run of millions of samples is never held twice.
//! `docs/method/export.md` writes the columns down; a test checks that it names each of them.

mod rows;
mod sql;

use std::borrow::Cow;
use std::io;

use super::csv::quoted;
pub use rows::{TABLES, rows};
pub use sql::SqlScript;

/// What the values of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColumnType {
    /// Whole numbers, and 0 and 1 for no and yes.
    Whole,
    /// Numbers.
    Real,
    /// Texts; some are JSON, and say so.
    Text,
}

/// A table of an export, without its rows.
#[derive(Debug, PartialEq, Eq)]
pub struct ExportTable {
    /// Its name, and that of its CSV file without `.csv`.
    pub name: &'static str,
    /// Its columns, in their order.
    pub columns: &'static [(&'static str, ColumnType)],
}

/// One value of a row.
#[derive(Debug, Clone, PartialEq)]
pub enum Cell<'a> {
    /// Not known. Never 0.
    Null,
    /// A whole number.
    Whole(u64),
    /// A number; one that is not finite is written as not known.
    Real(f64),
    /// A text.
    Text(Cow<'a, str>),
}

impl<'a> From<&'a str> for Cell<'a> {
    fn from(text: &'a str) -> Self {
        Self::Text(text.into())
    }
}

impl From<String> for Cell<'_> {
    fn from(text: String) -> Self {
        Self::Text(text.into())
    }
}

impl From<u64> for Cell<'_> {
    fn from(number: u64) -> Self {
        Self::Whole(number)
    }
}

impl From<usize> for Cell<'_> {
    fn from(number: usize) -> Self {
        Self::Whole(number as u64)
    }
}

impl From<bool> for Cell<'_> {
    fn from(holds: bool) -> Self {
        Self::Whole(holds.into())
    }
}

impl From<f64> for Cell<'_> {
    fn from(number: f64) -> Self {
        if number.is_finite() { Self::Real(number) } else { Self::Null }
    }
}

impl<'a, T: Into<Cell<'a>>> From<Option<T>> for Cell<'a> {
    fn from(known: Option<T>) -> Self {
        known.map_or(Self::Null, Into::into)
    }
}

/// The first line of a table's CSV file.
pub fn csv_header(table: &ExportTable) -> String {
    let names: Vec<&str> = table.columns.iter().map(|(name, _)| *name).collect();
    names.join(",") + "\n"
}

/// A row as a line of CSV (RFC 4180); what is not known is an empty field. Numbers have all their digits.
pub fn csv_line(cells: &[Cell]) -> String {
    let field = |cell: &Cell| match cell {
        Cell::Null => String::new(),
        Cell::Whole(number) => number.to_string(),
        Cell::Real(number) => number.to_string(),
        Cell::Text(text) => quoted(text),
    };
    cells.iter().map(field).collect::<Vec<_>>().join(",") + "\n"
}

/// What takes rows, one after the other: those of one table of one run together.
pub trait RowSink {
    /// Takes a row of `table`, with a cell for each of its columns.
    ///
    /// # Errors
    /// When it cannot be written.
    fn row(&mut self, table: &'static ExportTable, cells: &[Cell]) -> io::Result<()>;
}
