//! One thread with a ring of io_uring: requests to accept, receive and send in place of calls.

use super::RING_FILES;
use crate::server::datagram_ring::serve_on_ring;
use crate::server::listener_threads::run_each;
use crate::server::ring_loop::probe;
use crate::server::{FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape};

/// The model. With several threads it is `uring_per_thread`.
#[derive(Debug)]
pub(in crate::server) struct UringServer;

impl ServerModel for UringServer {
    fn name(&self) -> &'static str {
        "uring"
    }

    fn about(&self) -> &'static str {
        "one thread, a ring of io_uring"
    }

    fn protocols(&self) -> &'static [Protocol] {
        Protocol::ALL
    }

    fn file_ways(&self) -> &'static [FileWay] {
        RING_FILES
    }

    fn shape(&self, _: &ServerConfig) -> Shape {
        Shape::RING
    }

    fn probe(&self, config: &ServerConfig) -> Result<(), ServerError> {
        probe(config)
    }

    fn serve(&self, instance: ServedInstance) -> Result<(), ServerError> {
        run_each(&instance, |number| serve_on_ring(&instance, number))
    }
}
