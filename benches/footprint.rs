//! `cargo bench --bench footprint`: the group `footprint`.

mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    start::go_on_as("footprint")
}
