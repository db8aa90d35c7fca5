//! Curves: the colour that the legend gives to a name is that of its points, and the points are at their figures.

use switchcost::terms::{Curve, CurveAxis, Metric, ValueHistogram};
use switchcost::units::Quantity;

use super::*;
use Placement::SameCpu;
use svg::Shape;

/// Costs over the number of tasks; no two points are alike.
const CURVES: [(&str, [(u64, u64); 4]); 2] = [
    ("thread", [(10, 4_100), (100, 5_300), (500, 6_100), (1000, 9_700)]),
    ("mio", [(10, 1_900), (100, 1_500), (500, 1_410), (1000, 1_430)]),
];

fn swept() -> Vec<Made> {
    let of = |(name, points): &(&str, [(u64, u64); 4])| {
        let made = |(tasks, nanos): &(u64, u64)| {
            Made::new(&format!("brigade/{name}"), SameCpu, *nanos).with("tasks", &tasks.to_string())
        };
        points.iter().map(made).collect::<Vec<_>>()
    };
    CURVES.iter().flat_map(of).collect()
}

/// The curve in the colour that the legend gives to a name.
fn curve<'a>(svg: &'a Svg, name: &str) -> &'a Shape {
    let colour = svg.colour_of(name);
    let found: Vec<&Shape> = svg.all("polyline", &colour);
    assert_eq!(found.len(), 1, "{name}: {found:?}");
    assert_eq!(found[0].title, name, "the legend and the curve name another one");
    found[0]
}

fn amount(told: &str) -> f64 {
    value(&told.replace(" k", "k").replace('k', " k"))
}

#[test]
fn each_curve_over_tasks_has_its_own_colour_and_points() {
    let svg = picture(&report(swept()), "scaling-tasks-same-cpu-brigade");
    let (across, upwards) = (svg.axis(200.0, amount), svg.axis_upwards(value));
    for (name, points) in CURVES {
        let curve = curve(&svg, name);
        let marks = svg.all("circle", &svg.colour_of(name));
        assert_eq!((curve.points.len(), marks.len()), (4, 4));
        for (((x, y), mark), (tasks, nanos)) in curve.points.iter().zip(marks).zip(points) {
            let at = (across.at(tasks as f64), upwards.at(nanos as f64));
            assert!(near(*x, at.0) && near(*y, at.1), "{name} {tasks}: {x},{y} not at {at:?}");
            assert!(near(mark.x[0], at.0) && near(mark.y[0], at.1), "{name} {tasks}: {mark:?} not at {at:?}");
            let told = mark.title.strip_prefix(&format!("{name}: ")).and_then(|rest| rest.split(" at ").next());
            assert!(told.is_some_and(|told| same(told, nanos as f64)), "{name} {tasks}: {mark:?}");
        }
    }
    let told = svg.written();
    assert!(
        told.contains("thread climbs most: from 10 to 1000 tasks a hop goes from 4.10\u{a0}µs to 9.70\u{a0}µs"),
        "{told}"
    );
}

#[test]
fn memory_per_task_is_the_slope_and_not_a_share_of_what_the_first_task_costs() {
    let (once, each) = (4_000_000.0, 8_192.0);
    let made = |tasks: u64| {
        let held = (once + each * tasks as f64) / tasks as f64;
        let metrics = vec![Metric::scalar(MetricKey::MemoryPerTask, Quantity::Bytes, held)];
        Made { metrics, ..Made::new("brigade/thread", SameCpu, 4_000 + tasks).with("tasks", &tasks.to_string()) }
    };
    let tasks = [10, 50, 100, 200, 500, 1000];
    let svg = picture(&report(tasks.map(made).to_vec()), "scaling-tasks-same-cpu-brigade");
    let told = svg.written().replace(['\n', '\u{a0}'], " ");
    assert!(told.contains("Each further task holds with thread 8.00 KiB (8.00 KiB to 8.00 KiB)."), "{told}");
    let titles: Vec<&str> = svg
        .all("circle", "")
        .iter()
        .map(|mark| mark.title.as_str())
        .filter(|title| title.contains("all memory"))
        .collect();
    assert_eq!(titles.len(), tasks.len(), "{titles:?}");
    for (title, tasks) in titles.iter().zip(tasks) {
        let figure = title.strip_prefix("all memory: ").and_then(|rest| rest.split(" at ").next()).unwrap();
        assert!(same(figure, once + each * tasks as f64), "{tasks}: {title}");
    }
}

