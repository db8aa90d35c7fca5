//! A process for each connection, forked when it is accepted.

use std::os::fd::AsRawFd;

use super::{BLOCKING_FILES, OVER_TCP};
use crate::server::blocking::{BlockingWorker, accept};
use crate::server::children::Children;
use crate::server::connection::{Connection, ReservedBuffers};
use crate::server::stop::PAUSE;
use crate::server::{FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape};

/// The model. Children that have ended are waited for behind the next accept, as servers of this kind do, or after a
/// timeout without one.
#[derive(Debug)]
pub(in crate::server) struct ForkingServer;

impl ServerModel for ForkingServer {
    fn name(&self) -> &'static str {
        "forking"
    }

    fn about(&self) -> &'static str {
        "a new process for each connection"
    }

    fn protocols(&self) -> &'static [Protocol] {
        OVER_TCP
    }

    fn file_ways(&self) -> &'static [FileWay] {
        BLOCKING_FILES
    }

    fn shape(&self, _: &ServerConfig) -> Shape {
        Shape::waiting(0)
    }

    fn serve(&self, instance: ServedInstance) -> Result<(), ServerError> {
        let (worker, listener) = (instance.worker(0), &instance.sockets[0]);
        // Made once, and copied by the kernel where a child writes to them: a child must not allocate.
        let (mut blocking, mut spare) = (BlockingWorker::new(&instance), ReservedBuffers::new(&instance.handling));
        let mut children = Children::default();
        while let Some(socket) = accept(listener, &instance.stop, &worker, || children.reap())? {
            children.reap();
            loop {
                let forked = children.fork(&instance, &[socket.as_raw_fd()], || {
                    let mut connection = Connection::new(&instance.handling, worker.clone());
                    connection.use_buffers(std::mem::take(&mut spare));
                    blocking.serve(&socket, &mut connection, &instance);
                    // The memory is the kernel's to free.
                    std::mem::forget(connection.end_and_return());
                });
                if forked.is_ok() {
                    break;
                }
                // At a limit on processes the connection waits for one of them to end.
                worker.paused();
                if instance.stop.wait(PAUSE) {
                    break;
                }
                children.reap();
            }
        }
        Ok(())
    }
}
