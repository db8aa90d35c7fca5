//! Reads a picture back: its shapes where they are drawn, the legend, the axis across, and what stands in each row.
#![allow(dead_code)]

use roxmltree::{Document, Node};

/// One element of a picture, where it is drawn.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Shape {
    /// `rect`, `text`, …
    pub(crate) tag: String,
    /// Its classes.
    pub(crate) classes: Vec<String>,
    /// Its ends across: of a circle and a text its place twice.
    pub(crate) x: [f64; 2],
    /// Its upper and lower end.
    pub(crate) y: [f64; 2],
    /// What is written.
    pub(crate) text: String,
    /// What pointing at it tells.
    pub(crate) title: String,
    /// The points of a polyline.
    pub(crate) points: Vec<(f64, f64)>,
    /// The path of a path.
    pub(crate) path: String,
}

impl Shape {
    /// Whether it has this class.
    pub(crate) fn has(&self, class: &str) -> bool {
        self.classes.iter().any(|own| own == class)
    }

    /// The class of its colour.
    pub(crate) fn colour(&self) -> String {
        let is_colour = |class: &&String| {
            class.strip_prefix('s').is_some_and(|number| number.parse::<u8>().is_ok())
                || ["rest", "less", "greater", "equal", "open"].contains(&class.as_str())
        };
        self.classes.iter().find(is_colour).cloned().unwrap_or_else(|| panic!("no colour: {self:?}"))
    }
}

/// A picture as a file of its own.
#[derive(Debug)]
pub(crate) struct Svg {
    /// Its size.
    pub(crate) size: (f64, f64),
    /// All that is drawn.
    pub(crate) shapes: Vec<Shape>,
}

impl Svg {
    /// Reads a file.
    pub(crate) fn read(file: &str) -> Self {
        let document = Document::parse(file).unwrap_or_else(|error| panic!("{error}: {file}"));
        let root = document.root_element();
        let mut shapes = Vec::new();
        gather(root, (0.0, 0.0), &mut shapes);
        Self { size: (number(&root, "width").unwrap(), number(&root, "height").unwrap()), shapes }
    }

    /// The shapes with this tag and class.
    pub(crate) fn all(&self, tag: &str, class: &str) -> Vec<&Shape> {
        self.shapes.iter().filter(|shape| shape.tag == tag && (class.is_empty() || shape.has(class))).collect()
    }

    /// What stands there in all.
    pub(crate) fn written(&self) -> String {
        self.shapes.iter().filter(|shape| shape.tag == "text").map(|shape| shape.text.clone() + "\n").collect()
    }

    /// Names and colours of the legend.
    pub(crate) fn legend(&self) -> Vec<(String, String)> {
        let swatch = |text: &&Shape| {
            let is_swatch = |shape: &&Shape| {
                let near = (shape.x[0] + 18.0 - text.x[0]).abs() < 0.2 && shape.y[0] < text.y[0];
                near && text.y[0] - shape.y[0] < 13.0 && ["rect", "line"].contains(&shape.tag.as_str())
            };
            self.shapes.iter().find(is_swatch).map(|shape| (text.text.clone(), shape.colour()))
        };
        self.all("text", "label").iter().filter_map(swatch).collect()
    }

    /// The colour of a name in the legend.
    pub(crate) fn colour_of(&self, name: &str) -> String {
        let legend = self.legend();
        let found = legend.iter().find(|(known, _)| known == name).map(|(_, colour)| colour.clone());
        found.unwrap_or_else(|| panic!("{name}: {legend:?}"))
    }

    /// The labels of rows from top to bottom: their text and their height.
    pub(crate) fn labels(&self) -> Vec<(String, f64)> {
        let mut labels: Vec<(String, f64)> =
            self.all("text", "strong").iter().filter(|t| !t.has("value")).map(|t| (t.text.clone(), t.y[0])).collect();
        labels.sort_by(|a, b| a.1.total_cmp(&b.1));
        labels
    }

    /// The shapes between the label that begins so and the next one, or the axis below it.
    pub(crate) fn row(&self, label: &str) -> Vec<&Shape> {
        let labels = self.labels();
        let index = labels.iter().position(|(text, _)| text == label).unwrap_or_else(|| panic!("{label}: {labels:?}"));
        let from = labels[index].1;
        let axis =
            self.all("text", "tick").iter().map(|tick| tick.y[0] - 15.0).filter(|y| *y > from).fold(1e9, f64::min);
        let to = labels.get(index + 1).map_or(axis, |(_, y)| (y - 10.0).min(axis));
        self.shapes.iter().filter(|shape| shape.y[0] > from - 4.0 && shape.y[1] < to + 1.0).collect()
    }

