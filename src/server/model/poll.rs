//! One thread that asks poll(2) which sockets are ready.

use super::{EVENT_LOOP_FILES, OVER_TCP};
use crate::server::event_loop::WaitSetLoop;
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
        OVER_TCP
    }

    fn file_ways(&self) -> &'static [FileWay] {
        EVENT_LOOP_FILES
    }

    fn shape(&self, _: &ServerConfig) -> Shape {
        Shape::EVENT_LOOP
    }

    fn serve(&self, instance: ServedInstance) -> Result<(), ServerError> {
        WaitSetLoop::new(&instance, 0, PollTable::default())?.run()
    }
}
