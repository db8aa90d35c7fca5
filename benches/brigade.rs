//! `cargo bench --bench brigade`: the group `brigade`.

mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    start::go_on_as("brigade")
}
