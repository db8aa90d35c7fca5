//! A task for each connection on tokio's runtime of several threads, which steal tasks from each other.

use std::sync::Arc;

use super::RUNTIME_FILES;
use crate::server::tokio_socket;
use crate::server::{FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape, workers};

/// The model. By default there is a thread for each CPU, as tokio has it.
#[derive(Debug)]
pub(in crate::server) struct TokioMultiThreadServer;

impl ServerModel for TokioMultiThreadServer {
    fn name(&self) -> &'static str {
        "tokio_multi_thread"
    }

    fn about(&self) -> &'static str {
        "a task for each connection, on tokio's threads that steal from each other, one for each CPU by default"
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
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(workers(&instance.config, 0));
        tokio_socket::run(builder, Arc::new(instance))
    }
}
