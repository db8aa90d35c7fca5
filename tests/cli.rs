//! The command line, end to end: what it prints, and how it refuses.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use assert_cmd::Command;
use insta::assert_snapshot;
use serde_json::Value;
use switchcost::mechanism::registry;

/// What a command printed, and its status.
struct Ended {
    out: String,
    err: String,
    status: i32,
}

fn ran(arguments: &[&str]) -> Ended {
    finish(Command::new(env!("CARGO_BIN_EXE_switchcost")).args(arguments))
}

fn finish(command: &mut Command) -> Ended {
    let output = command.env_remove("SWITCHCOST_BENCH_OPTIONS").output().unwrap();
    Ended {
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
        status: output.status.code().unwrap(),
    }
}

/// The output of a command that must go well.
fn fine(arguments: &[&str]) -> String {
    let ran = ran(arguments);
    assert_eq!((ran.status, ran.err.as_str()), (0, ""), "{arguments:?}");
    ran.out
}

/// The one line of a command that must be refused.
fn refused(arguments: &[&str]) -> String {
    let ran = ran(arguments);
    assert_eq!(ran.status, 2, "{arguments:?}: {}", ran.err);
    assert!(ran.out.is_empty() && ran.err.lines().count() == 1, "{arguments:?}: {}{}", ran.out, ran.err);
    ran.err.trim_end().into()
}

#[test]
fn list_prints_the_registry() {
    let text = fine(&["list", "--details"]);
    let json = fine(&["list", "--json"]);
    let objects: Vec<Value> = json.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(objects.len(), registry().len());
    for (mechanism, object) in registry().iter().zip(&objects) {
        let descriptor = mechanism.descriptor();
        assert_eq!(object["id"], descriptor.id);
        assert!(text.contains(&format!("  {}\n      isolates   {}\n", descriptor.id, descriptor.isolates)));
        assert!(object["unsupported"].is_null() || object["unsupported"]["remedy"].is_string(), "{object}");
    }
}

/// A line for each mechanism, one for each group, and how to see the rest.
#[test]
fn list_has_a_line_for_each_mechanism() {
    let text = fine(&["list"]);
    let groups = switchcost::mechanism::GROUPS.len();
    assert_eq!(text.lines().count(), registry().len() + groups + 1, "{text}");
    for mechanism in registry() {
        let id = mechanism.descriptor().id;
        assert_eq!(text.lines().filter(|line| line.split_whitespace().next() == Some(id)).count(), 1, "{id}");
    }
    assert!(!text.contains("isolates   ") && fine(&["list", "^brigade/thread$"]).contains("isolates   "));
}

#[test]
fn list_takes_the_ids_of_benchmarks_too() {
    let of_mechanism = fine(&["list", "^brigade/thread$"]);
    assert_eq!(fine(&["list", "^brigade/thread/same-cpu$"]), of_mechanism);
    assert!(refused(&["list", "^brigade/one_thread/same-llc$"]).contains("no benchmark's id matches"));
}

#[test]
fn several_filters_name_more_and_an_exclusion_leaves_out() {
    let groups = |arguments: &[&str]| -> Vec<String> {
        let json = fine(&[&["list", "--json"], arguments].concat());
        let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_string();
        let mut groups: Vec<String> = json.lines().map(|line| id(line).split('/').next().unwrap().into()).collect();
        groups.sort();
        groups.dedup();
        groups
    };
    assert_eq!(groups(&["^file/", "^footprint/"]), ["file", "footprint"]);
    let all = groups(&[]);
    let rest: Vec<String> = all.iter().filter(|group| *group != "footprint").cloned().collect();
    assert!(rest.len() + 1 == all.len() && groups(&["--exclude", "footprint"]) == rest, "all but footprint: {all:?}");
    assert_eq!(groups(&["--exclude", "^[^f]", "--exclude", "^fo"]), ["fairness", "file"]);
}

