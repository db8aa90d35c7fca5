//! `cargo bench --bench pipeline`: the group `pipeline`.

mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    start::go_on_as("pipeline")
}
