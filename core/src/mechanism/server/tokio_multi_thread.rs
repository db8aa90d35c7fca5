//! A task for each connection on tokio's runtime of several threads, which steal tasks from each other.
//!
//! Timed: CPU of the server for recvfrom, sendto, the polls of the task and what the threads do to wake each other; the
//! delay is a timer of the runtime. Not timed: the client.
//! Distortions: tokio's timers are whole milliseconds, so that a delay takes up to one longer than it should. With one
//! CPU there is one worker.

use super::expectations::on_tokio;
use super::{
    BACKLOG, CONNECTIONS, DELAY, IDLE, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, PROTOCOL, WORK, WORKERS,
};
use crate::mechanism::{Bound, Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/tokio_multi_thread",
    isolates: "async tasks on threads that share their work: what sharing adds to the runtime of one thread",
    parameters: &[CONNECTIONS, IDLE, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, WORKERS, NETWORK, BACKLOG],
    baseline: "server/tokio_current_thread",
    source: "docs.rs/tokio",
    expects: |parameters, _| on_tokio(parameters).call("futex:wait", Bound::Depends).call("futex:wake", Bound::Depends),
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));
