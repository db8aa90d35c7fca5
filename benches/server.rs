//! `cargo bench --bench server`: the group `server`.

mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    start::go_on_as("server")
}
