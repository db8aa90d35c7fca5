//! Rounds: every benchmark in several fresh processes, in an order drawn anew for each round.
//!
//! The scheduler's results vary more between processes than within one, and the machine drifts. So each benchmark of
//! each round gets a process of its own, all benchmarks take part in a round before the next one begins, and the order
//! within a round is random: a drift then affects all of them alike (T. Mytkowicz et al., "Producing wrong data without
//! doing anything obviously wrong!", ASPLOS 2009). A benchmark that crashes or hangs does not affect the others. The
//! two sides of a comparison take turns within a round, sample by sample, where that is possible.
//!
//! [`RunPlan`] is what a run was asked for. It is saved in the run's folder, so that a run can be resumed after a kill.
//! [`run_rounds`] decides what is measured next, from what was asked and the [`RunState`] alone: it sees processes only
//! through a [`Runner`]. [`ProcessRunner`] is the runner that starts them.

mod after_syscall_profile;
mod interference;
mod interleave;
mod order;
mod process_runner;
mod profile;
mod request;
mod round_process;
mod run_loop;
mod run_plan;
mod run_state;
mod signals;
#[cfg(test)]
mod tests;

pub use interference::interference;
pub use process_runner::{ProcessRunner, Programs, identify, supports_interleaving};
pub use profile::{Pick, Profile, ProfileError, duration};
pub use request::answer_round_request;
pub use run_loop::{
    Conclusion, Job, JobOutcome, RunObserver, RunProgress, Runner, UnmeasuredBenchmark, WideInterval, run_rounds,
};
pub use run_plan::{PLAN_FILE, PlanEntry, PlanLock, RunPlan, RunPlanError, lock_run};
pub use run_state::RunState;
pub use signals::Signals;