#[test]
fn an_exclusion_that_leaves_nothing_is_told_with_the_filter() {
    for verb in ["list", "audit", "run"] {
        let told = refused(&[verb, "^handoff/pipe/", "--exclude", "pipe"]);
        let said = "no benchmark's id matches `^handoff/pipe/` and is left by --exclude `pipe`; ";
        assert!(told.contains(said), "{told}");
    }
    let sweep = refused(&["sweep", "--mechanism", "brigade/one_thread", "--tasks", "2", "--exclude", "tasks"]);
    assert!(sweep.ends_with("ids read brigade/thread/same-cpu") && sweep.contains("--exclude `tasks`"), "{sweep}");
    let runs = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/report/three-rounds");
    let runs = runs.to_str().unwrap();
    let compared = refused(&["compare", runs, runs, "--exclude", "."]);
    assert!(compared.ends_with("measured in both and that --exclude leaves"), "{compared}");
}

#[test]
fn list_tells_what_can_be_set() {
    let one = fine(&["list", "^brigade/one_thread$"]);
    // Everything but the last lines, which are this machine's.
    assert_snapshot!(one.split("      source").next().unwrap().trim_end(), @"
    brigade [hop]  What does it cost to pass a byte along a line of tasks?
      brigade/one_thread
          isolates   the input and output of a hop alone: one thread writes and reads every channel, and wakes no \
                     other task
          --set      tasks = 500, from 2 to 10000000  (tasks in the brigade, the driver included, and channels \
                     between them)
          --set      transport = pipe | socketpair  (the channels: pipe(2), or socketpair(2) of UNIX stream sockets \
                     as in the classic experiment)
          --set      bytes_in_flight = 1, from 1 to 64  (tokens under way at once, of `payload` bytes each; a lap \
                     ends when all of them have gone round)
          --set      payload = 1, from 1 to 65536  (bytes of a token, copied in and out of the kernel at every hop)
          --set      work = 0, from 0 to 100000000  (work of the program per hop, in dependent steps of one \
                     multiplication and one addition)
          --set      touch = 0, from 0 to 67108864  (bytes of memory of its own that a task reads and writes per hop, \
                     a word of every 64 bytes)
    ");
}

#[test]
fn host_prints_this_machine() {
    let text = fine(&["host"]);
    for fact in ["id ", "processor ", "topology ", "kernel ", "clock source ", "idle ", "load "] {
        assert!(text.lines().any(|line| line.starts_with(fact)), "no line on {fact}in\n{text}");
    }
    let json: Value = serde_json::from_str(&fine(&["host", "--json"])).unwrap();
    let id = json["id"].as_str().unwrap();
    assert!(id.len() == 16 && text.contains(id), "the id is the same from run to run");
    assert!(json["host"]["kernel"]["release"].is_string() && json["warnings"].is_array(), "{json}");
}

/// What an audit prints, when standard error tells of each that began and of nothing else.
fn audited(arguments: &[&str]) -> String {
    let ran = ran(arguments);
    assert_eq!(ran.status, 0, "{arguments:?}: {}", ran.err);
    let is_audited = |line: &&str| !line.contains("unsupported") && !line.starts_with(' ');
    let begun = ran.err.lines().filter(|line| line.contains(": audit of ")).count();
    assert_eq!(begun, ran.out.lines().filter(is_audited).count(), "{}{}", ran.out, ran.err);
    assert_eq!(begun, ran.err.lines().filter(|line| !line.contains("nothing was audited")).count(), "{}", ran.err);
    ran.out
}

#[test]
fn audit_checks_one_benchmark() {
    let text = audited(&["audit", "^handoff/eventfd/same-cpu", "--placement", "same-cpu"]);
    assert!(text.starts_with("handoff/eventfd/same-cpu "), "{text}");
    let few = ["audit", "^brigade/one_thread/same-cpu", "--set", "tasks=8", "--json"];
    let json: Value = serde_json::from_str(&audited(&few)).unwrap();
    assert_eq!(json["id"], "brigade/one_thread/same-cpu/tasks=8");
    assert_ne!(json["audit"]["checks"], Value::Array(Vec::new()));
    // On any machine at least one of these cannot be had, and is a line of JSON too.
    let across = ["audit", "^handoff/spin/", "--placement", "cross-llc,cross-node,smt-sibling", "--json"];
    let lines: Vec<Value> = audited(&across).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3);
    assert!(lines.iter().any(|line| line["unsupported"]["remedy"].is_string()), "{lines:?}");
}

