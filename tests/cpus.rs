//! `--cpus`, end to end: from the command line through the child processes of rounds and audits into the record.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;
use switchcost::record::read;
use switchcost::sys::affinity::{confine_current_thread, granted_cpus};
use switchcost::units::CpuId;

const FILTER: &str = "^handoff/(futex|pipe)/";

/// `switchcost` with these arguments, whose mask is CPU 0 alone where `narrowed` is true.
fn ran(arguments: &[&str], narrowed: bool) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchcost"));
    command.args(arguments);
    // A child process has the mask of the thread that starts it.
    let parent = std::thread::spawn(move || {
        if narrowed {
            confine_current_thread(&[CpuId(0)]).unwrap();
        }
        command.output().unwrap()
    });
    parent.join().unwrap()
}

fn refused(arguments: &[&str]) -> String {
    let output = ran(arguments, false);
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!((output.status.code(), told.lines().count()), (Some(2), 1), "{arguments:?}: {told}");
    told
}

/// Short rounds into `folder`.
fn run<'a>(folder: &'a Path, cpus: &'a str) -> Vec<&'a str> {
    let out = folder.to_str().unwrap();
    let short = ["--rounds", "1", "--samples", "10", "--measure", "20ms", "--warm-up", "5ms", "--no-counters"];
    [&["run", FILTER, "--cpus", cpus, "--out", out][..], &short].concat()
}

/// The placements in the record of `folder`, each with its CPUs; every benchmark was measured and its audit agrees.
fn measured(folder: &Path) -> Vec<(String, Vec<CpuId>)> {
    let record = read(folder).unwrap();
    let mut seen: Vec<_> = record
        .benchmarks
        .iter()
        .map(|line| {
            let switchcost::record::Outcome::Measured(measured) = &line.outcome else { panic!("{line:?}") };
            assert_ne!(measured.audit.verdict(), "DIFFERS", "{line:?}");
            (line.setting.placement.to_string(), line.setting.cpus.clone())
        })
        .collect();
    seen.sort();
    seen.dedup();
    seen
}

/// Whether this machine grants CPUs 0 and 1, which the tests below choose.
fn has_two() -> bool {
    let two = [CpuId(0), CpuId(1)];
    let granted = granted_cpus(&two).unwrap() == two;
    if !granted {
        println!("not checked: CPUs 0 and 1 are not both granted here");
    }
    granted
}

#[test]
fn one_cpu_offers_no_placement_that_tells_cpus_apart() {
    if granted_cpus(&[CpuId(0)]).unwrap().is_empty() {
        return println!("not checked: CPU 0 is not granted here");
    }
    let folder = tempfile::tempdir().unwrap();
    let output = ran(&run(&folder.path().join("run"), "0"), false);
    assert!(output.status.success(), "{output:?}");
    let only = vec![CpuId(0)];
    assert_eq!(measured(&folder.path().join("run")), [("same-cpu".into(), only.clone()), ("unpinned".into(), only)]);
    let across = ["audit", "^handoff/pipe/", "--cpus", "0", "--placement", "same-llc"];
    let told = String::from_utf8(ran(&across, false).stdout).unwrap();
    assert!(told.contains("needs two CPUs for placement same-llc") && told.contains("--cpus"), "{told}");
    let named = refused(&["audit", "^handoff/pipe/cross-node", "--cpus", "0"]);
    assert!(named.contains("there is no such placement among CPUs 0 (--cpus)"), "{named}");
}

#[test]
fn a_cpu_that_the_mask_leaves_out_is_used_when_the_kernel_grants_it() {
    if !has_two() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("run");
    let output = ran(&run(&at, "1"), true);
    assert!(output.status.success(), "{output:?}");
    let other = vec![CpuId(1)];
    assert_eq!(measured(&at), [("same-cpu".into(), other.clone()), ("unpinned".into(), other)]);
    let plan: Value = serde_json::from_str(&std::fs::read_to_string(at.join("plan.json")).unwrap()).unwrap();
    assert!(plan["argv"].as_array().unwrap().contains(&"--cpus".into()), "{plan}");
    // The same mask, and nothing chosen: CPU 0.
    let audited = ran(&["audit", "^handoff/pipe/same-cpu", "--cpus", "1", "--json"], true);
    assert!(audited.status.success(), "{audited:?}");
    let json: Value = serde_json::from_slice(&audited.stdout).unwrap();
    assert_ne!(json["audit"]["checks"], Value::Array(Vec::new()), "{json}");
}

