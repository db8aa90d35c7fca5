//! How samples scatter, round by round, around each benchmark's own figure.

use maud::{Markup, html};

use super::axis::Axis;
use super::{Drawing, Frame, Picture, px, series, width_of};
use crate::report::text;

/// The scatter of benchmarks' samples, a box plot for each round, on one axis of multiples.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxPlots {
    /// From top to bottom.
    pub rows: Vec<BoxPlotRow>,
}

/// The rounds of one benchmark, with its label and the figure at the right.
#[derive(Debug, Clone, PartialEq)]
pub struct BoxPlotRow {
    /// Which.
    pub label: String,
    /// What is particular about it.
    pub detail: String,
    /// Its colour.
    pub series: usize,
    /// Its rounds, from top to bottom.
    pub rounds: Vec<BoxPlot>,
    /// The centres of its modes, where there are several, as multiples of its figure.
    pub modes: Vec<f64>,
    /// What is written at the right.
    pub value: String,
}

/// The samples of a round as multiples of the benchmark's figure: quantiles.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoxPlot {
    /// The 5th percentile.
    pub low: f64,
    /// The lower quartile.
    pub lower: f64,
    /// The median.
    pub median: f64,
    /// The upper quartile.
    pub upper: f64,
    /// The 95th percentile.
    pub high: f64,
}

/// Ratios closer together than this would fill the picture with noise.
const LEAST: [f64; 2] = [0.8, 1.25];
/// Ratios further away press everything else together, and are drawn at the edge.
const MOST: [f64; 2] = [0.1, 10.0];
const ROUND: f64 = 7.0;
const GAP: f64 = 12.0;
const LINE: f64 = 15.0;

impl Picture for BoxPlots {
    fn draw(&self, frame: Frame) -> Drawing {
        let labels = self.rows.iter().flat_map(|row| [&row.label, &row.detail]).map(|label| width_of(label));
        let left = if frame.narrow { 12.0 } else { labels.fold(0.0, f64::max).min(250.0) + 26.0 };
        let right = frame.width - if frame.narrow { 72.0 } else { 84.0 };
        let values = self.rows.iter().flat_map(|row| &row.rounds).flat_map(|round| [round.low, round.high]);
        let values = values.map(|ratio| ratio.clamp(MOST[0], MOST[1]));
        let axis = Axis::log_covering(values.chain(LEAST), left, right);
        let tall = self.rows.iter().map(|row| row.rounds.len() as f64 * ROUND + 24.0).sum::<f64>() > 480.0;
        let top = if tall { 20.0 } else { 2.0 };
        let mut y = top;
        let mut marks = Vec::new();
        for row in &self.rows {
            let start = y;
            if frame.narrow {
                y += LINE + 3.0;
            }
            let boxes = row.rounds.len() as f64 * ROUND + if row.modes.is_empty() { 0.0 } else { 10.0 };
            let height = boxes.max(if frame.narrow { 16.0 } else { 2.0 * LINE });
            marks.push(label(row, start, frame));
            marks.push(rounds(row, &axis, y + (height - boxes) / 2.0));
            let value_at = if frame.narrow { start + 12.0 } else { y + height / 2.0 + 4.0 };
            marks.push(html! { text.value.end x=(px(frame.width)) y=(px(value_at)) { (row.value) } });
            y += height + GAP;
        }
        let bottom = y - GAP / 2.0;
        let body = html! {
            (axis.across(top, bottom, times))
            @let one = px(axis.at(1.0));
            line.zero x1=(one) x2=(one) y1=(px(top)) y2=(px(bottom)) {}
            @for mark in marks { (mark) }
            text.tick.mid x=(px((left + right) / 2.0)) y=(px(bottom + 33.0)) {
                "samples as multiples of the benchmark's figure"
            }
        };
        Drawing { height: bottom + 44.0, body }
    }
}

fn times(ratio: f64) -> String {
    format!("{}×", text::plain(ratio))
}

fn label(row: &BoxPlotRow, y: f64, frame: Frame) -> Markup {
    html! {
        text.strong x="0" y=(px(y + 12.0)) {
            (row.label)
            @if frame.narrow { tspan.soft { " " (row.detail) } }
        }
        @if !frame.narrow { text.soft.small x="0" y=(px(y + 12.0 + LINE)) { (row.detail) } }
    }
}

fn rounds(row: &BoxPlotRow, axis: &Axis, top: f64) -> Markup {
    let colour = series(row.series);
    html! {
        @for (index, round) in row.rounds.iter().enumerate() {
            @let middle = top + (index as f64 + 0.5) * ROUND;
            @let (lower, upper) = (axis.at(round.lower), axis.at(round.upper));
            line class={ "stroke thin " (colour) } x1=(px(axis.at(round.low))) x2=(px(axis.at(round.high)))
                y1=(px(middle)) y2=(px(middle)) {}
            rect class={ "pale " (colour) } x=(px(lower)) y=(px(middle - 2.5))
                width=(px((upper - lower).max(1.0))) height="5" {}
            rect class=(colour) x=(px(axis.at(round.median) - 1.5)) y=(px(middle - 3.0)) width="3" height="6" {}
        }
        @let below = top + row.rounds.len() as f64 * ROUND + 1.0;
        @for mode in &row.modes {
            @let x = axis.at(*mode);
            path class=(colour) d=(format!("M{} {}l-5 8h10z", px(x), px(below))) {
                title { "a mode at " (times(*mode)) }
            }
        }
    }
}
