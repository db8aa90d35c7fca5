//! Records of version 1: converted while they are read, with nothing lost.
#![allow(clippy::unwrap_used)]

#[allow(dead_code)]
mod sample;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use switchcost::record::{
    FILE, Line, Measured, Outcome, RecordWriter, Salvage, Sample, line_text, read, read_answer, salvage,
};
use switchcost::terms::SpeedProbe;
use switchcost::units::{Amount, Nanos, Ops};

fn values(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// What a later reader sees of a record: its lines, the hosts first, as this version writes them.
fn rewritten(path: &Path) -> Vec<Value> {
    let run = read(path).unwrap();
    let hosts = run.hosts.into_iter().map(|host| Line::Host(Box::new(host)));
    let benchmarks = run.benchmarks.into_iter().map(|line| Line::Benchmark(Box::new(line)));
    hosts.chain(benchmarks).map(|line| serde_json::from_str(&line_text(&line).unwrap()).unwrap()).collect()
}

/// A host; a benchmark with both speed probes beside its samples, with the shortest alone, without any; two that
/// measure bytes; metrics of every kind; one that cannot run and one that failed. What each must become was written by
/// another program.
#[test]
fn a_line_of_every_kind_becomes_what_version_2_would_have_written() {
    let folder = sample::fixture("record/version-1");
    let (converted, expected) = (rewritten(&folder.join(FILE)), values(&folder.join("as-version-2.jsonl")));
    assert_eq!(converted.len(), expected.len());
    for (converted, expected) in converted.iter().zip(&expected) {
        assert_eq!(converted, expected, "{}", expected["benchmark"]["id"]);
    }
    let text = fs::read_to_string(folder.join(FILE)).unwrap();
    for kind in [
        "\"machine\":{",
        "\"suite\":",
        "\"longest_paces\":",
        "\"in_turns\":true",
        "\"foreign_load\":[\"",
        "\"bytes\"",
        "\"figure\":{",
        "\"distribution\":{",
        "\"curve\":{",
        "\"unsupported\":{",
        "\"failed\":",
        "\"checks\":[{",
        "\"not_counted\":[{",
        "\"unchecked\":[{",
    ] {
        assert!(text.contains(kind), "the fixture has no {kind}");
    }
}

#[test]
fn the_fixture_of_version_1_is_the_sample_with_the_shortest_probes_alone() {
    let mut expected = sample::lines();
    for line in &mut expected {
        let Line::Benchmark(benchmark) = line else { continue };
        let Outcome::Measured(measured) = &mut benchmark.outcome else { continue };
        for probe in measured.samples.iter_mut().filter_map(|sample| sample.probe.as_mut()) {
            probe.max = probe.min;
        }
    }
    let run = read(&sample::fixture("record/schema-1")).unwrap();
    let hosts = run.hosts.into_iter().map(|host| Line::Host(Box::new(host)));
    let benchmarks = run.benchmarks.into_iter().map(|line| Line::Benchmark(Box::new(line)));
    assert_eq!(hosts.chain(benchmarks).collect::<Vec<_>>(), expected);
}

fn records(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            records(&path, found);
        } else if path.ends_with(FILE) {
            found.push(path);
        }
    }
}

/// The samples of a measured benchmark, from its raw JSON of either version.
fn samples(measured: &Value) -> Vec<Sample> {
    let numbers = |list: &Value| -> Vec<u64> {
        list.as_array().map_or_else(Vec::new, |list| list.iter().map(|number| number.as_u64().unwrap()).collect())
    };
    let [shortest, longest] = ["paces", "longest_paces"].map(|name| numbers(&measured[name]));
    let samples = measured["samples"].as_array().unwrap().iter().enumerate();
    let sample = |(at, sample): (usize, &Value)| {
        let mut sample = numbers(sample);
        sample.extend(shortest.get(at));
        sample.extend(longest.get(at).or(shortest.get(at)));
        let probe = (sample.len() > 2).then(|| SpeedProbe { min: Nanos(sample[2]), max: Nanos(sample[3]) });
        Sample { ops: Ops(sample[0]), amount: Amount(sample[1]), probe }
    };
    samples.map(sample).collect()
}