fn times(factor: u64) -> ValueHistogram {
    let mut values = ValueHistogram::new();
    (1..=1000).for_each(|value| values.record(factor * value * 100));
    values
}

#[test]
fn percentile_curves_have_the_colours_of_their_names() {
    let made = |name: &str, factor| {
        let metrics = vec![Metric::latencies(MetricKey::ResponseTime, times(factor))];
        Made { metrics, ..Made::new(&format!("handoff/{name}"), SameCpu, 1_000 * factor) }
    };
    let svg = picture(&report(vec![made("futex", 2), made("pipe", 7)]), "latency-response-time-same-cpu-handoff");
    let upwards = svg.axis_upwards(value);
    for (name, factor) in [("futex", 2), ("pipe", 7)] {
        let last = curve(&svg, name).points.last().copied().unwrap();
        let most = times(factor).quantile(1.0 - 0.001) as f64;
        assert!((last.1 - upwards.at(most)).abs() < 2.0, "{name}: {last:?} not at {}", upwards.at(most));
    }
    let told = svg.written();
    assert!(
        told.contains(
            "99\u{a0}% of response time is at most 198\u{a0}µs with futex same-cpu, and 693\u{a0}µs with pipe"
        ),
        "{told}"
    );
}

#[test]
fn a_recovery_has_the_colour_of_its_call_and_a_cell_the_loss_of_its_set() {
    let made = |name: &str, set: u64, heights: [f64; 3], lost: f64| {
        let axis = |of: &str, quantity| CurveAxis { of: of.into(), quantity };
        let (x, y) = (axis("block after the call", Quantity::Number), axis("speed", Quantity::Share));
        let points = [1.0, 2.0, 3.0].into_iter().zip(heights).collect();
        let metrics = vec![
            Metric::scalar(MetricKey::LostAfterCall, Quantity::Nanoseconds, lost),
            Metric::Curve(Curve { of: MetricKey::SpeedAfterCall, x, y, points }),
        ];
        Made {
            metrics,
            ..Made::new(&format!("after_syscall/{name}"), SameCpu, 5_000).with("working_set", &set.to_string())
        }
    };
    let files = report(vec![
        made("nothing", 16_384, [0.98, 1.0, 1.0], 3.0),
        made("getppid", 16_384, [0.5, 0.8, 0.9], 300.0),
        made("handoff", 16_384, [0.3, 0.6, 0.95], 1_900.0),
        made("nothing", 32_768, [0.99, 1.0, 1.0], 4.0),
        made("getppid", 32_768, [0.55, 0.85, 0.92], 450.0),
        made("handoff", 32_768, [0.2, 0.4, 0.7], 5_200.0),
    ]);
    let svg = picture(&files, "recovery-after-syscall-working-set-16384");
    let upwards = svg.axis_upwards(value);
    for (name, heights) in [("getppid same-cpu", [0.5, 0.8, 0.9]), ("handoff same-cpu", [0.3, 0.6, 0.95])] {
        for ((_, y), height) in curve(&svg, name).points.iter().zip(heights) {
            assert!(near(*y, upwards.at(height)), "{name} {height}: {y}");
        }
    }
    assert!(svg.written().contains("The largest loss is with handoff same-cpu: 1.90\u{a0}µs."), "{}", svg.written());
    let grid = picture(&files, "recovery-after-syscall-over-working-set");
    let column = |name: &str| grid.all("text", "mid").into_iter().find(|text| text.text == name).unwrap().x[0];
    let row = |name: &str| grid.all("text", "label").into_iter().find(|text| text.text == name).unwrap().y[0];
    for (name, set, lost) in
        [("getppid", "16 KiB", 300.0), ("handoff", "16 KiB", 1_900.0), ("handoff", "32 KiB", 5_200.0)]
    {
        let (x, y) = (column(set), row(&format!("{name} same-cpu")));
        let is_here = |shape: &&&Shape| (shape.x[0]..shape.x[1]).contains(&x) && (shape.y[0]..shape.y[1]).contains(&y);
        let cells = grid.all("rect", "s0");
        let cell = cells.iter().find(is_here).unwrap_or_else(|| panic!("{name} {set}"));
        assert!(same(&cell.title, lost), "{name} {set}: {cell:?}");
    }
}

/// A model with so many connections, or so many idle ones: CPU time, requests a second, and memory.
fn served(model: &str, parameter: &str, (amount, nanos, rate): (u64, u64, f64)) -> Made {
    let metrics = vec![
        Metric::scalar(MetricKey::Throughput, Quantity::Number, rate),
        Metric::scalar(MetricKey::MemoryPerConnection, Quantity::Bytes, 1024.0 * amount as f64),
    ];
    Made { metrics, ..Made::new(&format!("server/{model}"), SameCpu, nanos).with(parameter, &amount.to_string()) }
}

