//! `cargo bench --bench file`: the group `file`.

mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    start::go_on_as("file")
}
