//! What could not be had on a machine, why, and what would help.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Something that a measurement lacks or suffers from here: a benchmark that cannot run, an event that is not counted,
/// a quantity that is not audited, a setting that makes figures vary. A result, not an error: it is recorded and shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shortfall {
    /// What is lacking or was found: `io_uring with IORING_SETUP_DEFER_TASKRUN (Linux 6.1)`, `cycles:k`, `SMT is on`.
    pub what: String,
    /// Why it is lacking, or why it matters, in a sentence without full stop: `io_uring_setup: ENOSYS`.
    pub why: String,
    /// What would help, as a command where there is one; without full stop.
    pub remedy: String,
}

impl Shortfall {
    /// From its three parts, each in the form that its field has.
    pub fn new(what: impl Into<String>, why: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), why: why.into(), remedy: remedy.into() }
    }
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { what, why, remedy } = self;
        write!(f, "{what}: {why}; {remedy}")
    }
}

/// That a mechanism cannot run here: what it needs, what is here instead, and what would help.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(transparent)]
#[error("{}; {}", self.why(), .0.remedy)]
pub struct Unsupported(pub Shortfall);

impl Unsupported {
    /// From what is `needed`, what is `here` instead, and the `remedy`.
    pub fn new(needed: impl Into<String>, here: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self(Shortfall::new(needed, here, remedy))
    }

    /// What is needed and what is here, in one sentence without full stop and without the remedy.
    pub fn why(&self) -> String {
        format!("needs {}; here: {}", self.0.what, self.0.why)
    }
}
