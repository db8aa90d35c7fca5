//! `cargo bench --bench after_syscall`: the group `after_syscall`.

mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    start::go_on_as("after_syscall")
}
