//! `cargo bench --bench switch_working_set`: the group `switch_working_set`.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchcost::cli::bench::main("switch_working_set")
}
