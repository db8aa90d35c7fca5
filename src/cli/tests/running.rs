//! `run`, `compare --paired` and `sweep`: the plan.

use std::path::Path;

use serde_json::json;

use super::{Row, comes_to};
use crate::cli::REGRESSION;
use crate::record::{Line, Outcome, RecordWriter, read};

const RUN: &str = "run ^handoff/pipe/same-cpu --seed 7 --out there";
const PAIRED: &str = "compare --paired ^handoff/pipe/same-cpu --seed 7 --out there";
const SWEEP: &str = "sweep --mechanism brigade/one_thread --tasks 2,4 --seed 7 --out there";

pub(super) fn rows() -> Vec<Row> {
    [of_run(), of_paired("slower"), of_sweep()].into_iter().flatten().collect()
}

/// A change of every benchmark that is planned: its id, and a leaf of what was chosen.
fn of_entries(row: Row, entries: usize, leaf: &str, value: serde_json::Value) -> Row {
    (0..entries).fold(row, |row, entry| {
        row.changes(&format!("/begin/entries/{entry}/id"))
            .gives(&format!("/begin/entries/{entry}/spec/{leaf}"), value.clone())
    })
}

/// As [`of_entries`] for one leaf of the policy.
fn policy(row: Row, entries: usize, leaf: &str, value: serde_json::Value) -> Row {
    let row = of_entries(row, entries, &format!("policy/{leaf}"), value);
    (0..entries).fold(row, |row, entry| row.changes(&format!("/begin/entries/{entry}/spec/policy*")))
}

/// `base` for two mechanisms, of which the second one may be left out.
fn both(base: &str) -> String {
    base.replace("handoff/pipe", "handoff/(pipe|eventfd)")
}

/// The options that a run shares with a paired comparison, whose plan has `entries`.
fn shared(verb: &'static str, base: &str, entries: usize) -> Vec<Row> {
    let row = |option, given: &str| Row::added(verb, option, base, given);
    let everywhere = base.replace("/same-cpu", "/");
    let cpu = format!("{everywhere} --placement same-cpu");
    let unpinned = format!("{everywhere} --placement unpinned");
    let brigade = base.replace("handoff/pipe", "brigade/one_thread");
    let set = Row::differing(verb, "set", &brigade, &format!("{brigade} --set tasks=8"));
    let placement =
        of_entries(Row::differing(verb, "placement", &cpu, &unpinned), entries, "placement", json!("unpinned"));
    let cpus = (0..entries).map(|entry| format!("/begin/entries/{entry}/spec/cpus*"));
    vec![
        of_entries(set, entries, "parameters/tasks", json!(8)),
        cpus.fold(placement, |row, cpus| row.changes(&cpus)),
        Row::cpus(
            verb,
            base,
            &(0..entries).map(|entry| format!("/begin/entries/{entry}/spec/cpus/0")).collect::<Vec<_>>(),
        ),
        Row::differing(verb, "exclude", &both(base), &format!("{} --exclude eventfd", both(base)))
            .changes("/begin/entries*"),
        of_entries(row("idle", "--idle spinner"), entries, "idle", json!("spinner")),
        policy(row("policy", "--policy batch"), entries, "class", json!("batch")),
        policy(row("slice_us", "--slice-us 1000"), entries, "slice_us", json!(1000)),
        row("rounds", "--rounds 4").gives("/begin/rounds", json!(4)),
        row("budget", "--budget 1h").gives("/begin/budget/secs", json!(3600)).changes("/begin/budget*"),
        row("until", "--until 2%").gives("/begin/until", json!(0.02)),
        row("strict", "--strict").gives("/begin/strict", json!(true)),
        row("events", "--events cache-misses").gives("/begin/events", json!("cache-misses")),
        row("no_counters", "--no-counters").gives("/begin/counters", json!(false)),
        row("no_audit", "--no-audit").gives("/begin/audit", json!(false)),
        row("samples", "--samples 33").gives("/begin/timing/samples", json!(33)),
        row("measure", "--measure 7s")
            .gives("/begin/timing/measure/secs", json!(7))
            .changes("/begin/timing/measure*")
            .changes("/begin/timeout*"),
        row("warm_up", "--warm-up 9s")
            .gives("/begin/timing/warm_up/secs", json!(9))
            .changes("/begin/timing/warm_up*")
            .changes("/begin/timeout*"),
        row("timeout", "--timeout 777s").gives("/begin/timeout/secs", json!(777)).changes("/begin/timeout*"),
        Row::differing(verb, "seed", base, &base.replace("--seed 7", "--seed 8")).gives("/begin/seed", json!(8)),
        Row::differing(verb, "out", base, &base.replace("there", "here")).gives("/folder", json!("here")),
    ]
}

