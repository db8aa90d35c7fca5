//! Records: written, read back, torn, damaged, and as other programs see them.
#![allow(clippy::unwrap_used)]

mod own_process;
mod sample;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use proptest::prelude::*;
use switchcost::record::{BenchmarkLine, FILE, Line, Outcome, RecordError, RecordWriter, Run, SCHEMA, Sample, read};
use switchcost::terms::Placement;
use switchcost::terms::SpeedProbe;
use switchcost::units::{Amount, CpuId, Nanos, Ops};
use tempfile::TempDir;

/// A run that holds `lines`.
fn written(lines: &[Line]) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let mut writer = RecordWriter::open(folder.path()).unwrap();
    for line in lines {
        writer.append(line).unwrap();
    }
    let path = writer.path().to_path_buf();
    (folder, path)
}

fn lines_of(run: &Run) -> Vec<Line> {
    let hosts = run.hosts.iter().map(|line| Line::Host(Box::new(line.clone())));
    hosts.chain(run.benchmarks.iter().map(|line| Line::Benchmark(Box::new(line.clone())))).collect()
}

/// `switchcost show`, which must end with status 2 and one line.
fn refused(path: &Path) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_switchcost")).arg("show").arg(path).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{told}");
    assert!(output.stdout.is_empty() && told.lines().count() == 1, "{told}");
    told
}

#[test]
fn what_is_written_is_read_back() {
    let lines = sample::lines();
    let (folder, path) = written(&lines);
    for run in [read(folder.path()).unwrap(), read(&path).unwrap()] {
        assert_eq!(lines_of(&run), lines);
        assert!(!run.torn);
        assert_eq!(run.host(&run.benchmarks[0]), Some(&run.hosts[0]));
    }
}

/// Two records that were put together, or one whose machine lost a CPU half way.
#[test]
fn one_id_on_other_cpus_is_another_benchmark() {
    let mut lines = sample::lines();
    let template = lines.iter().find_map(|line| match line {
        Line::Benchmark(line) if matches!(line.outcome, Outcome::Measured(_)) => Some(line.clone()),
        _ => None,
    });
    let (template, round) = (template.unwrap(), AtomicU32::new(0));
    let on = |id: &str, cpus: &[usize]| {
        let mut line = template.clone();
        line.id = id.into();
        // Lines that are the same to the last byte are one.
        line.round = round.fetch_add(1, Ordering::Relaxed);
        line.setting.cpus = cpus.iter().copied().map(CpuId).collect();
        Line::Benchmark(line)
    };
    let (pipe, poll) = ("handoff/pipe/unpinned", "handoff/pipe/unpinned/idle=poll");
    lines.extend([on(pipe, &[0, 2, 3]), on(pipe, &[1]), on(pipe, &[1]), on(pipe, &[])]);
    lines.extend([
        on(poll, &[0]),
        on(poll, &[1]),
        on("handoff/futex/unpinned", &[0]),
        on("handoff/futex/unpinned", &[]),
    ]);
    let (folder, path) = written(&lines);
    let run = read(folder.path()).unwrap();
    let ids: Vec<&str> = run.benchmarks.iter().rev().take(8).rev().map(|line| line.id.as_str()).collect();
    let apart = |more: &str| format!("{pipe}/on_cpus={more}");
    assert_eq!(ids[..4], [apart("0+2-3").as_str(), &apart("1"), &apart("1"), pipe]);
    assert_eq!(ids[4..6], [format!("{poll},on_cpus=0"), format!("{poll},on_cpus=1")]);
    assert_eq!(ids[6..], ["handoff/futex/unpinned"; 2], "which does not say where it ran may be of the same");
    assert!(run.benchmarks.iter().all(|line| line.pair().is_none()), "they are no pairs of a map");
    let shown = Command::new(env!("CARGO_BIN_EXE_switchcost")).arg("show").arg(&path).output().unwrap();
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("on_cpus=0+2-3") && shown.contains("on_cpus=1"), "{shown}");
}

