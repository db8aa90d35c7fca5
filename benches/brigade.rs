//! `cargo bench --bench brigade`: the group `brigade`.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchcost::cli::bench::main("brigade")
}
