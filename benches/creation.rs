//! `cargo bench --bench creation`: the group `creation`.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchcost::cli::bench::main("creation")
}
