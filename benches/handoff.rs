//! `cargo bench --bench handoff`: the group `handoff`.

mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    start::go_on_as("handoff")
}
