//! `cargo bench --bench wakeup`: the group `wakeup`.

mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    start::go_on_as("wakeup")
}
