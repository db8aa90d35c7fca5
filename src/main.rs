//! Parse, dispatch, print the error once.

use std::process::ExitCode;

fn main() -> ExitCode {
    switchcost::cli::main()
}
