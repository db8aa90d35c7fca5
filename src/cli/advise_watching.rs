//! Watching a program between two calibrations: one that runs, or one that is started.

use std::cell::RefCell;
use std::time::Duration;

use nix::unistd::Pid;

use super::advise::{AdviseArgs, AdvisePlan};
use super::advise_stages::CalibrationStages;
use super::options::UsageError;
use super::terminal::errln;
use crate::harness::rounds::Signals;
use crate::sys::affinity::{AffinityMask, allowed_cpus};
use crate::sys::launch::{LaunchedProgram, PassedSignals, launch};
use crate::terms::{Observation, ServerCalibration};
use crate::watch::{RequestSource, WatchError, WatchOptions, WatchTarget, watch};

/// What an advice is computed from, once it was watched.
pub(super) struct Watched {
    pub(super) observation: Observation,
    pub(super) calibrations: Vec<ServerCalibration>,
    /// The status of the command.
    pub(super) status: Option<i32>,
}

/// A process that cannot be watched needs another command line: another number, another user.
fn refused(error: &WatchError) -> UsageError {
    UsageError::Unknown(error.to_string())
}

/// Watches a process that runs. Ctrl-C ends the watching early, and what was seen by then counts; a second one ends
/// all.
pub(super) fn watch_process(args: &AdviseArgs, plan: &AdvisePlan, pid: i32) -> anyhow::Result<Watched> {
    let target = WatchTarget::attach(pid).map_err(|error| refused(&error))?;
    let signals = RefCell::new(Signals::take_over()?);
    let asked = || {
        // With a timeout of zero this fails only for lack of memory, which is no reason to stop.
        let _ = signals.borrow_mut().wait(Duration::ZERO);
        signals.borrow().count()
    };
    let program = AffinityMask::of_thread(Pid::from_raw(pid))?.cpus();
    let on = plan.cpus.clone().unwrap_or_else(|| program.clone());
    let (once, twice) = (|| asked() > 0, || asked() > 1);
    let stages = |stopped| CalibrationStages { args, on: on.clone(), program: program.clone(), stopped };
    let before = (!args.watch_only).then(|| stages(&once).before()).transpose()?;
    args.say(format_args!("watching process {pid} ({})", target.command()));
    let watched = watch(&target, &options(plan), &mut |_| (), &once);
    let mut observation = watched.map_err(|error| refused(&error))?;
    if let Some(counter) = &plan.counter {
        counter.complete(&mut observation);
    }
    let after = before.as_ref().and_then(|before| stages(&twice).after(&observation, before));
    Ok(Watched { observation, calibrations: before.into_iter().chain(after).collect(), status: None })
}

/// Starts a program and watches it until it ends, or for as long as was asked; then waits for its end.
pub(super) fn watch_command(args: &AdviseArgs, plan: &AdvisePlan) -> anyhow::Result<Watched> {
    let on = plan.cpus.clone().map_or_else(allowed_cpus, Ok)?;
    // It does not run while servers are measured.
    let stages = CalibrationStages { args, on, program: Vec::new(), stopped: &|| false };
    let before = (!args.watch_only).then(|| stages.before()).transpose()?;
    let mut program = launch(&args.command)?;
    let target = WatchTarget::launched(&program).map_err(|error| refused(&error))?;
    let passed = PassedSignals::to(program.process())?;
    release(&mut program);
    let watched = watch(&target, &options(plan), &mut |_| (), &|| false);
    let status = program.wait()?;
    drop(passed);
    let mut observation = watched.unwrap_or_else(|error| {
        errln!("switchcost: {error}");
        std::process::exit(status)
    });
    if let Some(counter) = &plan.counter {
        counter.complete(&mut observation);
    }
    let after = before.as_ref().and_then(|before| stages.after(&observation, before));
    Ok(Watched { observation, calibrations: before.into_iter().chain(after).collect(), status: Some(status) })
}

fn options(plan: &AdvisePlan) -> WatchOptions<'_> {
    let requests = plan
        .counter
        .as_ref()
        .map(|counter| RequestSource { name: counter.name().into(), read: Box::new(|| counter.read()) });
    WatchOptions { duration: plan.duration, without: plan.without.clone(), requests }
}

/// A program that cannot be started is told as by a shell, with its statuses.
fn release(program: &mut LaunchedProgram) {
    if let Err(error) = program.release() {
        errln!("switchcost: {error}");
        std::process::exit(if error.errno == nix::errno::Errno::ENOENT { 127 } else { 126 });
    }
}
