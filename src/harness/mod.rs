//! The only room that runs mechanisms: benchmarks are planned, measured bare and counted, audited, and written down.

mod adapter;
mod audit;
mod bare_sample;
mod benchmark;
mod demand;
#[cfg(test)]
mod fake;
mod formatter;
mod host_cpus;
mod interference;
mod matrix;
mod metering;
mod plan;
pub mod rounds;
mod session;
mod sweep;
mod turn_token;

pub use adapter::{BenchmarkObserver, MeasureOptions, Mode, Timing, measure, now_ms};
pub use audit::{Auditor, MOST_ATTEMPTS, answer_audit_request};
pub use bare_sample::BareSample;
pub use benchmark::{Benchmark, BenchmarkSpec};
pub use demand::{INSTANCES, INSTANCES_OF_A_SWEEP, count_of, demand, most_tasks};
pub use host_cpus::{UnusableCpus, usable_cpus};
pub use matrix::{MatrixSampling, matrix, pairs};
pub use plan::{Choice, PlanError, PlannedBenchmark, TaskSweep, plan, plan_counts};
pub use session::Session;
pub use sweep::SweepSampling;
