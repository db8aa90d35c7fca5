//! Why something cannot run on a machine, and what would help.

use serde::{Deserialize, Serialize};

/// Something this machine does not have or does not allow. A result, not an error: it is recorded and listed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("needs {requirement}; here: {observed}; {remedy}")]
pub struct Unsupported {
    /// What is needed: `io_uring with IORING_SETUP_DEFER_TASKRUN (Linux 6.1)`.
    pub requirement: String,
    /// What was found instead: `io_uring_setup: ENOSYS`.
    pub observed: String,
    /// What would help, as a command where there is one.
    pub remedy: String,
}

impl Unsupported {
    /// From its three parts.
    pub fn new(requirement: impl Into<String>, observed: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { requirement: requirement.into(), observed: observed.into(), remedy: remedy.into() }
    }
}
