//! The only room that runs mechanisms: benchmarks are planned, measured bare and counted, audited, and written down.

mod audit;
mod bare_sample;
mod benchmark;
mod calibration;
mod criterion_adapter;
mod criterion_id;
#[cfg(test)]
mod fake;
mod formatter;
mod host_cpus;
mod id_pattern;
mod interference;
mod interleave_token;
mod limit_check;
mod matrix;
mod measure_options;
mod metering;
mod plan;
pub mod rounds;
mod session;
mod sweep;
mod timing;
mod unsupported;

pub use audit::{Auditor, MOST_ATTEMPTS, answer_audit_request};
pub use bare_sample::BareSample;
pub use benchmark::{Benchmark, BenchmarkSpec};
pub use calibration::{CalibrationError, CalibrationRequest, calibrate};
pub use criterion_adapter::{BenchmarkObserver, measure, now_ms};
pub use host_cpus::{UnusableCpus, usable_cpus};
pub use id_pattern::IdPattern;
pub use limit_check::{INSTANCES_OF_A_SWEEP, count_of, demand, instances, most_tasks};
pub use matrix::{MatrixSampling, matrix, pairs};
pub use measure_options::{MeasureOptions, Mode};
pub use plan::{Choice, PlanError, PlannedBenchmark, TaskSweep, plan, plan_counts};
pub use session::Session;
pub use sweep::SweepSampling;
pub use timing::Timing;
