//! `cargo bench --bench creation`: the group `creation`.

mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    start::go_on_as("creation")
}
