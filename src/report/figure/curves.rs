//! Curves of many points each: lines without marks.

use maud::{Markup, html};

use super::axis::Axis;
use super::lines::{amount, spread};
use super::{Drawing, Frame, Picture, SERIES, legend, px, series, width_of};
use crate::report::text;
use crate::units::Quantity;

/// Curves of many points each, drawn without marks and intervals.
#[derive(Debug, Clone, PartialEq)]
pub struct Curves {
    /// What the horizontal axis measures.
    pub across: String,
    /// What the vertical axis measures.
    pub upwards: String,
    /// In what.
    pub quantity: Quantity,
    /// The curves.
    pub curves: Vec<CurvePoints>,
}

/// One curve: its label and its points.
#[derive(Debug, Clone, PartialEq)]
pub struct CurvePoints {
    /// What it is of.
    pub label: String,
    /// Its points, by rising `x`.
    pub points: Vec<(f64, f64)>,
}

const HEIGHT: f64 = 260.0;

impl Picture for Curves {
    fn draw(&self, frame: Frame) -> Drawing {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let names: Vec<(usize, &str)> =
            self.curves.iter().enumerate().map(|(index, curve)| (index, curve.label.as_str())).collect();
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
        let last = |curve: &CurvePoints| curve.points.last().map_or(bottom, |point| y.at(point.1));
        let ends = spread(self.curves.iter().map(last).collect());
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
            @for (index, curve) in self.curves.iter().enumerate() {
                (line(curve, index, &x, &y))
                @if beside {
                    text.label x=(px(right + 10.0)) y=(px(ends[index] + 4.0)) { (curve.label) }
                }
            }
        };
        Drawing { height: lowest + 44.0, body }
    }
}

fn line(curve: &CurvePoints, index: usize, x: &Axis, y: &Axis) -> Markup {
    let path: Vec<String> = curve.points.iter().map(|p| format!("{},{}", px(x.at(p.0)), px(y.at(p.1)))).collect();
    html! {
        polyline class={ "stroke " (series(index)) @if index >= SERIES { " dashed" } } points=(path.join(" ")) {
            title { (curve.label) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_is_drawn_and_named_in_both_frames() {
        let curve = |label: &str, dip: f64| CurvePoints {
            label: label.into(),
            points: (1..=100).map(|block| (f64::from(block), 1.0 - dip / f64::from(block))).collect(),
        };
        let curves = Curves {
            across: "block".into(),
            upwards: "speed".into(),
            quantity: Quantity::Share,
            curves: vec![curve("nothing", 0.0), curve("getppid", 0.5)],
        };
        for frame in [Frame::WIDE, Frame::NARROW] {
            let text = curves.draw(frame).body.into_string();
            assert_eq!(text.matches("<polyline").count(), 2);
            assert!(text.contains(">nothing</text>") && text.contains(">getppid</text>"), "{text}");
            assert!(text.contains(">100 %</text>") && text.contains("logarithmic"), "{text}");
        }
    }
}
