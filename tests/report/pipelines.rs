//! The figure of pipelines: a figure for each capacity, a curve for each mechanism, in each panel the right number.

use std::collections::BTreeSet;

use roxmltree::{Document, Node};
use switchcost::record::{BenchmarkLine, Outcome, Run};
use switchcost::report::{ReportFile, files};
use switchcost::terms::{Metric, MetricKey, Placement, ValueHistogram};
use switchcost::units::{Amount, Nanos, Quantity};

use super::{catalogue, figures, run, text};

/// A benchmark of pipelines in which a message takes `nanos` of time and three times that of CPU time, half a switch
/// and `nanos` microseconds from source to sink.
fn pipeline(like: &BenchmarkLine, name: &str, pipelines: u64, chosen: &[(&str, &str)], nanos: u64) -> BenchmarkLine {
    let mut line = like.clone();
    let has_channels = name != "inline";
    let mut parameters = serde_json::json!({ "pipelines": pipelines, "work": "none", "document": 512 });
    if has_channels {
        parameters["capacity"] = "128".into();
        parameters["sink"] = "each".into();
    }
    for (name, value) in chosen {
        parameters[*name] = (*value).into();
    }
    let chosen = chosen.iter().map(|(name, value)| format!("{name}={value}"));
    let differing = chosen.chain([format!("pipelines={pipelines}")]).collect::<Vec<_>>().join(",");
    line.mechanism = format!("pipeline/{name}");
    line.baseline = "pipeline/inline".into();
    line.id = format!("{}/unpinned/{differing}", line.mechanism);
    line.setting.placement = Placement::Unpinned;
    line.setting.parameters = serde_json::from_value(parameters.clone()).unwrap();
    let Outcome::Measured(measured) = &mut line.outcome else { panic!("it was measured") };
    let mut ops = 0;
    for sample in &mut measured.samples {
        sample.amount = Amount(nanos * sample.ops.0);
        sample.probe = None;
        ops += sample.ops.0;
    }
    measured.usage.user = Nanos(3 * nanos * ops);
    measured.usage.system = Nanos(0);
    (measured.usage.voluntary, measured.usage.involuntary) = (ops / 2, 0);
    let mut values = ValueHistogram::new();
    values.record(1000 * nanos);
    measured.metrics = vec![Metric::latencies(MetricKey::SourceToSink, values)];
    if parameters["work"] == "json" {
        measured.metrics.push(Metric::scalar(MetricKey::DocumentBytesPerSecond, Quantity::Bytes, 1.0));
    }
    line
}

fn report(lines: impl Fn(&BenchmarkLine) -> Vec<BenchmarkLine>) -> Vec<ReportFile> {
    let mut run: Run = run("three-rounds");
    let like: Vec<BenchmarkLine> =
        run.benchmarks.iter().filter(|line| line.id == "handoff/futex/same-cpu").cloned().collect();
    run.benchmarks = like.iter().flat_map(lines).collect();
    files(&[run], &catalogue())
}

/// What is told of each mark, in the order in which they are drawn, with its height.
fn marks(figure: &str) -> Vec<(String, f64)> {
    let document = Document::parse(figure).unwrap();
    let told = |node: Node| {
        let title = node.children().find(|child| child.has_tag_name("title"))?.text()?.to_string();
        Some((title, node.attribute("cy")?.parse().ok()?))
    };
    document.descendants().filter(|node| node.has_tag_name("circle")).filter_map(told).collect()
}

