//! Curves of many points each: lines without marks.

use maud::{Markup, html};

use super::axis::Axis;
use super::lines::{amount, spread};
use super::{Drawing, Frame, Picture, SERIES, legend, px, series, width_of};
use crate::report::text;
use crate::units::Quantity;

/// Curves of many points each, drawn without marks and intervals.
#[derive(Debug, Clone, PartialEq)]
pub struct Traces {
    /// What the horizontal axis measures.
    pub across: String,
    /// What the vertical axis measures.
    pub upwards: String,
    /// In what.
    pub quantity: Quantity,
    /// The curves.
    pub traces: Vec<Trace>,
}

/// One curve: its label and its points.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// What it is of.
    pub label: String,
    /// Its points, by rising `x`.
    pub points: Vec<(f64, f64)>,
}

const HEIGHT: f64 = 260.0;

impl Picture for Traces {
    fn draw(&self, frame: Frame) -> Drawing {
        let points = || self.traces.iter().flat_map(|trace| &trace.points);
        let names: Vec<(usize, &str)> =
            self.traces.iter().enumerate().map(|(index, trace)| (index, trace.label.as_str())).collect();
        let beside = !frame.narrow;
        let widest = names.iter().map(|(_, name)| width_of(name)).fold(0.0, f64::max);
        let right = frame.width - if beside { widest.min(220.0) + 14.0 } else { 10.0 };
        let left = 56.0;
        let key = if beside { None } else { Some(legend(frame, &names, 0.0)) };
        let top = key.as_ref().map_or(0.0, |key| key.height) + 26.0;
        let bottom = top + HEIGHT;
        let x = Axis::covering(points().map(|point| point.0), left, right);
        let y = Axis::linear_covering(points().map(|point| point.1), bottom, top);
        let scale = if x.is_log() { " (logarithmic)" } else { "" };
        let last = |trace: &Trace| trace.points.last().map_or(bottom, |point| y.at(point.1));
        let ends = spread(self.traces.iter().map(last).collect());
        let write: fn(f64) -> String = match self.quantity {
            Quantity::Share => |value| format!("{} %", text::plain(value * 100.0)),
            Quantity::Nanoseconds => text::tick,
            Quantity::Bytes | Quantity::Number => amount,
        };
        let lowest = bottom.max(ends.iter().copied().fold(0.0, f64::max));
        let body = html! {
            @if let Some(key) = key { (key.body) }
            text.tick x="0" y=(px(top - 12.0)) { (self.upwards) }
            (y.upwards(left, right, write))
            (x.across(top, bottom, amount))
            text.tick.mid x=(px((left + right) / 2.0)) y=(px(bottom + 33.0)) { (self.across) (scale) }
            @for (index, trace) in self.traces.iter().enumerate() {
                (line(trace, index, &x, &y))
                @if beside {
                    text.label x=(px(right + 10.0)) y=(px(ends[index] + 4.0)) { (trace.label) }
                }
            }
        };
        Drawing { height: lowest + 44.0, body }
    }
}

fn line(trace: &Trace, index: usize, x: &Axis, y: &Axis) -> Markup {
    let path: Vec<String> = trace.points.iter().map(|p| format!("{},{}", px(x.at(p.0)), px(y.at(p.1)))).collect();
    html! {
        polyline class={ "stroke " (series(index)) @if index >= SERIES { " dashed" } } points=(path.join(" ")) {
            title { (trace.label) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_is_drawn_and_named_in_both_frames() {
        let trace = |label: &str, dip: f64| Trace {
            label: label.into(),
            points: (1..=100).map(|block| (f64::from(block), 1.0 - dip / f64::from(block))).collect(),
        };
        let traces = Traces {
            across: "block".into(),
            upwards: "speed".into(),
            quantity: Quantity::Share,
            traces: vec![trace("nothing", 0.0), trace("getppid", 0.5)],
        };
        for frame in [Frame::WIDE, Frame::NARROW] {
            let text = traces.draw(frame).body.into_string();
            assert_eq!(text.matches("<polyline").count(), 2);
            assert!(text.contains(">nothing</text>") && text.contains(">getppid</text>"), "{text}");
            assert!(text.contains(">100 %</text>") && text.contains("logarithmic"), "{text}");
        }
    }
}