#[test]
fn the_old_chart_of_servers_stands_beside_what_a_request_costs() {
    let models = [
        ("threaded", [(8, 9_000, 21_000.0), (64, 9_500, 40_000.0)]),
        ("epoll", [(8, 8_000, 20_000.0), (64, 5_000, 39_000.0)]),
    ];
    let made = models.iter().flat_map(|(model, points)| points.map(|point| served(model, "connections", point)));
    let files = report(made.collect());
    let svg = picture(&files, "requests-connections-same-cpu-server");
    let told = svg.written().replace(['\n', '\u{a0}'], " ");
    let expected =
        "At 64, threaded answers most, 40000 a second at 9.50 µs each; epoll costs least, 5.00 µs, and answers 39000";
    assert!(told.contains(expected), "{told}");
    for (model, points) in models {
        let marks: Vec<&str> =
            svg.all("circle", &svg.colour_of(model)).iter().map(|mark| mark.title.as_str()).collect();
        let figures: Vec<f64> = marks
            .iter()
            .filter_map(|title| title.strip_prefix(&format!("{model}: "))?.split(" at ").next().map(amount))
            .collect();
        let expected: Vec<f64> =
            points.iter().map(|point| point.2).chain(points.iter().map(|point| point.1 as f64)).collect();
        assert_eq!(figures, expected, "{model}: requests a second, then CPU time: {marks:?}");
    }
    let memory = picture(&files, "memory-connections-same-cpu-server").written().replace(['\n', '\u{a0}'], " ");
    assert!(memory.contains("holds most, 64.0 KiB a connection"), "{memory}");
}

/// Panel by panel, and what differs in another way stands in neither.
#[test]
fn servers_with_an_old_backlog_stand_above_the_same_with_the_longest_one() {
    let at = |model: &str, backlog: u64, point: (u64, u64, f64)| {
        let made = served(model, "connections", point).with("protocol", "http-close").with("idle_connections", "0");
        made.with("backlog", &backlog.to_string())
    };
    let mut made = Vec::new();
    for (model, short, longest) in
        [("threaded", [800.0, 300.0], [9_000.0, 8_000.0]), ("epoll", [900.0, 200.0], [9_500.0, 9_700.0])]
    {
        for (connections, index) in [(20, 0), (1000, 1)] {
            made.push(at(model, 10, (connections, 30_000, short[index])));
            made.push(at(model, 0, (connections, 30_000, longest[index])));
        }
    }
    made.push(at("poll", 10, (1000, 30_000, 7.0)));
    made.push(served("select", "connections", (1000, 30_000, 11.0)));
    let svg = picture(&report(made), "old-chart-same-cpu-server");
    let told = svg.written().replace(['\n', '\u{a0}'], " ");
    let expected = "At 1000 connections models answer 200 to 300 requests a second with a backlog of 10, and 8000 to \
                    9700 with the kernel's longest backlog";
    assert!(told.contains(expected), "{told}");
    let marks = |model: &str| -> Vec<f64> {
        let of = format!("{model}: ");
        let circles = svg.all("circle", &svg.colour_of(model));
        circles.iter().filter_map(|mark| mark.title.strip_prefix(&of)?.split(" at ").next().map(amount)).collect()
    };
    assert_eq!(marks("threaded"), [800.0, 300.0, 9_000.0, 8_000.0]);
    assert_eq!(marks("epoll"), [900.0, 200.0, 9_500.0, 9_700.0]);
    assert!(!told.contains("poll:") && !told.contains("select"), "{told}");
}

#[test]
fn what_an_idle_connection_costs_is_the_slope_over_their_number() {
    let idle = [0, 300, 1000, 3300, 9900];
    let poll = idle.map(|idle| served("poll", "idle_connections", (idle, 20_000 + 150 * idle, 1.0)));
    let epoll = idle.map(|idle| served("epoll", "idle_connections", (idle, 9_000, 1.0)));
    let files = report(poll.into_iter().chain(epoll).collect());
    let told = picture(&files, "scaling-idle-connections-same-cpu-server").written().replace(['\n', '\u{a0}'], " ");
    assert!(told.contains("Each idle connection costs a request beside it, in CPU time:"), "{told}");
    assert!(told.contains("with poll 150 ns (150 ns to 150 ns)") && told.contains("with epoll 0.000 ns"), "{told}");
}
