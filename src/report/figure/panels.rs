//! Pictures one above the other: several quantities over one amount.

use maud::html;

use super::{Drawing, Frame, Picture, px};

/// Pictures drawn one below the other in one frame. They have the same margins.
#[derive(Debug)]
pub struct Panels {
    /// From the top.
    pub pictures: Vec<Box<dyn Picture>>,
}

const GAP: f64 = 18.0;

impl Picture for Panels {
    fn draw(&self, frame: Frame) -> Drawing {
        let mut top = 0.0;
        let mut placed = Vec::new();
        let (mut margins, mut legend) = ((0.0, 0.0), Vec::new());
        for picture in &self.pictures {
            let drawing = picture.draw(frame);
            placed.push((top, drawing.body));
            top += drawing.height + GAP;
            margins = drawing.margins;
            legend.extend(drawing.legend.into_iter().filter(|entry| !legend.contains(entry)).collect::<Vec<_>>());
        }
        let body = html! {
            @for (top, body) in placed { g transform=(format!("translate(0 {})", px(top))) { (body) } }
        };
        Drawing { height: (top - GAP).max(0.0), body, margins, legend }
    }

    fn is_fluid(&self) -> bool {
        self.pictures.iter().all(|picture| picture.is_fluid())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Square;

    impl Picture for Square {
        fn draw(&self, _: Frame) -> Drawing {
            Drawing::plain(10.0, html! { rect width="10" height="10" {} })
        }
    }

    #[test]
    fn pictures_stand_below_one_another() {
        let panels = Panels { pictures: vec![Box::new(Square), Box::new(Square)] };
        let drawing = panels.draw(Frame::WIDE);
        assert_eq!(drawing.height, 20.0 + GAP);
        let text = drawing.body.into_string();
        assert!(text.contains("translate(0 0)") && text.contains("translate(0 28)"), "{text}");
        assert_eq!(Panels { pictures: Vec::new() }.draw(Frame::WIDE).height, 0.0);
    }
}
