//! `switchcost advise` as a user runs it: records, commands that are passed through, and wrong command lines.
#![allow(clippy::unwrap_used)]

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

fn fixture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/advice")
}

fn advise(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchcost"));
    command.arg("advise").args(arguments);
    command
}

/// What a command printed, and its status.
fn ended(mut command: Command) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

/// The fixture with some of its text changed, in a folder of its own.
fn changed(from: &str, to: &str) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(fixture().join("advice.json")).unwrap();
    assert!(text.contains(from), "{from}");
    std::fs::write(folder.path().join("advice.json"), text.replace(from, to)).unwrap();
    folder
}

#[test]
fn a_record_gives_the_same_advice_again() {
    let path = fixture();
    let from = |more: &[&str]| {
        let arguments = [&["--from", path.to_str().unwrap()], more].concat();
        let (status, out, err) = ended(advise(&arguments));
        assert_eq!((status, err.as_str()), (Some(0), ""), "{out}");
        out
    };
    let (first, second) = (from(&["--json"]), from(&["--json"]));
    assert_eq!(first, second);
    let advice: Value = serde_json::from_str(&first).unwrap();
    assert_eq!((&advice["verdict"], &advice["target"]), (&"yes".into(), &"epoll".into()));
    assert_eq!(advice["pid"], 4242);
    let best = &advice["targets"][0];
    for figure in ["saving", "share", "predicted", "per_switch"] {
        assert!(best[figure]["low"].as_f64() < best[figure]["high"].as_f64(), "{figure}: {best}");
    }
    assert_eq!(best["curve"].as_array().unwrap().len(), 4);
    assert_eq!(advice["evidence"].as_array().unwrap().len(), 3);
    let text = from(&[]);
    assert!(text.starts_with("YES: epoll would save"), "{text}");
    // Of one kind of loop alone.
    let tokio = from(&["--target", "tokio"]);
    assert!(tokio.starts_with("YES: tokio would save") && !tokio.contains("io_uring"), "{tokio}");
}

#[test]
fn a_report_of_the_record_has_its_page_and_pictures() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("page");
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchcost"));
    command.arg("report").arg(fixture()).arg("--out").arg(&out);
    let (status, told, err) = ended(command);
    assert_eq!((status, err.as_str()), (Some(0), ""));
    assert!(told.trim_end().ends_with("index.html"), "{told}");
    for file in ["index.html", "advice.txt", "figures/cpu-against-load.svg", "data/depth.csv"] {
        assert!(out.join(file).is_file(), "{file}");
    }
    let run = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/record/schema-2");
    let mut command = Command::new(env!("CARGO_BIN_EXE_switchcost"));
    command.arg("report").arg(run).arg(fixture()).arg("--out").arg(&out);
    let (status, _, err) = ended(command);
    assert!(status == Some(2) && err.contains("report it alone"), "{err}");
}

#[test]
fn the_status_and_the_output_of_a_command_are_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let run = |line: &str| ended(advise(&["--watch-only", "--out", out, "--", "sh", "-c", line]));
    let (status, printed, told) = run("echo mine; exit 7");
    assert_eq!((status, printed.as_str()), (Some(7), "mine\n"), "{told}");
    assert!(told.contains("NO VERDICT: it was watched for too short a time"), "{told}");
    let record: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("advice.json")).unwrap()).unwrap();
    assert_eq!(record["schema"], 1);
    let (status, ..) = run("kill -KILL $$");
    assert_eq!(status, Some(137));
    let (status, _, told) = ended(advise(&["--watch-only", "--out", out, "--", "no-such-program-anywhere"]));
    assert!(status == Some(127) && told.contains("no-such-program-anywhere"), "{told}");
}

#[test]
fn signals_reach_the_command() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let line = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.02; done";
    let mut command = advise(&["--watch-only", "--out", out, "--", "sh", "-c", line]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut ready).unwrap();
    assert_eq!(ready, "ready\n");
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), Signal::SIGTERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(9));
}

#[test]
fn an_idle_process_is_told_no_and_its_record_gives_the_same() {
    let mut idle = Command::new("sleep").arg("600").spawn().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let pid = idle.id().to_string();
    let live = ended(advise(&["--pid", &pid, "--for", "700ms", "--watch-only", "--json", "--out", out]));
    idle.kill().unwrap();
    idle.wait().unwrap();
    assert_eq!((live.0, live.2.as_str()), (Some(0), ""), "{}", live.1);
    let advice: Value = serde_json::from_str(&live.1).unwrap();
    assert_eq!((&advice["verdict"], &advice["reason"]), (&"no".into(), &"idle".into()));
    assert_eq!(ended(advise(&["--from", out, "--json"])).1, live.1);
    // It needs no calibration under its load; the reference is measured and kept.
    let (status, _, err) = ended(advise(&["--from", out, "--calibrate", "--calibrate-for", "1s", "--json"]));
    assert_eq!((status, err.as_str()), (Some(0), ""));
    let record: Value =
        serde_json::from_str(&std::fs::read_to_string(folder.path().join("advice.json")).unwrap()).unwrap();
    assert_eq!(record["calibrations"].as_array().unwrap().len(), 1);
    assert_eq!(record["calibrations"][0]["time"], "before");
}

#[test]
fn wrong_command_lines_are_refused_in_a_line_that_helps() {
    let (torn, other) = (changed("\"calibrations\"", "\"calibra"), changed("\"schema\": 1", "\"schema\": 7"));
    let unknown = changed("\"one-descriptor\"", "\"two-descriptors\"");
    let (torn, other) = (torn.path().to_str().unwrap().to_string(), other.path().to_str().unwrap().to_string());
    let unknown = unknown.path().to_str().unwrap().to_string();
    let own = std::process::id().to_string();
    let cases: &[(&[&str], &str)] = &[
        (&[], "give --pid PID"),
        (&["--pid", "4194999"], "no process 4194999"),
        (&["--pid", "0"], "no process 0"),
        (&["--pid", &own, "--", "true"], "cannot be used with"),
        (&["--pid", &own, "--for", "soon"], "is no time"),
        (&["--pid", &own, "--target", "kqueue"], "epoll"),
        (&["--pid", &own, "--requests-from", "soon"], "cmd:COMMAND"),
        (&["--pid", &own, "--calibrate-cpus", "x"], "is no list of CPUs"),
        (&["--calibrate"], "--from"),
        (&["--from", "/nowhere"], "No such file"),
        (&["--from", &torn], "not a switchcost record"),
        (&["--from", &other], "schema 7 of an advice"),
        (&["--from", &unknown], "two-descriptors"),
    ];
    for (arguments, remedy) in cases {
        let (status, out, err) = ended(advise(arguments));
        assert_eq!((status, out.as_str(), err.lines().count()), (Some(2), "", 1), "{arguments:?}: {err}");
        assert!(err.contains(remedy), "{arguments:?}: {err}");
    }
}
