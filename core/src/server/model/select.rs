//! One thread that asks select(2) which sockets are ready.

use super::EVENT_LOOP_FILES;
use crate::server::datagram_loop::serve_by;
use crate::server::{FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape};
use crate::sys::select::SelectTable;

/// The model. Every wait hands the kernel all connections, idle ones too.
#[derive(Debug)]
pub(in crate::server) struct SelectServer;

impl ServerModel for SelectServer {
    fn name(&self) -> &'static str {
        "select"
    }

    fn about(&self) -> &'static str {
        "one thread, an event loop on select(2)"
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
        serve_by(&instance, 0, SelectTable::default())
    }
}
