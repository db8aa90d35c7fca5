//! Percentile curves: how long all but the slowest took, over how few those are.

use maud::html;

use super::axis::Axis;
use super::legend::curve_class;
use super::plot::Plot;
use super::{Drawing, Frame, LegendEntry, Picture, px};
use crate::report::text;

/// Percentile curves on an axis that stretches with each further nine.
#[derive(Debug, Clone, PartialEq)]
pub struct Percentiles {
    /// What the vertical axis measures, in nanoseconds.
    pub upwards: String,
    /// The curves.
    pub curves: Vec<PercentileCurve>,
}

/// The percentiles of one benchmark, with its label.
#[derive(Debug, Clone, PartialEq)]
pub struct PercentileCurve {
    /// What it is of.
    pub label: String,
    /// Shares of all values, 0 to below 1 and rising, and the nanoseconds that this share does not exceed.
    pub points: Vec<(f64, f64)>,
}

const HEIGHT: f64 = 300.0;

/// Where a share is on the axis: as far as one in how many values is beyond it, so that each further nine is as far
/// from the one before (G. Tene's HdrHistogram plots percentiles so).
fn one_in(share: f64) -> f64 {
    1.0 / (1.0 - share)
}

/// `99.9 %` at one in 1000.
fn percentile(one_in: f64) -> String {
    format!("{} %", text::plain(100.0 - 100.0 / one_in))
}

impl Picture for Percentiles {
    fn draw(&self, frame: Frame) -> Drawing {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let plot = Plot::new(frame, 58.0, 24.0);
        let top = 26.0;
        let bottom = top + HEIGHT;
        let x = Axis::log_covering(points().map(|point| one_in(point.0)), 0.0, plot.width);
        let y = Axis::log_covering(points().map(|point| point.1), bottom, top);
        let path = |curve: &PercentileCurve| {
            let at = |point: &(f64, f64)| format!("{},{}", plot.along(x.at(one_in(point.0))), px(y.at(point.1)));
            curve.points.iter().map(at).collect::<Vec<_>>().join(" ")
        };
        let curves = || self.curves.iter().enumerate();
        let paths = html! {
            @for (index, curve) in curves() {
                polyline class=(curve_class(index)) points=(path(curve)) { title { (curve.label) } }
            }
        };
        let body = html! {
            text.tick x=(px(-plot.left)) y=(px(top - 12.0)) { (self.upwards) " (logarithmic)" }
            (y.upwards(&plot, text::tick))
            (x.across(&plot, top, bottom, percentile))
            text.tick.mid x=(plot.x(plot.width / 2.0)) y=(px(bottom + 33.0)) { "percentile" }
            (plot.stretched(bottom, &paths))
        };
        let legend = curves().map(|(index, curve)| LegendEntry::curve(&curve.label, index)).collect();
        Drawing { height: bottom + 44.0, body, margins: (plot.left, plot.right), legend }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_curve_is_drawn_over_the_nines_and_named() {
        let curve = |label: &str, factor: f64| PercentileCurve {
            label: label.into(),
            points: [(0.0, 1e3), (0.5, 2e3), (0.9, 1e4), (0.99, 1e5), (0.999, 1e6)]
                .map(|(s, v)| (s, factor * v))
                .to_vec(),
        };
        let picture = Percentiles { upwards: "response time".into(), curves: vec![curve("a", 1.0), curve("b", 1.01)] };
        for frame in [Frame::WIDE, Frame::PAGE] {
            let drawing = picture.draw(frame);
            let text = drawing.body.into_string();
            assert_eq!((text.matches("<polyline").count(), drawing.legend.len()), (2, 2), "{text}");
            for words in ["90 %", "99 %", "99.9 %", ">a</t", ">b</t"] {
                assert!(text.contains(words), "{words}: {text}");
            }
        }
    }
}
