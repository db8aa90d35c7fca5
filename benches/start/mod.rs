//! What every bench target is: the program `switchcost`, told which groups to measure. A target links neither
//! crate, so that one program is built for all of them; cargo builds it before it builds a target.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// Tells the program that it stands for a bench target, and for which (`src/cli/bench.rs`).
const TARGET: &str = "SWITCHCOST_BENCH_TARGET";

/// Where cargo put the program when it built this target.
const PROGRAM: &str = env!("CARGO_BIN_EXE_switchcost");

/// Replaces this process (exec) with the program, which measures the group called `target`, or `all` of them. Returns
/// only when that fails.
pub(crate) fn go_on_as(target: &str) -> ExitCode {
    let mut arguments = std::env::args_os();
    // The record keeps the target's own name, from which a report makes the command again.
    let own = arguments.next().unwrap_or_else(|| target.into());
    let program = Some(PathBuf::from(PROGRAM)).filter(|program| program.exists()).or_else(beside);
    let Some(program) = program else {
        eprintln!(
            "switchcost: {PROGRAM} is not there, and no program `switchcost` lies above {}: the target folder was \
             moved or cleaned; `cargo bench` builds it again",
            own.display()
        );
        return ExitCode::FAILURE;
    };
    let error = Command::new(&program).arg0(own).args(arguments).env(TARGET, target).exec();
    eprintln!("switchcost: {}: {error}; `cargo bench` builds it again", program.display());
    ExitCode::FAILURE
}

/// The program in the folder above this target's, where cargo puts both: the target folder may have been moved.
fn beside() -> Option<PathBuf> {
    let own = std::env::current_exe().ok()?;
    let program = own.parent().and_then(Path::parent)?.join("switchcost");
    program.exists().then_some(program)
}
