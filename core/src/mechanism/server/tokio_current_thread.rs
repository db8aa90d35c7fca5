//! A task for each connection on tokio's runtime of one thread.
//!
//! Timed: CPU of the server for recvfrom, sendto, the polls of the task and a share of the runtime's wait; the delay is
//! a timer of the runtime. Not timed: the client.
//! Distortions: tokio's timers are whole milliseconds, so that a delay takes up to one longer than it should.

use super::expectations::on_tokio;
use super::{BACKLOG, CONNECTIONS, DELAY, IDLE, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, PROTOCOL, WORK};
use crate::mechanism::{Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/tokio_current_thread",
    isolates: "async tasks in one thread: what the runtime adds to an event loop over epoll",
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, NETWORK, BACKLOG],
    source: "docs.rs/tokio",
    expects: |parameters, _| on_tokio(parameters),
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));