/// The table's layout is the report's own test; here: it comes, in the right order, with what a reader must know.
#[test]
fn show_prints_a_record_again() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/record/schema-1");
    let text = fine(&["show", "--details", folder.to_str().unwrap()]);
    let at = |what: &str| text.find(what).unwrap_or_else(|| panic!("no `{what}` in\n{text}"));
    assert!(at("brigade: ") < at("one_thread") && at("one_thread") < at("DIFFERS"));
    assert!(text.lines().all(|line| line.contains(": ") || line.chars().count() <= 120), "{text}");
    for note in [
        "brigade/thread/same-cpu: audit: write: 2.0000 per op, expected exactly 1",
        "brigade/thread/cross-llc: unsupported: needs two CPUs for placement cross-llc; here: none among CPUs 0-7",
        "brigade/mio/same-cpu: FAILED",
        "LLC-load-misses: this processor has no such event",
    ] {
        at(note);
    }
    assert_eq!(text, fine(&["show", "--details", folder.join("records.jsonl").to_str().unwrap()]));
}

#[test]
fn show_prints_a_row_for_each_mechanism_and_nothing_of_the_details() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/record/schema-1");
    let text = fine(&["show", folder.to_str().unwrap()]);
    assert!(text.starts_with("brigade, per hop ") && text.contains("What this machine says"), "{text}");
    assert_eq!(text.lines().filter(|line| line.starts_with("  one_thread ")).count(), 1, "{text}");
    for detail in ["× base", "not counted", "syscalls"] {
        assert!(!text.contains(detail), "`{detail}` in\n{text}");
    }
}

#[test]
fn unknown_words_are_told_with_those_that_there_are() {
    assert_snapshot!(refused(&["list", "brigadier"]), @"switchcost: no benchmark's id matches `brigadier`; \
                                                        `switchcost list` prints the mechanisms, ids read \
                                                        brigade/thread/same-cpu");
    assert_snapshot!(refused(&["audit", "nothing/like/this"]), @"switchcost: no benchmark's id matches \
        `nothing/like/this`; `switchcost list` prints the mechanisms, ids read brigade/thread/same-cpu");
    assert_snapshot!(refused(&["audit", "brigade/(thread"]), @"switchcost: `brigade/(thread` is no regular \
        expression: unclosed group");
    assert_snapshot!(refused(&["audit", "--placement", "same_cpu"]), @"switchcost: no placement is called `same_cpu`; \
        there are unpinned, same-cpu, smt-sibling, same-llc, cross-llc, cross-node, cross-kind, one-per-cpu");
    assert_snapshot!(refused(&["audit", "--idle", "busy"]), @"switchcost: idle is `default`, `poll` or `spinner`, not \
        `busy`");
    assert_snapshot!(refused(&["audit", "--set", "idle=busy"]), @"switchcost: idle is `default`, `poll` or `spinner`, \
        not `busy`");
    let parameter = refused(&["audit", "--set", "task=8"]);
    assert!(parameter.starts_with("switchcost: no mechanism has a parameter `task`; there are "), "{parameter}");
    assert!(parameter.contains("tasks") && parameter.contains("transport"), "{parameter}");
}

