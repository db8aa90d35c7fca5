//! `cargo bench --bench client`: the group `client`.

mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    start::go_on_as("client")
}