    /// The axis below a height: where a value is, from the two outermost labels of ticks.
    pub(crate) fn axis(&self, below: f64, value: impl Fn(&str) -> f64) -> Axis {
        let ticks: Vec<&Shape> = self.all("text", "tick").into_iter().filter(|tick| tick.has("mid")).collect();
        let named = |tick: &&&Shape| tick.text.starts_with(|c: char| c.is_ascii_digit() || c == '−');
        let level = ticks.iter().filter(named).map(|tick| tick.y[0]).filter(|y| *y > below).fold(1e9, f64::min);
        let at_level = ticks.iter().filter(named).filter(|tick| (tick.y[0] - level).abs() < 0.2);
        let mut places: Vec<(f64, f64)> = at_level.map(|tick| (tick.x[0], value(&tick.text))).collect();
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        Axis { places }
    }

    /// The axis at the left.
    pub(crate) fn axis_upwards(&self, value: impl Fn(&str) -> f64) -> Axis {
        let ticks = self.all("text", "end").into_iter().filter(|text| text.has("tick"));
        let mut places: Vec<(f64, f64)> = ticks.map(|tick| (tick.y[0] - 4.0, value(&tick.text))).collect();
        places.sort_by(|a, b| a.0.total_cmp(&b.0));
        Axis { places }
    }
}

/// Labelled places of an axis.
#[derive(Debug)]
pub(crate) struct Axis {
    places: Vec<(f64, f64)>,
}

impl Axis {
    /// Where a value is drawn. The ticks tell whether the scale is logarithmic.
    pub(crate) fn at(&self, value: f64) -> f64 {
        let (first, last) = (self.places[0], self.places[self.places.len() - 1]);
        let linear = |v: f64| first.0 + (v - first.1) / (last.1 - first.1) * (last.0 - first.0);
        let log = |v: f64| first.0 + (v / first.1).ln() / (last.1 / first.1).ln() * (last.0 - first.0);
        let middle = self.places[self.places.len() / 2];
        if (linear(middle.1) - middle.0).abs() < 1.0 { linear(value) } else { log(value) }
    }
}

fn gather(node: Node<'_, '_>, (dx, dy): (f64, f64), shapes: &mut Vec<Shape>) {
    for child in node.children().filter(Node::is_element) {
        let moved = child.attribute("transform").map_or((0.0, 0.0), translated);
        let (dx, dy) = (dx + moved.0, dy + moved.1);
        match child.tag_name().name() {
            "g" => gather(child, (dx, dy), shapes),
            "rect" | "line" | "circle" | "text" | "polyline" | "path" => shapes.push(shape(&child, (dx, dy))),
            _ => {}
        }
    }
}

/// `translate(1 2)`.
fn translated(transform: &str) -> (f64, f64) {
    let inner = transform.trim_start_matches("translate(").trim_end_matches(')');
    let (x, y) = inner.split_once(' ').unwrap_or_else(|| panic!("{transform}"));
    (x.parse().unwrap(), y.parse().unwrap())
}

fn shape(node: &Node<'_, '_>, (dx, dy): (f64, f64)) -> Shape {
    let of = |name: &str| number(node, name);
    let tag = node.tag_name().name().to_string();
    let x = match tag.as_str() {
        "rect" => [of("x").unwrap(), of("x").unwrap() + of("width").unwrap()],
        "line" => [of("x1").unwrap(), of("x2").unwrap()],
        "circle" => [of("cx").unwrap(); 2],
        "text" => [of("x").unwrap() + of("dx").unwrap_or(0.0); 2],
        _ => [0.0; 2],
    };
    let y = match tag.as_str() {
        "rect" => [of("y").unwrap(), of("y").unwrap() + of("height").unwrap()],
        "line" => [of("y1").unwrap(), of("y2").unwrap()],
        "circle" => [of("cy").unwrap(); 2],
        "text" => [of("y").unwrap(); 2],
        _ => [0.0; 2],
    };
    let title = |node: &Node<'_, '_>| node.has_tag_name("title");
    let within = |node: &Node<'_, '_>, wanted: bool| -> String {
        let texts = node.descendants().filter(|inner| inner.is_text());
        let texts = texts.filter(|inner| inner.ancestors().any(|outer| title(&outer)) == wanted);
        texts.filter_map(|text| text.text()).collect()
    };
    let points = node.attribute("points").unwrap_or_default().split(' ').filter(|pair| !pair.is_empty());
    let point = |pair: &str| {
        let (x, y) = pair.split_once(',').unwrap();
        (x.parse::<f64>().unwrap() + dx, y.parse::<f64>().unwrap() + dy)
    };
    Shape {
        classes: node.attribute("class").unwrap_or_default().split(' ').map(String::from).collect(),
        x: x.map(|x| x + dx),
        y: y.map(|y| y + dy),
        text: if tag == "text" { within(node, false) } else { String::new() },
        title: within(node, true),
        points: points.map(point).collect(),
        path: node.attribute("d").unwrap_or_default().into(),
        tag,
    }
}

fn number(node: &Node<'_, '_>, name: &str) -> Option<f64> {
    node.attribute(name).map(|value| value.parse().unwrap_or_else(|_| panic!("{name}: {value}")))
}
