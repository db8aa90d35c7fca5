//! The area between the labels at the left and the values at the right, in which marks have their places.
//!
//! On a page its width is that of the window, which nothing knows here. Places across are therefore percentages of it,
//! and what is a path is drawn into a nested `<svg>` that is stretched, so that one drawing serves a phone and a
//! screen. Heights, letters and the margins beside the area are pixels. In a file places are pixels throughout:
//! programs for slides know no percentages.

use maud::{Markup, html};

use super::{Frame, px};

/// What a path counts across the area while it is stretched: finer than the pixels of any screen.
const UNITS: f64 = 2000.0;

/// The area of the marks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Plot {
    /// Pixels between the picture's left edge and the area.
    pub(super) left: f64,
    /// Pixels between the area and the picture's right edge.
    pub(super) right: f64,
    /// Pixels across the area in a frame of its own width.
    pub(super) width: f64,
    fluid: bool,
}

/// Whether a label has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Room {
    /// On a phone as well.
    Always,
    /// In wide windows and files.
    WhenWide,
    /// Nowhere.
    Never,
}

impl Plot {
    /// What `frame` leaves between two margins.
    pub(super) fn new(frame: Frame, left: f64, right: f64) -> Self {
        Self { left, right, width: frame.width - left - right, fluid: frame.fluid }
    }

    /// A place across the area, or a width, as an attribute.
    pub(super) fn x(&self, at: f64) -> String {
        if !self.fluid {
            return px(at);
        }
        let text = format!("{:.2}", 100.0 * at / self.width);
        format!("{}%", text.trim_end_matches('0').trim_end_matches('.'))
    }

    /// The end of the area.
    pub(super) fn end(&self) -> String {
        self.x(self.width)
    }

    /// Which part of its size the area has on a phone.
    fn on_a_phone(&self) -> f64 {
        if self.fluid { (Frame::NARROW.width - self.left - self.right).max(1.0) / self.width } else { 1.0 }
    }

    /// Whether `needed` pixels have room in what is `size` wide here.
    pub(super) fn room(&self, size: f64, needed: f64) -> Room {
        match size {
            size if size * self.on_a_phone() >= needed => Room::Always,
            size if size >= needed => Room::WhenWide,
            _ => Room::Never,
        }
    }

    /// Of labels at these places, with these widths and from left to right, those that have room on a phone.
    pub(super) fn apart(&self, labels: impl Iterator<Item = (f64, f64)>) -> Vec<bool> {
        let mut end = f64::NEG_INFINITY;
        let keep = |(at, width): (f64, f64)| {
            let (middle, half) = (at * self.on_a_phone(), width / 2.0 + 5.0);
            let keep = middle - half >= end;
            if keep {
                end = middle + half;
            }
            keep
        };
        labels.map(keep).collect()
    }

    /// What holds paths: their places across are [`Plot::along`].
    pub(super) fn stretched(&self, height: f64, paths: &Markup) -> Markup {
        if !self.fluid {
            return html! { (paths) };
        }
        html! {
            svg.stretched width="100%" height=(px(height)) viewBox=(format!("0 0 {UNITS} {}", px(height)))
                preserveAspectRatio="none" { (paths) }
        }
    }

    /// A place across the area within a path.
    pub(super) fn along(&self, at: f64) -> String {
        if self.fluid { format!("{:.0}", at / self.width * UNITS) } else { px(at) }
    }
}

impl Room {
    /// The class of a label that has this much of it.
    pub(super) fn class(self) -> &'static str {
        if self == Self::WhenWide { " more" } else { "" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_shares_on_a_page_and_pixels_in_a_file() {
        let (page, file) = (Plot::new(Frame::PAGE, 100.0, 60.0), Plot::new(Frame::WIDE, 100.0, 60.0));
        assert_eq!((page.x(150.0), page.end(), page.along(150.0)), ("25%".into(), "100%".into(), "500".into()));
        assert_eq!((file.x(150.0), file.end(), file.along(150.26)), ("150".into(), "600".into(), "150.3".into()));
        assert!(page.stretched(10.0, &html! {}).into_string().contains("preserveAspectRatio=\"none\""));
        assert_eq!(file.stretched(10.0, &html! {}).into_string(), "");
    }

    #[test]
    fn a_phone_has_room_for_fewer_labels() {
        let page = Plot::new(Frame::PAGE, 0.0, 44.0);
        let rooms = [100.0, 60.0, 20.0].map(|size| page.room(size, 40.0));
        assert_eq!(rooms, [Room::Always, Room::WhenWide, Room::Never]);
        let labels = || (0..5).map(|tick| (f64::from(tick) * 100.0, 50.0));
        assert_eq!(page.apart(labels()), [true, false, true, false, true]);
        assert_eq!(Plot::new(Frame::WIDE, 0.0, 44.0).apart(labels()), [true; 5]);
    }
}
