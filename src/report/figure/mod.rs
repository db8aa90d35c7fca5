//! Pictures from plain data: each kind is a struct of labels and numbers that can draw itself into a [`Frame`].
//!
//! A picture is drawn twice, for a wide window and for a phone, because an SVG that is merely scaled down has letters
//! too small to read. Colours are classes; the style sheets give them a value for light and for dark.

mod axis;
mod bars;
mod box_plots;
mod curves;
mod dots;
mod grid;
mod heat_map;
mod lines;
mod panels;
mod percentiles;

use maud::{Markup, html};

pub use bars::{Bar, Bars, Segment};
pub use box_plots::{BoxPlot, BoxPlotRow, BoxPlots};
pub use curves::{CurvePoints, Curves};
pub use dots::{Band, Dot, Dots};
pub use grid::{Grid, GridRow};
pub use heat_map::HeatMap;
pub use lines::{LineSeries, Lines, Point};
pub use panels::Panels;
pub use percentiles::{PercentileCurve, Percentiles};

/// The colours and the look of a figure's marks, for a page and for a file of its own.
pub(super) const TOKENS: &str = include_str!("tokens.css");
pub(super) const MARKS: &str = include_str!("marks.css");

/// Distinct colours that there are for series; further ones start over.
pub const SERIES: usize = 7;

/// Around a picture that is a file of its own: no page keeps it from the edge.
const MARGIN: f64 = 16.0;

/// The canvas's width in pixels, and what follows from it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// In the SVG's units, which are CSS pixels when it is shown at its own size.
    pub width: f64,
    /// Whether labels stand above what they label, for want of room beside it.
    pub narrow: bool,
}

impl Frame {
    /// For windows from 640 px, paper, and files.
    pub const WIDE: Self = Self { width: 760.0, narrow: false };
    /// For phones from 360 px, less the page's margins.
    pub const NARROW: Self = Self { width: 344.0, narrow: true };
}

/// What a picture comes down to.
#[derive(Debug, Clone)]
pub struct Drawing {
    /// In the SVG's units.
    pub height: f64,
    /// The elements inside `<svg>`.
    pub body: Markup,
}

/// Data that can be drawn.
pub trait Picture: std::fmt::Debug {
    /// Draws into `frame`.
    fn draw(&self, frame: Frame) -> Drawing;
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
    /// The picture.
    pub picture: Box<dyn Picture>,
    /// The data as CSV.
    pub csv: String,
}

impl Figure {
    /// The picture inside a page whose style sheet has [`TOKENS`] and [`MARKS`].
    pub(super) fn inline(&self, frame: Frame) -> Markup {
        let drawing = self.picture.draw(frame);
        let class = if frame.narrow { "chart narrow" } else { "chart wide" };
        html! {
            svg class=(class) viewBox=(view_box(frame, &drawing)) role="img" aria-label=(self.label()) {
                (drawing.body)
            }
        }
    }

    /// The picture as a file of its own.
    pub fn file(&self) -> String {
        let frame = Frame::WIDE;
        let drawing = self.picture.draw(frame);
        let (width, height) = (px(frame.width + 2.0 * MARGIN), px(drawing.height + 2.0 * MARGIN));
        let from = px(-MARGIN);
        html! {
            svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height)
                viewBox=(format!("{from} {from} {width} {height}")) role="img" aria-label=(self.label()) {
                title { (self.title) }
                style { (TOKENS) (MARKS) }
                // The page around the file may be dark where the reader's system is light; its own ground keeps the
                // ink legible.
                rect.paper x=(from) y=(from) width=(width) height=(height) {}
                (drawing.body)
            }
        }
        .into_string()
    }

    fn label(&self) -> String {
        format!("{}. {}", self.title, self.subtitle)
    }
}

fn view_box(frame: Frame, drawing: &Drawing) -> String {
    format!("0 0 {} {}", px(frame.width), px(drawing.height))
}

/// A coordinate: a tenth of a pixel is finer than any screen.
fn px(value: f64) -> String {
    let text = format!("{value:.1}");
    text.strip_suffix(".0").map_or_else(|| text.clone(), Into::into)
}

/// The width of `text` at 12 px, roughly: system fonts differ, and labels keep some distance.
fn width_of(text: &str) -> f64 {
    text.chars().map(|character| if "il.,:|'/ ".contains(character) { 3.6 } else { 6.9 }).sum()
}

/// The class of the series with this number.
fn series(number: usize) -> String {
    format!("s{}", number % SERIES)
}

/// The names of the colours, in lines as wide as the frame, from `(series, name)`.
fn legend(frame: Frame, names: &[(usize, &str)], top: f64) -> Drawing {
    const LINE: f64 = 20.0;
    let (mut x, mut y) = (0.0, top);
    let mut places = Vec::new();
    for &(number, name) in names {
        let wide = width_of(name) + 42.0;
        if x > 0.0 && x + wide > frame.width {
            (x, y) = (0.0, y + LINE);
        }
        places.push((number, name, x, y));
        x += wide;
    }
    let body = html! {
        @for (number, name, x, y) in places {
            rect class=(series(number)) x=(px(x)) y=(px(y + 3.0)) width="12" height="12" rx="2" {}
            text.label x=(px(x + 18.0)) y=(px(y + 13.0)) { (name) }
        }
    };
    Drawing { height: y + LINE - top, body }
}
