//! Estimates with their intervals, one a line, in bands.

use maud::{Markup, html};

use super::axis::Axis;
use super::plot::Plot;
use super::{Drawing, Frame, Picture, bars, marked, px, series, width_of};
use crate::report::text;
use crate::stats::Interval;
use crate::units::Quantity;

/// Estimates as dots with their intervals, one a line, in bands on a common axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Dots {
    /// What the axis measures: `time per hop`.
    pub axis: String,
    /// What kind of number that is.
    pub quantity: Quantity,
    /// From top to bottom.
    pub bands: Vec<Band>,
}

/// Lines that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Band {
    /// What they have in common.
    pub label: String,
    /// What is particular about it.
    pub detail: Option<String>,
    /// From top to bottom.
    pub rows: Vec<Dot>,
}

/// One line: an estimate, its interval and how it is marked.
#[derive(Debug, Clone, PartialEq)]
pub struct Dot {
    /// What it is of.
    pub label: String,
    /// Its colour.
    pub series: usize,
    /// The figure per operation.
    pub interval: Interval,
    /// Whether the interval leaves out how processes differ: drawn hollow and dashed.
    pub within_only: bool,
    /// What marks a figure that is not to be compared; else empty.
    pub mark: String,
}

const ROW: f64 = 21.0;
const GAP: f64 = 10.0;
const BELOW: f64 = 44.0;

impl Picture for Dots {
    fn draw(&self, frame: Frame) -> Drawing {
        let rows = || self.bands.iter().flat_map(|band| &band.rows);
        let labels = rows().map(|row| width_of(&row.label)).fold(0.0, f64::max);
        let plot = Plot::new(frame, labels.min(96.0) + 14.0, 72.0);
        let intervals = rows().map(|row| (row.interval.low, row.interval.estimate, row.interval.high));
        let axis = Axis::covering_intervals(intervals, 0.0, plot.width);
        let top = if rows().count() > 15 { 20.0 } else { 2.0 };
        let mut y = top;
        let mut marks = Vec::new();
        for (index, band) in self.bands.iter().enumerate() {
            if index > 0 {
                let rule = px(y - GAP / 2.0);
                marks.push(html! { line.grid x1=(px(-plot.left)) x2=(plot.end()) y1=(rule) y2=(rule) {} });
            }
            let (height, label) = bars::label(&band.label, band.detail.as_deref().unwrap_or_default(), plot.left, y);
            marks.push(label);
            y += height + 1.0;
            for row in &band.rows {
                marks.push(row_marks(row, self.quantity, &axis, &plot, y + ROW / 2.0));
                y += ROW;
            }
            y += GAP;
        }
        let bottom = y - GAP / 2.0;
        let scale = if axis.is_log() { ", logarithmic" } else { "" };
        let body = html! {
            (axis.across(&plot, top, bottom, text::ticks(self.quantity)))
            @for mark in marks { (mark) }
            text.tick.mid x=(plot.x(plot.width / 2.0)) y=(px(bottom + 33.0)) { (self.axis) (scale) }
        };
        Drawing { margins: (plot.left, plot.right), ..Drawing::plain(bottom + BELOW, body) }
    }
}

fn row_marks(row: &Dot, quantity: Quantity, axis: &Axis, plot: &Plot, middle: f64) -> Markup {
    let formatted = |value| text::amount(quantity, value);
    let colour = series(row.series);
    let (low, at, high) = (axis.at(row.interval.low), axis.at(row.interval.estimate), axis.at(row.interval.high));
    let ends = [(low, row.interval.low), (high, row.interval.high)];
    let y = px(middle);
    html! {
        text.soft x=(px(-plot.left)) y=(px(middle + 4.0)) { (row.label) }
        // An interval narrower than its dot would vanish behind it; the caps keep it visible.
        @if high - low > 1.0 {
            line class={ "stroke " (colour) @if row.within_only { " dashed" } }
                x1=(plot.x(low)) x2=(plot.x(high)) y1=(y) y2=(y) {}
            // An end without a cap lies beyond the scale.
            @for (end, _) in ends.into_iter().filter(|(_, value)| axis.holds(*value)) {
                line class={ "stroke thin " (colour) } x1=(plot.x(end)) x2=(plot.x(end))
                    y1=(px(middle - 4.0)) y2=(px(middle + 4.0)) {}
            }
        }
        circle class={ @if row.within_only { "hollow " } (colour) } cx=(plot.x(at)) cy=(y) r="4.5" {
            title { (formatted(row.interval.low)) " to " (formatted(row.interval.high)) }
        }
        text class={ "value end" @if !row.mark.is_empty() { " bad strong" } } x=(plot.end()) dx=(px(plot.right))
            y=(px(middle + 4.0)) { (marked(&formatted(row.interval.estimate), &row.mark)) }
    }
}
