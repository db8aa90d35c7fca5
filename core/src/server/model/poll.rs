//! One thread that asks poll(2) which sockets are ready.

use super::EVENT_LOOP_FILES;
use crate::server::datagram_loop::serve_by;
use crate::server::{FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape};
use crate::sys::poll::PollTable;

/// The model. Every wait hands the kernel all connections, idle ones too.
#[derive(Debug)]
pub(in crate::server) struct PollServer;

impl ServerModel for PollServer {
    fn name(&self) -> &'static str {
        "poll"
    }

    fn about(&self) -> &'static str {
        "one thread, an event loop on poll(2)"
    }

    fn protocols(&self) -> &'static [Protocol] {
        Protocol::ALL
    }

    fn file_ways(&self) -> &'static [FileWay] {
        EVENT_LOOP_FILES
    }

    fn shape(&self, _: &ServerConfig) -> Shape {
        Shape::EVENT_LOOP
    }

    fn serve(&self, instance: ServedInstance) -> Result<(), ServerError> {
        serve_by(&instance, 0, PollTable::default())
    }
}
