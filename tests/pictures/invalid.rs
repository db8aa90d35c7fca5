//! Figures that are not to be compared are marked in every picture, or not drawn.

use switchcost::terms::{Curve, CurveAxis, Metric, ValueHistogram};
use switchcost::units::Quantity;

use super::parts::{between_cpus, brigades};
use super::*;
use Placement::{OnePerCpu, SameCpu, Unpinned};

/// What makes a benchmark one that is not to be compared.
type Change = fn(&mut Made);

/// The mark of what a change makes of a benchmark, and the change.
const CHANGES: [(&str, Change); 2] = [("‡", |made| made.late = true), ("†", |made| made.differs = true)];

fn values() -> ValueHistogram {
    let mut values = ValueHistogram::new();
    (1..=1000).for_each(|value| values.record(value));
    values
}

/// The picture of `made`, of which the one at `index` is changed.
fn changed(mut made: Vec<Made>, index: usize, change: Change, id: &str) -> Svg {
    change(&mut made[index]);
    picture(&report(made), id)
}

#[test]
fn bars_of_parts_that_are_not_to_be_compared_are_left_out_and_counted() {
    for (_, change) in CHANGES {
        // The call is a part of a futex's handoff alone.
        let svg = changed(between_cpus(), 4, change, "parts-between-cpus-handoff");
        let labels: Vec<String> = svg.labels().into_iter().map(|(label, _)| label).collect();
        assert_eq!(labels, ["pipe same-llc"]);
        assert!(
            svg.written().contains("1\u{a0}handoff is left out") || svg.written().contains("1 handoff is left out")
        );
        let svg = changed(brigades(), 4, change, "parts-brigade");
        assert!(!svg.labels().iter().any(|(label, _)| label.starts_with("thread")), "{:?}", svg.labels());
        assert!(svg.written().replace('\n', " ").contains("2 bars are left out"), "{}", svg.written());
    }
}

#[test]
fn dots_and_box_plots_are_marked() {
    for (mark, change) in CHANGES {
        let svg = changed(brigades(), 5, change, "cost-brigade");
        let marked: Vec<String> = svg.all("text", "bad").into_iter().map(|text| text.text.clone()).collect();
        assert_eq!(marked, [format!("15.4 µs {mark}")]);
        assert!(svg.written().contains(&format!("{mark}: ")), "the key says what {mark} is");
        let svg = changed(brigades(), 5, change, "rounds-brigade");
        let marked: Vec<String> =
            svg.labels().into_iter().map(|label| label.0).filter(|label| label.contains(mark)).collect();
        assert_eq!(marked, [format!("thread {mark} unpinned")]);
    }
}

#[test]
fn no_sentence_rests_on_a_figure_that_is_not_to_be_compared() {
    for (_, change) in CHANGES {
        let mut made = vec![
            Made::new("handoff/futex", SameCpu, 1_000),
            Made::new("handoff/pipe", SameCpu, 2_000),
            Made::new("handoff/eventfd", SameCpu, 3_000),
            Made::new("handoff/pipe", Unpinned, 9_000),
        ];
        change(&mut made[0]);
        let told = picture(&report(made), "cost-handoff").written();
        assert!(told.contains("same-cpu: pipe takes least, 2.00\u{a0}µs"), "{told}");
    }
}

#[test]
fn points_of_curves_are_hollow_and_marked_and_p99s_left_out() {
    for (mark, change) in CHANGES {
        let made = |tasks: u64| {
            let metrics = vec![Metric::latencies(MetricKey::ResponseTime, values())];
            Made { metrics, ..Made::new("brigade/thread", SameCpu, 1_000 + tasks).with("tasks", &tasks.to_string()) }
        };
        let all = || [10, 100, 500, 1000].map(made).to_vec();
        let svg = changed(all(), 1, change, "scaling-tasks-same-cpu-brigade");
        let (hollow, curve) = (svg.all("circle", "hollow"), svg.all("polyline", "s0"));
        assert_eq!((hollow.len(), curve[0].points.len()), (1, 3), "{hollow:?}");
        assert!(
            hollow[0].title.contains(" at 100") && svg.written().contains(&format!("{mark}\n")),
            "{}",
            svg.written()
        );
        let svg = changed(all(), 1, change, "p99-tasks-same-cpu-brigade");
        assert_eq!(svg.all("circle", "").len(), 3);
        assert!(svg.written().contains("1 point is left out"), "{}", svg.written());
    }
}

#[test]
fn names_of_curves_and_cells_of_maps_are_marked() {
    for (mark, change) in CHANGES {
        let latencies = |name: &str| Made {
            metrics: vec![Metric::latencies(MetricKey::ResponseTime, values())],
            ..Made::new(&format!("handoff/{name}"), SameCpu, 1_000)
        };
        let id = "latency-response-time-same-cpu-handoff";
        let svg = changed(vec![latencies("futex"), latencies("pipe")], 1, change, id);
        let names: Vec<String> = svg.legend().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["futex".to_string(), format!("pipe {mark}")]);

        let axis = |of: &str, quantity| CurveAxis { of: of.into(), quantity };
        let (x, y) = (axis("block", Quantity::Number), axis("speed", Quantity::Share));
        let curve = Curve { of: MetricKey::SpeedAfterCall, x, y, points: vec![(1.0, 0.5), (2.0, 0.9)] };
        let lost = Metric::scalar(MetricKey::LostAfterCall, Quantity::Nanoseconds, 300.0);
        let speed = |name: &str| Made {
            metrics: vec![lost.clone(), Metric::Curve(curve.clone())],
            ..Made::new(&format!("after_syscall/{name}"), SameCpu, 5_000).with("working_set", "16384")
        };
        let id = "recovery-after-syscall-working-set-16384";
        let svg = changed(vec![speed("nothing"), speed("getppid")], 1, change, id);
        assert!(svg.legend().iter().any(|(name, _)| *name == format!("getppid same-cpu {mark}")), "{:?}", svg.legend());

        let pair = |cpus: &str, nanos| Made::new("handoff/futex", OnePerCpu, nanos).with("cpus", cpus);
        let svg = changed(vec![pair("0+1", 500), pair("0+2", 700), pair("1+2", 900)], 0, change, "pairs-handoff-futex");
        let marked = svg.all("rect", "").into_iter().filter(|cell| cell.title.contains(mark)).count();
        assert_eq!(marked, 2, "the pair stands in both orders");
        assert!(
            svg.written().contains("from CPU 1 to 2 900\u{a0}ns") && !svg.written().contains("500\u{a0}ns,"),
            "{}",
            svg.written()
        );
    }
}

#[test]
fn submissions_are_left_out_and_counted() {
    for (_, change) in CHANGES {
        let made = |name: &str, nanos: u64| {
            let times = |nanos| {
                let mut values = ValueHistogram::new();
                values.record(nanos);
                values
            };
            let metrics = [(MetricKey::Submission, nanos), (MetricKey::Completion, 3 * nanos)];
            let metrics = metrics.into_iter().map(|(key, nanos)| Metric::latencies(key, times(nanos))).collect();
            Made { metrics, ..Made::new(&format!("handoff/{name}"), SameCpu, 4 * nanos) }
        };
        let svg = changed(vec![made("futex", 500), made("pipe", 700)], 1, change, "submission-handoff");
        assert_eq!(svg.labels().len(), 1, "{:?}", svg.labels());
        assert!(svg.written().replace('\n', " ").contains("1 benchmark is left out"), "{}", svg.written());
    }
}
