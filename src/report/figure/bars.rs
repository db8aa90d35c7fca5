//! Costs taken apart: parts side by side that add up to a whole.

use maud::{Markup, html};

use super::axis::Axis;
use super::{Drawing, Frame, Picture, legend, px, series, width_of};
use crate::report::text;

/// The picture.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// What the axis measures.
    pub axis: String,
    /// From top to bottom.
    pub rows: Vec<Bar>,
}

/// A whole and its parts.
#[derive(Debug, Clone, PartialEq)]
pub struct Bar {
    /// What it is of.
    pub label: String,
    /// What is particular about it.
    pub detail: String,
    /// From left to right. They add up to the whole; some may be negative.
    pub parts: Vec<Part>,
}

/// A part.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// What it is.
    pub name: String,
    /// Its colour.
    pub series: usize,
    /// Nanoseconds per operation. Negative: adding this step made the operation cheaper.
    pub nanos: f64,
    /// Whether the data tell it from 0.
    pub sure: bool,
}

impl Bar {
    /// The sum of the parts.
    pub fn total(&self) -> f64 {
        self.parts.iter().map(|part| part.nanos).sum()
    }

    fn reach(&self) -> [f64; 2] {
        let sum = |keep: fn(&f64) -> bool| self.parts.iter().map(|part| part.nanos).filter(keep).sum::<f64>();
        [sum(|nanos| *nanos < 0.0), sum(|nanos| *nanos > 0.0)]
    }

    fn negatives(&self) -> impl Iterator<Item = &Part> {
        self.parts.iter().filter(|part| part.nanos < 0.0)
    }
}

const BAR: f64 = 18.0;
const LINE: f64 = 15.0;
const GAP: f64 = 12.0;

impl Picture for Bars {
    fn draw(&self, frame: Frame) -> Drawing {
        let labels = self.rows.iter().flat_map(|row| [&row.label, &row.detail]).map(|label| width_of(label));
        let left = if frame.narrow { 1.0 } else { labels.fold(0.0, f64::max).min(250.0) + 14.0 };
        let right = frame.width - if frame.narrow { 66.0 } else { 78.0 };
        let axis = Axis::linear_covering(self.rows.iter().flat_map(Bar::reach), left, right);
        let names = self.names();
        let key = legend(frame, &names.iter().map(|(number, name)| (*number, name.as_str())).collect::<Vec<_>>(), 0.0);
        let top = key.height + 10.0;
        let mut y = top;
        let mut marks = Vec::new();
        for row in &self.rows {
            let text_at = y;
            if frame.narrow {
                y += LINE + 3.0;
            }
            marks.push(label(row, text_at, frame));
            marks.push(bar(row, &axis, y, frame.width));
            y += BAR;
            for part in row.negatives() {
                y += LINE;
                marks.push(html! {
                    text.small.soft x=(px(axis.at(0.0))) y=(px(y - 2.0)) { (part.name) ": " (text::nanos(part.nanos)) }
                });
            }
            let beside = if frame.narrow { 0.0 } else { text_at + 2.0 * LINE + 2.0 };
            y = y.max(beside) + GAP;
        }
        let bottom = y - GAP / 2.0;
        let body = html! {
            (key.body)
            (axis.across(top - 4.0, bottom, text::tick))
            @for mark in marks { (mark) }
            text.tick.mid x=(px((left + right) / 2.0)) y=(px(bottom + 33.0)) { (self.axis) }
        };
        Drawing { height: bottom + 44.0, body }
    }
}

impl Bars {
    /// The parts by colour, in the order of the colours.
    fn names(&self) -> Vec<(usize, String)> {
        let mut names: Vec<(usize, String)> = Vec::new();
        for part in self.rows.iter().flat_map(|row| &row.parts) {
            if !names.iter().any(|(_, name)| *name == part.name) {
                names.push((part.series, part.name.clone()));
            }
        }
        names.sort_by_key(|(number, _)| *number);
        names
    }
}

fn label(row: &Bar, y: f64, frame: Frame) -> Markup {
    html! {
        text.strong x="0" y=(px(y + 12.0)) {
            (row.label)
            @if frame.narrow { tspan.soft { " " (row.detail) } }
        }
        @if !frame.narrow { text.soft.small x="0" y=(px(y + 12.0 + LINE)) { (row.detail) } }
    }
}

fn bar(row: &Bar, axis: &Axis, y: f64, width: f64) -> Markup {
    let (mut below, mut above) = (0.0, 0.0);
    let mut boxes = Vec::new();
    for part in &row.parts {
        let edge = if part.nanos < 0.0 { &mut below } else { &mut above };
        let (from, to) = (*edge, *edge + part.nanos);
        *edge = to;
        boxes.push((part, axis.at(from.min(to)), axis.at(from.max(to))));
    }
    let total = row.total();
    let end = axis.at(total);
    html! {
        @for (part, from, to) in boxes {
            @let wide = (to - from).max(0.75);
            rect class={ (series(part.series)) @if part.nanos < 0.0 { " negative" } @else if !part.sure { " unsure" } }
                x=(px(from)) y=(px(y)) width=(px(wide)) height=(px(BAR)) {
                title { (part.name) ": " (text::nanos(part.nanos)) @if !part.sure { ", not told from 0" } }
            }
            @let figure = text::nanos(part.nanos);
            @if part.nanos > 0.0 && part.sure && wide > width_of(&figure) + 8.0 {
                text.small.on x=(px(from + 5.0)) y=(px(y + 13.0)) { (figure) }
            }
        }
        line.total x1=(px(end)) x2=(px(end)) y1=(px(y - 3.0)) y2=(px(y + BAR + 3.0)) {}
        text.value.end x=(px(width)) y=(px(y + 13.0)) { (text::nanos(total)) }
    }
}
