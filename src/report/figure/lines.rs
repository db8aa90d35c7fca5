//! Curves: a cost over an amount.

use maud::{Markup, html};

use super::axis::Axis;
use super::{Drawing, Frame, Picture, legend, px, series, width_of};
use crate::report::text;
use crate::units::Quantity;

/// Curves of few points, each with a mark and its interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    /// What the horizontal axis measures.
    pub across: String,
    /// What the vertical axis measures.
    pub upwards: String,
    /// What kind of number that is.
    pub quantity: Quantity,
    /// The curves.
    pub lines: Vec<LineSeries>,
}

/// One curve: its label and its points.
#[derive(Debug, Clone, PartialEq)]
pub struct LineSeries {
    /// What it is of.
    pub label: String,
    /// Its points, by rising `x`.
    pub points: Vec<Point>,
}

/// A point, with the interval of its height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// The amount.
    pub x: f64,
    /// The cost.
    pub y: f64,
    /// The interval's lower end; `y` where there is none.
    pub low: f64,
    /// The interval's upper end; `y` where there is none.
    pub high: f64,
}

const HEIGHT: f64 = 300.0;

impl Picture for Lines {
    fn draw(&self, frame: Frame) -> Drawing {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let names: Vec<(usize, &str)> =
            self.lines.iter().enumerate().map(|(index, line)| (index, line.label.as_str())).collect();
        // Beyond what colours can tell apart, names at the ends of the curves would not help either.
        let beside = !frame.narrow;
        let widest = names.iter().map(|(_, name)| width_of(name)).fold(0.0, f64::max);
        let right = frame.width - if beside { widest.min(220.0) + 14.0 } else { 10.0 };
        let left = 56.0;
        let key = if beside { None } else { Some(legend(frame, &names, 0.0)) };
        let top = key.as_ref().map_or(0.0, |key| key.height) + 26.0;
        let bottom = top + HEIGHT;
        let x = Axis::covering(points().map(|point| point.x), left, right);
        let y = Axis::covering_intervals(points().map(|point| (point.low, point.y, point.high)), bottom, top);
        let scale = match (x.is_log(), y.is_log()) {
            (true, true) => " (both logarithmic)",
            (true, false) => " (logarithmic)",
            _ => "",
        };
        let upwards = if y.is_log() && !x.is_log() { " (logarithmic)" } else { "" };
        let ends =
            spread(self.lines.iter().map(|line| line.points.last().map_or(bottom, |last| y.at(last.y))).collect());
        let body = html! {
            @if let Some(key) = key { (key.body) }
            text.tick x="0" y=(px(top - 12.0)) { (self.upwards) (upwards) }
            (y.upwards(left, right, text::ticks(self.quantity)))
            (x.across(top, bottom, amount))
            text.tick.mid x=(px((left + right) / 2.0)) y=(px(bottom + 33.0)) { (self.across) (scale) }
            @for (index, line) in self.lines.iter().enumerate() {
                (curve(line, index, self.quantity, &x, &y))
                @if beside {
                    text.label x=(px(right + 10.0)) y=(px(ends[index] + 4.0)) { (line.label) }
                }
            }
        };
        Drawing { height: bottom + 44.0, body }
    }
}

pub(super) fn amount(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", text::plain(value / 1e6)),
        value if value >= 1e4 => format!("{} k", text::plain(value / 1e3)),
        value => text::plain(value),
    }
}

fn curve(line: &LineSeries, index: usize, quantity: Quantity, x: &Axis, y: &Axis) -> Markup {
    let colour = series(index);
    let path: Vec<String> = line.points.iter().map(|p| format!("{},{}", px(x.at(p.x)), px(y.at(p.y)))).collect();
    html! {
        polyline class={ "stroke " (colour) @if index >= super::SERIES { " dashed" } } points=(path.join(" ")) {}
        @for point in &line.points {
            @let at = px(x.at(point.x));
            @if point.high > point.low {
                line class={ "stroke thin " (colour) } x1=(at) x2=(at)
                    y1=(px(y.at(point.low))) y2=(px(y.at(point.high))) {}
            }
            circle class=(colour) cx=(at) cy=(px(y.at(point.y))) r="3.5" {
                title { (line.label) ": " (text::amount(quantity, point.y)) " at " (amount(point.x)) }
            }
        }
    }
}

/// Moves labels apart that would cover one another, keeping their order.
pub(super) fn spread(wanted: Vec<f64>) -> Vec<f64> {
    const APART: f64 = 15.0;
    let mut order: Vec<usize> = (0..wanted.len()).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]));
    let mut placed = wanted;
    for pair in 1..order.len() {
        let least = placed[order[pair - 1]] + APART;
        let this = &mut placed[order[pair]];
        *this = this.max(least);
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves() -> Lines {
        let point = |x: f64, y: f64| Point { x, y, low: y * 0.9, high: y * 1.1 };
        let line = |label: &str, factor: f64| LineSeries {
            label: label.into(),
            points: [10.0, 100.0, 1000.0].map(|x| point(x, factor * x)).to_vec(),
        };
        Lines {
            across: "tasks".into(),
            upwards: "time per hop".into(),
            quantity: Quantity::default(),
            lines: vec![line("a", 1.0), line("b", 1.01)],
        }
    }

    #[test]
    fn every_curve_and_point_is_drawn_and_named_in_both_frames() {
        for frame in [Frame::WIDE, Frame::NARROW] {
            let text = curves().draw(frame).body.into_string();
            assert_eq!((text.matches("<polyline").count(), text.matches("<circle").count()), (2, 6));
            assert!(text.contains(">a</text>") && text.contains(">b</text>") && text.contains("logarithmic"), "{text}");
        }
    }

    #[test]
    fn a_label_is_text_and_no_markup() {
        for frame in [Frame::WIDE, Frame::NARROW] {
            let mut curves = curves();
            curves.lines[0].label = "<nasty>&\"'".into();
            curves.lines[1].label = "b".into();
            let text = curves.draw(frame).body.into_string();
            assert!(!text.contains("<nasty") && text.contains("&lt;nasty&gt;&amp;&quot;'"), "{text}");
        }
    }

    #[test]
    fn labels_do_not_cover_one_another() {
        let placed = spread(vec![100.0, 20.0, 101.0, 99.0]);
        let mut sorted = placed.clone();
        sorted.sort_by(f64::total_cmp);
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= 15.0), "{placed:?}");
        assert_eq!(placed[1], 20.0);
    }
}
