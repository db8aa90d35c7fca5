//! `cargo bench`: our options, by their help, in what is prepared.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Row;
use crate::cli::bench::{check_cpus, prepare};
use crate::cli::bench_options::{command, help, split};
use crate::harness::{Mode, PlannedBenchmark};
use crate::mechanism::GROUPS;
use crate::pmu::EventSet;
use crate::record::{Line, RecordWriter};
use crate::terms::Unsupported;

/// What `cargo bench -- LINE` comes to in the bench target of `handoff`, or in that of all groups where it says so.
pub(super) fn comes_to(line: &str) -> Value {
    let (target, line) = line.strip_prefix("all: ").map_or(("handoff", line), |line| ("all", line));
    let words: Vec<String> = line.split_whitespace().map(str::to_string).collect();
    let prepared = split(&words).map_err(Into::into).and_then(|(own, rest)| prepare(target, &own, &rest));
    let prepared = match prepared {
        Ok(Some(prepared)) => prepared,
        Ok(None) => return json!({ "nothing": true }),
        Err(refused) => return json!({ "refused": format!("{refused:#}") }),
    };
    json!({
        "ids": prepared.planned.iter().map(PlannedBenchmark::id).collect::<Vec<_>>(),
        "left_out": prepared.left_out > 0,
        "settings": prepared.planned.iter().map(PlannedBenchmark::setting).collect::<Vec<_>>(),
        "counted": prepared.measure_options.counters.as_ref().map(|plan| *plan != EventSet::default()),
        "audited": prepared.measure_options.auditor.is_some(),
        "timing": prepared.timing,
        "mode": format!("{:?}", prepared.measure_options.mode),
        "folder": prepared.folder,
    })
}

const BENCH: &str = "--bench ^handoff/pipe/same-cpu --out there";

fn ours() -> Vec<Row> {
    let row = |option, given: &str| Row::added("bench", option, BENCH, given);
    let everywhere = |placement| format!("--bench ^handoff/pipe/ --out there --placement {placement}");
    let spinning = "--bench ^handoff/spin_then_park/same-cpu --out there";
    vec![
        Row::added("bench", "set", spinning, "--set spin=3")
            .changes("/ids/0")
            .gives("/settings/0/parameters/spin", json!(3)),
        Row::differing("bench", "placement", &everywhere("same-cpu"), &everywhere("unpinned"))
            .gives("/ids/0", json!("handoff/pipe/unpinned"))
            .changes("/settings/0/placement")
            .changes("/settings/0/cpus*"),
        row("idle", "--idle spinner").changes("/ids/0").gives("/settings/0/idle", json!("spinner")),
        Row::cpus("bench", BENCH, &["/settings/0/cpus/0".into()]),
        Row::added("bench", "exclude", &BENCH.replace("pipe", "(pipe|eventfd)"), "--exclude eventfd")
            .gives("/ids/0", json!("handoff/pipe/same-cpu"))
            .changes("/ids/1")
            .changes("/settings*"),
        row("policy", "--policy batch").changes("/ids/0").changes("/settings/0/policy*"),
        row("slice-us", "--slice-us 1000").changes("/ids/0").changes("/settings/0/policy*"),
        row("events", "--events ref-cycles").gives("/counted", json!(true)),
        row("no-counters", "--no-counters").gives("/counted", Value::Null),
        row("no-audit", "--no-audit").gives("/audited", json!(false)),
        Row::added("bench", "all", "all: --bench --out there", "--all")
            .gives("/left_out", json!(false))
            .changes("/ids*")
            .changes("/settings*"),
        Row::differing("bench", "out", BENCH, &BENCH.replace("there", "here")).gives("/folder", json!("here")),
    ]
}

/// Those of Criterion's that we read too.
fn criterions() -> Vec<Row> {
    let row = |option, given: &str| Row::added("bench", option, BENCH, given);
    let mode = |option, given: &str, mode: Mode| row(option, given).gives("/mode", json!(format!("{mode:?}")));
    vec![
        Row::differing("bench", "FILTER", BENCH, &BENCH.replace("pipe", "eventfd"))
            .gives("/ids/0", json!("handoff/eventfd/same-cpu"))
            .changes("/settings/0/parameters*"),
        Row::added("bench", "FILTER", BENCH, "^handoff/eventfd/same-cpu")
            .gives("/ids/0", json!("handoff/eventfd/same-cpu"))
            .gives("/ids/1", json!("handoff/pipe/same-cpu"))
            .changes("/settings*"),
        Row::added("bench", "exact", "--bench handoff/pipe/same-cpu", "--exact").changes("/refused*"),
        row("quick", "--quick").gives("/timing/samples", json!(20)).changes("/timing*"),
        mode("test", "--test", Mode::Test),
        mode("list", "--list", Mode::List),
        mode("load-baseline", "--load-baseline a", Mode::DryRun),
        mode("profile-time", "--profile-time 5", Mode::Profile),
    ]
}

#[test]
fn what_is_prepared_holds_every_option_of_cargo_bench() {
    ours().iter().chain(&criterions()).for_each(|row| row.check(comes_to));
}

