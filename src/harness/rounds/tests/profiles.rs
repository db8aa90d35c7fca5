//! Profiles: what they say, and that those shipped say something.

use std::path::Path;

use super::*;

#[test]
fn a_profile_says_what_and_how_long() {
    let text = r#"
rounds = 7
measure = "1500ms"
warm-up = "0.2s"
[[benchmarks]]
filter = "^handoff/futex/"
placement = ["same-cpu"]
[[benchmarks]]
filter = "^brigade/thread/same-cpu"
placement = ["same-cpu", "unpinned"]
idle = "poll"
set = { tasks = 64, transport = "socketpair" }
"#;
    let profile = Profile::parse(text, Path::new("p.toml")).unwrap();
    assert_eq!(profile.rounds, 7);
    assert_eq!(profile.timing.measure, Duration::from_millis(1500));
    assert_eq!((profile.timing.warm_up, profile.timing.samples), (Duration::from_millis(200), 40));
    let planned = profile.plan(&crate::harness::Choice::default(), |_| true).unwrap();
    let ids: Vec<String> = planned.iter().map(crate::harness::PlannedBenchmark::id).collect();
    assert_eq!(ids, ["handoff/futex/same-cpu", "brigade/thread/same-cpu/tasks=64,transport=socketpair,idle=poll"]);
    let default = crate::harness::Choice { idle: Some(Idle::Default), ..Default::default() };
    let overruled = profile.plan(&default, |id| id.starts_with("brigade")).unwrap();
    assert_eq!(overruled[0].id(), "brigade/thread/same-cpu/tasks=64,transport=socketpair");
}

#[test]
fn a_list_in_a_profile_is_measured_value_by_value() {
    let text = r#"
[[benchmarks]]
filter = "^switch_working_set/thread/"
placement = ["same-cpu"]
set = { tasks = [4, 8], touch = [0, 4096], access = "write" }
"#;
    let profile = Profile::parse(text, Path::new("p.toml")).unwrap();
    let planned = profile.plan(&crate::harness::Choice::default(), |_| true).unwrap();
    let behind = |id: String| id.rsplit('/').next().unwrap().to_string();
    let ids: Vec<String> = planned.iter().map(|planned| behind(planned.id())).collect();
    let of = |tasks: u32| [0, 4096].map(|touch| format!("access=write,tasks={tasks},touch={touch}"));
    assert_eq!(ids, [of(4), of(8)].concat());
}

#[test]
fn the_profile_in_the_documents_is_one() {
    let page = include_str!("../../../../docs/method/profiles.md");
    let example = page.split("```toml").nth(1).unwrap().split("```").next().unwrap();
    let profile = Profile::parse(example, Path::new("profiles.md")).unwrap();
    assert_eq!((profile.rounds, profile.selections.len()), (5, 2));
    let planned = profile.plan(&crate::harness::Choice::default(), |_| true).unwrap();
    assert!(planned.iter().any(|planned| planned.id().ends_with("/tasks=64")));
}

#[test]
fn a_wrong_profile_names_its_line() {
    let cases = [
        ("rounds = 0\n[[benchmarks]]", ":1: at least 1"),
        ("\nsamples = 5\n[[benchmarks]]", ":2: at least 10"),
        ("measure = \"soon\"\n[[benchmarks]]", ":1: `soon` is no time"),
        ("[[benchmarks]]\n\nfilter = \"(\"", ":3: `(` is no regular expression"),
        ("[[benchmarks]]\nplacement = [\"same-cpu\",\n\"here\"]", ":3: unknown variant `here`"),
        ("[[benchmarks]]\nidle = \"deep\"", ":2: unknown variant `deep`"),
        ("benchmarks = []", ":1: it names no [[benchmarks]]"),
        ("rounds = 3", ": missing field `benchmarks`"),
        ("[[benchmarks]]\ncolour = 3", ":2: unknown field `colour`"),
        ("[[benchmarks]]\nset = { tasks = [] }", ":1: tasks has no value"),
        ("[[benchmarks]]\nset = { tasks = 1.5 }", "a whole number, a word in quotes, or a list of either"),
        ("[[benchmarks]]\npolicy = \"fifo\"\nslice_us = 500", ":1: policy=fifo has no slice"),
        ("[[benchmarks]]\nslice_us = 5", ":1: slice_us=5: slice_us is a whole number from 100"),
        ("measure = \"10000000000000h\"\n[[benchmarks]]", ":1: "),
        ("measure = \"9000h\"\n[[benchmarks]]", ":1: no more than a year"),
        ("[[benchmarks]\n", ":1: "),
    ];
    for (text, expected) in cases {
        let error = Profile::parse(text, Path::new("p.toml")).unwrap_err().to_string();
        assert!(error.contains(expected) && error.starts_with("p.toml:") && !error.contains('\n'), "{text}: {error}");
    }
    let unknown = Profile::parse("\n[[benchmarks]]\nset = { stacks = 1 }", Path::new("p.toml")).unwrap();
    let error = unknown.plan(&crate::harness::Choice::default(), |_| true).unwrap_err().to_string();
    assert!(error.starts_with("p.toml:2: no mechanism has a parameter `stacks`"), "{error}");
}

