//! `cargo bench`, end to end: the program as bench targets start it, which link nothing of it.
#![allow(clippy::unwrap_used)]

use std::process::{Command, Output};

use switchcost::mechanism::GROUPS;

/// What the bench target called `target` does with these arguments.
fn bench(target: &str, arguments: &[&str]) -> Output {
    let mut program = Command::new(env!("CARGO_BIN_EXE_switchcost"));
    program.env("SWITCHCOST_BENCH_TARGET", target).env_remove("SWITCHCOST_BENCH_OPTIONS");
    program.arg("--bench").args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What went well printed.
fn fine(target: &str, arguments: &[&str]) -> String {
    let output = bench(target, arguments);
    assert!(output.status.success(), "{target} {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The groups of the ids that `--list` prints, each where it first stands.
fn groups(listed: &str) -> Vec<String> {
    let mut groups: Vec<String> = listed.lines().filter_map(|id| Some(id.split_once('/')?.0.to_string())).collect();
    groups.dedup();
    groups
}

#[test]
fn one_target_runs_every_group_in_the_order_of_questions() {
    let listed = groups(&fine("all", &["--list"]));
    assert_eq!(listed, GROUPS.iter().map(|group| group.name).collect::<Vec<_>>());
    assert_eq!(groups(&fine("all", &["--list", "handoff/|syscall/"])), groups_named(&["handoff", "syscall"]));
}

/// Some groups, in the order of all.
fn groups_named(names: &[&str]) -> Vec<String> {
    GROUPS.iter().map(|group| group.name.to_string()).filter(|group| names.contains(&group.as_str())).collect()
}

#[test]
fn a_groups_own_target_runs_that_group_alone() {
    assert_eq!(groups(&fine("handoff", &["--list"])), ["handoff"]);
    assert_eq!(fine("handoff", &["--list", "brigade/"]), "", "a filter that names none of it");
    let told = bench("handof", &["--list"]);
    assert!(!told.status.success() && text(&told.stderr).contains("no group is called handof"), "{told:?}");
}

/// Two benchmarks of two groups, in samples as short as Criterion takes.
fn short(folder: &std::path::Path, more: &[&str]) -> Output {
    let few = "^(syscall/getppid|handoff/pipe)/same-cpu --no-audit --sample-size 10 --warm-up-time 0.01 \
               --measurement-time 0.02";
    let mut arguments: Vec<&str> = few.split_whitespace().collect();
    let out = folder.join("run");
    arguments.extend(["--out", out.to_str().unwrap()]);
    arguments.extend(more);
    let mut program = Command::new(env!("CARGO_BIN_EXE_switchcost"));
    program.env("SWITCHCOST_BENCH_TARGET", "all").env_remove("SWITCHCOST_BENCH_OPTIONS");
    program.env("CRITERION_HOME", folder.join("criterion")).arg("--bench").args(arguments).output().unwrap()
}

#[test]
fn a_table_for_each_group_then_what_the_machine_says_and_the_report_last() {
    let folder = tempfile::tempdir().unwrap();
    let output = short(folder.path(), &[]);
    let told = text(&output.stdout);
    assert!(output.status.success(), "{told}{}", text(&output.stderr));
    let at = |what: &str| told.find(what).unwrap_or_else(|| panic!("no `{what}` in\n{told}"));
    let order = ["syscall, per call", "handoff, per handoff", "What this machine says", "record:  ", "details: "];
    assert!(order.windows(2).all(|pair| at(pair[0]) < at(pair[1])), "{told}");
    let last = told.lines().last().unwrap();
    let page = last.strip_prefix("report:  ").unwrap_or_else(|| panic!("{told}"));
    assert!(std::fs::read_to_string(page).unwrap().contains("handoff/pipe"), "{page}");
    // Neither Criterion's text nor its pages; its figures are kept for the next comparison.
    assert!(!told.contains("time:   [") && !text(&output.stderr).contains("Benchmarking"), "{told}");
    let criterion = folder.path().join("criterion/handoff/pipe_same-cpu");
    assert!(criterion.join("new/estimates.json").exists() && !criterion.join("report").exists());
    assert_eq!(text(&output.stderr).lines().count(), 1, "one line of progress: {}", text(&output.stderr));
    assert!(told.lines().count() < 30, "{told}");
}

#[test]
fn criterions_text_comes_with_verbose() {
    let folder = tempfile::tempdir().unwrap();
    let output = short(folder.path(), &["--verbose"]);
    let told = text(&output.stdout);
    assert!(output.status.success() && told.matches("time:   [").count() == 2, "{told}{}", text(&output.stderr));
    assert!(told.contains("× base"), "and every table: {told}");
    assert!(folder.path().join("criterion/handoff/pipe_same-cpu/report/index.html").exists(), "and its pages");
}
