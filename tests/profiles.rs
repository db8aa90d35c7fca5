//! Every profile can be run whole: of each a share of the benchmarks is set up and taken down, those together that set
//! everything that the profile sets. `tests/conformance.rs` does more with each mechanism, but with small parameters,
//! one of them changed at a time; a profile combines them, and takes their true sizes.
#![allow(clippy::unwrap_used)]

mod own_process;
mod patience;

use std::collections::BTreeSet;

use patience::timeout;
use switchcost::crew::Failure;
use switchcost::harness::rounds::{Profile, ProfileError};
use switchcost::harness::{Benchmark, Choice, PlannedBenchmark};

/// Benchmarks of a profile, at most.
const SHARE: usize = 16;

/// What a benchmark brings that may not have been set up before: its mechanism, its placement, and each value that is
/// not the default.
fn brings(benchmark: &Benchmark) -> impl Iterator<Item = String> {
    let descriptor = benchmark.descriptor();
    let set = benchmark.setting.parameters.differing_from_defaults(descriptor.parameters);
    let set = set.split(',').filter(|set| !set.is_empty()).map(|set| format!("{}: {set}", descriptor.group()));
    let setting = [descriptor.id.to_string(), benchmark.setting.placement.to_string()];
    setting.into_iter().chain(set.collect::<Vec<_>>())
}

/// Those that bring anything new, thinned out evenly where they are many.
fn share(benchmarks: Vec<Benchmark>) -> Vec<Benchmark> {
    let mut known = BTreeSet::new();
    let new: Vec<Benchmark> =
        benchmarks.into_iter().filter(|one| brings(one).filter(|it| known.insert(it.clone())).count() > 0).collect();
    let many = new.len();
    let taken = |index: usize| many <= SHARE || (index * SHARE) / many != ((index + 1) * SHARE) / many;
    new.into_iter().enumerate().filter(|(index, _)| taken(*index)).map(|(_, one)| one).collect()
}

fn planned(profile: &str) -> Vec<Benchmark> {
    let all = match Profile::named(profile, &[]).unwrap().plan(&Choice::default(), |_| true) {
        Ok(all) => all,
        Err(ProfileError::Line { reason, .. }) if reason.contains("needs more than this machine allows") => {
            println!("{profile}: not checked: {reason}");
            return Vec::new();
        }
        Err(error) => panic!("{profile}: {error}"),
    };
    let ready = all.into_iter().filter_map(|planned| match planned {
        PlannedBenchmark::Ready(benchmark) => Some(benchmark),
        PlannedBenchmark::Unsupported { .. } => None,
    });
    ready.collect()
}

#[test]
fn a_share_of_every_profile_is_set_up() {
    own_process::run("shares_are_set_up");
}

#[test]
#[ignore = "a_share_of_every_profile_is_set_up runs it"]
fn shares_are_set_up() {
    let mut failed = Vec::new();
    for profile in Profile::names().split(", ") {
        let all = planned(profile);
        let share = share(all.clone());
        println!("{profile}: {} of {} benchmarks", share.len(), all.len());
        for benchmark in &share {
            match benchmark.start_within(timeout()).and_then(|driver| driver.stop()) {
                Ok(()) => {}
                Err(Failure::Unsupported(reason)) => println!("{profile}: {}: unsupported: {reason}", benchmark.id()),
                Err(failure) => failed.push(format!("{profile}: {}: {failure}", benchmark.id())),
            }
        }
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_share_has_every_flag_of_the_profile_of_one_thread() {
    let all = planned("one-thread");
    let share = share(all.clone());
    let flags = |benchmarks: &[Benchmark]| benchmarks.iter().flat_map(brings).collect::<BTreeSet<String>>();
    assert_eq!(flags(&share), flags(&all));
    assert!(share.iter().any(|one| one.id() == "brigade/uring/same-cpu/sqpoll=on"), "{share:?}");
}