#[test]
fn both_cpus_allow_the_placements_that_lie_among_them() {
    if !has_two() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("run");
    assert!(ran(&run(&at, "0-1"), true).status.success());
    let seen = measured(&at);
    let both = vec![CpuId(0), CpuId(1)];
    assert!(seen.contains(&("same-cpu".into(), vec![CpuId(0)])), "{seen:?}");
    assert!(seen.contains(&("unpinned".into(), both.clone())), "{seen:?}");
    let across = seen.iter().filter(|(placement, cpus)| placement != "unpinned" && *cpus == both);
    assert_eq!(across.count(), 1, "two CPUs lie to each other in one way: {seen:?}");
}

#[test]
fn a_paired_comparison_of_two_cpus_says_which() {
    if !has_two() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("pair");
    let short = ["--rounds", "1", "--samples", "10", "--measure", "20ms", "--warm-up", "5ms", "--no-audit"];
    let what = ["compare", "--paired", "--a", "cpus=0", "--b", "cpus=1", "^handoff/pipe/same-cpu", "--no-counters"];
    let output = ran(&[&what[..], &["--out", at.to_str().unwrap()], &short].concat(), false);
    let told = String::from_utf8(output.stdout).unwrap();
    let line = told.lines().find(|line| line.contains("CPUs used"));
    assert!(line.is_some_and(|line| line.contains("same-cpu")), "{told}");
    let cpus = |side: &str| read(&at.join(side)).unwrap().benchmarks[0].setting.cpus.clone();
    assert_eq!((cpus("a"), cpus("b")), (vec![CpuId(0)], vec![CpuId(1)]));
}

#[test]
fn what_cannot_be_used_is_one_line() {
    for verb in [&["run"][..], &["sweep"], &["audit"], &["matrix"], &["compare", "--paired"]] {
        let absent = refused(&[verb, &["--cpus", "0,1023"]].concat());
        assert!(absent.contains("CPU 1023 cannot be used: this machine has no such CPU; name some of"), "{absent}");
        let no_list = refused(&[verb, &["--cpus", "x"]].concat());
        assert!(no_list.contains("`x` is no list of CPUs, such as 0-3,8"), "{no_list}");
    }
    let with_resume = refused(&["run", "--resume", "nowhere", "--cpus", "0"]);
    assert!(with_resume.contains("leave out all others"), "{with_resume}");
}

#[test]
fn a_run_whose_cpus_are_gone_is_not_resumed() {
    if granted_cpus(&[CpuId(0)]).unwrap().is_empty() {
        return println!("not checked: CPU 0 is not granted here");
    }
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path().join("run");
    assert!(ran(&run(&at, "0"), false).status.success());
    let plan = std::fs::read_to_string(at.join("plan.json")).unwrap();
    let mut plan: Value = serde_json::from_str(&plan).unwrap();
    let named = ["chosen", "spec"].into_iter().find(|name| plan["entries"][0].get(name).is_some()).unwrap();
    let cpus = plan["entries"][0].pointer_mut(&format!("/{named}")).unwrap();
    let setting = if cpus.get("setting").is_some() { &mut cpus["setting"] } else { cpus };
    setting["cpus"] = serde_json::json!([0, 1023]);
    std::fs::write(at.join("plan.json"), plan.to_string()).unwrap();
    let told = refused(&["run", "--resume", at.to_str().unwrap()]);
    assert!(told.contains("CPU 1023 cannot be used: this machine has no such CPU"), "{told}");
}
