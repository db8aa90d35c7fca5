//! A pool of processes that are there from the start: each accepts a connection from the one listening socket, which
//! they share, and serves it to its end.

use std::collections::HashMap;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::BLOCKING_FILES;
use crate::server::blocking::{BlockingWorker, accept, serve_datagrams};
use crate::server::children::Children;
use crate::server::connection::{Connection, ReservedBuffers};
use crate::server::stop::PAUSE;
use crate::server::{FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape};
use crate::sys::SysError;
use crate::sys::process::open_child;

/// The model. While every process has a connection, each of HTTP is closed behind its answer: others may wait. A
/// process that ends before its time is replaced.
#[derive(Debug)]
pub(in crate::server) struct PreforkedServer;

impl ServerModel for PreforkedServer {
    fn name(&self) -> &'static str {
        "preforked"
    }

    fn about(&self) -> &'static str {
        "a pool of processes, each with one connection at a time"
    }

    fn protocols(&self) -> &'static [Protocol] {
        Protocol::ALL
    }

    fn file_ways(&self) -> &'static [FileWay] {
        BLOCKING_FILES
    }

    fn shape(&self, config: &ServerConfig) -> Shape {
        Shape::waiting(config.pool)
    }

    fn serve(&self, instance: ServedInstance) -> Result<(), ServerError> {
        let mut pool = ProcessPool {
            blocking: BlockingWorker::new(&instance),
            spare: ReservedBuffers::new(&instance.handling),
            processes: HashMap::new(),
            children: Children::default(),
        };
        loop {
            for number in 0..instance.config.pool {
                if !pool.processes.contains_key(&number) {
                    pool.fork(&instance, number)?;
                }
            }
            if pool.wait(&instance)? {
                return Ok(());
            }
        }
    }
}

struct ProcessPool {
    // Made once, and copied by the kernel where a child writes to them: a child must not allocate.
    blocking: BlockingWorker,
    spare: ReservedBuffers,
    /// What is readable once the process of this number has ended.
    processes: HashMap<usize, OwnedFd>,
    children: Children,
}

impl ProcessPool {
    fn fork(&mut self, instance: &ServedInstance, number: usize) -> Result<(), SysError> {
        let Self { blocking, spare, processes, children } = self;
        let (worker, listener) = (instance.worker(number), Arc::clone(&instance.sockets[0]));
        let child = children.fork(instance, &[listener.as_raw_fd()], || {
            if instance.config.protocol.is_datagrams() {
                let mut connection = Connection::uncounted(&instance.handling, worker.clone());
                connection.use_buffers(std::mem::take(spare));
                return serve_datagrams(instance, &listener, blocking, connection);
            }
            // An error is that of a listener which the parent has stopped.
            while let Ok(Some(socket)) = accept(&listener, &instance.stop, &worker, || {}) {
                let mut connection = Connection::new(&instance.handling, worker.clone());
                connection.use_buffers(std::mem::take(spare));
                blocking.serve(&socket, &mut connection, instance);
                *spare = connection.end_and_return();
            }
        })?;
        processes.insert(number, open_child(child)?);
        Ok(())
    }

    /// Waits until a process has ended, which is forgotten then, or the server is to stop: true.
    fn wait(&mut self, instance: &ServedInstance) -> Result<bool, SysError> {
        let numbers: Vec<usize> = self.processes.keys().copied().collect();
        let event = instance.stop.event();
        let watched = numbers.iter().map(|number| self.processes[number].as_fd()).chain([event.as_fd()]);
        let mut watched: Vec<_> = watched.map(|descriptor| PollFd::new(descriptor, PollFlags::POLLIN)).collect();
        match poll(&mut watched, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(SysError::new("poll", errno)),
        }
        let ended: Vec<bool> = watched.iter().map(|one| one.any().unwrap_or(false)).collect();
        for (number, _) in numbers.iter().zip(ended).filter(|(_, ended)| *ended) {
            self.processes.remove(number);
        }
        self.children.reap();
        // One that dies at once is not replaced at once.
        let replaces = self.processes.len() < numbers.len();
        Ok(instance.stop.is_requested() || (replaces && instance.stop.wait(PAUSE)))
    }
}