#[test]
fn values_out_of_range_are_told_with_the_range() {
    assert_snapshot!(refused(&["audit", "--set", "tasks=1"]), @"switchcost: tasks=1: tasks is a whole number from 2 \
        to 100000");
    assert_snapshot!(refused(&["audit", "--set", "tasks=1e3"]), @"switchcost: tasks=1e3: tasks is a whole number from \
        2 to 100000");
    assert_snapshot!(refused(&["audit", "--set", "tasks=99999999999999999999"]), @"switchcost: \
        tasks=99999999999999999999: tasks is a whole number from 2 to 100000");
    assert_snapshot!(refused(&["audit", "--set", "transport=fifo"]), @"switchcost: transport=fifo: transport is one \
        of pipe, socketpair");
    assert_snapshot!(refused(&["audit", "--set", "tasks"]), @"switchcost: `tasks` sets nothing: write --set \
        NAME=VALUE, such as --set tasks=64");
}

#[test]
fn more_tasks_than_the_limits_allow_are_told_with_limit_and_remedy() {
    let mut shell = Command::new("sh");
    let script = r#"ulimit -n 256; exec "$0" audit '^brigade/one_thread/same-cpu' --set tasks=1000000"#;
    let ran = finish(shell.args(["-c", script, env!("CARGO_BIN_EXE_switchcost")]));
    assert_eq!((ran.status, ran.out.as_str()), (2, ""), "{}", ran.err);
    let told = ran.err.trim_end();
    let needs = "switchcost: brigade/one_thread/same-cpu/tasks=1000000 needs more than this machine allows: ";
    assert!(told.starts_with(needs), "{told}");
    assert!(told.contains(" is 256 (read from /proc/self/limits) and 40000"), "{told}");
    assert!(told.ends_with(" All limits: switchcost limits --tasks 1000000 --mechanism brigade/one_thread"), "{told}");
    assert_eq!(told.lines().count(), 1);
}

#[test]
fn usage_that_clap_knows_is_its_own() {
    for arguments in [&["lst"][..], &["list", "--jsn"], &["show"]] {
        assert!(refused(arguments).contains("--help` shows what there is"), "{arguments:?}");
    }
    let nothing = ran(&[]);
    assert_eq!(nothing.status, 2);
    assert!(nothing.err.contains("Usage: switchcost"), "{}", nothing.err);
    assert!(fine(&["--help"]).contains("2 bad usage"));
    assert!(fine(&["--version"]).starts_with("switchcost "));
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let script = r#""$0" list | head -n 1"#;
    let ran = finish(Command::new("sh").args(["-c", script, env!("CARGO_BIN_EXE_switchcost")]));
    assert_eq!((ran.status, ran.err.as_str()), (0, ""));
    assert_eq!(ran.out.lines().count(), 1);
}

#[test]
fn a_wrong_command_line_is_told_in_one_line_that_names_the_help() {
    for (arguments, said) in [
        (&["run", "--rounds", "0"][..], "0 is not in 1..=10000; `switchcost run --help`"),
        (&["frob"], "unrecognized subcommand 'frob'; `switchcost --help`"),
        (&["show"], "required arguments were not provided"),
        (&["limits", "--tasks", "x"], "invalid value 'x'"),
        (&["limits", "--tasks", "0"], "0 is not in 1.."),
        (&["limits", "--tasks", "5", "--connections", "0"], "0 is not in 1.."),
        (&["sweep", "--measure", "20000h"], "no more than a year"),
        (&["sweep", "--resume", "run", "--dry-run"], "cannot be used with"),
    ] {
        let told = refused(arguments);
        assert!(told.contains(said), "{told}");
    }
}

#[test]
fn choices_that_leave_nothing_or_do_nothing_are_refused() {
    for (arguments, said) in [
        (&["audit", "brigade/one_thread", "--placement", "same-llc"][..], "none of them has placement same-llc"),
        (&["run", "syscall/getppid", "--set", "tasks=5"], "has a parameter `tasks`"),
        (&["audit", "syscall/getppid", "--set", "tasks=5"], "has a parameter `tasks`"),
    ] {
        let told = refused(arguments);
        assert!(told.contains(said), "{told}");
    }
}
