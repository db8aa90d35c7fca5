//! A figure as a file of its own: with its title, what it shows, and where its numbers come from, so that it can be
//! lifted into a slide and still be read.

use std::borrow::Cow;

use maud::html;

use super::{Drawing, Figure, Frame, MARKS, TOKENS, legend, placed, px, short, width_of};
use crate::report::text;

/// Around the picture: no page keeps it from the edge.
const MARGIN: f64 = 16.0;
const LINE: f64 = 17.0;

impl Figure {
    /// The file. `source` is the machine and the day.
    pub fn file(&self, source: &str) -> String {
        let frame = Frame::WIDE;
        let drawing = self.picture.draw(frame);
        let title = wrapped(&self.title, frame.width / 1.4);
        let subtitle = wrapped(&text::unbroken(&self.subtitle), frame.width);
        let footer: Vec<String> = [self.key.as_deref().unwrap_or_default(), &self.footer(source)]
            .iter()
            .filter(|text| !text.is_empty())
            .flat_map(|text| wrapped(text, frame.width * 1.08))
            .collect();
        let head = 24.0 * title.len() as f64 + LINE * subtitle.len() as f64 + 10.0;
        let (key, legend) = legend::drawn(frame, &drawing.legend, head);
        let top = head + key + if key > 0.0 { 6.0 } else { 0.0 };
        let below = top + drawing.height + 12.0;
        let height = below + 15.0 * footer.len() as f64;
        let (wide, high) = (px(frame.width + 2.0 * MARGIN), px(height + 2.0 * MARGIN));
        let from = px(-MARGIN);
        let svg = html! {
            svg xmlns="http://www.w3.org/2000/svg" width=(wide) height=(high)
                viewBox=(format!("{from} {from} {wide} {high}")) role="img" aria-label=(self.label()) {
                title { (self.title) }
                style { (style()) }
                // The page around the file may be dark where the reader's system is light; its own ground keeps the
                // ink legible.
                rect.paper x=(from) y=(from) width=(wide) height=(high) {}
                @for (index, line) in title.iter().enumerate() {
                    text.title x="0" y=(px(17.0 + 24.0 * index as f64)) { (line) }
                }
                @for (index, line) in subtitle.iter().enumerate() {
                    text.subtitle x="0" y=(px(24.0 * title.len() as f64 + 13.0 + LINE * index as f64)) { (line) }
                }
                (legend)
                (placed(&drawing, top))
                @for (index, line) in footer.iter().enumerate() {
                    text.footer x="0" y=(px(below + 11.0 + 15.0 * index as f64)) { (line) }
                }
            }
        };
        short(svg).into_string()
    }

    /// Where the numbers come from, in a line.
    fn footer(&self, source: &str) -> String {
        let parts = [source, self.basis.as_str(), "switchcost"];
        parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" · ")
    }
}

/// The style sheet with every colour written out: programs for slides know no variables. They take the colours for
/// light, and browsers those for dark where the reader's system is dark.
fn style() -> String {
    let themes: Vec<&str> = TOKENS.split(":root {").skip(1).collect();
    let theme = |index: usize| themes.get(index).and_then(|theme| theme.split('}').next()).unwrap_or_default();
    let dark: String = MARKS.lines().filter(|line| line.contains("var(")).collect::<Vec<_>>().join("\n");
    format!("{}\n@media (prefers-color-scheme: dark) {{\n{}\n}}\n", filled(MARKS, theme(0)), filled(&dark, theme(1)))
}

/// `rules` with the values of `theme` in place of variables.
fn filled(rules: &str, theme: &str) -> String {
    let values = theme.split(';').filter_map(|entry| entry.trim().split_once(": "));
    values.fold(rules.to_string(), |rules, (name, value)| rules.replace(&format!("var({name})"), value))
}

/// The lines of a text that is `width` wide at most, at 12 px.
fn wrapped(text: &str, width: f64) -> Vec<String> {
    let mut lines: Vec<Cow<'_, str>> = Vec::new();
    for word in text.split(' ').filter(|word| !word.is_empty()) {
        match lines.last_mut() {
            Some(line) if width_of(line) + width_of(word) + 3.6 <= width => {
                let line = line.to_mut();
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(Cow::Borrowed(word)),
        }
    }
    lines.into_iter().map(Cow::into_owned).collect()
}

impl Drawing {
    /// A drawing without margins and legend.
    pub(super) fn plain(height: f64, body: maud::Markup) -> Self {
        Self { height, body, margins: (0.0, 0.0), legend: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_needs_no_variables_and_has_colours_for_light_and_dark() {
        let style = style();
        assert!(!style.contains("var("), "{style}");
        let (light, dark) = style.split_once("@media").unwrap();
        let of = |rules: &str| rules.split(".s0 { fill: ").nth(1).unwrap().split(';').next().unwrap().to_string();
        assert_eq!((of(light).as_str(), of(dark).as_str()), ("#2867b2", "#78b0f0"));
    }

    #[test]
    fn long_sentences_are_broken_between_words() {
        let lines = wrapped("a sentence that is too long for one line", 100.0);
        assert!(lines.len() > 1 && lines.iter().all(|line| width_of(line) <= 100.0), "{lines:?}");
        assert_eq!(lines.join(" "), "a sentence that is too long for one line");
    }
}
