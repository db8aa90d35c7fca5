//! `cargo bench --bench syscall`: the group `syscall`.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchcost::cli::bench::main("syscall")
}