/// A file that an earlier switchcost wrote, and every later one that keeps the schema's number must read and write.
#[test]
fn the_schema_is_the_one_that_older_files_were_written_in() {
    let kept = sample::fixture(&format!("record/schema-{SCHEMA}")).join(FILE);
    let (folder, path) = written(&sample::lines());
    if fs::read_to_string(&path).unwrap() != fs::read_to_string(&kept).unwrap() {
        let written_now = folder.keep().join(FILE);
        panic!(
            "the schema changed: raise SCHEMA and keep a file of the new one beside {}; written now: {}",
            kept.display(),
            written_now.display()
        );
    }
    assert_eq!(lines_of(&read(&kept).unwrap()), sample::lines());
}

#[test]
fn every_host_of_the_fixtures_is_read_back() {
    for host in ["intel-2socket-smt", "amd-two-ccx", "arm64-vm-nocache", "vm-2cpu"] {
        let line = Line::Host(Box::new(sample::host_line(host)));
        let (folder, _) = written(std::slice::from_ref(&line));
        assert_eq!(lines_of(&read(folder.path()).unwrap()), [line]);
    }
}

#[test]
fn a_torn_last_line_is_lost_alone_and_the_run_goes_on() {
    let lines = sample::lines();
    let (folder, path) = written(&lines);
    let whole = fs::read(&path).unwrap();
    let last = whole[..whole.len() - 1].iter().rposition(|&byte| byte == b'\n').unwrap() + 1;
    // Wherever the kill came: after the first byte of the line, in the middle, before its end.
    for length in [last + 1, (last + whole.len()) / 2, whole.len() - 2] {
        fs::write(&path, &whole[..length]).unwrap();
        let run = read(folder.path()).unwrap();
        assert!(run.torn);
        assert_eq!(lines_of(&run), lines[..lines.len() - 1]);

        let mut writer = RecordWriter::open(folder.path()).unwrap();
        assert!(!writer.is_new());
        writer.append(lines.last().unwrap()).unwrap();
        let run = read(folder.path()).unwrap();
        assert!(!run.torn);
        assert_eq!(lines_of(&run), lines);
    }
}

#[test]
fn other_schemas_are_refused_by_line() {
    let (_folder, path) = written(&sample::lines());
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.lines().map(str::to_string).collect();
    lines[2] = lines[2].replacen("\"schema\":2", "\"schema\":999", 1);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    assert!(matches!(read(&path), Err(RecordError::OtherSchema { line: 3, .. })));
    let told = refused(&path);
    assert!(
        told.contains(&format!("{}:3: schema 999", path.display()))
            && told.contains("reads schemas 1 to 2; use the version"),
        "{told}"
    );
}

#[test]
fn damage_is_told_by_file_and_line() {
    let (folder, path) = written(&sample::lines());
    let whole = fs::read_to_string(&path).unwrap();
    let second = whole.find('\n').unwrap() + 1;
    let middle = format!("{}{}", &whole[..second + 40], &whole[second + 900..]);
    let strange = whole.replacen("\"round\":0", "\"round\":0,\"colour\":\"red\"", 1);
    let unnamed = whole.replacen(",\"schema\":2", "", 1);
    for (damaged, line, why) in [
        (middle.into_bytes(), 2, "not a switchcost record"),
        (strange.into_bytes(), 2, "colour"),
        (unnamed.into_bytes(), 1, "it names no schema"),
        (vec![0x7f, b'E', b'L', b'F', 0xff, b'\n', 0, 1], 1, "not text"),
        (b"[1, 2]\n".to_vec(), 1, "not a JSON object"),
        (b"{\n".to_vec(), 1, "not a switchcost record"),
    ] {
        fs::write(&path, damaged).unwrap();
        let told = refused(folder.path());
        assert!(told.contains(&format!("{}:{line}: ", path.display())) && told.contains(why), "{told}");
    }
}

