//! `cargo bench --bench switch_working_set`: the group `switch_working_set`.

mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    start::go_on_as("switch_working_set")
}
