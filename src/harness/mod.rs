//! The only room that runs mechanisms: benchmarks are planned, measured bare and counted, audited, and written down.

mod adapter;
mod audit;
mod benchmark;
mod demand;
mod evidence;
#[cfg(test)]
mod fake;
mod formatter;
mod matrix;
mod metering;
mod plan;
pub mod rounds;
mod scale;
mod session;
mod taken;
mod turns;

pub use adapter::{Mode, Observer, Settings, Timing, measure, now_ms};
pub use audit::{Auditor, MOST_ATTEMPTS, answer_audit_request};
pub use benchmark::{Benchmark, Chosen};
pub use demand::{INSTANCES, INSTANCES_OF_A_SWEEP, count_of, demand, most_tasks};
pub use matrix::{Sampling, matrix, pairs};
pub use plan::{Choice, Counts, PlanError, Planned, plan, plan_counts};
pub use scale::Scale;
pub use session::Session;
pub use taken::Taken;
