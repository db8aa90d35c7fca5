//! `switchcost export`, end to end: what a database or a spreadsheet reads is what the record says.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::process::Command;

use tempfile::tempdir;

const RUN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/report/three-rounds");

fn export(arguments: &[&str]) -> (i32, String, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_switchcost")).arg("export").args(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// What `sqlite3` answers; `None` where it is not installed.
fn asked(database: &Path, question: &str) -> Option<String> {
    let output = Command::new("sqlite3").arg("-batch").arg(database).arg(question).output().ok()?;
    assert!(output.status.success(), "{question}: {}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn a_database_holds_every_line_and_sample_of_the_record() {
    let folder = tempdir().unwrap();
    let file = folder.path().join("all.db");
    let (status, _, told) = export(&["--sqlite", name(&file), RUN]);
    if status == 2 && told.contains("needs the program `sqlite3`") {
        assert!(!file.exists() && told.contains("--sql FILE"), "{told}");
        println!("not checked: sqlite3 is not installed");
        return;
    }
    assert_eq!((status, told.as_str()), (0, ""));
    let run = switchcost::record::read(Path::new(RUN)).unwrap();
    let (mut samples, mut ops, mut amount) = (0, 0, 0);
    for line in &run.benchmarks {
        let switchcost::record::Outcome::Measured(measured) = &line.outcome else { continue };
        samples += measured.samples.len();
        ops += measured.samples.iter().map(|sample| sample.ops.0).sum::<u64>();
        amount += measured.samples.iter().map(|sample| sample.amount.0).sum::<u64>();
    }
    let answer = asked(&file, "SELECT count(*), sum(ops), sum(amount) FROM samples WHERE kind = 'bare'").unwrap();
    assert_eq!(answer.trim(), format!("{samples}|{ops}|{amount}"));
    let answer = asked(&file, "SELECT count(*), count(DISTINCT line) FROM rounds").unwrap();
    let lines = run.benchmarks.len();
    assert_eq!(answer.trim(), format!("{lines}|{lines}"));
    let answer = asked(&file, "SELECT sum(abs(per_op - 1.0 * amount / ops)) FROM sample_values").unwrap();
    assert!(answer.trim().parse::<f64>().unwrap() < 1e-6, "{answer}");

    // What is there stays, and nothing is left beside it.
    let before = std::fs::read(&file).unwrap();
    let (status, _, told) = export(&["--sqlite", name(&file), RUN]);
    assert_eq!((status, told.lines().count()), (2, 1), "{told}");
    assert!(told.contains("already exists"), "{told}");
    assert_eq!(std::fs::read(&file).unwrap(), before);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn csv_is_a_file_for_each_table_or_one_of_rounds() {
    let folder = tempdir().unwrap();
    let tables = folder.path().join("tables");
    assert_eq!(export(&["--csv", name(&tables), RUN]).0, 0);
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    assert_eq!(std::fs::read_dir(&tables).unwrap().count(), 8);
    let run = switchcost::record::read(Path::new(RUN)).unwrap();
    let rounds = read(&tables.join("rounds.csv"));
    assert_eq!(rounds.lines().count(), run.benchmarks.len() + 1);
    assert!(rounds.starts_with("run,line,host_id,"), "{rounds}");
    let single = folder.path().join("single.csv");
    assert_eq!(export(&["--csv", name(&single), RUN]).0, 0);
    assert_eq!(read(&single), rounds);

    for (target, word) in [(&tables, "not empty"), (&single, "already exists")] {
        let (status, _, told) = export(&["--csv", name(target), RUN]);
        assert_eq!((status, told.lines().count()), (2, 1), "{told}");
        assert!(told.contains(word), "{told}");
    }
}

#[test]
fn sql_is_one_transaction_and_the_same_each_time() {
    let (status, text, told) = export(&["--sql", "-", RUN]);
    assert_eq!((status, told.as_str()), (0, ""));
    assert!(text.starts_with("BEGIN TRANSACTION;\nCREATE TABLE hosts (") && text.ends_with("COMMIT;\n"), "{text}");
    assert_eq!(export(&["--sql", "-", RUN]).1, text);
}

#[test]
fn a_wrong_command_line_is_told_in_one_line() {
    for (arguments, word) in [
        (&[RUN][..], "--sqlite"),
        (&["--sql", "-", "--csv", "there", RUN], "cannot be used with"),
        (&["--sql", "-"], "<RUNS>"),
        (&["--sql", "-", "no-such-run"], "no-such-run"),
    ] {
        let (status, _, told) = export(arguments);
        assert_eq!((status, told.lines().count()), (2, 1), "{arguments:?}: {told}");
        assert!(told.contains(word), "{arguments:?}: {told}");
    }
}
