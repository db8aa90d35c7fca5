//! A task for each connection, on a current-thread runtime of tokio.
//!
//! Timed: CPU of the runtime's thread, from the first request of a batch to its last answer. Not timed: connecting.
//! Distortions: the runtime looks for events after a number of polls as well, and not only when it has nothing to do.

use super::{MeasuredEngine, OF_A_CLIENT, READINGS, in_one_thread};
use crate::mechanism::{Bound, Descriptor, register};

/// What the task that keeps the schedule calls once a batch: its timer is made, watched and closed.
const SCHEDULE: f64 = 8.0;

static DESCRIPTOR: Descriptor = Descriptor {
    id: "client/tokio",
    isolates: "an async task for each connection: what a runtime adds to its event loop",
    source: "https://docs.rs/tokio, Runtime and AsyncFd",
    expects: |parameters, _| {
        let expects = in_one_thread(parameters, READINGS + SCHEDULE).call("epoll_wait", Bound::AtMost(2.0));
        expects.call("timerfd_settime", Bound::AtMost(1.0))
    },
    ..OF_A_CLIENT
};

register!(MeasuredEngine(&DESCRIPTOR));
