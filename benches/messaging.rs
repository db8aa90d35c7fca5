//! `cargo bench --bench messaging`: the group `messaging`.

mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    start::go_on_as("messaging")
}
