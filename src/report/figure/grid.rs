//! Times in a table whose shades show where they are large.

use maud::html;

use super::{Drawing, Frame, Picture, px, width_of};
use crate::report::text;

/// A table of times, each cell shaded by its logarithm.
#[derive(Debug, Clone, PartialEq)]
pub struct Grid {
    /// What the columns are.
    pub across: String,
    /// Their names.
    pub columns: Vec<String>,
    /// From top to bottom.
    pub rows: Vec<GridRow>,
}

/// One row of the table: a label and a value for each column.
#[derive(Debug, Clone, PartialEq)]
pub struct GridRow {
    /// What it is of.
    pub label: String,
    /// Nanoseconds for each column; `None` where nothing was measured.
    pub values: Vec<Option<f64>>,
}

const HEIGHT: f64 = 26.0;
const LABEL: f64 = 16.0;
/// Narrower cells show their shade alone; pointing at one still tells.
const WRITTEN: f64 = 47.0;
/// Beyond this shade ink must be paper-coloured.
const STRONG: f64 = 0.5;

impl Picture for Grid {
    fn draw(&self, frame: Frame) -> Drawing {
        let widest = self.rows.iter().map(|row| width_of(&row.label)).fold(0.0, f64::max);
        let left = if frame.narrow { 0.0 } else { widest + 12.0 };
        let cell = ((frame.width - left) / self.columns.len().max(1) as f64).min(96.0);
        let high = self.rows.iter().flat_map(|row| &row.values).flatten().copied().fold(1.0, f64::max);
        // Times here differ by orders of magnitude: half of a shade is a tenth of the largest.
        let shade = |value: f64| 0.06 + 0.85 * (1.0 + (value.max(high / 100.0) / high).log10() / 2.0).clamp(0.0, 1.0);
        let top = 40.0;
        let step = if frame.narrow { HEIGHT + LABEL } else { HEIGHT };
        let body = html! {
            text.tick x="0" y="12" { (self.across) }
            @for (column, label) in self.columns.iter().enumerate() {
                text.tick.mid x=(px(left + (column as f64 + 0.5) * cell)) y=(px(top - 8.0)) { (label) }
            }
            @for (index, row) in self.rows.iter().enumerate() {
                @let y = top + index as f64 * step + (step - HEIGHT);
                @if frame.narrow {
                    text.label x="0" y=(px(y - 4.0)) { (row.label) }
                } @else {
                    text.label.end x=(px(left - 8.0)) y=(px(y + HEIGHT / 2.0 + 4.0)) { (row.label) }
                }
                @for (column, value) in row.values.iter().enumerate() {
                    @let x = left + column as f64 * cell;
                    @match value {
                        Some(value) => {
                            rect.s0 x=(px(x + 1.0)) y=(px(y + 1.0))
                                width=(px(cell - 2.0)) height=(px(HEIGHT - 2.0)) rx="2"
                                fill-opacity=(format!("{:.2}", shade(*value))) { title { (text::nanos(*value)) } }
                            @if cell >= WRITTEN {
                                text.mid.small.on[shade(*value) > STRONG] x=(px(x + cell / 2.0))
                                    y=(px(y + HEIGHT / 2.0 + 4.0)) {
                                    (text::nanos(*value))
                                }
                            }
                        }
                        None => {
                            rect.track x=(px(x + 1.0)) y=(px(y + 1.0))
                                width=(px(cell - 2.0)) height=(px(HEIGHT - 2.0)) rx="2" {}
                        }
                    }
                }
            }
        };
        Drawing::plain(top + self.rows.len() as f64 * step + 6.0, body)
    }

    fn is_fluid(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_a_cell_and_nothing_none() {
        let row = |label: &str, values: [Option<f64>; 2]| GridRow { label: label.into(), values: values.to_vec() };
        let grid = Grid {
            across: "working set".into(),
            columns: vec!["16 KiB".into(), "1 MiB".into()],
            rows: vec![row("nothing", [Some(-1.0), None]), row("handoff", [Some(290.0), Some(4400.0)])],
        };
        for frame in [Frame::WIDE, Frame::NARROW] {
            let text = grid.draw(frame).body.into_string();
            assert_eq!((text.matches("class=\"s0\"").count(), text.matches("class=\"track\"").count()), (3, 1));
            assert!(text.contains("4.40 µs") && text.contains(">handoff</text>") && text.contains("1 MiB"), "{text}");
        }
    }
}
