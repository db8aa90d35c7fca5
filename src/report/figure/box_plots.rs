//! How samples scatter, round by round, around each benchmark's own figure.

use maud::{Markup, html};

use super::axis::Axis;
use super::plot::Plot;
use super::{Drawing, Frame, Picture, bars, marked, px, series};
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
    /// What marks a figure that is not to be compared; else empty.
    pub mark: String,
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
const GAP: f64 = 10.0;

impl Picture for BoxPlots {
    fn draw(&self, frame: Frame) -> Drawing {
        let plot = Plot::new(frame, 8.0, 76.0);
        let values = self.rows.iter().flat_map(|row| &row.rounds).flat_map(|round| [round.low, round.high]);
        let values = values.map(|ratio| ratio.clamp(MOST[0], MOST[1]));
        let axis = Axis::log_covering(values.chain(LEAST), 0.0, plot.width);
        let top = if self.rows.iter().map(height).sum::<f64>() > 480.0 { 20.0 } else { 2.0 };
        let mut y = top;
        let (mut labels, mut paths) = (Vec::new(), Vec::new());
        for row in &self.rows {
            let (height, label) = bars::label(&marked(&row.label, &row.mark), &row.detail, plot.left, y);
            labels.push(html! {
                (label)
                text.value.end x=(plot.end()) dx=(px(plot.right)) y=(px(y + 12.0)) { (row.value) }
            });
            y += height;
            paths.push(rounds(row, &axis, &plot, y));
            y += row.rounds.len() as f64 * ROUND;
            if !row.modes.is_empty() {
                y += 10.0;
                labels.push(modes(row, &axis, &plot, y));
            }
            y += GAP;
        }
        let bottom = y - GAP / 2.0;
        let one = plot.x(axis.at(1.0));
        let body = html! {
            (axis.across(&plot, top, bottom, times))
            line.zero x1=(one) x2=(one) y1=(px(top)) y2=(px(bottom)) {}
            (plot.stretched(bottom, &html! { @for path in paths { (path) } }))
            @for label in labels { (label) }
            text.tick.mid x=(plot.x(plot.width / 2.0)) y=(px(bottom + 33.0)) {
                "samples as multiples of the benchmark's figure"
            }
        };
        Drawing { margins: (plot.left, plot.right), ..Drawing::plain(bottom + 44.0, body) }
    }
}

fn height(row: &BoxPlotRow) -> f64 {
    row.rounds.len() as f64 * ROUND + 24.0
}

fn times(ratio: f64) -> String {
    format!("{}×", text::plain(ratio))
}

/// The rounds of one benchmark as three paths: from percentile to percentile, between the quartiles, at the medians.
fn rounds(row: &BoxPlotRow, axis: &Axis, plot: &Plot, top: f64) -> Markup {
    let at = |ratio: f64| plot.along(axis.at(ratio));
    let middle = |index: usize| top + (index as f64 + 0.5) * ROUND;
    let path = |of: &dyn Fn(usize, &BoxPlot) -> String| -> String {
        row.rounds.iter().enumerate().map(|(index, round)| of(index, round)).collect()
    };
    let colour = series(row.series);
    html! {
        path class={ "stroke thin " (colour) }
            d=(path(&|index, round| format!("M{} {}H{}", at(round.low), px(middle(index)), at(round.high)))) {}
        path class={ "pale " (colour) } d=(path(&|index, round| {
            let (lower, upper) = (at(round.lower), at(round.upper));
            format!("M{lower} {}H{upper}v5H{lower}z", px(middle(index) - 2.5))
        })) {}
        path class={ "stroke median " (colour) }
            d=(path(&|index, round| format!("M{} {}v6", at(round.median), px(middle(index) - 3.0)))) {}
    }
}

fn modes(row: &BoxPlotRow, axis: &Axis, plot: &Plot, bottom: f64) -> Markup {
    let colour = series(row.series);
    html! {
        @for mode in &row.modes {
            text class={ "mid small " (colour) } x=(plot.x(axis.at(*mode))) y=(px(bottom)) {
                "▲" title { "a mode at " (times(*mode)) }
            }
        }
    }
}
