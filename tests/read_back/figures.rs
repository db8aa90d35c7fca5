//! Figures that differ by mechanism and placement: each mark, curve and cell is its own.

use roxmltree::{Document, Node};
use switchcost::stats::{CONFIDENCE, rounds_interval};

use super::*;

const MECHANISMS: [&str; 2] = ["futex", "pipe"];
const PLACEMENTS: [Placement; 3] = [Placement::Unpinned, Placement::SameCpu, Placement::SameLlc];

/// The middle round of a benchmark; no two are alike.
fn middle(mechanism: usize, placement: usize) -> u64 {
    [[1000, 2300, 4100], [3100, 5300, 7900]][mechanism][placement]
}

/// Its rounds; no two benchmarks scatter alike.
fn medians(mechanism: usize, placement: usize) -> [u64; 3] {
    let (middle, reach) = (middle(mechanism, placement), 12 * (1 + mechanism + 2 * placement) as u64);
    [middle - reach, middle, middle + reach]
}

/// The values of its latencies; no two benchmarks have any in common.
fn latencies(mechanism: usize, placement: usize) -> ValueHistogram {
    let mut values = ValueHistogram::new();
    (1..=1000).for_each(|value| values.record((2 + 3 * mechanism as u64 + 7 * placement as u64) * value * 100));
    values
}

fn each() -> impl Iterator<Item = (usize, usize)> {
    (0..2).flat_map(|mechanism| (0..3).map(move |placement| (mechanism, placement)))
}

fn run() -> Run {
    let mut run = three_rounds();
    let of = |(mechanism, placement): (usize, usize)| {
        let id = format!("handoff/{}/{}", MECHANISMS[mechanism], PLACEMENTS[placement]);
        let line = run.benchmarks.iter().find(|line| line.id == id).unwrap_or_else(|| panic!("no {id}")).clone();
        (0..3).map(move |round| {
            let mut line = with_samples(&line, round, &[medians(mechanism, placement)[round as usize]; 6]);
            let Outcome::Measured(measured) = &mut line.outcome else { panic!("{line:?}") };
            measured.metrics = vec![Metric::latencies(MetricKey::ResponseTime, latencies(mechanism, placement))];
            line
        })
    };
    run.benchmarks = each().flat_map(of).collect();
    run
}

fn report() -> Vec<ReportFile> {
    files(&[run()], &Catalogue::default())
}

fn number(node: &Node<'_, '_>, name: &str) -> f64 {
    node.attribute(name).and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("no {name}"))
}

fn written(node: &Node<'_, '_>) -> String {
    node.descendants().filter_map(|node| if node.is_text() { node.text() } else { None }).collect()
}

/// A mark of the picture of costs.
#[derive(Debug)]
struct Mark {
    placement: String,
    colour: String,
    low: f64,
    high: f64,
    value: f64,
    at: f64,
    line: (f64, f64),
}

/// The marks from top to bottom: the label, the line and the value that stand at the height of each circle.
fn marks(document: &Document<'_>) -> Vec<Mark> {
    let named = |name: &'static str| document.descendants().filter(move |node| node.has_tag_name(name));
    let class = |node: &Node<'_, '_>| node.attribute("class").unwrap_or_default().to_string();
    let mark = |circle: Node<'_, '_>| {
        let y = number(&circle, "cy");
        let level = |text: &Node<'_, '_>| (number(text, "y") - y - 4.0).abs() < 0.2;
        let text =
            |kind: &str| named("text").find(|node| class(node).starts_with(kind) && level(node)).map(|t| written(&t));
        let whisker =
            named("line").find(|node| class(node).starts_with("stroke s") && (number(node, "y1") - y).abs() < 0.2);
        let whisker = whisker.unwrap_or_else(|| panic!("no interval at {y}"));
        let title = circle.descendants().find(|node| node.has_tag_name("title")).map(|title| written(&title)).unwrap();
        let (low, high) = title.split_once(" to ").unwrap();
        Mark {
            placement: text("soft").unwrap(),
            colour: class(&circle),
            low: nanos(low),
            high: nanos(high),
            value: nanos(&text("value").unwrap()),
            at: number(&circle, "cx"),
            line: (number(&whisker, "x1"), number(&whisker, "x2")),
        }
    };
    named("circle").map(mark).collect()
}

#[test]
fn each_mark_is_at_its_own_figure_with_its_own_interval() {
    let files = report();
    let svg = text(&files, "figures/cost-handoff.svg");
    let document = Document::parse(svg).unwrap();
    let marks = marks(&document);
    assert_eq!(marks.len(), 6, "{marks:?}");
    let intervals: Vec<_> = each()
        .map(|(mechanism, placement)| {
            let rounds: Vec<Vec<f64>> = medians(mechanism, placement).map(|nanos| vec![nanos as f64; 6]).into();
            rounds_interval(&rounds, CONFIDENCE, 1).unwrap().interval
        })
        .collect();
    let place = |value: f64| if svg.contains(", logarithmic") { value.ln() } else { value };
    // The scale is that of the first and the last mark; all others have to lie on it.
    let (from, to) = (place(intervals[0].estimate), place(intervals[5].estimate));
    let at = |value: f64| marks[0].at + (place(value) - from) / (to - from) * (marks[5].at - marks[0].at);
    let near = |a: f64, b: f64| (a - b).abs() < 0.8;
    for ((mark, interval), (mechanism, placement)) in marks.iter().zip(&intervals).zip(each()) {
        let of = format!("{} {}: {mark:?}, {interval:?}", MECHANISMS[mechanism], PLACEMENTS[placement]);
        assert_eq!(mark.placement, PLACEMENTS[placement].name(), "{of}");
        assert!(same(mark.value, middle(mechanism, placement) as f64), "the value of {of}");
        assert!(same(mark.low, interval.low) && same(mark.high, interval.high), "the interval of {of}");
        assert!(near(mark.at, at(interval.estimate)), "the place of {of}");
        assert!(near(mark.line.0, at(interval.low)) && near(mark.line.1, at(interval.high)), "the line of {of}");
        assert_eq!(mark.colour, marks[placement].colour, "a placement has one colour, wherever it stands: {of}");
    }
    assert!(marks[0].colour != marks[1].colour && marks[1].colour != marks[2].colour, "{marks:?}");
}

