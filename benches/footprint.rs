//! `cargo bench --bench footprint`: the group `footprint`.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchcost::cli::bench::main("footprint")
}
