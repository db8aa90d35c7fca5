//! `cargo bench --bench handoff`: the group `handoff`.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchcost::cli::bench::main("handoff")
}