#[test]
fn every_committed_record_is_read_with_all_its_samples_probes_and_metrics() {
    let mut found = Vec::new();
    records(&Path::new(env!("CARGO_MANIFEST_DIR")).join("reports"), &mut found);
    assert!(found.len() >= 5, "{found:?}");
    for path in found {
        let Salvage { run, damage } = salvage(&path).unwrap();
        assert!(damage.is_empty() && !run.torn, "{}: {damage:?}", path.display());
        let raw = values(&path);
        let (hosts, benchmarks): (Vec<&Value>, Vec<&Value>) =
            raw.iter().partition(|line| line.get("benchmark").is_none());
        assert_eq!((run.hosts.len(), run.benchmarks.len()), (hosts.len(), benchmarks.len()), "{}", path.display());
        for (line, raw) in run.benchmarks.iter().zip(benchmarks) {
            let raw = &raw["benchmark"];
            assert_eq!(raw["id"], line.id);
            let Outcome::Measured(measured) = &line.outcome else { continue };
            let Measured { samples: read, metrics, counted, .. } = &**measured;
            let raw = &raw["outcome"]["measured"];
            assert_eq!(*read, samples(raw), "{}: {}", path.display(), line.id);
            let count = |list: &Value| list.as_array().map_or(0, Vec::len);
            assert_eq!(metrics.len(), count(&raw["findings"]) + count(&raw["metrics"]), "{}", line.id);
            assert_eq!(counted.samples.len(), count(&raw["counted"]["samples"]), "{}", line.id);
            assert_eq!(counted.counters.len(), count(&raw["counted"]["counters"]), "{}", line.id);
        }
    }
}

/// A folder with the fixture of version 1, whose text `change` changes.
fn changed(change: impl Fn(String) -> String) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(FILE);
    let text = fs::read_to_string(sample::fixture("record/version-1").join(FILE)).unwrap();
    fs::write(&path, change(text)).unwrap();
    (folder, path)
}

#[test]
fn lines_of_version_2_can_follow_those_of_version_1() {
    let (folder, path) = changed(|text| text);
    let before = read(&path).unwrap();
    let mut writer = RecordWriter::open(folder.path()).unwrap();
    assert!(!writer.is_new());
    let lines = sample::lines();
    for line in &lines {
        writer.append(line).unwrap();
    }
    let after = read(&path).unwrap();
    assert_eq!(after.benchmarks[..before.benchmarks.len()], before.benchmarks);
    assert_eq!(after.benchmarks.len(), before.benchmarks.len() + 4);
    assert_eq!(Line::Benchmark(Box::new(after.benchmarks.last().unwrap().clone())), *lines.last().unwrap());
    let versions: Vec<u64> = values(&path).iter().map(|line| line["schema"].as_u64().unwrap()).collect();
    assert!(versions.contains(&1) && versions.ends_with(&[2, 2, 2, 2, 2]), "{versions:?}");
}

/// A name of one version is no name of the other one, and probes that belong to no sample are no probes.
#[test]
fn what_is_neither_version_is_damage_of_that_line_alone() {
    for (from, to, said) in [
        ("\"findings\":", "\"metrics\":", "metrics"),
        ("\"suite\":", "\"build\":", "build"),
        ("\"longest_paces\":[", "\"longest_paces\":[1,", "longest_paces: 4 of them beside 3 samples"),
        ("\"schema\":1", "\"schema\":2", "unknown field `machine`"),
        ("\"schema\":1", "\"schema\":3", "schema 3, and this switchcost reads schemas 1 to 2"),
        ("\"schema\":1", "\"schema\":0", "schema 0, and this switchcost reads schemas 1 to 2"),
    ] {
        let (_folder, path) = changed(|text| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        });
        let Salvage { run, damage } = salvage(&path).unwrap();
        assert_eq!((damage.len(), run.hosts.len() + run.benchmarks.len()), (1, 8), "{to}: {damage:?}");
        let told = damage[0].to_string();
        assert!(told.contains(said) && told.lines().count() == 1, "{to}: {told}");
    }
}

/// A comparison with an earlier program: its processes answer with a benchmark of version 1, without a version.
#[test]
fn the_answer_of_an_earlier_program_is_read() {
    let run = read(&sample::fixture("record/version-1")).unwrap();
    let raw = values(&sample::fixture("record/version-1").join(FILE));
    for (line, raw) in run.benchmarks.iter().zip(&raw[1..]) {
        assert_eq!(read_answer(raw["benchmark"].to_string().as_bytes()).as_ref(), Ok(line));
        let now = line_text(&Line::Benchmark(Box::new(line.clone()))).unwrap();
        assert_eq!(read_answer(now.as_bytes()).as_ref(), Ok(line));
        assert!(read_answer(now.replace("\"schema\":2", "\"schema\":9").as_bytes()).unwrap_err().contains("schema 9"));
    }
    assert!(read_answer(b"true").is_err());
}
