//! `cargo bench --bench messaging`: the group `messaging`.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchcost::cli::bench::main("messaging")
}
