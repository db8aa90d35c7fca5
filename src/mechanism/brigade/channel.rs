//! What the brigades over channels in user space have in common.

use super::{Place, TASKS};
use crate::mechanism::{Bound, Demand, Expectation, Parameters, Placement};

/// A task's ends of two channels, and the message that it holds.
#[derive(Debug)]
pub(super) struct MessagePort<R, S, const BYTES: usize> {
    pub(super) place: Place<R, S>,
    message: [u8; BYTES],
}

impl<R, S, const BYTES: usize> MessagePort<R, S, BYTES> {
    /// At `place`.
    pub(super) fn new(place: Place<R, S>) -> Self {
        Self { place, message: [0; BYTES] }
    }

    /// Keeps what has arrived and says its byte.
    #[inline]
    pub(super) fn keep(&mut self, message: [u8; BYTES]) -> u8 {
        self.message = message;
        self.message[0]
    }

    /// The message of this byte: the one held, for whoever passes on; a new one, for the driver.
    #[inline]
    pub(super) fn message(&mut self, byte: u8) -> [u8; BYTES] {
        if self.message[0] != byte {
            self.message.fill(byte);
        }
        self.message
    }
}

/// Threads, and no descriptor but those of the process itself.
pub(super) fn demand_of_channel_threads(parameters: &Parameters) -> Demand {
    Demand { descriptors: 8, threads: parameters.number(TASKS.name), processes: 0 }
}

/// A receiver that finds nothing sleeps in a futex and is woken; how often it looks again before, and whether it yields
/// meanwhile, is the library's affair.
pub(super) fn woken_threads(placement: Placement) -> Expectation {
    let calls = Expectation::nothing()
        .call("futex:wait", Bound::Depends)
        .call("futex:wake", Bound::Depends)
        .call("sched_yield", Bound::Depends)
        // A park with a timeout looks at the clock where that is a call.
        .others(Bound::AtMost(0.1));
    match placement {
        // A yield is a switch, of the involuntary kind. A waker holds the lock on the list of sleepers while it wakes:
        // whoever is woken and preempts it sleeps once more, for the lock.
        Placement::SameCpu => calls.voluntary(Bound::AtMost(2.0)).wakeups(Bound::AtMost(2.0)),
        // On several CPUs the locks are also met by chance.
        _ => calls.voluntary(Bound::AtMost(3.0)).wakeups(Bound::AtMost(3.0)),
    }
}
