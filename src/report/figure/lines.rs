//! Curves: a cost over an amount.

use maud::{Markup, html};

use super::axis::Axis;
use super::legend::curve_class;
use super::plot::Plot;
use super::{Drawing, Frame, LegendEntry, Picture, px, series};
use crate::report::text;
use crate::units::Quantity;

/// Curves on common axes.
#[derive(Debug, Clone, PartialEq)]
pub struct Lines {
    /// What the horizontal axis measures.
    pub across: String,
    /// What the vertical axis measures.
    pub upwards: String,
    /// What kind of number that is.
    pub quantity: Quantity,
    /// Whether each point has a mark and its interval: for curves of few points.
    pub marks: bool,
    /// Whether the amounts are times, which pass evenly and begin at 0.
    pub over_time: bool,
    /// A height at which a line is drawn across, such as that of no change.
    pub level: Option<f64>,
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
#[derive(Debug, Clone, PartialEq)]
pub struct Point {
    /// The amount.
    pub x: f64,
    /// The cost.
    pub y: f64,
    /// The interval's lower end; `y` where there is none.
    pub low: f64,
    /// The interval's upper end; `y` where there is none.
    pub high: f64,
    /// What marks a figure that is not to be compared; else empty. No curve passes through it.
    pub mark: String,
}

impl Point {
    /// A point without an interval.
    pub fn at(x: f64, y: f64) -> Self {
        Self { x, y, low: y, high: y, mark: String::new() }
    }
}

const HEIGHT: f64 = 290.0;

impl Picture for Lines {
    fn draw(&self, frame: Frame) -> Drawing {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let plot = Plot::new(frame, 58.0, 20.0);
        let top = 26.0;
        let bottom = top + HEIGHT;
        let amounts = points().map(|point| point.x);
        let x = if self.over_time {
            Axis::linear_covering(amounts, 0.0, plot.width)
        } else {
            Axis::covering(amounts, 0.0, plot.width)
        };
        let level = self.level.map(|level| (level, level, level));
        let heights = points().map(|point| (point.low, point.y, point.high)).chain(level);
        let y = if self.marks {
            Axis::covering_intervals(heights, bottom, top)
        } else {
            Axis::linear_covering(heights.map(|(_, height, _)| height), bottom, top)
        };
        let scale = match (x.is_log(), y.is_log()) {
            (true, true) => " (both logarithmic)",
            (true, false) => " (logarithmic)",
            _ => "",
        };
        let upwards = if y.is_log() && !x.is_log() { " (logarithmic)" } else { "" };
        let lines = || self.lines.iter().enumerate();
        let curves = html! { @for (index, line) in lines() { (curve(line, index, &plot, (&x, &y))) } };
        let body = html! {
            text.tick x=(px(-plot.left)) y=(px(top - 12.0)) { (self.upwards) (upwards) }
            (y.upwards(&plot, text::ticks(self.quantity)))
            (x.across(&plot, top, bottom, amount))
            text.tick.mid x=(plot.x(plot.width / 2.0)) y=(px(bottom + 33.0)) { (self.across) (scale) }
            @if let Some(level) = self.level {
                line.level x1="0" x2=(plot.end()) y1=(px(y.at(level))) y2=(px(y.at(level))) {}
            }
            (plot.stretched(bottom, &curves))
            @for (index, line) in lines().filter(|_| self.marks) { (self.marks_of(line, index, &plot, (&x, &y))) }
        };
        let legend = lines().map(|(index, line)| LegendEntry::curve(&line.label, index)).collect();
        Drawing { height: bottom + 44.0, body, margins: (plot.left, plot.right), legend }
    }
}

impl Lines {
    fn marks_of(&self, line: &LineSeries, index: usize, plot: &Plot, (x, y): (&Axis, &Axis)) -> Markup {
        let colour = series(index);
        html! {
            @for point in &line.points {
                @let (at, height) = (plot.x(x.at(point.x)), px(y.at(point.y)));
                @if point.high > point.low {
                    line class={ "stroke thin " (colour) } x1=(at) x2=(at)
                        y1=(px(y.at(point.low))) y2=(px(y.at(point.high))) {}
                }
                circle class={ @if !point.mark.is_empty() { "hollow " } (colour) } cx=(at) cy=(height) r="3.5" {
                    title { (line.label) ": " (text::amount(self.quantity, point.y)) " at " (amount(point.x)) }
                }
                @if !point.mark.is_empty() {
                    text.small.bad x=(at) dx="6" y=(px(y.at(point.y) - 5.0)) { (point.mark) }
                }
            }
        }
    }
}

/// An amount at a tick.
pub(super) fn amount(value: f64) -> String {
    match value {
        value if value >= 1e6 => format!("{} M", text::plain(value / 1e6)),
        value if value >= 1e4 => format!("{} k", text::plain(value / 1e3)),
        value => text::plain(value),
    }
}

fn curve(line: &LineSeries, index: usize, plot: &Plot, (x, y): (&Axis, &Axis)) -> Markup {
    let points = line.points.iter().filter(|point| point.mark.is_empty());
    let path: Vec<String> = points.map(|p| format!("{},{}", plot.along(x.at(p.x)), px(y.at(p.y)))).collect();
    html! {
        polyline class=(curve_class(index)) points=(path.join(" ")) { title { (line.label) } }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curves(marks: bool) -> Lines {
        let point = |x: f64, y: f64| Point { low: y * 0.9, high: y * 1.1, ..Point::at(x, y) };
        let line = |label: &str, factor: f64| LineSeries {
            label: label.into(),
            points: [10.0, 100.0, 1000.0].map(|x| point(x, factor * x)).to_vec(),
        };
        Lines {
            across: "tasks".into(),
            upwards: "time per hop".into(),
            quantity: Quantity::default(),
            marks,
            over_time: false,
            level: None,
            lines: vec![line("a", 1.0), line("b", 1.01)],
        }
    }

    #[test]
    fn every_curve_and_point_is_drawn_and_named_in_both_frames() {
        for frame in [Frame::WIDE, Frame::PAGE] {
            let drawing = curves(true).draw(frame);
            let text = drawing.body.into_string();
            assert_eq!((text.matches("<polyline").count(), text.matches("<circle").count()), (2, 6));
            assert!(text.contains("logarithmic"), "{text}");
            let names: Vec<&str> = drawing.legend.iter().map(|entry| entry.name.as_str()).collect();
            assert_eq!(names, ["a", "b"]);
        }
        assert_eq!(curves(false).draw(Frame::PAGE).body.into_string().matches("<circle").count(), 0);
    }

    #[test]
    fn a_label_is_text_and_no_markup() {
        for frame in [Frame::WIDE, Frame::PAGE] {
            let mut curves = curves(true);
            curves.lines[0].label = "<nasty>&\"'".into();
            let drawing = curves.draw(frame);
            let text = drawing.body.into_string() + &super::super::legend::list(&drawing.legend).into_string();
            assert!(!text.contains("<nasty") && text.contains("&lt;nasty&gt;&amp;&quot;'"), "{text}");
        }
    }

    #[test]
    fn a_point_that_is_not_to_be_compared_is_hollow_marked_and_off_the_curve() {
        let mut curves = curves(true);
        curves.lines[0].points[1].mark = "‡".into();
        let text = curves.draw(Frame::WIDE).body.into_string();
        let first = text.split("points=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!((first.split(' ').count(), text.matches("hollow").count(), text.matches('‡').count()), (2, 1, 1));
    }
}
