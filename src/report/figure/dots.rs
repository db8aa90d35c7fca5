//! Estimates with their intervals, one a line, in bands.

use maud::{Markup, html};

use super::axis::Axis;
use super::{Drawing, Frame, Picture, px, series, width_of};
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
    /// Whether the audit differs from what the mechanism states.
    pub differs: bool,
    /// Whether the figure is void.
    pub void: bool,
}

const ROW: f64 = 21.0;
const GAP: f64 = 10.0;
const BELOW: f64 = 44.0;

impl Picture for Dots {
    fn draw(&self, frame: Frame) -> Drawing {
        let rows = || self.bands.iter().flat_map(|band| &band.rows);
        let widest = |labels: &mut dyn Iterator<Item = &str>| labels.map(width_of).fold(0.0, f64::max);
        let row_label = widest(&mut rows().map(|row| row.label.as_str())).min(if frame.narrow { 96.0 } else { 150.0 });
        let band_label = if frame.narrow {
            0.0
        } else {
            let labels = self.bands.iter().flat_map(|band| [Some(band.label.as_str()), band.detail.as_deref()]);
            widest(&mut labels.flatten()).min(230.0) + 16.0
        };
        let left = band_label + row_label + 14.0;
        let right = frame.width - if frame.narrow { 66.0 } else { 78.0 };
        let intervals = rows().map(|row| (row.interval.low, row.interval.estimate, row.interval.high));
        let axis = Axis::covering_intervals(intervals, left, right);
        let tall = rows().count() > 20;
        let top = if tall { 20.0 } else { 2.0 };
        let mut y = top;
        let mut marks = Vec::new();
        for (index, band) in self.bands.iter().enumerate() {
            marks.push(band_text(band, y, frame, index > 0));
            y += if frame.narrow { 20.0 } else { 0.0 };
            let start = y;
            for row in &band.rows {
                marks.push(row_marks(row, self.quantity, &axis, band_label, (y + ROW / 2.0, frame.width)));
                y += ROW;
            }
            // A second line of the label needs its room even where there is one row.
            let least = if band.detail.is_some() && !frame.narrow { 2.0 * 17.0 } else { ROW };
            y = y.max(start + least) + GAP;
        }
        let bottom = y - GAP / 2.0;
        let scale = if axis.is_log() { ", logarithmic" } else { "" };
        let body = html! {
            (axis.across(top, bottom, text::ticks(self.quantity)))
            @for mark in marks { (mark) }
            text.tick.mid x=(px((left + right) / 2.0)) y=(px(bottom + 33.0)) { (self.axis) (scale) }
        };
        Drawing { height: bottom + BELOW, body }
    }
}

fn band_text(band: &Band, y: f64, frame: Frame, rule: bool) -> Markup {
    html! {
        @if rule { line.grid x1="0" x2=(px(frame.width)) y1=(px(y - GAP / 2.0)) y2=(px(y - GAP / 2.0)) {} }
        text.strong x="0" y=(px(y + 15.0)) {
            (band.label)
            @if let Some(detail) = band.detail.as_ref().filter(|_| frame.narrow) {
                tspan.soft { " " (detail) }
            }
        }
        @if let Some(detail) = band.detail.as_ref().filter(|_| !frame.narrow) {
            text.soft.small x="0" y=(px(y + 30.0)) { (detail) }
        }
    }
}

fn row_marks(row: &Dot, quantity: Quantity, axis: &Axis, label_at: f64, (middle, width): (f64, f64)) -> Markup {
    let formatted = |value| text::amount(quantity, value);
    let colour = series(row.series);
    let (low, at, high) = (axis.at(row.interval.low), axis.at(row.interval.estimate), axis.at(row.interval.high));
    let ends = [(low, row.interval.low), (high, row.interval.high)];
    let y = px(middle);
    html! {
        text.soft x=(px(label_at)) y=(px(middle + 4.0)) { (row.label) }
        // An interval narrower than its dot would vanish behind it; the caps keep it visible.
        @if high - low > 1.0 {
            line class={ "stroke " (colour) @if row.within_only { " dashed" } }
                x1=(px(low)) x2=(px(high)) y1=(y) y2=(y) {}
            // An end without a cap lies beyond the scale.
            @for (end, _) in ends.into_iter().filter(|(_, value)| axis.holds(*value)) {
                line class={ "stroke thin " (colour) } x1=(px(end)) x2=(px(end))
                    y1=(px(middle - 4.0)) y2=(px(middle + 4.0)) {}
            }
        }
        circle class={ @if row.within_only { "hollow " } (colour) } cx=(px(at)) cy=(y) r="4.5" {
            title { (formatted(row.interval.low)) " to " (formatted(row.interval.high)) }
        }
        text class={ "value end" @if row.differs { " bad strong" } } x=(px(width)) y=(px(middle + 4.0)) {
            (formatted(row.interval.estimate)) @if row.differs { " †" } @if row.void { " ‡" }
        }
    }
}
