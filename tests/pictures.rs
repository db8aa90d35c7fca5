//! Pictures tell the truth: of made-up records in which every part differs, each mark, its colour, its label and its
//! figure belong together.
#![allow(clippy::unwrap_used)]

mod svg;

use svg::Svg;

#[test]
fn a_scale_is_read_from_its_ticks() {
    let ticks = |at: &str| format!("<text class=\"tick mid\" x=\"{at}\" y=\"115\">{}</text>", at.len());
    let svg = format!(
        "<svg width=\"9\" height=\"9\"><g transform=\"translate(5 0)\">{}{}</g></svg>",
        ticks("1"),
        ticks("11")
    );
    let axis = Svg::read(&svg).axis(100.0, |text| text.parse().unwrap());
    assert_eq!(axis.at(1.5), 11.0);
}
