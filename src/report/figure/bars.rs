//! Costs taken apart: parts side by side that add up to a whole.

use maud::{Markup, html};

use super::axis::Axis;
use super::{Drawing, Frame, Picture, legend, px, series, width_of};
use crate::report::text;

/// Stacked bars, one a row, on a common axis; bars too short for it get a second axis below.
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
    pub parts: Vec<Segment>,
}

/// One part of a bar: its name, its length and whether the data tell it from 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// What it is.
    pub name: String,
    /// Its colour.
    pub series: usize,
    /// Nanoseconds per operation. Negative: adding this step made the operation cheaper.
    pub nanos: f64,
    /// Whether the data tell it from 0.
    pub told_from_zero: bool,
}

impl Bar {
    /// The sum of the parts.
    pub fn total(&self) -> f64 {
        self.parts.iter().map(|part| part.nanos).sum()
    }

    fn extent(&self) -> [f64; 2] {
        let sum = |keep: fn(&f64) -> bool| self.parts.iter().map(|part| part.nanos).filter(keep).sum::<f64>();
        [sum(|nanos| *nanos < 0.0), sum(|nanos| *nanos > 0.0)]
    }

    fn negatives(&self) -> impl Iterator<Item = &Segment> {
        self.parts.iter().filter(|part| part.nanos < 0.0)
    }
}

const BAR: f64 = 18.0;
const LINE: f64 = 15.0;
const GAP: f64 = 12.0;

/// Bars shorter than this share of the longest one cannot be read on its scale, and get one of their own.
const READABLE: f64 = 1.0 / 7.0;
/// So many scales and no more.
const PANELS: usize = 3;

impl Picture for Bars {
    fn draw(&self, frame: Frame) -> Drawing {
        let labels = self.rows.iter().flat_map(|row| [&row.label, &row.detail]).map(|label| width_of(label));
        let left = if frame.narrow { 1.0 } else { labels.fold(0.0, f64::max).min(250.0) + 24.0 };
        let right = frame.width - if frame.narrow { 66.0 } else { 78.0 };
        let names = self.names();
        let key = legend(frame, &names.iter().map(|(number, name)| (*number, name.as_str())).collect::<Vec<_>>(), 0.0);
        let mut y = key.height + 12.0;
        let mut below = y;
        let mut marks = Vec::new();
        for panel in self.panels() {
            let axis = Axis::linear_covering(panel.iter().flat_map(|row| row.extent()), left, right);
            let (mut drawn, mut bottom) = rows(&panel, &axis, y, frame);
            if Axis::is_tall(y, bottom) {
                // The ticks above need their room below the legend.
                y += LINE;
                (drawn, bottom) = rows(&panel, &axis, y, frame);
            }
            marks.push(html! {
                (axis.across(y - 4.0, bottom, text::tick))
                (drawn)
            });
            below = bottom + 34.0;
            y = below + if frame.narrow { 14.0 } else { 18.0 };
        }
        let body = html! {
            (key.body)
            @for mark in marks { (mark) }
            text.tick.mid x=(px((left + right) / 2.0)) y=(px(below)) { (self.axis) }
        };
        Drawing { height: below + 10.0, body }
    }
}

fn rows(rows: &[&Bar], axis: &Axis, top: f64, frame: Frame) -> (Markup, f64) {
    let mut y = top;
    let mut marks = Vec::new();
    for row in rows {
        let start = y;
        marks.push(label(row, start, frame));
        if frame.narrow {
            y += LINE + 3.0;
        }
        marks.push(bar(row, axis, y, frame.width));
        y += BAR;
        for part in row.negatives() {
            y += LINE;
            marks.push(html! {
                text.small.soft x=(px(axis.at(0.0) + 4.0)) y=(px(y - 2.0)) {
                    (part.name) ": " (text::nanos(part.nanos))
                }
            });
        }
        let beside = if frame.narrow { 0.0 } else { start + 2.0 * LINE + 2.0 };
        y = y.max(beside) + GAP;
    }
    (html! { @for mark in marks { (mark) } }, y - GAP / 2.0)
}

impl Bars {
    /// The rows by the scale on which they can be read, each panel in the rows' own order.
    fn panels(&self) -> Vec<Vec<&Bar>> {
        let mut rest: Vec<&Bar> = self.rows.iter().collect();
        let mut panels = Vec::new();
        while !rest.is_empty() {
            let longest = rest.iter().map(|row| row.extent()[1]).fold(0.0, f64::max);
            let fits = |row: &&Bar| panels.len() + 1 == PANELS || row.extent()[1] >= longest * READABLE;
            let (panel, others): (Vec<&Bar>, Vec<&Bar>) = rest.into_iter().partition(fits);
            panels.push(panel);
            rest = others;
        }
        panels
    }

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
            // Pale and outlined parts would let the grid shine through.
            rect.paper x=(px(from)) y=(px(y)) width=(px(wide)) height=(px(BAR)) {}
            @let look = if part.nanos < 0.0 { " negative" } else if part.told_from_zero { "" } else { " pale" };
            rect class={ (series(part.series)) (look) }
                x=(px(from)) y=(px(y)) width=(px(wide)) height=(px(BAR)) {
                title { (part.name) ": " (text::nanos(part.nanos)) @if !part.told_from_zero { ", not told from 0" } }
            }
            @let figure = text::nanos(part.nanos);
            @if part.nanos > 0.0 && wide > width_of(&figure) + 8.0 {
                text.small.on[part.told_from_zero] x=(px(from + 5.0)) y=(px(y + 13.0)) { (figure) }
            }
        }
        line.total x1=(px(end)) x2=(px(end)) y1=(px(y - 3.0)) y2=(px(y + BAR + 3.0)) {}
        text.value.end x=(px(width)) y=(px(y + 13.0)) { (text::nanos(total)) }
    }
}
