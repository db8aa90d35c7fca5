//! A thread with a ring of its own for each CPU, and a listening socket for each.
//!
//! Timed: CPU of the server for a share of the io_uring_enter that submits a request's send and brings what was
//! received; the delay is a timeout of the wait. Not timed: the client.
//! Distortions: the kernel distributes connections among the sockets by their addresses, evenly on average alone: the
//! share of the busiest one is among the metrics. With one CPU it is `server/uring`.

use super::expectations::on_a_ring;
use super::{
    BACKLOG, CONNECTIONS, DELAY, IDLE, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, PROTOCOL, WORK, WORKERS,
};
use crate::mechanism::{Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/uring_per_thread",
    isolates: "rings that share nothing: what several threads cost where each has its own",
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, WORKERS, NETWORK, BACKLOG],
    requirements: &["io_uring with multishot accept and receive (Linux 6.0)"],
    source: "io_uring(7); socket(7), SO_REUSEPORT",
    expects: |parameters, _| on_a_ring(parameters),
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));
