//! What a process inherits, and what its files are called.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::process::{Command, Stdio};

use super::{PROGRAM, SHORT, ShortRun, err, outcomes, went_well};

/// A shell that sets up what `command` inherits.
fn shell(set_up: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(set_up).arg("sh").arg(command.get_program()).args(command.get_args());
    shell
}

const PROCESSES: &str = "^(handoff/(process_pipe|pipe)|creation/fork)/same-cpu";

fn all_measured(run: &ShortRun, expected: usize) {
    let outcomes = run.outcomes();
    assert!(outcomes.len() == expected && outcomes.iter().all(|(_, reason)| reason.is_none()), "{outcomes:?}");
}

/// A supervisor that does not want to reap ignores SIGCHLD; one that waits for its signals has them blocked.
#[test]
fn a_parent_that_ignores_or_blocks_signals_is_no_obstacle() {
    let run = ShortRun::of(PROCESSES);
    went_well(&shell("trap '' CHLD PIPE; exec \"$@\"", &run.command).output().unwrap());
    all_measured(&run, 3);
    let run = ShortRun::of(PROCESSES);
    let all = "env --block-signal --ignore-signal=CHLD \"$@\"";
    if !Command::new("env").args(["--block-signal", "true"]).status().is_ok_and(|status| status.success()) {
        return println!("not checked: this env(1) blocks no signals");
    }
    went_well(&shell(all, &run.command).output().unwrap());
    all_measured(&run, 3);
}

#[test]
fn descriptors_0_to_2_may_be_closed() {
    let run = ShortRun::of(PROCESSES);
    let output = shell("exec \"$@\" <&- >&- 2>&-", &run.command).output().unwrap();
    went_well(&output);
    all_measured(&run, 3);
}

#[test]
fn a_folder_may_have_any_name() {
    let folder = tempfile::tempdir().unwrap();
    for name in [&b"o\xff"[..], b"\xc3(", b"a \"b\\\n"] {
        let at = folder.path().join(OsStr::from_bytes(name));
        let mut command = Command::new(PROGRAM);
        command.args(["run", "^handoff/pipe/same-cpu", "--no-counters", "--out"]).arg(&at).args(SHORT);
        let output = command.output().unwrap();
        went_well(&output);
        assert_eq!(outcomes(&at).len(), 1);
        for verb in ["show", "report"] {
            went_well(&Command::new(PROGRAM).arg(verb).arg(&at).output().unwrap());
        }
        // A run goes on in it, too.
        went_well(&Command::new(PROGRAM).args(["run", "--resume"]).arg(&at).output().unwrap());
    }
    let wrong = Command::new(PROGRAM).arg("list").arg(OsStr::from_bytes(b"\xff")).output().unwrap();
    let told = err(&wrong);
    assert!(wrong.status.code() == Some(2) && told.lines().count() == 1, "{told}");
}

/// The program's own name is in its arguments, in /proc and in its record.
#[test]
fn the_program_may_have_any_name() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join(OsStr::from_bytes(b"sw\xff)( "));
    std::os::unix::fs::symlink(PROGRAM, &program).unwrap();
    let at = folder.path().join("run");
    let mut command = Command::new(&program);
    command.args(["run", "^handoff/(pipe|process_pipe)/same-cpu", "--out"]).arg(&at).args(SHORT);
    went_well(&command.output().unwrap());
    assert!(outcomes(&at).iter().all(|(_, reason)| reason.is_none()));
}

/// Both are begun before either has a folder.
#[test]
fn two_runs_begun_in_one_second_are_two_runs() {
    let tree = tempfile::tempdir().unwrap();
    let begin = || {
        let mut command = Command::new(PROGRAM);
        command.args(["run", "^handoff/pipe/same-cpu", "--no-counters", "--no-audit"]).args(SHORT);
        command.env("CARGO_TARGET_DIR", tree.path()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both: Vec<_> = (0..2).map(|_| begin()).collect();
    both.into_iter().for_each(|run| went_well(&run.wait_with_output().unwrap()));
    let runs: Vec<_> = std::fs::read_dir(tree.path().join("switchcost")).unwrap().flatten().collect();
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert!(runs.iter().all(|run| outcomes(&run.path()).len() == 1));
}

/// In one folder that is named, one of them finds the other's.
#[test]
fn two_runs_begun_in_one_folder_do_not_mix() {
    let tree = tempfile::tempdir().unwrap();
    let at = tree.path().join("run");
    let begin = || {
        let mut command = Command::new(PROGRAM);
        command.args(["run", "^handoff/pipe/same-cpu", "--no-counters", "--no-audit", "--out"]).arg(&at).args(SHORT);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let both: Vec<_> = (0..2).map(|_| begin()).collect();
    let ended: Vec<_> = both.into_iter().map(|run| run.wait_with_output().unwrap()).collect();
    let (well, refused): (Vec<_>, Vec<_>) = ended.iter().partition(|output| output.status.success());
    assert_eq!((well.len(), refused.len()), (1, 1), "{ended:?}");
    let told = err(refused[0]);
    assert!(told.contains("a run is there already") || told.contains("another switchcost is measuring"), "{told}");
    assert_eq!(outcomes(&at).len(), 1);
}

#[test]
fn what_has_moved_is_named_when_a_run_goes_on() {
    let run = ShortRun::of("^handoff/pipe/same-cpu");
    let mut command = run.command;
    went_well(&command.output().unwrap());
    let record = run.at.join("records.jsonl");
    let text = std::fs::read_to_string(&record).unwrap();
    let mut lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (pointer, then, needles) in [
        (
            "/host/host/power/governors",
            serde_json::json!(["powersave"]),
            ["power.governors was powersave and is ", "set that back"],
        ),
        (
            "/host/host/kernel/release",
            serde_json::json!("2.6.32"),
            ["kernel.release was 2.6.32 and is ", "set that back"],
        ),
    ] {
        let before = lines[0].clone();
        *lines[0].pointer_mut(pointer).unwrap() = then;
        // A record of that machine in that state.
        let host: switchcost::terms::Host = serde_json::from_value(lines[0]["host"]["host"].clone()).unwrap();
        lines[0]["host"]["id"] = host.id().into();
        let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&record, text).unwrap();
        let output = Command::new(PROGRAM).args(["run", "--resume"]).arg(&run.at).output().unwrap();
        let told = err(&output);
        assert!(output.status.code() == Some(2) && told.lines().count() == 1, "{told}");
        assert!(needles.iter().all(|needle| told.contains(needle)), "{told}");
        lines[0] = before;
    }
}
