//! A cost for each pair: from the row's to the column's.

use maud::html;

use super::{Drawing, Frame, Picture, marked, px, width_of};
use crate::report::text;

/// A square map with a cell for each ordered pair, shaded by the logarithm of its cost.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMap {
    /// What the rows and columns are: `CPU`.
    pub axis: String,
    /// The names of rows and columns.
    pub labels: Vec<String>,
    /// The cells, row by row; `None` where nothing was measured.
    pub values: Vec<Vec<Option<HeatMapCell>>>,
}

/// What one pair costs, and how it is marked.
#[derive(Debug, Clone, PartialEq)]
pub struct HeatMapCell {
    /// Nanoseconds.
    pub nanos: f64,
    /// What marks a figure that is not to be compared; else empty. Such a cell has no shade.
    pub mark: String,
}

impl HeatMapCell {
    /// What is written in it.
    fn written(&self) -> String {
        marked(&text::nanos(self.nanos), &self.mark)
    }
}

/// Beyond this a cell's shade is so strong that ink on it must be paper-coloured.
const STRONG: f64 = 0.5;

/// What a label needs in height, and at least in width.
const LABEL: f64 = 14.0;

impl Picture for HeatMap {
    fn draw(&self, frame: Frame) -> Drawing {
        let valid = self.values.iter().flatten().flatten().filter(|cell| cell.mark.is_empty()).map(|cell| cell.nanos);
        let known: Vec<f64> = valid.filter(|nanos| *nanos > 0.0).collect();
        let low = known.iter().copied().fold(f64::MAX, f64::min);
        let high = known.iter().copied().fold(f64::MIN, f64::max);
        let widest = self.labels.iter().map(|label| width_of(label)).fold(0.0, f64::max);
        let left = widest + 10.0;
        let cell = ((frame.width - left) / self.labels.len().max(1) as f64).min(76.0);
        let height = cell.min(40.0);
        // A gap of fixed width would be wider than the cells of hundreds of CPUs.
        let gap = (cell * 0.1).min(1.0);
        let inner = |size: f64| px(size - 2.0 * gap);
        let (across, down) = (every((widest + 4.0).max(LABEL), cell), every(LABEL, height));
        // In cells too small for its figures the shade alone speaks; pointing at one still tells.
        let written = cell >= 52.0;
        let top = 40.0;
        let shade = |value: f64| {
            // Logarithmic, as neighbours and far nodes differ by factors.
            let share = if high > low { (value / low).ln() / (high / low).ln() } else { 0.0 };
            0.1 + 0.85 * share.clamp(0.0, 1.0)
        };
        let body = html! {
            text.tick x="0" y="12" { (self.axis) " to " (self.axis) ", darker is dearer: " (range(low, high)) }
            @for (column, label) in self.labels.iter().enumerate().step_by(across) {
                text.tick.mid x=(px(left + (column as f64 + 0.5) * cell)) y=(px(top - 7.0)) { (label) }
            }
            @for (row, values) in self.values.iter().enumerate() {
                @let y = top + row as f64 * height;
                @if row % down == 0 {
                    text.tick.end x=(px(left - 7.0)) y=(px(y + height / 2.0 + 4.0)) {
                        (self.labels.get(row).map_or("", String::as_str))
                    }
                }
                @for (column, value) in values.iter().enumerate() {
                    @let x = left + column as f64 * cell;
                    @match value {
                        Some(measured) => {
                            @let valid = measured.mark.is_empty();
                            @let dark = shade(measured.nanos) > STRONG && valid;
                            @let opacity = format!("{:.2}", if valid { shade(measured.nanos) } else { 1.0 });
                            rect class=(if valid { "s0" } else { "track" }) x=(px(x + gap)) y=(px(y + gap))
                                width=(inner(cell)) height=(inner(height)) rx=(px(2.0 * gap)) fill-opacity=(opacity) {
                                title { (measured.written()) }
                            }
                            @if written {
                                text.mid.small.on[dark] x=(px(x + cell / 2.0))
                                    y=(px(y + height / 2.0 + 4.0)) {
                                    (measured.written())
                                }
                            }
                        }
                        None => {
                            rect.track x=(px(x + gap)) y=(px(y + gap)) width=(inner(cell)) height=(inner(height))
                                rx=(px(2.0 * gap)) {}
                        }
                    }
                }
            }
        };
        Drawing::plain(top + self.values.len() as f64 * height + 6.0, body)
    }

    fn is_fluid(&self) -> bool {
        false
    }
}

/// Of how many cells one can be labelled.
fn every(label: f64, cell: f64) -> usize {
    (label / cell).ceil().max(1.0) as usize
}

fn range(low: f64, high: f64) -> String {
    if low <= high { format!("{} to {}", text::nanos(low), text::nanos(high)) } else { "nothing measured".into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(nanos: f64) -> Option<HeatMapCell> {
        Some(HeatMapCell { nanos, mark: String::new() })
    }

    #[test]
    fn every_pair_has_a_cell_and_unmeasured_ones_no_figure() {
        let labels = ["0", "1", "2"].map(String::from).to_vec();
        let values = vec![
            vec![None, cell(90.0), cell(400.0)],
            vec![cell(91.0), None, cell(410.0)],
            vec![cell(400.0), cell(405.0), None],
        ];
        let map = HeatMap { axis: "CPU".into(), labels, values };
        let text = map.draw(Frame::WIDE).body.into_string();
        assert_eq!((text.matches("class=\"s0\"").count(), text.matches("class=\"track\"").count()), (6, 3));
        assert!(text.contains("90.0 ns to 410 ns"), "{text}");
        let empty = HeatMap { axis: "CPU".into(), labels: vec!["0".into()], values: vec![vec![None]] };
        assert!(empty.draw(Frame::NARROW).body.into_string().contains("nothing measured"));
    }

    #[test]
    fn a_cell_that_is_not_to_be_compared_is_marked_and_has_no_part_in_the_shades() {
        let void = Some(HeatMapCell { nanos: 5.0, mark: "‡".into() });
        let values = vec![vec![None, cell(90.0)], vec![void, None]];
        let labels = ["0", "1"].map(String::from).to_vec();
        let text = HeatMap { axis: "CPU".into(), labels, values }.draw(Frame::WIDE).body.into_string();
        assert!(text.contains("90.0 ns to 90.0 ns") && text.matches("5.00 ns ‡").count() == 2, "{text}");
        assert_eq!(text.matches("class=\"s0\"").count(), 1, "{text}");
    }

    #[test]
    fn hundreds_of_cpus_have_cells_of_some_width_and_labels_apart() {
        let labels: Vec<String> = (0..256).map(|cpu| cpu.to_string()).collect();
        let values = (0..256).map(|row| vec![cell(90.0 + f64::from(row)); 256]).collect();
        let drawn = HeatMap { axis: "CPU".into(), labels, values }.draw(Frame::NARROW).body.into_string();
        assert!(!drawn.contains("=\"-"), "a negative number");
        assert!(!drawn.contains("width=\"0\"") && !drawn.contains("height=\"0\""), "a cell without a width");
        let attribute = |text: &str, name: &str| -> f64 {
            let value = text.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
            value.unwrap().parse().unwrap()
        };
        let places = |class: &str, name: &str| -> Vec<f64> {
            drawn.split("<text class=\"").filter(|t| t.starts_with(class)).map(|t| attribute(t, name)).collect()
        };
        for (class, name) in [("tick mid", "x"), ("tick end", "y")] {
            let places = places(class, name);
            assert!(places.len() > 5 && places.windows(2).all(|pair| pair[1] - pair[0] >= 13.9), "{places:?}");
        }
    }
}
