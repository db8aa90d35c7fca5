//! `cargo bench --bench file`: the group `file`.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchcost::cli::bench::main("file")
}