/// What editors and shells do to a file on its way from another machine changes no figure.
#[test]
fn a_record_that_went_through_an_editor_is_the_same_and_goes_on() {
    let lines = sample::lines();
    let (folder, path) = written(&lines);
    let whole = fs::read_to_string(&path).unwrap();
    for edited in [
        format!("\u{feff}{whole}"),
        format!("{whole}\n"),
        format!("{whole} \r\n\n"),
        whole.replace('\n', "\r\n"),
        whole.trim_end().to_string(),
    ] {
        fs::write(&path, &edited).unwrap();
        assert_eq!(lines_of(&read(folder.path()).unwrap()), lines, "{:?}", &edited[..5]);
        let mut writer = RecordWriter::open(folder.path()).unwrap();
        let Line::Benchmark(further) = lines.last().unwrap() else { panic!("the last line is a benchmark") };
        let further = Line::Benchmark(Box::new(BenchmarkLine { round: 7, ..(**further).clone() }));
        writer.append(&further).unwrap();
        let run = read(folder.path()).unwrap();
        assert!(!run.torn);
        assert_eq!(lines_of(&run), [&lines[..], &[further]].concat());
    }
}

#[test]
fn a_file_that_is_something_else_is_told_as_what_it_is() {
    let (folder, path) = written(&sample::lines());
    let whole = fs::read_to_string(&path).unwrap();
    let utf16: Vec<u8> = [0xfeff].into_iter().chain(whole.encode_utf16()).flat_map(u16::to_le_bytes).collect();
    let later = whole.replacen("\"round\":0", "\"round\":0,\"colour\":\"red\"", 1);
    let word = whole.replacen("\"same-cpu\"", "\"same-galaxy\"", 1);
    for (text, why) in [
        (utf16, "it is UTF-16"),
        (b"\x1f\x8b\x08\0 and so on".to_vec(), "gunzip"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n".to_vec(), "git lfs pull"),
        (later.into_bytes(), "unknown field `colour`, which this version (0.1.0) does not have; the switchcost that"),
        (word.into_bytes(), "same-galaxy"),
    ] {
        fs::write(&path, text).unwrap();
        let told = refused(folder.path());
        assert!(told.contains(why) && !told.contains("expected"), "{told}");
    }
}

#[test]
fn where_there_is_no_record_that_is_said() {
    let folder = tempfile::tempdir().unwrap();
    for path in [folder.path().to_path_buf(), folder.path().join(FILE)] {
        let told = refused(&path);
        assert!(told.contains(FILE) && told.contains("no records in it; `cargo bench`"), "{told}");
    }
    fs::write(folder.path().join(FILE), "").unwrap();
    assert!(refused(folder.path()).contains("no records in it"));
    let nowhere = folder.path().join("nowhere");
    assert!(refused(&nowhere).contains(nowhere.to_str().unwrap()));
}

/// Runs [`fills_the_disk`] under a limit of the file's size, which the kernel answers like a full disk but for the
/// errno: a short write, then an error.
#[test]
fn a_full_disk_leaves_whole_lines() {
    let folder = tempfile::tempdir().unwrap();
    let (_small, path) = written(&sample::lines());
    // In blocks of 512 bytes: room for one copy of the sample and a half.
    let blocks = fs::metadata(path).unwrap().len() * 3 / 2 / 512;
    let limit = format!(r#"trap "" XFSZ; ulimit -f {blocks}"#);
    let test = "fills_the_disk";
    own_process::passes(test, own_process::command_after(&limit, test).env("RECORD_FOLDER", folder.path()));
    let run = read(folder.path()).unwrap();
    // Of lines that stand there twice, one is read.
    let lines = fs::read_to_string(folder.path().join(FILE)).unwrap().lines().count();
    assert!(!run.torn && lines > sample::lines().len() && lines < 2 * sample::lines().len(), "{lines} lines");
}

#[test]
#[ignore = "a_full_disk_leaves_whole_lines runs it"]
fn fills_the_disk() {
    let mut writer = RecordWriter::open(Path::new(&std::env::var_os("RECORD_FOLDER").unwrap())).unwrap();
    let lines = sample::lines();
    let told: Vec<_> = [&lines[..], &lines[..]].concat().iter().filter_map(|line| writer.append(line).err()).collect();
    assert!(!told.is_empty() && told[0].to_string().contains(FILE), "{told:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn numbers_and_texts_survive(
        samples in prop::collection::vec((1_u64.., any::<u64>(), any::<Option<(u64, u64)>>()), 0..20),
        observed in prop::num::f64::NORMAL | prop::num::f64::ZERO,
        per_op in prop::num::f64::NORMAL | prop::num::f64::SUBNORMAL,
        count in any::<u64>(),
        text in "\\PC{0,40}",
        started_ms in any::<u64>(),
        round in any::<u32>(),
    ) {
        let mut measured = sample::measured(600, Default::default());
        let sample = |(ops, amount, probe): (u64, u64, Option<(u64, u64)>)| Sample {
            ops: Ops(ops),
            amount: Amount(amount),
            probe: probe.map(|(min, max)| SpeedProbe { min: Nanos(min), max: Nanos(max) }),
        };
        measured.samples = samples.into_iter().map(sample).collect();
        measured.counted.counters[0].per_op = per_op;
        measured.counted.counters[0].count = count;
        measured.audit.calls.insert(text.clone(), observed);
        let outcome = Outcome::Measured(Box::new(measured));
        let mut line = sample::benchmark("handoff/pipe", Placement::Unpinned, &text, outcome);
        line.started_ms = started_ms;
        line.round = round;
        let line = Line::Benchmark(Box::new(line));
        let (folder, path) = written(std::slice::from_ref(&line));
        prop_assert_eq!(fs::read_to_string(path).unwrap().lines().count(), 1);
        prop_assert_eq!(lines_of(&read(folder.path()).unwrap()), [line]);
    }
}

#[test]
fn jq_reads_it() {
    let (_folder, path) = written(&sample::lines());
    let program = r#"select(.benchmark.outcome.measured) | [.schema, .benchmark.id,
                     ([.benchmark.outcome.measured.samples[] | .[1] / .[0]] | min)]"#;
    match Command::new("jq").args(["-c", program]).arg(&path).output() {
        Err(error) => println!("not checked: jq: {error}; apt-get install jq"),
        Ok(output) => {
            let told = String::from_utf8(output.stdout).unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            assert_eq!(told, "[2,\"brigade/one_thread/same-cpu\",600]\n[2,\"brigade/thread/same-cpu\",3000]\n");
        }
    }
}

/// The objects whose keys are names of the machine's or the user's, and no fields.
const MAPS: [&str; 5] = ["mitigations", "sysctls", "rlimits", "parameters", "calls"];

fn fields(value: &serde_json::Value, found: &mut BTreeSet<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (name, inner) in object {
                found.insert(name.clone());
                match inner {
                    serde_json::Value::Object(entries) if MAPS.contains(&name.as_str()) => {
                        entries.values().for_each(|entry| fields(entry, found));
                    }
                    other => fields(other, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| fields(item, found)),
        _ => {}
    }
}

#[test]
fn every_field_is_in_the_written_schema() {
    let mut lines = sample::lines();
    for host in ["amd-two-ccx", "arm64-vm-nocache", "vm-2cpu"] {
        lines.push(Line::Host(Box::new(sample::host_line(host))));
    }
    let (_folder, path) = written(&lines);
    let mut found = BTreeSet::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        fields(&serde_json::from_str(line).unwrap(), &mut found);
    }
    let schema = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/record/SCHEMA.md")).unwrap();
    let missing: Vec<&String> = found.iter().filter(|name| !schema.contains(&format!("`{name}`"))).collect();
    assert!(missing.is_empty(), "src/record/SCHEMA.md does not mention {missing:?}");
}
