//! Pictures from plain data: each kind is a struct of labels and numbers that can draw itself into a [`Frame`].
//!
//! A picture that only scales down has letters too small to read on a phone. Most kinds therefore take the width of the
//! window (`plot.rs`); tables of cells are drawn twice. Colours are classes; the style sheets give them a value for
//! light and for dark.

mod axis;
mod bars;
mod box_plots;
mod dots;
mod forecast;
mod grid;
mod heat_map;
mod legend;
mod lines;
mod panels;
mod percentiles;
mod plot;
mod ratios;
mod standalone;

use maud::{Markup, PreEscaped, html};

pub use bars::{Bar, Bars, Segment};
pub use box_plots::{BoxPlot, BoxPlotRow, BoxPlots};
pub use dots::{Band, Dot, Dots};
pub use forecast::Forecast;
pub use grid::{Grid, GridRow};
pub use heat_map::{HeatMap, HeatMapCell};
pub use legend::LegendEntry;
pub use lines::{LineSeries, Lines, Point};
pub use panels::Panels;
pub use percentiles::{PercentileCurve, Percentiles};
pub use ratios::{RatioRow, RatioVerdict, Ratios};

/// The colours and the look of a figure's marks, for a page and for a file of its own.
pub(super) const TOKENS: &str = include_str!("tokens.css");
pub(super) const MARKS: &str = include_str!("marks.css");

/// Distinct colours that there are for series; further ones start over.
pub const SERIES: usize = 9;

/// The canvas's width in pixels, and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// In the SVG's units, which are CSS pixels when it is shown at its own size.
    pub width: f64,
    /// Whether labels stand above what they label, for want of room beside it.
    pub narrow: bool,
    /// Whether it takes the width of the window, whatever that is.
    fluid: bool,
}

impl Frame {
    /// For a page, in a window of any width.
    pub const PAGE: Self = Self { width: 760.0, narrow: false, fluid: true };
    /// For files, paper, and windows from 640 px.
    pub const WIDE: Self = Self { width: 760.0, narrow: false, fluid: false };
    /// For phones from 360 px, less the page's margins.
    pub const NARROW: Self = Self { width: 344.0, narrow: true, fluid: false };
}

/// What a picture comes down to.
#[derive(Debug, Clone)]
pub struct Drawing {
    /// In the SVG's units.
    pub height: f64,
    /// The elements inside `<svg>`; 0 across is the left end of the area between the margins.
    pub body: Markup,
    /// Pixels beside the area, for labels at the left and values at the right.
    pub margins: (f64, f64),
    /// What the colours are, where labels do not say it.
    pub legend: Vec<LegendEntry>,
}

/// Data that can be drawn.
pub trait Picture: std::fmt::Debug {
    /// Draws into `frame`.
    fn draw(&self, frame: Frame) -> Drawing;

    /// Whether one drawing serves every width.
    fn is_fluid(&self) -> bool {
        true
    }
}

/// A figure: a picture, what it shows, and the data behind it.
#[derive(Debug)]
pub struct Figure {
    /// Its anchor, and the name of its files: `cost-brigade`.
    pub id: String,
    /// Its title.
    pub title: String,
    /// What it shows, in a sentence.
    pub subtitle: String,
    /// How its marks are read, where the marks do not say so themselves.
    pub key: Option<String>,
    /// What its figures are, and over how many rounds: `medians of 5 rounds and their 95 % intervals`.
    pub basis: String,
    /// The picture.
    pub picture: Box<dyn Picture>,
    /// The data as CSV.
    pub csv: String,
}

impl Figure {
    /// The picture inside a page whose style sheet has [`TOKENS`] and [`MARKS`].
    pub(super) fn inline(&self) -> Markup {
        if self.picture.is_fluid() {
            let drawing = self.picture.draw(Frame::PAGE);
            let (left, right) = drawing.margins;
            // The labels beside the area stand outside of the SVG's box, where it lets them be seen.
            let place = format!("margin-left:{}px;width:calc(100% - {}px)", px(left), px(left + right));
            let svg = html! {
                svg.chart.fluid style=(place) height=(px(drawing.height)) role="img" aria-label=(self.label()) {
                    (drawing.body)
                }
            };
            return html! { (legend::list(&drawing.legend)) (short(svg)) };
        }
        let [wide, narrow] = [Frame::WIDE, Frame::NARROW].map(|frame| (frame, self.picture.draw(frame)));
        html! {
            (legend::list(&wide.1.legend))
            @for (frame, drawing) in [wide, narrow] {
                @let class = if frame.narrow { "chart narrow" } else { "chart wide" };
                (short(html! {
                    svg class=(class) viewBox=(format!("0 0 {} {}", px(frame.width), px(drawing.height))) role="img"
                        aria-label=(self.label()) { (placed(&drawing, 0.0)) }
                }))
            }
        }
    }

    fn label(&self) -> String {
        format!("{}. {}", self.title, self.subtitle)
    }
}

/// A drawing at its place in a frame of pixels.
fn placed(drawing: &Drawing, top: f64) -> Markup {
    html! {
        g transform=(format!("translate({} {})", px(drawing.margins.0), px(top))) { (drawing.body) }
    }
}

/// The same with empty elements written as such, which is a tenth of a page.
fn short(drawing: Markup) -> Markup {
    let empty = ["line", "rect", "circle", "path", "polyline"];
    let text = empty.iter().fold(drawing.into_string(), |text, name| text.replace(&format!("\"></{name}>"), "\"/>"));
    PreEscaped(text)
}

/// A coordinate: a tenth of a pixel is finer than any screen.
fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    let text = text.strip_suffix(".0").map_or_else(|| text.clone(), Into::into);
    if text == "-0" { "0".into() } else { text }
}

/// The width of `text` at 12 px, roughly: system fonts differ, and labels keep some distance.
fn width_of(text: &str) -> f64 {
    text.chars().map(|character| if "il.,:|'/ ".contains(character) { 3.6 } else { 6.9 }).sum()
}

/// The class of the series with this number.
fn series(number: usize) -> String {
    format!("s{}", number % SERIES)
}

/// What is added to the label or value of a figure that is not to be compared; empty where it may be.
fn marked(text: &str, mark: &str) -> String {
    if mark.is_empty() { text.into() } else { format!("{text} {mark}") }
}
