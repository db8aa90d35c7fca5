//! A thread for each connection, created when it is accepted.

use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::{BLOCKING_FILES, OVER_TCP};
use crate::server::blocking::{BlockingWorker, accept};
use crate::server::connection::Connection;
use crate::server::stop::{GRACE, PAUSE};
use crate::server::{FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape};

/// The stack of a thread, which holds a loop over system calls; the standard library's 2 MiB would make 10,000 of them
/// 20 GiB of address space.
const STACK: usize = 128 * 1024;

/// The model.
#[derive(Debug)]
pub(in crate::server) struct ThreadedServer;

impl ServerModel for ThreadedServer {
    fn name(&self) -> &'static str {
        "threaded"
    }

    fn about(&self) -> &'static str {
        "a new thread for each connection"
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
        let (instance, alive) = (Arc::new(instance), Arc::new(LiveThreads::default()));
        let worker = instance.worker(0);
        let outcome = loop {
            let socket = match accept(&instance.sockets[0], &instance.stop, &worker, || {}) {
                Ok(Some(socket)) => Arc::new(socket),
                Ok(None) => break Ok(()),
                Err(error) => break Err(error),
            };
            // At a limit on threads the connection waits for one of them to end.
            while !spawn(&instance, &alive, &socket) {
                worker.paused();
                if instance.stop.wait(PAUSE) {
                    break;
                }
            }
        };
        alive.wait_for_none();
        outcome
    }
}

/// Starts the thread of a connection; false at a limit on threads.
fn spawn(instance: &Arc<ServedInstance>, alive: &Arc<LiveThreads>, socket: &Arc<OwnedFd>) -> bool {
    let (instance, socket, entry) = (Arc::clone(instance), Arc::clone(socket), LiveThreads::enter(alive));
    let life = move || {
        let _entry = entry;
        let _held = instance.stop.hold(socket.as_raw_fd());
        let mut connection = Connection::new(&instance.handling, instance.worker(0));
        BlockingWorker::new(&instance).serve(&socket, &mut connection, &instance);
    };
    std::thread::Builder::new().name("connection".into()).stack_size(STACK).spawn(life).is_ok()
}

/// How many threads there are.
#[derive(Debug, Default)]
struct LiveThreads {
    count: Mutex<usize>,
    changed: Condvar,
}

struct LiveEntry(Arc<LiveThreads>);

impl LiveThreads {
    fn enter(alive: &Arc<Self>) -> LiveEntry {
        *alive.count.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        LiveEntry(Arc::clone(alive))
    }

    /// Waits until all have ended, which they do when their client's input has: but a client that does not take its
    /// answer cannot hold the server up.
    fn wait_for_none(&self) {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(count, GRACE, |count| *count > 0));
    }
}

impl Drop for LiveEntry {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.changed.notify_all();
    }
}
