//! Threads that each ask epoll(7) which of their sockets are ready; by default there is one.

use super::EVENT_LOOP_FILES;
use crate::server::datagram_loop::serve_by;
use crate::server::listener_threads::run_each;
use crate::server::{
    FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape, Trigger, workers,
};
use crate::sys::epoll::{EDGE, EpollSet, LEVEL, ONE_SHOT};

/// The model. Several threads have a listening socket each (`SO_REUSEPORT`), among which the kernel distributes
/// connections without regard to what each thread has to do.
#[derive(Debug)]
pub(in crate::server) struct EpollServer;

impl ServerModel for EpollServer {
    fn name(&self) -> &'static str {
        "epoll"
    }

    fn about(&self) -> &'static str {
        "threads with an event loop on epoll(7) each, one by default"
    }

    fn protocols(&self) -> &'static [Protocol] {
        Protocol::ALL
    }

    fn file_ways(&self) -> &'static [FileWay] {
        EVENT_LOOP_FILES
    }

    fn shape(&self, config: &ServerConfig) -> Shape {
        Shape { listeners: workers(config, 1), ..Shape::EVENT_LOOP }
    }

    fn serve(&self, instance: ServedInstance) -> Result<(), ServerError> {
        run_each(&instance, |number| match instance.config.trigger {
            Trigger::Level => serve_by(&instance, number, EpollSet::<LEVEL>::new()?),
            Trigger::Edge => serve_by(&instance, number, EpollSet::<EDGE>::new()?),
            Trigger::OneShot => serve_by(&instance, number, EpollSet::<ONE_SHOT>::new()?),
        })
    }
}
