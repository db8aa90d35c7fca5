//! One thread with a ring of io_uring: requests to accept, receive and send in place of calls.
//!
//! Timed: CPU of the server for a share of the io_uring_enter that submits a request's send and brings what was
//! received; the delay is a timeout of the wait. Not timed: the client.
//! Distortions: sends that find no room, which these do not, would wait in the ring. Buffers are the kernel's to
//! choose, and what is received is copied out of them, as it is with the other models into the connection's own memory.

use super::expectations::on_a_ring;
use super::{
    ACCEPT, BACKLOG, CONNECTIONS, DELAY, IDLE, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, PROTOCOL, RECEIVE,
    WORK,
};
use crate::mechanism::{Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/uring",
    isolates: "completions instead of readiness: one system call for all that is to be done",
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, ACCEPT, RECEIVE, NETWORK, BACKLOG],
    baseline: "server/epoll",
    requirements: &["io_uring with multishot accept and receive (Linux 6.0)"],
    source: "io_uring(7), io_uring_prep_recv_multishot(3)",
    expects: |parameters, _| on_a_ring(parameters),
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));
