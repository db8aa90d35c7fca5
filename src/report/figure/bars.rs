//! Costs taken apart: parts side by side that add up to a whole.

use maud::{Markup, html};

use super::axis::Axis;
use super::plot::{Plot, Room};
use super::{Drawing, Frame, LegendEntry, Picture, marked, px, series, width_of};
use crate::report::text;
use crate::stats::Interval;

/// Stacked bars, one a row, on a common axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Bars {
    /// What the axis measures.
    pub axis: String,
    /// Whether bars too short for the axis get a second one below; of few bars all are to be compared by eye.
    pub several_scales: bool,
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
    /// What marks a figure that is not to be compared; else empty.
    pub mark: String,
    /// From left to right. They add up to the whole; some may be negative.
    pub parts: Vec<Segment>,
    /// The 95 % interval of the whole, where it is known.
    pub interval: Option<Interval>,
}

/// One part of a bar: its name, its length and whether the data tell it from 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment {
    /// What it is. Parts of one name have one colour.
    pub name: String,
    /// Its colour; `None` for what is left over, which is grey.
    pub series: Option<usize>,
    /// Nanoseconds per operation.
    pub nanos: f64,
    /// Whether the data tell it from 0.
    pub told_from_zero: bool,
}

impl Bar {
    /// The sum of the parts.
    pub fn total(&self) -> f64 {
        self.parts.iter().map(|part| part.nanos).sum()
    }

