//! One thread that hands sends and receives to io_uring(7), many in a call, and takes what is done.
//!
//! Timed: CPU of the client's thread, from the first request of a batch to its last answer. Not timed: connecting.
//! Distortions: the more answers are there at once, the fewer calls there are: events per wake are among the metrics.

use super::{MeasuredEngine, OF_A_CLIENT, READINGS, of_the_client};
use crate::mechanism::{Bound, Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "client/uring",
    isolates: "an event loop whose sends and receives are entries of a ring",
    source: "io_uring(7); io_uring_enter(2)",
    requirements: &["io_uring with IORING_FEAT_EXT_ARG (Linux 5.11)"],
    expects: |parameters, _| {
        let expects = of_the_client(parameters, READINGS).call("io_uring_enter", Bound::AtMost(1.0));
        expects.voluntary(Bound::AtMost(1.0)).wakeups(Bound::AtMost(1.0))
    },
    ..OF_A_CLIENT
};

register!(MeasuredEngine(&DESCRIPTOR));
