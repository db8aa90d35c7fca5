//! One filter means the same to every verb that takes one, and to `cargo bench`.

use std::collections::BTreeSet;

use serde_json::Value;

use super::comes_to;
use crate::mechanism::registry;

/// The mechanisms that a command line names.
fn mechanisms(line: &str) -> BTreeSet<String> {
    let value = if line.starts_with("bench ") { super::bench::comes_to(line) } else { comes_to(line) };
    let entries = value["begin"]["entries"].as_array().map(|entries| entries.iter().map(|entry| &entry["id"]));
    let ids: Vec<&Value> = match (entries, value["ids"].as_array()) {
        (Some(entries), _) => entries.collect(),
        (None, Some(ids)) => ids.iter().collect(),
        (None, None) => panic!("{line}: {value}"),
    };
    let mechanism = |id: &&Value| id.as_str().unwrap().splitn(3, '/').take(2).collect::<Vec<_>>().join("/");
    ids.iter().map(mechanism).collect()
}

/// The same of `list`.
fn listed(line: &str) -> BTreeSet<String> {
    let mut out = Vec::new();
    let words = std::iter::once("switchcost").chain(line.split_whitespace()).chain(["--json"]);
    let super::Verb::List(list) = <super::Arguments as clap::Parser>::try_parse_from(words).unwrap().verb else {
        panic!("{line}")
    };
    list.print(&mut out).unwrap();
    let text = String::from_utf8(out).unwrap();
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_string();
    text.lines().map(id).collect()
}

#[test]
fn every_verb_and_cargo_bench_find_the_same_by_one_filter() {
    for filter in ["handoff/futex$", "handoff/", "handoff/f --exclude futex$", "(brigade|handoff)/tokio_notify"] {
        let named = listed(&format!("list {filter}"));
        assert!(!named.is_empty() && named.iter().all(|id| id.starts_with("handoff/")), "{filter}: {named:?}");
        for verb in ["audit", "run", "run --profile quick", "compare --paired", "bench --bench"] {
            assert_eq!(mechanisms(&format!("{verb} {filter}")), named, "{verb} {filter}");
        }
    }
    assert_eq!(listed("list handoff/futex$"), BTreeSet::from(["handoff/futex".to_string()]));
    let group = registry().iter().filter(|mechanism| mechanism.descriptor().group() == "handoff").count();
    assert_eq!(listed("list handoff/").len(), group);
}

#[test]
fn an_exclusion_that_matches_nothing_is_refused_by_every_verb() {
    let sweep = "sweep --mechanism brigade/one_thread --tasks 2";
    let runs = format!("{0}/tests/fixtures/report/three-rounds", env!("CARGO_MANIFEST_DIR"));
    let compare = format!("compare {runs} {runs}");
    for verb in ["audit handoff/", "run handoff/", "list", "compare --paired handoff/", sweep, compare.as_str()] {
        let told = comes_to(&format!("{verb} --exclude footprnt"))["refused"].to_string();
        assert!(told.contains("no benchmark's id matches --exclude `footprnt`; "), "{verb}: {told}");
    }
    let told = super::bench::comes_to("--bench handoff/ --exclude footprnt")["refused"].to_string();
    assert!(told.contains("--exclude `footprnt`"), "{told}");
    // What matches elsewhere, or by a parameter that this plan sets, was no mistake.
    for line in ["run handoff/futex$ --exclude footprint/", "run --profile one-thread --exclude sqpoll=on"] {
        assert!(comes_to(line)["begin"]["entries"].is_array(), "{line}: {}", comes_to(line));
    }
    assert!(comes_to("run handoff/ --exclude sqpoll=on")["refused"].is_string(), "the default plan sets none");
}