    /// Its least and its greatest place on the axis, with those of its interval.
    fn extent(&self) -> [f64; 2] {
        let sum = |keep: fn(&f64) -> bool| self.parts.iter().map(|part| part.nanos).filter(keep).sum::<f64>();
        let high = self.interval.map_or(0.0, |interval| interval.high.min(2.0 * interval.estimate));
        [sum(|nanos| *nanos < 0.0), sum(|nanos| *nanos > 0.0).max(high)]
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
const SCALES: usize = 3;

impl Picture for Bars {
    fn draw(&self, frame: Frame) -> Drawing {
        let plot = Plot::new(frame, 1.0, 72.0);
        let mut y = 12.0;
        let mut below = y;
        let mut marks = Vec::new();
        for scale in self.scales() {
            let axis = Axis::linear_covering(scale.iter().flat_map(|row| row.extent()), 0.0, plot.width);
            let (mut drawn, mut bottom) = rows(&scale, &axis, &plot, y);
            if Axis::is_tall(y, bottom) {
                // The ticks above need their room.
                y += LINE;
                (drawn, bottom) = rows(&scale, &axis, &plot, y);
            }
            marks.push(html! {
                (axis.across(&plot, y - 4.0, bottom, text::tick))
                (drawn)
            });
            below = bottom + 34.0;
            y = below + 18.0;
        }
        let body = html! {
            @for mark in marks { (mark) }
            text.tick.mid x=(plot.x(plot.width / 2.0)) y=(px(below)) { (self.axis) }
        };
        Drawing { height: below + 10.0, body, margins: (plot.left, plot.right), legend: self.legend() }
    }
}

fn rows(rows: &[&Bar], axis: &Axis, plot: &Plot, top: f64) -> (Markup, f64) {
    let mut y = top;
    let mut marks = Vec::new();
    for row in rows {
        let (height, label) = label(&marked(&row.label, &row.mark), &row.detail, plot.left, y);
        marks.push(label);
        y += height;
        marks.push(bar(row, axis, plot, y));
        y += BAR;
        for part in row.negatives() {
            y += LINE;
            marks.push(html! {
                text.small.soft x=(plot.x(axis.at(0.0))) dx="4" y=(px(y - 2.0)) { (told(part)) }
            });
        }
        y += GAP;
    }
    (html! { @for mark in marks { (mark) } }, y - GAP / 2.0)
}

/// The part in words.
fn told(part: &Segment) -> String {
    let doubt = if part.told_from_zero { "" } else { ", not told from 0" };
    format!("{}: {}{doubt}", part.name, text::nanos(part.nanos))
}

impl Bars {
    /// The rows by the scale on which they can be read, each scale in the rows' own order.
    fn scales(&self) -> Vec<Vec<&Bar>> {
        let mut rest: Vec<&Bar> = self.rows.iter().collect();
        let mut scales = Vec::new();
        while !rest.is_empty() {
            let longest = rest.iter().map(|row| row.extent()[1]).fold(0.0, f64::max);
            let fits = |row: &&Bar| {
                !self.several_scales || scales.len() + 1 == SCALES || row.extent()[1] >= longest * READABLE
            };
            let (scale, others): (Vec<&Bar>, Vec<&Bar>) = rest.into_iter().partition(fits);
            scales.push(scale);
            rest = others;
        }
        scales
    }

    /// The parts in the order in which they stand in bars, what is left over last.
    fn legend(&self) -> Vec<LegendEntry> {
        let mut parts: Vec<&Segment> = Vec::new();
        for part in self.rows.iter().flat_map(|row| &row.parts) {
            if !parts.iter().any(|known| known.name == part.name) {
                parts.push(part);
            }
        }
        parts.sort_by_key(|part| part.series.is_none());
        parts.iter().map(|part| LegendEntry::area(&part.name, &class(part))).collect()
    }
}

/// The class of a part's colour.
fn class(part: &Segment) -> String {
    part.series.map_or("rest".into(), series)
}

/// The label above a row with what is particular about it, and its height: two lines where one would be too long for a
/// phone.
pub(super) fn label(label: &str, detail: &str, left: f64, y: f64) -> (f64, Markup) {
    let one_line = width_of(label) + width_of(detail) < Frame::NARROW.width - 24.0;
    let drawn = html! {
        text.strong x=(px(-left)) y=(px(y + 12.0)) {
            (label)
            @if one_line && !detail.is_empty() { tspan.soft { " " (detail) } }
        }
        @if !one_line { text.soft.small x=(px(-left)) y=(px(y + 12.0 + LINE)) { (detail) } }
    };
    (if one_line { LINE + 3.0 } else { 2.0 * LINE + 3.0 }, drawn)
}

fn bar(row: &Bar, axis: &Axis, plot: &Plot, y: f64) -> Markup {
    let (mut below, mut above) = (0.0, 0.0);
    let mut boxes = Vec::new();
    for part in &row.parts {
        let edge = if part.nanos < 0.0 { &mut below } else { &mut above };
        let (from, to) = (*edge, *edge + part.nanos);
        *edge = to;
        boxes.push((part, axis.at(from.min(to)), axis.at(from.max(to))));
    }
    let total = row.total();
    let end = plot.x(axis.at(total));
    html! {
        @for (part, from, to) in boxes {
            @let wide = (to - from).max(0.75);
            @let (x, width) = (plot.x(from), plot.x(wide));
            @if !part.told_from_zero {
                // The grid would shine through pale parts.
                rect.paper x=(x) y=(px(y)) width=(width) height=(px(BAR)) {}
            }
            rect class={ (class(part)) @if !part.told_from_zero { " pale" } }
                x=(x) y=(px(y)) width=(width) height=(px(BAR)) { title { (told(part)) } }
            @let figure = text::nanos(part.nanos);
            @let room = plot.room(wide, width_of(&figure) + 8.0);
            @if part.nanos > 0.0 && room != Room::Never {
                text class={ "small" @if part.told_from_zero { " on" } (room.class()) }
                    x=(x) dx="5" y=(px(y + 13.0)) { (figure) }
            }
        }
        @if let Some(interval) = row.interval {
            line.interval x1=(plot.x(axis.at(interval.low))) x2=(plot.x(axis.at(interval.high)))
                y1=(px(y + BAR + 3.0)) y2=(px(y + BAR + 3.0)) {
                title { (text::nanos(interval.low)) " to " (text::nanos(interval.high)) }
            }
        }
        line.total x1=(end) x2=(end) y1=(px(y - 3.0)) y2=(px(y + BAR + 3.0)) {}
        text.value.end x=(plot.end()) dx=(px(plot.right)) y=(px(y + 13.0)) { (marked(&text::nanos(total), &row.mark)) }
    }
}