fn resume(verb: &'static str, base: &str) -> Row {
    Row::differing(verb, "resume", base, &format!("{verb} --resume begun"))
        .gives("/resume", json!("begun"))
        .changes("/begin*")
        .changes("/folder")
}

fn of_run() -> Vec<Row> {
    let mut rows = shared("run", RUN, 1);
    let other = RUN.replace("pipe", "eventfd");
    rows.extend([
        Row::differing("run", "filter", RUN, &other)
            .gives("/begin/entries/0/id", json!("handoff/eventfd/same-cpu"))
            .gives("/begin/entries/0/spec/mechanism", json!("handoff/eventfd"))
            .changes("/begin/entries/0/spec/parameters*"),
        Row::added("run", "profile", RUN, "--profile quick")
            .gives("/begin/rounds", json!(3))
            .gives("/begin/timing/samples", json!(20))
            .changes("/begin/timing*")
            .changes("/begin/timeout*"),
        Row::added("run", "bundle", RUN, "--bundle x.tar.zst")
            .gives("/bundle/0", json!("x.tar.zst"))
            .gives("/bundle/1", json!(true)),
        Row::added("run", "no_private", &format!("{RUN} --bundle x"), "--no-private").gives("/bundle/1", json!(false)),
        Row::added("run", "private", &format!("{RUN} --bundle x --no-private"), "--private")
            .gives("/bundle/1", json!(true)),
        resume("run", RUN),
    ]);
    rows
}

/// `slower` is a run that is slower than the fixture of three rounds.
fn of_paired(slower: &str) -> Vec<Row> {
    let mut rows = shared("compare", PAIRED, 2);
    let tree = |name: &str| format!("{}/tests/fixtures/report/{name}", env!("CARGO_MANIFEST_DIR"));
    let (rounds, missing) = (tree("three-rounds"), tree("half-missing"));
    let compared = format!("compare {rounds} {missing} --format json");
    let row = |option, given: &str| Row::added("compare", option, PAIRED, given);
    let side = |row: Row, side: usize| {
        row.changes(&format!("/begin/entries/{side}/id"))
            .gives(&format!("/begin/entries/{side}/spec/idle"), json!("spinner"))
    };
    let program = env!("CARGO_MANIFEST_DIR").to_owned() + "/Cargo.toml";
    let in_format = |name: &'static str, json: bool| {
        let plain = format!("compare {rounds} {missing}");
        let base = Row::added("compare", "format", &plain, &format!("--format {name}")).changes("/text");
        if json { base.changes("/json*") } else { base }
    };
    rows.extend([
        Row::differing("compare", "runs", &compared, &compared.replacen(&missing, &rounds, 1))
            .changes("/json*")
            .changes("/text"),
        Row::added("compare", "smallest_effect", &compared, "--smallest-effect 77%")
            .gives("/json/smallest_effect", json!(0.77))
            .changes("/json*")
            .changes("/text"),
        in_format("markdown", false),
        in_format("csv", false),
        in_format("json", true),
        in_format("bencher", true),
        in_format("github-action-benchmark", true),
        Row::added("compare", "by", &compared, "--by nothing-of-that-name").changes("/refused").changes("*"),
        Row::added("compare", "fail_on_regression", &format!("compare {rounds} {slower}"), "--fail-on-regression 5%")
            .gives("/status", json!(REGRESSION)),
        Row::added("compare", "confirm", &format!("compare {rounds} {slower} --fail-on-regression 5%"), "--confirm")
            .changes("/refused")
            .changes("*"),
        Row::added("compare", "scatter", &compared, "--scatter nowhere.json").changes("/refused").changes("*"),
        Row::added("compare", "keep_scatter", &compared, "--keep-scatter").changes("/refused").changes("*"),
        Row::differing("compare", "paired", &format!("compare {rounds} {missing}"), PAIRED)
            .gives("/folder", json!("there"))
            .changes("*"),
        side(row("a", "--a idle=spinner"), 0),
        side(row("b", "--b idle=spinner"), 1),
        row("a_program", &format!("--a-program {program}")).gives("/begin/programs/0", json!(program)),
        row("b_program", &format!("--b-program {program}")).gives("/begin/programs/1", json!(program)),
        row("no_turns", "--no-turns").gives("/begin/interleaved", json!(false)),
        row("profile", "--profile quick")
            .gives("/begin/timing/samples", json!(20))
            .changes("/begin/timing*")
            .changes("/begin/timeout*"),
        resume("compare", PAIRED),
    ]);
    rows
}

