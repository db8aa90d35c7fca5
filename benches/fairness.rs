//! `cargo bench --bench fairness`: the group `fairness`.

mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    start::go_on_as("fairness")
}
