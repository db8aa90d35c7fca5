//! `cargo bench --bench fairness`: the group `fairness`.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchcost::cli::bench::main("fairness")
}
