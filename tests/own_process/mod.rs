//! One test of this program in a process of its own, where nothing is open, runs or is limited but by that test.
//!
//! The test is `#[ignore]`d, so that it runs only when it is asked for by name. libtest ends well when no test has the
//! name it is asked for; [`assert_passed`] does not.

use std::process::Command;

/// The command that runs `test`, which stands at the root of this test binary and is ignored. Its servers are processes
/// of the program, since a test binary answers no request to be one.
pub(crate) fn command(test: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    // With one test thread the test runs on the main thread: libtest has no thread of its own that comes or goes.
    command.args([test, "--exact", "--ignored", "--nocapture", "--test-threads=1"]);
    command.env("SWITCHCOST_SERVER_PROGRAM", env!("CARGO_BIN_EXE_switchcost"));
    command
}

/// The same behind a line of a shell, which sets limits and the like.
#[allow(dead_code)] // Not every test binary needs it.
pub(crate) fn command_after(shell: &str, test: &str) -> Command {
    let test = command(test);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{shell}; exec \"$0\" \"$@\"")]).arg(test.get_program()).args(test.get_args());
    command
}

/// Runs `test` in a folder of its own, which is its TMPDIR too; prints what it said and fails when it does.
#[allow(dead_code)]
pub(crate) fn run(test: &str) {
    run_with(test, &[]);
}

/// The same with these variables in its environment.
#[allow(dead_code)]
pub(crate) fn run_with(test: &str, variables: &[(&str, &str)]) {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = command(test);
    command.envs(variables.iter().copied());
    passes(test, command.env("TMPDIR", scratch.path()).current_dir(scratch.path()));
}

/// Runs `command`, which is one of [`command`]'s, to its end; prints what it said and fails when the test does.
#[allow(dead_code)]
pub(crate) fn passes(test: &str, command: &mut Command) {
    let output = command.output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}");
    assert!(output.status.success(), "{test}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr));
    assert_passed(test, &said);
}

/// Fails unless libtest says that it ran one test: a name that no test has, or that of one which is not ignored, runs
/// none, and ends well.
pub(crate) fn assert_passed(test: &str, said: &str) {
    assert!(said.contains("test result: ok. 1 passed"), "no ignored test is called {test}:\n{said}");
}
