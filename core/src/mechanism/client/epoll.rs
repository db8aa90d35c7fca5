//! One thread that waits for all connections by epoll(7), edge-triggered.
//!
//! Timed: CPU of the client's thread, from the first request of a batch to its last answer. Not timed: connecting.
//! Distortions: the more answers are there at once, the fewer waits there are: events per wake are among the metrics.

use super::{MeasuredEngine, OF_A_CLIENT, READINGS, in_one_thread};
use crate::mechanism::{Bound, Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "client/epoll",
    isolates: "an event loop, which waits once for as many answers as are there",
    source: "epoll(7), epoll_pwait2(2)",
    expects: |parameters, _| in_one_thread(parameters, READINGS).call("epoll_wait", Bound::AtMost(1.0)),
    ..OF_A_CLIENT
};

register!(MeasuredEngine(&DESCRIPTOR));
