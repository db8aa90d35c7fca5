//! A thread with a ring of its own for each CPU, and a listening socket for each.

use super::RING_FILES;
use crate::server::datagram_ring::serve_on_ring;
use crate::server::listener_threads::run_each;
use crate::server::ring_loop::probe;
use crate::server::{FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape, workers};

/// The model. The kernel distributes connections among the sockets (`SO_REUSEPORT`).
#[derive(Debug)]
pub(in crate::server) struct UringPerThreadServer;

impl ServerModel for UringPerThreadServer {
    fn name(&self) -> &'static str {
        "uring_per_thread"
    }

    fn about(&self) -> &'static str {
        "a ring of io_uring for each thread, one thread for each CPU by default"
    }

    fn protocols(&self) -> &'static [Protocol] {
        Protocol::ALL
    }

    fn file_ways(&self) -> &'static [FileWay] {
        RING_FILES
    }

    fn shape(&self, config: &ServerConfig) -> Shape {
        Shape { listeners: workers(config, 0), ..Shape::RING }
    }

    fn probe(&self, config: &ServerConfig) -> Result<(), ServerError> {
        probe(config)
    }

    fn serve(&self, instance: ServedInstance) -> Result<(), ServerError> {
        run_each(&instance, |number| serve_on_ring(&instance, number))
    }
}
