//! One thread serves one connection after the other, each to its end.
//!
//! Timed: CPU of the server for accept4, recvfrom, sendto and close of a request, and its delay as a sleep, in which no
//! other request is served. Not timed: the client.
//! Distortions: each request over HTTP has a connection: one that stayed open would keep all other clients waiting.
//! There are no idle connections for the same reason.

use super::expectations::in_waiting_calls;
use super::{BACKLOG, CONNECTIONS, DELAY, MeasuredModel, NETWORK, OF_A_SERVER, PAYLOAD, PERIOD, WORK};
use crate::mechanism::{Descriptor, Domain, Parameter, register};
use crate::server::Protocol;

const PROTOCOL: Parameter = Parameter {
    meaning: "HTTP/1.1 with a connection for each request, or datagrams that are sent back",
    domain: Domain::Word { words: &[Protocol::HttpClose.name(), Protocol::UdpEcho.name()] },
    ..super::PROTOCOL
};

static DESCRIPTOR: Descriptor = Descriptor {
    id: "server/iterative",
    isolates: "a server without any concurrency: what a request and its connection cost by themselves",
    parameters: &[CONNECTIONS, PERIOD, DELAY, WORK, PAYLOAD, PROTOCOL, NETWORK, BACKLOG],
    source: "accept(2)",
    expects: |parameters, _| in_waiting_calls(parameters),
    ..OF_A_SERVER
};

register!(MeasuredModel(&DESCRIPTOR));
