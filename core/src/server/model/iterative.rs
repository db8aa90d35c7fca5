//! One thread that serves one connection after the other, each to its end.

use super::BLOCKING_FILES;
use crate::server::blocking::serve_in_turn;
use crate::server::{FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape};

/// The model. It closes each connection of HTTP behind its first answer: the next client waits for that.
#[derive(Debug)]
pub(in crate::server) struct IterativeServer;

impl ServerModel for IterativeServer {
    fn name(&self) -> &'static str {
        "iterative"
    }

    fn about(&self) -> &'static str {
        "one thread, one connection at a time"
    }

    fn protocols(&self) -> &'static [Protocol] {
        Protocol::ALL
    }

    fn file_ways(&self) -> &'static [FileWay] {
        BLOCKING_FILES
    }

    fn shape(&self, _: &ServerConfig) -> Shape {
        Shape::waiting(1)
    }

    fn serve(&self, instance: ServedInstance) -> Result<(), ServerError> {
        serve_in_turn(&instance, 0)
    }
}
