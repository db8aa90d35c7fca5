//! Ratios with their intervals around a line at 1.

use maud::{Markup, html};

use super::axis::Axis;
use super::plot::Plot;
use super::{Drawing, Frame, LegendEntry, Picture, bars, marked, px};
use crate::report::text;
use crate::stats::Interval;

/// Ratios, one a line, on a common axis.
#[derive(Debug, Clone, PartialEq)]
pub struct Ratios {
    /// What the axis measures: `time in B over time in A`.
    pub axis: String,
    /// From top to bottom.
    pub rows: Vec<RatioRow>,
}

/// One ratio with its interval, its labels and its verdict.
#[derive(Debug, Clone, PartialEq)]
pub struct RatioRow {
    /// What it is of.
    pub label: String,
    /// What is particular about it.
    pub detail: String,
    /// What marks a figure that is not to be compared; else empty.
    pub mark: String,
    /// The ratio.
    pub interval: Interval,
    /// What may be said of it.
    pub verdict: RatioVerdict,
}

/// What may be said of a ratio; each has a colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RatioVerdict {
    /// Less by more than what matters.
    Less,
    /// More by more than what matters.
    More,
    /// As much, as far as it matters.
    Equal,
    /// The data do not decide.
    Open,
}

impl RatioVerdict {
    const ALL: [Self; 4] = [Self::Less, Self::More, Self::Equal, Self::Open];

    fn class(self) -> &'static str {
        match self {
            Self::Less => "less",
            Self::More => "greater",
            Self::Equal => "equal",
            Self::Open => "open",
        }
    }

    /// In a word or two.
    pub fn name(self) -> &'static str {
        match self {
            Self::Less => "less",
            Self::More => "more",
            Self::Equal => "equal",
            Self::Open => "inconclusive",
        }
    }
}

const ROW: f64 = 16.0;
const GAP: f64 = 8.0;
/// Ratios closer to 1 than this would fill the picture with noise.
const LEAST: [f64; 2] = [0.9, 1.1];

impl Picture for Ratios {
    fn draw(&self, frame: Frame) -> Drawing {
        let plot = Plot::new(frame, 8.0, 64.0);
        let ends = self.rows.iter().map(|row| (row.interval.low, row.interval.estimate, row.interval.high));
        let around_one = LEAST.map(|end| (end, end, end));
        let axis = Axis::log_covering_intervals(ends.chain(around_one), 0.0, plot.width);
        let top = if self.rows.len() > 12 { 20.0 } else { 2.0 };
        let mut y = top;
        let mut marks = Vec::new();
        for row in &self.rows {
            let (height, label) = bars::label(&row.label, &row.detail, plot.left, y);
            marks.push(label);
            y += height;
            marks.push(row_marks(row, &axis, &plot, y + ROW / 2.0));
            y += ROW + GAP;
        }
        let bottom = y - GAP / 2.0;
        let one = plot.x(axis.at(1.0));
        let body = html! {
            (axis.across(&plot, top, bottom, times))
            line.level x1=(one) x2=(one) y1=(px(top)) y2=(px(bottom)) {}
            @for mark in marks { (mark) }
            text.tick.mid x=(plot.x(plot.width / 2.0)) y=(px(bottom + 33.0)) { (self.axis) }
        };
        let seen = |verdict: &RatioVerdict| self.rows.iter().any(|row| row.verdict == *verdict);
        let legend = RatioVerdict::ALL.into_iter().filter(seen);
        let legend = legend.map(|verdict| LegendEntry::area(verdict.name(), verdict.class())).collect();
        Drawing { height: bottom + 44.0, body, margins: (plot.left, plot.right), legend }
    }
}

fn times(ratio: f64) -> String {
    format!("{}×", text::plain(ratio))
}

fn row_marks(row: &RatioRow, axis: &Axis, plot: &Plot, middle: f64) -> Markup {
    let class = row.verdict.class();
    let Interval { low, estimate, high, .. } = row.interval;
    let y = px(middle);
    html! {
        line class={ "stroke " (class) } x1=(plot.x(axis.at(low))) x2=(plot.x(axis.at(high))) y1=(y) y2=(y) {}
        // An end without a cap lies beyond the scale.
        @for end in [low, high].into_iter().filter(|end| axis.holds(*end)) {
            line class={ "stroke thin " (class) } x1=(plot.x(axis.at(end))) x2=(plot.x(axis.at(end)))
                y1=(px(middle - 4.0)) y2=(px(middle + 4.0)) {}
        }
        circle class=(class) cx=(plot.x(axis.at(estimate))) cy=(y) r="4.5" {
            title { (text::times(low)) " to " (text::times(high)) ", " (row.verdict.name()) }
        }
        text class={ "value end" @if !row.mark.is_empty() { " bad strong" } } x=(plot.end()) dx=(px(plot.right))
            y=(px(middle + 4.0)) { (marked(&text::times(estimate), &row.mark)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(label: &str, [low, estimate, high]: [f64; 3], verdict: RatioVerdict) -> RatioRow {
        let interval = Interval { low, estimate, high, confidence: 0.95 };
        RatioRow { label: label.into(), detail: String::new(), mark: String::new(), interval, verdict }
    }

    #[test]
    fn what_is_less_stands_left_of_one_in_the_colour_of_less() {
        let rows = vec![
            row("a", [0.4, 0.5, 0.6], RatioVerdict::Less),
            row("b", [1.9, 2.0, 2.1], RatioVerdict::More),
            row("c", [0.9, 1.1, 1.3], RatioVerdict::Open),
        ];
        let drawing = Ratios { axis: "ratio".into(), rows }.draw(Frame::WIDE);
        let text = drawing.body.into_string();
        let number = |from: &str, name: &str| -> f64 {
            from.split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next()).unwrap().parse().unwrap()
        };
        let one = number(text.split("<line class=\"level\"").nth(1).unwrap(), "x1");
        let at = |class: &str| number(text.split(&format!("<circle class=\"{class}\"")).nth(1).unwrap(), "cx");
        assert!(at("less") < one && at("greater") > one && at("open") > one, "{text}");
        assert!((one - at("less") - (at("greater") - one)).abs() < 0.3, "half and twice are as far from 1: {text}");
        let names: Vec<&str> = drawing.legend.iter().map(|entry| entry.name.as_str()).collect();
        assert_eq!(names, ["less", "more", "inconclusive"]);
    }
}
