//! Output that nobody takes, and terminals that can do little.

use std::fs::OpenOptions;
use std::process::{Command, Stdio};

use super::{PROGRAM, ShortRun, err, out, went_well};

const FULL: &str = "/dev/full";

fn full() -> Stdio {
    OpenOptions::new().write(true).open(FULL).unwrap().into()
}

/// A pipe whose reader has gone.
fn unread() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// How a run goes on is told to standard error, and the record is what counts.
#[test]
fn a_run_needs_nobody_to_read_its_progress() {
    for stderr in [full(), unread()] {
        let mut run = ShortRun::of("^handoff/(pipe|eventfd)/same-cpu");
        let output = run.command.stderr(stderr).output().unwrap();
        went_well(&output);
        assert_eq!(run.outcomes().len(), 2);
    }
    let mut run = ShortRun::of("^handoff/(pipe|eventfd)/same-cpu");
    let status = run.command.stdout(unread()).stderr(unread()).status().unwrap();
    assert!(status.success(), "{status}");
    assert_eq!(run.outcomes().len(), 2);
}

#[test]
fn a_reader_that_has_gone_has_seen_enough_and_a_full_disk_is_an_error() {
    let mut run = ShortRun::of("^handoff/pipe/same-cpu");
    went_well(&run.command.output().unwrap());
    let record = run.at.to_str().unwrap().to_owned();
    for verb in
        [&["list"][..], &["host"], &["limits", "--tasks", "1"], &["show", &record], &["report", &record], &["--help"]]
    {
        let output = Command::new(PROGRAM).args(verb).stdout(unread()).output().unwrap();
        went_well(&output);
        let output = Command::new(PROGRAM).args(verb).stdout(full()).output().unwrap();
        assert!(!err(&output).contains("panicked"), "{verb:?}: {}", err(&output));
        // Where help could not be printed there is nothing to say about it.
        if verb != ["--help"] {
            assert!(
                output.status.code() == Some(1) && err(&output).contains("No space left"),
                "{verb:?}: {}",
                err(&output)
            );
        }
    }
    let wrong = Command::new(PROGRAM).args(["list", "no-such-thing"]).stderr(full()).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2), "its status is what is left to tell");
}

/// A bench target, whose figures Criterion prints by itself.
#[test]
fn a_dumb_terminal_is_told_as_much_as_a_file() {
    let has_script = Command::new("script").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !has_script {
        return println!("not checked: script(1) is not installed");
    }
    for term in [Some("dumb"), None, Some("")] {
        let run = ShortRun::of("^handoff/(pipe|eventfd)/same-cpu");
        let words: Vec<String> = std::iter::once(run.command.get_program())
            .chain(run.command.get_args())
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        let mut script = Command::new("script");
        script.args(["-qec", &words.join(" "), "/dev/null"]).env_remove("TERM").stdin(Stdio::null());
        if let Some(term) = term {
            script.env("TERM", term);
        }
        let output = script.output().unwrap();
        let told = out(&output);
        assert!(output.status.success(), "{told}");
        assert!(told.contains("round 1/1, 1/2, ") && told.contains("round 1/1, 2/2, "), "TERM={term:?}: {told}");
    }
}
