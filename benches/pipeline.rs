//! `cargo bench --bench pipeline`: the group `pipeline`.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchcost::cli::bench::main("pipeline")
}
