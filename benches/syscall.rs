//! `cargo bench --bench syscall`: the group `syscall`.

mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    start::go_on_as("syscall")
}