fn of_sweep() -> Vec<Row> {
    let row = |option, given: &str| Row::added("sweep", option, SWEEP, given);
    let other = |option, from, to| Row::differing("sweep", option, SWEEP, &SWEEP.replace(from, to));
    let too_many = SWEEP.replace("2,4", "2,9999999");
    let placement = of_entries(row("placement", "--placement unpinned"), 2, "placement", json!("unpinned"));
    vec![
        other("mechanism", "one_thread", "thread")
            .gives("/begin/entries/0/id", json!("brigade/thread/same-cpu/tasks=2"))
            .gives("/begin/entries/1/spec/mechanism", json!("brigade/thread"))
            .changes("/begin/entries*")
            .changes("/begin/timeout*"),
        other("tasks", "2,4", "2,8")
            .changes("/begin/entries/1/id")
            .gives("/begin/entries/1/spec/parameters/tasks", json!(8))
            .changes("/begin/timeout*"),
        of_entries(row("set", "--set transport=socketpair"), 2, "parameters/transport", json!("socketpair")),
        placement.changes("/begin/entries/0/spec/cpus*").changes("/begin/entries/1/spec/cpus*"),
        of_entries(row("idle", "--idle spinner"), 2, "idle", json!("spinner")),
        policy(row("policy", "--policy batch"), 2, "class", json!("batch")),
        policy(row("slice_us", "--slice-us 1000"), 2, "slice_us", json!(1000)),
        Row::added("sweep", "beyond", &too_many, "--beyond")
            .gives("/begin/entries/1/spec/parameters/tasks", json!(9_999_999))
            .changes("/begin/unsupported/0/id")
            .changes("/begin*"),
        row("rounds", "--rounds 5").gives("/begin/rounds", json!(5)),
        row("measure", "--measure 7s")
            .gives("/begin/sweep/measure/secs", json!(7))
            .gives("/begin/timing/measure/secs", json!(7))
            .changes("/begin/timeout*"),
        row("samples", "--samples 33")
            .gives("/begin/sweep/samples", json!(33))
            .gives("/begin/timing/samples", json!(33)),
        row("no_audit", "--no-audit").gives("/begin/audit", json!(false)),
        Row::cpus("sweep", SWEEP, &[0, 1].map(|entry| format!("/begin/entries/{entry}/spec/cpus/0"))),
        row("exclude", "--exclude tasks=2")
            .gives("/begin/entries/0/id", json!("brigade/one_thread/same-cpu/tasks=4"))
            .changes("/begin/entries*"),
        other("seed", "--seed 7", "--seed 8").gives("/begin/seed", json!(8)),
        row("dry_run", "--dry-run").gives("/measures", json!(false)).changes("/begin*").changes("/folder"),
        other("out", "there", "here").gives("/folder", json!("here")),
        resume("sweep", SWEEP),
    ]
}

#[test]
fn the_plan_holds_every_option_of_run() {
    of_run().iter().for_each(|row| row.check(comes_to));
}

#[test]
fn the_plan_and_the_comparison_hold_every_option_of_compare() {
    let slower = tempfile::tempdir().unwrap();
    let fixture = format!("{}/tests/fixtures/report/three-rounds", env!("CARGO_MANIFEST_DIR"));
    let mut run = read(Path::new(&fixture)).unwrap();
    let mut writer = RecordWriter::open(slower.path()).unwrap();
    for line in &mut run.benchmarks {
        if let Outcome::Measured(measured) = &mut line.outcome {
            measured.samples.iter_mut().for_each(|sample| sample.amount.0 *= 1000);
        }
        writer.append(&Line::Benchmark(Box::new(line.clone()))).unwrap();
    }
    of_paired(slower.path().to_str().unwrap()).iter().for_each(|row| row.check(comes_to));
}

#[test]
fn the_plan_holds_every_option_of_sweep() {
    of_sweep().iter().for_each(|row| row.check(comes_to));
}