#[test]
fn each_capacity_has_a_figure_with_a_curve_for_each_mechanism() {
    let one = ("capacity", "1");
    let files = report(|like| {
        vec![
            pipeline(like, "inline", 2, &[], 100),
            pipeline(like, "inline", 128, &[], 100),
            pipeline(like, "thread_std", 128, &[one], 5000),
            pipeline(like, "thread_std", 2, &[one], 500),
            pipeline(like, "tokio_mpsc", 2, &[one], 250),
            pipeline(like, "tokio_mpsc", 128, &[one], 200),
            pipeline(like, "tokio_mpsc", 2, &[one, ("runtime", "current_thread")], 400),
            pipeline(like, "tokio_mpsc", 128, &[one, ("runtime", "current_thread")], 400),
            // Alone, and so no curve.
            pipeline(like, "thread_flume", 2, &[one], 500),
            pipeline(like, "thread_std", 2, &[], 50),
            pipeline(like, "thread_std", 128, &[], 100),
            pipeline(like, "thread_std", 2, &[("sink", "one")], 70),
            pipeline(like, "thread_std", 128, &[("sink", "one")], 80),
        ]
    });
    let drawn: BTreeSet<&str> = figures(&files).into_iter().filter(|name| name.starts_with("pipelines-")).collect();
    let expected = ["pipelines-1-unpinned-pipeline", "pipelines-128-unpinned-pipeline"];
    let one_sink = "pipelines-128-unpinned-sink-one-pipeline";
    assert_eq!(drawn, expected.into_iter().chain([one_sink]).collect());
    let marks = marks(text(&files, "figures/pipelines-1-unpinned-pipeline.svg"));
    let curves = ["inline", "thread_std", "tokio_mpsc", "tokio_mpsc runtime=current_thread"];
    // By panel: throughput, CPU time, switches, latency.
    let values = [
        [["10000000", "10000000"], ["2000000", "200000"], ["4000000", "5000000"], ["2500000", "2500000"]],
        [["300 ns", "300 ns"], ["1.50 µs", "15.0 µs"], ["750 ns", "600 ns"], ["1.20 µs", "1.20 µs"]],
        [["0.500"; 2]; 4],
        [["100 µs", "100 µs"], ["500 µs", "5.00 ms"], ["250 µs", "200 µs"], ["400 µs", "400 µs"]],
    ];
    let told = values
        .iter()
        .flat_map(|panel| curves.iter().zip(panel))
        .flat_map(|(curve, [few, many])| [format!("{curve}: {few} at 2"), format!("{curve}: {many} at 128")]);
    let drawn: Vec<&str> = marks.iter().map(|(title, _)| title.as_str()).collect();
    assert_eq!(drawn, told.collect::<Vec<_>>());
    // What falls goes down, what climbs goes up, and what is level stays.
    let heights: Vec<f64> = marks.iter().map(|(_, height)| *height).collect();
    assert!(heights[2] < heights[3] && heights[4] > heights[5] && heights[6] == heights[7], "{heights:?}");
    let page = text(&files, "report.md");
    let says = "thread_std has 10 % of its best throughput with 128 pipelines and makes 0.500 switches a message; \
                tokio_mpsc has 100 % of its best throughput with 128 pipelines";
    assert!(page.contains(says), "{page}");
    let csv = text(&files, "data/pipelines-1-unpinned-pipeline.csv");
    let id = "pipeline/thread_std/unpinned/capacity=1,pipelines=128";
    let row = format!("thread_std,128,200000,200000,200000,,15000,0.5,5000000,\"{id}\"");
    assert!(csv.lines().any(|line| line.replace("5001215", "5000000") == row), "{csv}");
    // The same data as curves of everything over everything.
    let others = ["scaling-", "latency-", "tail-", "p99-"];
    assert!(
        !figures(&files).iter().any(|name| others.iter().any(|other| name.starts_with(other))),
        "{:?}",
        figures(&files)
    );
}

#[test]
fn documents_are_told_in_bytes_and_one_number_of_pipelines_is_no_curve() {
    let work = ("work", "json");
    let files = report(|like| {
        vec![
            pipeline(like, "inline", 2, &[work], 1000),
            pipeline(like, "inline", 16, &[work], 1000),
            pipeline(like, "inline", 2, &[], 10),
            pipeline(like, "thread_std", 2, &[work], 2000),
            pipeline(like, "thread_std", 16, &[work], 4000),
        ]
    });
    let marks = marks(text(&files, "figures/pipelines-128-unpinned-work-json-pipeline.svg"));
    let drawn: Vec<&str> = marks.iter().take(4).map(|(title, _)| title.as_str()).collect();
    assert_eq!(
        drawn,
        ["inline: 488 MiB at 2", "inline: 488 MiB at 16", "thread_std: 244 MiB at 2", "thread_std: 122 MiB at 16"]
    );
    let alone = report(|like| vec![pipeline(like, "inline", 2, &[], 10), pipeline(like, "thread_std", 2, &[], 50)]);
    assert!(!figures(&alone).iter().any(|name| name.starts_with("pipelines-")));
}
