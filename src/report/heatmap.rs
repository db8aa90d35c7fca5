//! A square of figures as a picture: rows and columns are CPUs, darker is dearer.

use std::fmt::Write;

/// What is drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Heatmap<'a> {
    /// Above the square.
    pub title: &'a str,
    /// Of the figures: `ns/handoff`.
    pub unit: &'a str,
    /// Of rows and columns alike.
    pub labels: &'a [String],
    /// Row by row; `None` is left blank.
    pub rows: &'a [Vec<Option<f64>>],
}

const SIDE: usize = 44;
const LEFT: usize = 48;
const TOP: usize = 72;

/// The picture as SVG, in the same bytes for the same figures.
pub fn heatmap(map: &Heatmap<'_>) -> String {
    let figures = || map.rows.iter().flatten().flatten().copied();
    let (least, most) = (figures().fold(f64::INFINITY, f64::min), figures().fold(0.0, f64::max));
    let (width, height) = (LEFT + SIDE * map.labels.len() + 16, TOP + SIDE * map.rows.len() + 16);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {w} {height}\" width=\"{w}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"11\" text-anchor=\"middle\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"16\" y=\"22\" font-size=\"14\" text-anchor=\"start\">{}</text>\n\
         <text x=\"16\" y=\"40\" text-anchor=\"start\">{}</text>\n",
        escaped(map.title),
        escaped(map.unit),
        w = width.max(360),
    );
    for (index, label) in map.labels.iter().enumerate() {
        let (label, middle) = (escaped(label), index * SIDE + SIDE / 2);
        // Writing to a string cannot fail.
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\">{label}</text>", LEFT + middle, TOP - 8);
        let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\">{label}</text>", LEFT - 16, TOP + middle + 4);
    }
    for (y, row) in map.rows.iter().enumerate() {
        for (x, figure) in row.iter().enumerate() {
            let Some(figure) = figure else { continue };
            let share = share(*figure, least, most);
            let (left, top) = (LEFT + x * SIDE, TOP + y * SIDE);
            let ink = if share > 0.55 { "white" } else { "black" };
            let _ = writeln!(
                svg,
                "<rect x=\"{left}\" y=\"{top}\" width=\"{SIDE}\" height=\"{SIDE}\" fill=\"{}\"/>\
                 <text x=\"{}\" y=\"{}\" fill=\"{ink}\">{}</text>",
                shade(share),
                left + SIDE / 2,
                top + SIDE / 2 + 4,
                short(*figure),
            );
        }
    }
    svg.push_str("</svg>\n");
    svg
}

/// Where `figure` lies between the least and the most, on a scale of ratios: same and cross CPU differ by tens of times.
fn share(figure: f64, least: f64, most: f64) -> f64 {
    if most <= least { 0.0 } else { (figure / least).ln() / (most / least).ln() }
}

/// From pale yellow over orange to dark blue: the order survives in grey and for the colour-blind.
fn shade(share: f64) -> String {
    const STOPS: [[f64; 3]; 3] = [[255.0, 245.0, 204.0], [230.0, 120.0, 70.0], [35.0, 25.0, 85.0]];
    let (from, to, part) =
        if share < 0.5 { (STOPS[0], STOPS[1], share * 2.0) } else { (STOPS[1], STOPS[2], share * 2.0 - 1.0) };
    let mixed: Vec<String> =
        from.iter().zip(to).map(|(a, b)| format!("{:02x}", (a + (b - a) * part).round() as u8)).collect();
    format!("#{}", mixed.concat())
}

fn short(figure: f64) -> String {
    if figure < 10_000.0 { format!("{figure:.0}") } else { format!("{:.1}k", figure / 1000.0) }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_figure_is_a_square_and_a_blank_is_none() {
        let labels = ["0".to_string(), "1".to_string()];
        let rows = [vec![Some(2000.0), Some(18_000.0)], vec![None, Some(2100.0)]];
        let svg = heatmap(&Heatmap { title: "a < b", unit: "ns/handoff", labels: &labels, rows: &rows });
        assert_eq!(svg.matches("<rect x=").count(), 3);
        assert!(svg.contains("18.0k") && svg.contains("a &lt; b"), "{svg}");
        assert!(svg.contains(&shade(0.0)) && svg.contains(&shade(1.0)));
    }

    #[test]
    fn equal_figures_have_one_shade() {
        assert_eq!(share(5.0, 5.0, 5.0), 0.0);
    }
}
