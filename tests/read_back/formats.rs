//! One comparison, from every format.

use switchcost::compare::{Comparison, Matching, bencher, compare, csv, json, markdown, table};
use switchcost::record::Run;

use super::{cells, fields, three_rounds, with_samples};

const IDS: [&str; 2] = ["handoff/futex/same-cpu", "handoff/pipe/same-cpu"];

/// The first run takes 1000 and 5000 ns, the other 1500 and 4000: one is slower and one faster, and no figure, ratio or
/// inverse of a ratio occurs twice.
fn runs() -> [(String, Run); 2] {
    let run = |times: [u64; 2]| {
        let mut run = three_rounds();
        let lines = IDS.iter().zip(times).flat_map(|(id, nanos)| {
            let line = run.benchmarks.iter().find(|line| line.id == *id).unwrap().clone();
            (0..5).map(move |round| with_samples(&line, round, &[nanos + u64::from(round); 5])).collect::<Vec<_>>()
        });
        run.benchmarks = lines.collect();
        run
    };
    [("first".into(), run([1000, 5000])), ("other".into(), run([1500, 4000]))]
}

fn comparison() -> Comparison {
    compare(&runs(), &Matching::Ids, 0.01)
}

/// Id, figure of the first run, figure of the other, ratio, verdict.
type Read = (String, f64, f64, f64, String);

fn expect(format: &str, mut read: Vec<Read>) {
    read.sort_by(|a, b| a.0.cmp(&b.0));
    let expected = [(IDS[0], 1002.0, 1502.0, "slower"), (IDS[1], 5002.0, 4002.0, "faster")];
    assert_eq!(read.len(), 2, "{format}: {read:?}");
    for (row, (id, first, other, verdict)) in read.iter().zip(expected) {
        let near = |told: f64, truth: f64| (told / truth - 1.0).abs() < 1e-3;
        let right = row.0 == id && near(row.1, first) && near(row.2, other) && near(row.3, other / first);
        assert!(right && row.4 == verdict, "{format}: {row:?} in place of {id} {first} {other} {verdict}");
    }
}

fn number(text: &str) -> f64 {
    text.parse().unwrap_or_else(|_| panic!("no number: {text}"))
}

#[test]
fn the_terminal_agrees() {
    let text = table(&comparison());
    let rows = text.lines().filter(|line| line.starts_with("handoff/"));
    let read = rows.map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        (words[0].into(), number(words[1]), number(words[2]), number(words[3]), words[words.len() - 1].into())
    });
    expect("terminal", read.collect());
    assert!(text.starts_with("A: first\nB: other\n") && text.contains("A ns/op") && text.contains("B / A"), "{text}");
}

#[test]
fn markdown_agrees() {
    let text = markdown(&comparison());
    let read = cells(&text, "handoff/");
    let read =
        read.iter().map(|row| (row[0].clone(), number(&row[1]), number(&row[2]), number(&row[3]), row[5].clone()));
    expect("Markdown", read.collect());
    assert!(text.contains("- A: `first`\n- B: `other`\n") && text.contains("A ns/op | B ns/op | B / A"), "{text}");
}

#[test]
fn csv_agrees_and_its_intervals_hold_their_figures() {
    let rows = fields(&csv(&comparison()));
    let of = |row: &[String], name: &str| {
        row[rows[0].iter().position(|column| column == name).unwrap_or_else(|| panic!("no column {name}"))].clone()
    };
    let read = rows[1..].iter().map(|row| {
        let figure = |name| number(&of(row, name));
        (of(row, "benchmark"), figure("first"), figure("other"), figure("ratio"), of(row, "verdict"))
    });
    expect("CSV", read.collect());
    for row in &rows[1..] {
        assert_eq!(
            (of(row, "run"), of(row, "first_rounds"), of(row, "other_rounds")),
            ("other".into(), "5".into(), "5".into())
        );
        // A ratio of two runs has the scatter between runs in its interval, which is wider than that of a run's rounds.
        for (figure, low, high, widest) in [
            ("first", "first_low", "first_high", 1.05),
            ("other", "other_low", "other_high", 1.05),
            ("ratio", "ratio_low", "ratio_high", 1.4),
        ] {
            let [figure, low, high] = [figure, low, high].map(|name| number(&of(row, name)));
            assert!(low < figure && figure < high && high / low < widest, "{row:?}");
        }
    }
}

#[test]
fn json_agrees() {
    let parsed: serde_json::Value = serde_json::from_str(&json(&comparison()).unwrap()).unwrap();
    let read = parsed["rows"].as_array().unwrap().iter().map(|row| {
        let figure = |pointer: &str| row.pointer(pointer).and_then(serde_json::Value::as_f64).unwrap();
        let (id, verdict) = (row["id"].as_str().unwrap().to_string(), row["verdict"].as_str().unwrap().to_string());
        (
            id,
            figure("/first/interval/estimate"),
            figure("/other/interval/estimate"),
            figure("/ratio/interval/estimate"),
            verdict,
        )
    });
    expect("JSON", read.collect());
    assert_eq!(parsed["runs"], serde_json::json!(["first", "other"]));
}

#[test]
fn bencher_has_the_figures_of_the_run_it_was_given() {
    let [(_, first), (_, other)] = &runs();
    for (run, figures) in [(first, [1002.0, 5002.0]), (other, [1502.0, 4002.0])] {
        let parsed: serde_json::Value = serde_json::from_str(&bencher(run).unwrap()).unwrap();
        for (id, expected) in IDS.iter().zip(figures) {
            let of = |name: &str| parsed[id]["latency"][name].as_f64().unwrap();
            assert!((of("value") / expected - 1.0).abs() < 1e-3, "{id}: {} in place of {expected}", of("value"));
            assert!(of("lower_value") < of("value") && of("value") < of("upper_value"), "{parsed}");
        }
    }
}

#[test]
fn the_greatest_effect_stands_first_whatever_it_is_called() {
    let rows: Vec<String> = comparison().rows.into_iter().map(|row| row.id).collect();
    assert_eq!(rows, IDS, "1.5 times is more than 1.25 times");
    let [first, other] = runs();
    let swap = |(name, mut run): (String, Run)| {
        for line in &mut run.benchmarks {
            line.id = if line.id == IDS[0] { IDS[1].into() } else { IDS[0].into() };
        }
        (name, run)
    };
    let rows: Vec<String> =
        compare(&[swap(first), swap(other)], &Matching::Ids, 0.01).rows.into_iter().map(|row| row.id).collect();
    assert_eq!(rows, [IDS[1], IDS[0]]);
}
