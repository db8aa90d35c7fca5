//! Curves of what is predicted, each within the band of its interval, over an amount.

use maud::{Markup, html};

use super::axis::Axis;
use super::legend::curve_class;
use super::lines::amount;
use super::plot::Plot;
use super::{Drawing, Frame, LegendEntry, LineSeries, Picture, px, series};
use crate::report::text;
use crate::units::Quantity;

/// Curves within their bands, on common axes that begin at 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Forecast {
    /// What the horizontal axis measures.
    pub across: String,
    /// What the vertical axis measures.
    pub upwards: String,
    /// What kind of number that is.
    pub quantity: Quantity,
    /// The curves; a band is drawn where a point has an interval.
    pub curves: Vec<LineSeries>,
    /// Amounts at which a line stands upright, and what each of them is.
    pub uprights: Vec<(f64, String)>,
}

const HEIGHT: f64 = 290.0;

/// Labels of upright lines stand one below the other, so that none covers another.
const LABEL: f64 = 15.0;

impl Picture for Forecast {
    fn draw(&self, frame: Frame) -> Drawing {
        let points = || self.curves.iter().flat_map(|curve| &curve.points);
        let plot = Plot::new(frame, 58.0, 20.0);
        let top = 26.0 + LABEL * self.uprights.len() as f64;
        let bottom = top + HEIGHT;
        let amounts = points().map(|point| point.x).chain(self.uprights.iter().map(|(at, _)| *at));
        let x = Axis::linear_covering(amounts.chain([0.0]), 0.0, plot.width);
        let heights = points().flat_map(|point| [point.low, point.y, point.high]);
        let y = Axis::linear_covering(heights.chain([0.0]), bottom, top);
        let curves = html! {
            @for (index, curve) in self.curves.iter().enumerate() { (band(curve, index, &plot, (&x, &y))) }
            @for (index, curve) in self.curves.iter().enumerate() {
                polyline class=(curve_class(index)) points=(path(curve, &plot, (&x, &y))) { title { (curve.label) } }
            }
        };
        let body = html! {
            text.tick x=(px(-plot.left)) y="14" { (self.upwards) }
            (y.upwards(&plot, text::ticks(self.quantity)))
            (x.across(&plot, top, bottom, amount))
            text.tick.mid x=(plot.x(plot.width / 2.0)) y=(px(bottom + 33.0)) { (self.across) }
            (plot.stretched(bottom, &curves))
            @for (index, (at, label)) in self.uprights.iter().enumerate() {
                @let height = 26.0 + LABEL * index as f64;
                line.level x1=(plot.x(x.at(*at))) x2=(plot.x(x.at(*at))) y1=(px(height)) y2=(px(bottom)) {}
                text.small x=(plot.x(x.at(*at))) dx="5" y=(px(height + 9.0)) { (label) }
            }
            @for (index, curve) in self.curves.iter().enumerate() {
                @for point in &curve.points {
                    circle class=(series(index)) cx=(plot.x(x.at(point.x))) cy=(px(y.at(point.y))) r="3.5" {
                        title { (curve.label) ": " (text::amount(self.quantity, point.y)) " at " (amount(point.x)) }
                    }
                }
            }
        };
        let legend = self.curves.iter().enumerate().map(|(index, curve)| LegendEntry::curve(&curve.label, index));
        Drawing { height: bottom + 44.0, body, margins: (plot.left, plot.right), legend: legend.collect() }
    }
}

fn path(curve: &LineSeries, plot: &Plot, (x, y): (&Axis, &Axis)) -> String {
    let point = |at: f64, height: f64| format!("{},{}", plot.along(x.at(at)), px(y.at(height)));
    curve.points.iter().map(|p| point(p.x, p.y)).collect::<Vec<_>>().join(" ")
}

fn band(curve: &LineSeries, index: usize, plot: &Plot, (x, y): (&Axis, &Axis)) -> Markup {
    let point = |at: f64, height: f64| format!("{},{}", plot.along(x.at(at)), px(y.at(height)));
    let upper = curve.points.iter().map(|p| point(p.x, p.high));
    let lower = curve.points.iter().rev().map(|p| point(p.x, p.low));
    let outline: Vec<String> = upper.chain(lower).collect();
    html! {
        @if curve.points.iter().any(|point| point.high > point.low) {
            polygon class={ "faint " (series(index)) } points=(outline.join(" ")) {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::figure::Point;

    #[test]
    fn a_curve_has_a_band_where_its_points_have_intervals_and_a_crossing_is_named() {
        let point = |x: f64, y: f64, reach: f64| Point { low: y - reach, high: y + reach, ..Point::at(x, y) };
        let curve = |label: &str, reach: f64| LineSeries {
            label: label.into(),
            points: vec![point(10.0, 1.0, reach), point(20.0, 2.0, reach)],
        };
        let forecast = Forecast {
            across: "requests".into(),
            upwards: "CPUs".into(),
            quantity: Quantity::Number,
            curves: vec![curve("as it is", 0.0), curve("with <epoll>", 0.3)],
            uprights: vec![(15.0, "epoll costs more below".into())],
        };
        for frame in [Frame::WIDE, Frame::PAGE] {
            let text = forecast.draw(frame).body.into_string();
            let counts = ["<polygon", "<polyline", "<circle", "class=\"level\""].map(|mark| text.matches(mark).count());
            assert_eq!(counts, [1, 2, 4, 1], "{text}");
            assert!(text.contains("epoll costs more below") && !text.contains("<epoll>"), "{text}");
        }
    }
}
