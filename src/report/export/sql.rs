//! The statements that make a database of the rows: those of SQL that SQLite, DuckDB and PostgreSQL all read.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::{Cell, ColumnType, ExportTable, RowSink, TABLES};

/// The view that joins each sample with its benchmark, and divides.
const VIEW: &str = "CREATE VIEW sample_values AS SELECT s.run, r.host_id, r.id, r.mechanism, r.placement, r.round, \
                        s.kind, s.number, s.ops, s.amount, r.measures, CAST(s.amount AS REAL) / s.ops AS per_op \
                        FROM samples s JOIN rounds r ON r.run = s.run AND r.line = s.line WHERE s.ops > 0;\n";

/// Rows that one statement inserts: fewer make a script of samples several times as long to read.
const ROWS: usize = 200;

/// A script under construction. It makes everything within one transaction, so that a database is whole or empty.
#[derive(Debug)]
pub struct SqlScript<W: Write> {
    out: W,
    open: Option<(&'static ExportTable, usize)>,
}

impl<W: Write> SqlScript<W> {
    /// Begins a script with the tables.
    ///
    /// # Errors
    /// When `out` takes nothing.
    pub fn begin(mut out: W) -> io::Result<Self> {
        out.write_all(b"BEGIN TRANSACTION;\n")?;
        for table in TABLES {
            let columns = table.columns.iter().map(|(name, kind)| format!("\"{name}\" {}", sql_type(*kind)));
            writeln!(out, "CREATE TABLE {} ({});", table.name, columns.collect::<Vec<_>>().join(", "))?;
        }
        Ok(Self { out, open: None })
    }

    /// Ends it.
    ///
    /// # Errors
    /// When nothing more can be written.
    pub fn end(mut self) -> io::Result<W> {
        self.close()?;
        self.out.write_all(VIEW.as_bytes())?;
        self.out.write_all(b"COMMIT;\n")?;
        self.out.flush()?;
        Ok(self.out)
    }

    fn close(&mut self) -> io::Result<()> {
        if self.open.take().is_some() { self.out.write_all(b";\n") } else { Ok(()) }
    }
}

impl<W: Write> RowSink for SqlScript<W> {
    fn row(&mut self, table: &'static ExportTable, cells: &[Cell]) -> io::Result<()> {
        let goes_on = self.open.filter(|(open, rows)| open.name == table.name && *rows < ROWS);
        if let Some((_, rows)) = goes_on {
            self.out.write_all(b",\n")?;
            self.open = Some((table, rows + 1));
        } else {
            self.close()?;
            writeln!(self.out, "INSERT INTO {} VALUES", table.name)?;
            self.open = Some((table, 1));
        }
        let mut text = String::from("(");
        for (index, cell) in cells.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            literal(cell, &mut text);
        }
        text.push(')');
        self.out.write_all(text.as_bytes())
    }
}

fn sql_type(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Whole => "BIGINT",
        ColumnType::Real => "DOUBLE PRECISION",
        ColumnType::Text => "TEXT",
    }
}

/// A value in SQL. Control characters are spelled `char(10)`: within a literal a line break could be taken for the end
/// of a command by a shell that reads line by line, and a NUL ends the text of a statement.
fn literal(cell: &Cell, text: &mut String) {
    // Writing to a String cannot fail.
    let _ = match cell {
        Cell::Null => write!(text, "NULL"),
        Cell::Whole(number) => write!(text, "{number}"),
        Cell::Real(number) => write!(text, "{number:e}"),
        Cell::Text(value) => {
            text.push_str(&quoted(value));
            Ok(())
        }
    };
}

fn quoted(value: &str) -> String {
    if value.is_empty() {
        return "''".into();
    }
    let mut pieces: Vec<String> = Vec::new();
    for plain in value.split_inclusive(char::is_control) {
        let control = plain.chars().next_back().filter(|last| last.is_control());
        let plain = control.map_or(plain, |control| &plain[..plain.len() - control.len_utf8()]);
        if !plain.is_empty() {
            pieces.push(format!("'{}'", plain.replace('\'', "''")));
        }
        pieces.extend(control.map(|control| format!("char({})", u32::from(control))));
    }
    pieces.join("||")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_are_doubled_and_control_characters_are_spelled() {
        let literal_of = |cell: Cell| {
            let mut text = String::new();
            literal(&cell, &mut text);
            text
        };
        assert_eq!(literal_of("it's".into()), "'it''s'");
        assert_eq!(literal_of("".into()), "''");
        assert_eq!(literal_of("a\n.shell\0".into()), "'a'||char(10)||'.shell'||char(0)");
        assert_eq!(literal_of("\u{85}".into()), "char(133)");
        assert_eq!(literal_of(f64::NAN.into()), "NULL");
        assert_eq!(literal_of(0.1.into()), "1e-1");
        assert_eq!(literal_of(u64::MAX.into()), "18446744073709551615");
    }
}
