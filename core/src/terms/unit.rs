//! What an operation is.

use std::fmt;

use serde::{Deserialize, Serialize};

/// What one operation of a mechanism is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// One byte moved from one channel of a brigade to the next, by the task between them.
    Hop,
    /// One task makes another run, one way.
    Handoff,
    /// A task created, run and reaped.
    Task,
    /// A message, sent and received.
    Message,
    /// One call into the kernel, or what replaces one: the vDSO, a ring, another thread.
    Call,
    /// A sleeping task runs again.
    Wakeup,
    /// A message sent at its time and answered.
    Request,
    /// A block of a file read.
    Read,
    /// The blocks of user code that run after a call; the call itself is not part of them.
    Trial,
}

impl Unit {
    /// The word for one of them.
    pub fn name(self) -> &'static str {
        match self {
            Self::Hop => "hop",
            Self::Handoff => "handoff",
            Self::Task => "task",
            Self::Message => "message",
            Self::Call => "call",
            Self::Wakeup => "wakeup",
            Self::Request => "request",
            Self::Read => "read",
            Self::Trial => "trial",
        }
    }
}

impl fmt::Display for Unit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
