//! Rounds: every benchmark in several fresh processes, in an order drawn anew for each round.
//!
//! The scheduler's results vary more between processes than within one, and the machine drifts. So each benchmark of
//! each round gets a process of its own, all benchmarks take part in a round before the next one begins, and the order
//! within a round is random: a drift then affects all of them alike (T. Mytkowicz et al., "Producing wrong data without
//! doing anything obviously wrong!", ASPLOS 2009). A benchmark that crashes or hangs does not affect the others. The
//! two sides of a comparison are interleaved within a round, sample by sample, where that is possible.
//!
//! Each file answers one question:
//!
//! - `run_plan.rs`: what was asked for, in which order, and which sides are interleaved? A [`RunPlan`] lies in the
//!   run's folder, so that a run can go on after a kill.
//! - `run_state.rs`: what is known so far? A [`RunState`] learns it from the lines of the record.
//! - `run_loop.rs`: what is measured next, within the budget? [`run_rounds`] decides it from those two alone, and sees
//!   processes only through a [`Runner`].
//! - `process_runner.rs`: which process measures, until when, and what does Ctrl-C do? [`ProcessRunner`] is the runner
//!   that starts processes.
//! - `round_process.rs`: what passes between the run and the child process that measures? Both ends are in it.
//! - `path_text.rs`: how is a folder named in a plan and a request, whatever its bytes?
//! - `profile.rs` and `after_syscall_profile.rs`: what does a profile name?

mod after_syscall_profile;
mod path_text;
mod process_runner;
mod profile;
mod round_process;
mod run_loop;
mod run_plan;
mod run_state;
#[cfg(test)]
mod tests;

pub use process_runner::{ProcessRunner, Programs, Signals, identify, supports_interleaving};
pub use profile::{ALL, BenchmarkSelection, DEFAULT, Profile, ProfileError, duration};
pub use round_process::answer_round_request;
pub use run_loop::{
    Job, JobOutcome, RunObserver, RunOutcome, RunProgress, Runner, UnmeasuredBenchmark, WideInterval, run_rounds,
    shortest_budgets,
};
pub use run_plan::{PLAN_FILE, PlanEntry, PlanLock, RunPlan, RunPlanError, lock_run};
pub use run_state::RunState;
