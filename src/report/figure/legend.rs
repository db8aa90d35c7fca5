//! What the colours of a picture are.

use maud::{Markup, html};

use super::{Frame, SERIES, px, series, width_of};

/// A colour and its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LegendEntry {
    /// What it is of.
    pub name: String,
    /// The classes of its marks.
    class: String,
    is_line: bool,
}

const LINE: f64 = 20.0;

impl LegendEntry {
    /// Of an area of this class.
    pub(super) fn area(name: &str, class: &str) -> Self {
        Self { name: name.into(), class: class.into(), is_line: false }
    }

    /// Of the curve with this number.
    pub(super) fn curve(name: &str, number: usize) -> Self {
        Self { name: name.into(), class: curve_class(number), is_line: true }
    }

    fn swatch(&self, x: f64, y: f64) -> Markup {
        html! {
            @if self.is_line {
                line class=(self.class) x1=(px(x)) x2=(px(x + 12.0)) y1=(px(y + 6.0)) y2=(px(y + 6.0)) {}
            } @else {
                rect class=(self.class) x=(px(x)) y=(px(y)) width="12" height="12" rx="2" {}
            }
        }
    }
}

/// The classes of a curve: what colours do not tell apart is dashed.
pub(super) fn curve_class(number: usize) -> String {
    format!("stroke {}{}", series(number), if number >= SERIES { " dashed" } else { "" })
}

/// The legend as a list of a page, which wraps it; nothing where there is none.
pub(super) fn list(entries: &[LegendEntry]) -> Markup {
    html! {
        @if !entries.is_empty() {
            ul.legend {
                @for entry in entries {
                    li { svg width="12" height="12" { (entry.swatch(0.0, 0.0)) } (entry.name) }
                }
            }
        }
    }
}

/// The legend in lines as wide as the frame, and its height.
pub(super) fn drawn(frame: Frame, entries: &[LegendEntry], top: f64) -> (f64, Markup) {
    let (mut x, mut y) = (0.0, top);
    let mut places = Vec::new();
    for entry in entries {
        let wide = width_of(&entry.name) + 42.0;
        if x > 0.0 && x + wide > frame.width {
            (x, y) = (0.0, y + LINE);
        }
        places.push((entry, x, y));
        x += wide;
    }
    let body = html! {
        @for (entry, x, y) in places {
            (entry.swatch(x, y + 3.0))
            text.label x=(px(x + 18.0)) y=(px(y + 13.0)) { (entry.name) }
        }
    };
    (if entries.is_empty() { 0.0 } else { y + LINE - top }, body)
}