#[test]
fn the_named_profiles_plan_what_they_say() {
    let quick = Profile::quick().plan(&crate::harness::Choice::default(), |_| true).unwrap();
    let mechanisms: BTreeSet<&str> = quick.iter().map(|planned| planned.mechanism().descriptor().id).collect();
    assert_eq!(mechanisms.len(), quick.len(), "one benchmark each");
    assert_eq!(mechanisms.len(), crate::mechanism::registry().len());
    let all = Profile::full().plan(&crate::harness::Choice::default(), |_| true).unwrap();
    assert!(all.iter().any(|planned| planned.setting().placement == Placement::OnePerCpu));
    assert!(all.len() > quick.len());
    let one_thread = Profile::named("one-thread", &[]).unwrap();
    let ids: Vec<_> = one_thread.plan(&crate::harness::Choice::default(), |_| true).unwrap();
    let ids: BTreeSet<String> = ids.iter().map(crate::harness::PlannedBenchmark::id).collect();
    // Each [[benchmarks]] adds what the ones before do not have.
    assert_eq!(ids.len(), 25, "{ids:#?}");
    for id in [
        "brigade/epoll/same-cpu/trigger=edge",
        "brigade/uring/same-cpu/files=registered,read=multishot,taskrun=defer",
        "brigade/uring_chain/same-cpu/link=unlinked,taskrun=defer",
    ] {
        assert!(ids.contains(id), "{id}");
    }
    let sweep = Profile::named("working-set", &[]).unwrap().plan(&crate::harness::Choice::default(), |_| true).unwrap();
    let ids: Vec<String> = sweep.iter().map(crate::harness::PlannedBenchmark::id).collect();
    for id in ["thread/same-cpu/tasks=96,touch=4194304", "process/same-llc", "touching/same-cpu/sets=every,touch=0"] {
        assert!(ids.contains(&format!("switch_working_set/{id}")), "{id}: {ids:?}");
    }
}

#[test]
fn every_entry_of_a_shipped_profile_names_something_and_sets_what_that_has() {
    for (name, _) in profile::EMBEDDED_PROFILES {
        let profile = Profile::named(name, &[]).unwrap();
        for selection in &profile.selections {
            let named = |id: &str| selection.filter.as_ref().is_none_or(|filter| filter.matches(id));
            let descriptors = crate::mechanism::registry().iter().map(|mechanism| mechanism.descriptor());
            let picked: Vec<_> = descriptors
                .filter(|descriptor| {
                    Placement::ALL.iter().any(|placement| named(&format!("{}/{placement}", descriptor.id)))
                })
                .collect();
            assert!(!picked.is_empty(), "{name}: {selection:?}");
            for (parameter, value) in &selection.choice.parameters {
                let parameters: Vec<_> = picked.iter().filter_map(|picked| picked.parameter(parameter)).collect();
                assert!(!parameters.is_empty(), "{name}: nothing that is named has {parameter}");
                assert!(
                    parameters.iter().all(|parameter| parameter.parse(value).is_ok()),
                    "{name}: {parameter}={value}"
                );
            }
        }
    }
}

#[test]
fn times_are_read_as_people_write_them() {
    let seconds = |text: &str| duration(text).map(|time| time.as_secs_f64());
    assert_eq!(seconds("10m"), Ok(600.0));
    assert_eq!(seconds("2.5s"), Ok(2.5));
    assert_eq!(seconds("50ms"), Ok(0.05));
    assert_eq!(seconds("1h30m"), Ok(5400.0));
    for wrong in ["10", "", "-5s", "0s", "soon"] {
        assert!(seconds(wrong).is_err(), "{wrong}");
    }
}

/// About how long the default profile may take in one round: `cargo bench` ends within twelve minutes of a fresh clone,
/// and the build takes most of them.
const BUDGET: Duration = Duration::from_secs(5 * 60);

/// And each of its groups.
const BUDGET_OF_A_GROUP: Duration = Duration::from_secs(90);

/// Rows of all its tables: the whole output of `cargo bench` has 150 lines.
const ROWS: usize = 70;

#[test]
fn every_group_is_in_the_default_profile_and_none_beyond_its_budget() {
    let profile = Profile::named(DEFAULT, &[]).unwrap();
    let planned = profile.plan(&crate::harness::Choice::default(), |_| true).unwrap();
    let one = profile.timing.of_a_benchmark();
    let take = |many: usize| one * u32::try_from(many).unwrap();
    assert!(take(planned.len()) <= BUDGET, "{} benchmarks", planned.len());
    for group in crate::mechanism::GROUPS {
        let many = planned.iter().filter(|planned| planned.group() == group.name).count();
        assert!(many > 0, "{}: what of it answers its question? src/harness/rounds/profiles/default.toml", group.name);
        assert!(take(many) <= BUDGET_OF_A_GROUP, "{}: {many} benchmarks", group.name);
    }
    let row = |planned: &crate::harness::PlannedBenchmark| {
        let id = planned.id();
        let mut parts = id.splitn(4, '/').map(String::from).collect::<Vec<_>>();
        parts.remove(2);
        parts
    };
    let rows: BTreeSet<Vec<String>> = planned.iter().map(row).collect();
    assert!(rows.len() <= ROWS, "{} rows", rows.len());
}

#[test]
fn the_first_placement_is_the_first_that_there_is() {
    let text = "[[benchmarks]]\nfilter = \"^handoff/pipe/\"\nplacement = [\"cross-node\", \"same-cpu\", \
                \"unpinned\"]\nfirst = true";
    let profile = Profile::parse(text, Path::new("p.toml")).unwrap();
    let planned = profile.plan(&crate::harness::Choice::default(), |_| true).unwrap();
    let found: Vec<Placement> = planned.iter().map(|planned| planned.setting().placement).collect();
    let ready = planned.iter().all(|planned| matches!(planned, crate::harness::PlannedBenchmark::Ready(_)));
    assert!(ready && (found == [Placement::SameCpu] || found == [Placement::CrossNode]), "{found:?}");
}
