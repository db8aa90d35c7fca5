//! The page shows the same pictures as the files, at any width, and no label of any picture covers another.

use roxmltree::{Document, Node};

use super::parts::{between_cpus, brigades};
use super::*;

/// The drawing of a figure within a page.
fn drawing<'a>(page: &'a str, id: &str) -> &'a str {
    let figure = page.split(&format!("<figure id=\"{id}\">")).nth(1).unwrap_or_else(|| panic!("no {id}"));
    let from = figure.find("<svg class=\"chart fluid\"").unwrap();
    let figure = figure[from..].split("<figcaption>").next().unwrap();
    &figure[..figure.rfind("</svg>").unwrap() + "</svg>".len()]
}

/// A percentage or pixels in pixels of an area so wide.
fn pixels(node: &Node<'_, '_>, name: &str, width: f64) -> f64 {
    let value = node.attribute(name).unwrap_or("0");
    match value.strip_suffix('%') {
        Some(share) => share.parse::<f64>().unwrap() * width / 100.0,
        None => value.parse().unwrap_or_else(|_| panic!("{name}={value}")),
    }
}

#[test]
fn a_page_draws_at_its_width_what_a_file_draws_in_pixels() {
    let files = report(brigades().into_iter().chain(between_cpus()).collect());
    let page = text(&files, PAGE);
    for id in
        ["cost-brigade", "parts-brigade", "threads-and-async-brigade", "parts-between-cpus-handoff", "cost-handoff"]
    {
        let document = Document::parse(drawing(page, id)).unwrap();
        let style = document.root_element().attribute("style").unwrap().to_string();
        let number = |text: &str| -> f64 {
            text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect::<String>().parse().unwrap()
        };
        let left = number(style.strip_prefix("margin-left:").unwrap());
        let both = number(style.split("calc(100% - ").nth(1).unwrap());
        let width = 760.0 - both;
        let file = picture(&files, id);
        let marks: Vec<_> =
            document.descendants().filter(|node| node.has_tag_name("rect") || node.has_tag_name("circle")).collect();
        let is_mark =
            |shape: &&svg::Shape| (shape.tag == "rect" && shape.y[1] - shape.y[0] == 18.0) || shape.tag == "circle";
        let drawn: Vec<_> = file.shapes.iter().filter(is_mark).collect();
        assert_eq!(marks.len(), drawn.len(), "{id}");
        for (node, shape) in marks.iter().zip(drawn) {
            let at = pixels(node, if node.has_tag_name("rect") { "x" } else { "cx" }, width) + left;
            assert!(near(at, shape.x[0]), "{id}: {node:?}, {shape:?}");
            assert_eq!(node.attribute("class").unwrap(), shape.classes.join(" "), "{id}");
        }
    }
}

/// How wide a text is drawn, roughly, and by which class it is set.
fn box_of(shape: &svg::Shape) -> [f64; 4] {
    let size = match () {
        _ if shape.has("title") => 17.0,
        _ if shape.has("tick") || shape.has("small") || shape.has("footer") => 11.0,
        _ => 12.0,
    };
    let letter = |c: char| if "il.,:|'/ ".contains(c) { 0.29 } else { 0.54 };
    let width: f64 = shape.text.chars().map(letter).sum::<f64>() * size;
    let from = match () {
        _ if shape.has("end") => shape.x[0] - width,
        _ if shape.has("mid") => shape.x[0] - width / 2.0,
        _ => shape.x[0],
    };
    [from, from + width, shape.y[0] - 0.7 * size, shape.y[0] + 0.1 * size]
}

#[test]
fn no_label_covers_another() {
    let reports = [report(brigades().into_iter().chain(between_cpus()).collect()), {
        let fixture = |name: &str| {
            let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/report").join(name);
            switchcost::record::read(&path).unwrap()
        };
        files(&[fixture("three-rounds")], &Catalogue::default())
    }];
    let pictures = reports.iter().flatten().filter(|file| file.path.ends_with(".svg"));
    for file in pictures {
        let svg = Svg::read(&file.text);
        let texts: Vec<_> = svg.shapes.iter().filter(|shape| shape.tag == "text").collect();
        for (index, a) in texts.iter().enumerate() {
            for b in &texts[index + 1..] {
                let ([a0, a1, at, ab], [b0, b1, bt, bb]) = (box_of(a), box_of(b));
                let covers = a0 < b1 - 1.0 && b0 < a1 - 1.0 && at < bb - 1.0 && bt < ab - 1.0;
                assert!(!covers, "{}: {:?} covers {:?}", file.path, a.text, b.text);
            }
        }
    }
}

/// The newest committed run is the largest that there is; its page is to open at once.
#[test]
fn the_page_of_a_full_run_is_under_a_megabyte() {
    let reports = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("reports");
    let runs = std::fs::read_dir(reports).unwrap().map(|entry| entry.unwrap().path());
    let newest = runs.filter(|path| path.join("numbers.md").is_file()).max().unwrap();
    let files = files(&[switchcost::record::read(&newest).unwrap()], &Catalogue::default());
    let size = text(&files, PAGE).len();
    assert!(files.iter().filter(|file| file.path.ends_with(".svg")).count() > 30, "it has its pictures");
    assert!(size < 1_000_000, "{}: {size} bytes", newest.display());
}
