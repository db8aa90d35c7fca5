//! Box plots and the map: each mark is that of its own benchmark.

use switchcost::stats::quantile;

use super::*;
use Placement::{OnePerCpu, SameCpu, SameLlc, Unpinned};

/// The places of the subpaths of a path.
fn starts(path: &str) -> Vec<f64> {
    path.split('M').skip(1).map(|part| part.split(' ').next().unwrap().parse().unwrap()).collect()
}

#[test]
fn each_box_plot_is_at_its_own_medians_in_the_colour_of_its_placement() {
    let scattered = |name: &str, placement, nanos, spread| Made {
        spread,
        ..Made::new(&format!("handoff/{name}"), placement, nanos)
    };
    let made = vec![
        scattered("futex", Unpinned, 1_000, 10),
        scattered("futex", SameLlc, 4_000, 400),
        scattered("pipe", Unpinned, 2_000, 60),
        scattered("pipe", SameLlc, 9_000, 1_800),
    ];
    let files = report(made.clone());
    let svg = picture(&files, "rounds-handoff");
    let (axis, costs) = (svg.axis(60.0, value), picture(&files, "cost-handoff"));
    for made in &made {
        let (_, name) = made.mechanism.split_once('/').unwrap();
        let label = format!("{name} {}", made.placement);
        // Paths have no height of their own: their order is that of the labels.
        let index = svg.labels().iter().position(|(text, _)| *text == label).unwrap();
        let marks = svg.all("path", "median")[index];
        let expected: Vec<f64> =
            made.medians().iter().map(|median| axis.at(*median as f64 / made.nanos as f64)).collect();
        let offset = axis.at(1.0) - starts(&marks.path)[1];
        for (at, expected) in starts(&marks.path).iter().zip(&expected) {
            assert!(near(at + offset, *expected), "{label}: {marks:?} in place of {expected:?}");
        }
        let dot = costs.all("text", "soft").into_iter().find(|text| text.text == made.placement.name()).unwrap().y[0];
        let circle = costs.all("circle", "").into_iter().find(|circle| (circle.y[0] - dot + 4.0).abs() < 0.2).unwrap();
        assert_eq!(marks.colour(), circle.colour(), "{label}: a placement has one colour in every picture");
        // Three rounds: the deviation is the spread itself.
        let varies = made.spread as f64 / made.nanos as f64;
        let value = svg.row(&label).into_iter().find(|shape| shape.has("value")).unwrap();
        assert!((super::value(&value.text) - varies).abs() < 0.006, "{label}: {value:?}, {varies}");
    }
    let order: Vec<String> = svg.labels().into_iter().map(|(label, _)| label).collect();
    assert_eq!(order, ["pipe same-llc", "futex same-llc", "pipe unpinned", "futex unpinned"], "the widest first");
}

#[test]
fn a_box_plot_is_drawn_from_its_own_quantiles() {
    let made = Made { within: 40, ..Made::new("handoff/futex", SameCpu, 1_000) };
    let svg = picture(&report(vec![made.clone()]), "rounds-handoff");
    let axis = svg.axis(20.0, value);
    // Paths have no group of their own here: the middle round's median is the figure, at 1.
    let offset = axis.at(1.0) - starts(&svg.all("path", "median")[0].path)[1];
    let rounds: Vec<Vec<f64>> =
        made.medians().iter().map(|median| made.samples(*median).map(|nanos| nanos as f64).to_vec()).collect();
    let ends = |path: &str| -> Vec<f64> {
        path.split('M').skip(1).map(|part| part.split('H').nth(1).unwrap()).map(number).collect()
    };
    let (thin, boxes) = (&svg.all("path", "thin")[0].path, &svg.all("path", "pale")[0].path);
    let drawn = [starts(thin), starts(boxes), starts(&svg.all("path", "median")[0].path), ends(boxes), ends(thin)];
    for (places, share) in drawn.iter().zip([0.05, 0.25, 0.5, 0.75, 0.95]) {
        for (place, round) in places.iter().zip(&rounds) {
            let expected = axis.at(quantile(round, share).unwrap() / 1_000.0);
            assert!(near(place + offset, expected), "{share}: {} in place of {expected}", place + offset);
        }
    }
}

/// The number that a text begins with.
fn number(text: &str) -> f64 {
    text.chars().take_while(|c| c.is_ascii_digit() || *c == '.').collect::<String>().parse().unwrap()
}

#[test]
fn what_is_alike_is_ranked_and_what_is_not_is_not() {
    let of = |name: &str, placement, nanos, waits, calls| Made {
        waits,
        calls,
        ..Made::new(&format!("handoff/{name}"), placement, nanos)
    };
    let made = vec![
        of("futex", SameCpu, 2_300, 1, 2),
        of("pipe", SameCpu, 2_900, 1, 2),
        of("eventfd", SameCpu, 2_500, 1, 2),
        // It neither switches nor calls, and would be the least of all.
        of("spin", SameCpu, 90, 0, 0),
        of("pipe", SameLlc, 24_000, 1, 2),
    ];
    let svg = picture(&report(made), "cost-handoff");
    let told = svg.written().replace(['\n', '\u{a0}'], " ");
    let sentence = "Of the 3 that switch tasks, same-cpu: futex takes least, 2.30 µs per handoff, and pipe most, \
                    2.90 µs. Where tasks run matters most for pipe: 2.90 µs same-cpu, 24.0 µs same-llc.";
    assert!(told.contains(sentence), "{told}");
    let order: Vec<String> = svg.labels().into_iter().map(|(label, _)| label).collect();
    assert_eq!(order, ["spin", "futex", "eventfd", "pipe"], "sorted by what is shown");
}

#[test]
fn each_cell_of_a_map_is_the_pair_of_its_row_and_column() {
    let pair =
        |from: u32, to: u32, nanos| Made::new("handoff/futex", OnePerCpu, nanos).with("cpus", &format!("{from}+{to}"));
    let costs = [(0, 1, 5_000), (1, 0, 6_000), (0, 2, 7_000), (2, 0, 8_000), (1, 2, 9_000), (2, 1, 11_000)];
    let svg = picture(&report(costs.map(|(from, to, nanos)| pair(from, to, nanos)).to_vec()), "pairs-handoff-futex");
    let ticks = |class: &str, name: u32| {
        let mut named =
            svg.all("text", class).into_iter().filter(move |text| text.has("tick") && text.text == name.to_string());
        named.next_back().unwrap_or_else(|| panic!("{class} {name}"))
    };
    for (from, to, nanos) in costs {
        let (x, y) = (ticks("mid", to).x[0], ticks("end", from).y[0] - 4.0);
        let cells = svg.all("rect", "s0");
        let cell = cells.iter().find(|cell| (cell.x[0]..cell.x[1]).contains(&x) && (cell.y[0]..cell.y[1]).contains(&y));
        assert!(cell.is_some_and(|cell| same(&cell.title, nanos as f64)), "{from} to {to}: {cell:?}");
    }
    let told = svg.written();
    assert!(
        told.contains("From CPU 0 to 1 it takes 5.00\u{a0}µs, from CPU 2 to 1 11.0\u{a0}µs, 2.20× as much."),
        "{told}"
    );
}
