//! The only room that runs mechanisms: benchmarks are planned, measured bare and counted, audited, and written down.

mod adapter;
mod audit;
mod benchmark;
mod formatter;
mod matrix;
mod metering;
mod plan;
pub mod rounds;
mod session;

pub use adapter::{Mode, Observer, Settings, Timing, measure, now_ms};
pub use audit::{Auditor, answer_audit_request};
pub use benchmark::{Benchmark, Chosen};
pub use matrix::{Cell, Sampling, matrix, pairs};
pub use plan::{Choice, INSTANCES, PlanError, Planned, plan};
pub use session::{Session, Taken};