/// Where nothing is named, the profile `default` is measured, group by group; a filter, a placement, a group's own
/// target and a test name all that they match.
#[test]
fn without_a_filter_the_default_profile_is_measured() {
    let ids = |line: &str| -> Vec<String> { serde_json::from_value(comes_to(line)["ids"].clone()).unwrap() };
    let standard = ids("all: --bench");
    let mut groups: Vec<&str> = standard.iter().filter_map(|id| id.split('/').next()).collect();
    groups.dedup();
    assert_eq!(groups, GROUPS.iter().map(|group| group.name).collect::<Vec<_>>(), "each once, in their order");
    assert!(standard.contains(&"brigade/epoll/same-cpu/trigger=edge".into()), "{standard:?}");
    let all = ids("all: --bench --all");
    assert!(all.len() > 2 * standard.len(), "{} of {}", standard.len(), all.len());
    for line in ["all: --bench --test", "all: --bench --list", "all: --bench ."] {
        assert_eq!(ids(line), all, "{line}");
    }
    let handoff: Vec<String> = all.iter().filter(|id| id.starts_with("handoff/")).cloned().collect();
    assert_eq!(ids("--bench"), handoff, "a group's own target names the group");
    let left = ids("all: --bench --exclude ^handoff/");
    assert_eq!(left, standard.iter().filter(|id| !id.starts_with("handoff/")).cloned().collect::<Vec<_>>());
}

/// Without a filter a hurried run takes some of everything, and what is left out stays out.
#[test]
fn a_quick_run_leaves_out_what_is_excluded() {
    let ids = |line: &str| -> Vec<String> { serde_json::from_value(comes_to(line)["ids"].clone()).unwrap() };
    let (all, some) = (ids("--bench --quick"), ids("--bench --quick --exclude handoff/[a-o]"));
    let left: Vec<String> = all.iter().filter(|id| id.as_str() >= "handoff/p").cloned().collect();
    assert!(left.len() < all.len() && !left.is_empty(), "{all:?}");
    assert_eq!(some, left);
}

#[test]
fn of_an_option_given_twice_the_last_one_counts() {
    let prepared = comes_to(&format!("{BENCH} --idle spinner --no-audit --out elsewhere --idle default --no-audit"));
    assert_eq!(prepared["settings"][0]["idle"], json!("default"), "{prepared}");
    assert_eq!(prepared["folder"], json!("elsewhere"));
    // But for those that may be repeated.
    let words = ["--set", "a=1", "--set", "b=2", "--exclude", "c", "--exclude", "d"].map(String::from);
    let (own, _) = split(&words).unwrap();
    assert_eq!(
        (own.setting.set, own.excluded.exclude),
        (vec!["a=1".into(), "b=2".into()], vec!["c".into(), "d".into()])
    );
}

/// Lines of one id are rounds of one figure, and the id names no CPUs.
#[test]
fn a_record_takes_an_id_on_the_same_cpus_alone() {
    let words = ["--bench", "^handoff/pipe/(unpinned|same-cpu)"].map(String::from);
    let (own, rest) = split(&words).unwrap();
    let planned = prepare("handoff", &own, &rest).unwrap().unwrap().planned;
    let folder = tempfile::tempdir().unwrap();
    assert!(check_cpus(folder.path(), &planned).is_ok(), "there is no record yet");
    let record = |cpus: &dyn Fn(usize) -> usize| {
        let mut writer = RecordWriter::open(folder.path()).unwrap();
        for planned in &planned {
            let mut setting = planned.setting().clone();
            setting.cpus.iter_mut().for_each(|cpu| cpu.0 = cpus(cpu.0));
            let reason = Unsupported::new("a", "b", "c");
            let line = PlannedBenchmark::Unsupported { mechanism: planned.mechanism(), setting, reason };
            writer.append(&Line::Benchmark(Box::new(line.unsupported_line("host", 0).unwrap()))).unwrap();
        }
    };
    record(&|cpu| cpu);
    assert!(check_cpus(folder.path(), &planned).is_ok(), "the same CPUs");
    record(&|cpu| cpu + 700);
    let told = check_cpus(folder.path(), &planned).unwrap_err().to_string();
    assert!(told.contains("handoff/pipe/") && told.contains("70") && told.contains("name another folder"), "{told}");
}

#[test]
fn every_option_of_cargo_bench_has_a_row() {
    let command = command();
    let options: BTreeSet<&str> = command.get_arguments().filter_map(|argument| argument.get_long()).collect();
    let rows: BTreeSet<&str> = ours().iter().map(|row| row.option).collect();
    assert_eq!(options, rows, "left: options that there are, right: those whose effect is asserted");
    let help = help();
    let unnamed = options.iter().find(|option| !help.contains(&format!("--{option}")));
    assert_eq!(unnamed, None, "the help names every option: {help}");
    // And what the help does not name is not taken from Criterion.
    let (_, rest) = split(&["--strict".into(), "--seed=7".into()]).unwrap();
    assert_eq!(rest, ["--strict", "--seed=7"]);
}
