//! One thread serves one connection after the other, each to its end.
//!
//! Timed: CPU of the server for accept4, recvfrom, sendto and close of a request, and its delay as a sleep, in which no
//! other request is served. Not timed: the client.
//! Distortions: each request has a connection: one that stayed open would keep all other clients waiting. There are no
//! idle connections for the same reason.

use super::{CONNECTIONS, DELAY, MeasuredModel, OF_A_SERVER, PAYLOAD, PERIOD, WORK, in_waiting_calls};
use crate::mechanism::{Descriptor, register};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/iterative",
    isolates: "a server without any concurrency: what a request and its connection cost by themselves",
    parameters: &[CONNECTIONS, PERIOD, DELAY, WORK, PAYLOAD],
    source: "accept(2)",
    expects: |parameters, _| in_waiting_calls(parameters),
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));
