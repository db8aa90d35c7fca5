//! A task for each connection on compio, a runtime on io_uring, in one thread.
//!
//! Timed: CPU of the server for the polls of the task and a share of the io_uring_enter that submits its receive and
//! its send; the delay is a timer of the runtime. Not timed: the client.
//! Distortions: none that the others have not.

use super::expectations::{connections, of_the_server};
use super::{BACKLOG, CONNECTIONS, DELAY, IDLE, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, PROTOCOL, WORK};
use crate::mechanism::{Bound, Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/compio",
    isolates: "async tasks on an io_uring runtime in one thread: what the runtime adds to the bare ring",
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, NETWORK, BACKLOG],
    baseline: "server/uring",
    requirements: &["io_uring (Linux 5.6)"],
    source: "docs.rs/compio",
    expects: |parameters, _| {
        let connection = connections(parameters);
        of_the_server(parameters)
            .call("io_uring_enter", Bound::AtMost(4.0)) // It wakes itself up by an eventfd.
            .call("read", Bound::AtMost(1.0))
            .call("write", Bound::AtMost(1.0))
            .others(Bound::AtMost(6.0 * connection))
    },
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));