#[test]
fn each_cell_of_a_readme_stands_in_its_column() {
    let files = report();
    let numbers = text(&files, "numbers.md");
    let head = &cells(numbers, "mechanism")[0];
    for (mechanism, placement) in each() {
        let row = &cells(numbers, &format!("`handoff/{}`", MECHANISMS[mechanism]))[0];
        let column = head.iter().position(|name| *name == PLACEMENTS[placement].name()).unwrap();
        let (told, _) = row[column].split_once(" (").unwrap();
        let expected = middle(mechanism, placement) as f64;
        assert!(same(nanos(told), expected), "{} {}: {told}: {numbers}", MECHANISMS[mechanism], head[column]);
    }
}

#[test]
fn each_row_of_the_tables_has_its_own_figures() {
    let files = report();
    let told = text(&files, "report.md");
    let data = fields(text(&files, "data/counts-handoff.csv"));
    for (mechanism, placement) in each() {
        let expected = middle(mechanism, placement) as f64;
        let begin = format!("{} {} |", MECHANISMS[mechanism], PLACEMENTS[placement]);
        let row = &cells(told, &begin)[0];
        assert!(same(nanos(&row[3]), expected), "{begin} {row:?}");
        let id = format!("handoff/{}/{}", MECHANISMS[mechanism], PLACEMENTS[placement]);
        let row = data.iter().find(|row| row[0] == id).unwrap();
        assert!(same(row[1].parse().unwrap(), expected), "{row:?}");
    }
}

#[test]
fn percentiles_are_those_of_their_placement() {
    let files = report();
    for (mechanism, placement) in each() {
        let p90 = latencies(mechanism, placement).quantile(0.9) as f64;
        let name = MECHANISMS[mechanism];
        let figure = format!("latency-response-time-{}-handoff", PLACEMENTS[placement]);
        let rows = fields(text(&files, &format!("data/{figure}.csv")));
        let id = format!("handoff/{name}/{}", PLACEMENTS[placement]);
        let row = rows.iter().find(|row| row[0] == id && row[2] == "90").unwrap_or_else(|| panic!("{id}: {rows:?}"));
        assert!(same(row[3].parse().unwrap(), p90), "{row:?}: {p90}");
        let table = cells(text(&files, "report.md"), &format!("{name} | {} |", PLACEMENTS[placement]));
        let row = table.iter().find(|row| row[2] == "response time").unwrap();
        assert!(same(nanos(&row[5]), p90), "{row:?}: {p90}");
    }
    for (placement, name) in PLACEMENTS.iter().enumerate() {
        let figure = format!("figures/latency-response-time-{name}-handoff.svg");
        let document = Document::parse(text(&files, &figure)).unwrap();
        let end = |name: &str| {
            let curve = document.descendants().filter(|node| node.has_tag_name("polyline"));
            let curve = curve.into_iter().find(|curve| written(curve) == name).unwrap_or_else(|| panic!("no {name}"));
            let last = curve.attribute("points").unwrap().split(' ').next_back().unwrap().to_string();
            let first = curve.attribute("points").unwrap().split(' ').next().unwrap().to_string();
            let y = |point: &str| point.split_once(',').unwrap().1.parse::<f64>().unwrap();
            (y(&first), y(&last))
        };
        let (futex, pipe) = (end("futex"), end("pipe"));
        let ends = |mechanism| {
            let values = latencies(mechanism, placement);
            ((values.quantile(0.0) as f64).ln(), (values.quantile(0.9995) as f64).ln())
        };
        let scale = (futex.1 - futex.0) / (ends(0).1 - ends(0).0);
        let expected = futex.1 + scale * (ends(1).1 - ends(0).1);
        assert!((pipe.1 - expected).abs() < 3.0, "{figure}: {pipe:?} in place of {expected}");
    }
}

#[test]
fn the_page_names_what_the_pictures_show() {
    let files = report();
    let (page, svg) = (text(&files, PAGE), text(&files, "figures/cost-handoff.svg"));
    assert!(svg.contains(">time per handoff, 95 % interval"), "the axis names another unit");
    let told = "unpinned: futex takes least, 1.00\u{a0}µs per handoff, and pipe most, 3.10\u{a0}µs.";
    assert!(page.contains(told), "the least and the most of what is alike");
    assert!(page.contains("most for futex: 1.00\u{a0}µs unpinned, 4.10\u{a0}µs same-llc."), "the placements");
}
