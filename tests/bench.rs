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
