//! The reactor of `async-io`, which a process has once, with a helper thread that outlives every instance.

use smol::Async;

use super::Unsupported;
use crate::sys::channel::pipe;

/// Starts it, if this is the first time. Called from the thread that asks for instances, so that the helper thread
/// carries neither a placement's mask nor counters.
pub(super) fn start() -> Result<(), Unsupported> {
    let no_reactor = |reason: &dyn std::fmt::Display| {
        Unsupported::new("async-io's reactor", reason.to_string(), "a larger limit of descriptors (`ulimit -n`)")
    };
    let ends = pipe(true).map_err(|error| no_reactor(&error))?;
    Async::new(ends.reader).map(drop).map_err(|error| no_reactor(&error))
}
