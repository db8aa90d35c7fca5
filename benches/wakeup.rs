//! `cargo bench --bench wakeup`: the group `wakeup`.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchcost::cli::bench::main("wakeup")
}
