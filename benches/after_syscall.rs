//! `cargo bench --bench after_syscall`: the group `after_syscall`.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchcost::cli::bench::main("after_syscall")
}
