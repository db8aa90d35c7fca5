//! `cargo bench`: all groups, in the order of the questions that they answer.

mod start;

use std::process::ExitCode;

fn main() -> ExitCode {
    start::go_on_as("all")
}
