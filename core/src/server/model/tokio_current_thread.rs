//! A task for each connection on tokio's runtime of one thread.

use std::sync::Arc;

use super::RUNTIME_FILES;
use crate::server::tokio_socket;
use crate::server::{FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape};

/// The model.
#[derive(Debug)]
pub(in crate::server) struct TokioCurrentThreadServer;

impl ServerModel for TokioCurrentThreadServer {
    fn name(&self) -> &'static str {
        "tokio_current_thread"
    }

    fn about(&self) -> &'static str {
        "a task for each connection, on tokio's runtime of one thread"
    }

    fn protocols(&self) -> &'static [Protocol] {
        Protocol::ALL
    }

    fn file_ways(&self) -> &'static [FileWay] {
        RUNTIME_FILES
    }

    fn shape(&self, _: &ServerConfig) -> Shape {
        Shape::EVENT_LOOP
    }

    fn serve(&self, instance: ServedInstance) -> Result<(), ServerError> {
        tokio_socket::run(tokio::runtime::Builder::new_current_thread(), Arc::new(instance))
    }
}
