//! A pool of threads that are there from the start: each accepts a connection from the one listening socket and serves
//! it to its end.

use std::thread::Scope;

use super::BLOCKING_FILES;
use crate::server::blocking::serve_in_turn;
use crate::server::{FileWay, Protocol, ServedInstance, ServerConfig, ServerError, ServerModel, Shape};
use crate::sys::SysError;

/// The stack of a thread, as in `threaded`.
const STACK: usize = 128 * 1024;

/// The model. While every thread has a connection, each of HTTP is closed behind its answer: others may wait.
#[derive(Debug)]
pub(in crate::server) struct PrethreadedServer;

impl ServerModel for PrethreadedServer {
    fn name(&self) -> &'static str {
        "prethreaded"
    }

    fn about(&self) -> &'static str {
        "a pool of threads, each with one connection at a time"
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
        let instance = &instance;
        std::thread::scope(|scope| {
            let threads: Result<Vec<_>, _> =
                (0..instance.config.pool).map(|number| spawn(scope, instance, number)).collect();
            match threads {
                Ok(threads) => threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(panicked)),
                Err(error) => {
                    // Those that there are would serve on.
                    instance.stop.request();
                    Err(error.into())
                }
            }
        })
    }
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Result<(), ServerError> {
    Err(ServerError::library("a thread of the pool", "it panicked"))
}

type Spawned<'scope> = std::thread::ScopedJoinHandle<'scope, Result<(), ServerError>>;

fn spawn<'scope>(
    scope: &'scope Scope<'scope, '_>,
    instance: &'scope ServedInstance,
    number: usize,
) -> Result<Spawned<'scope>, SysError> {
    let builder = std::thread::Builder::new().name("pool".into()).stack_size(STACK);
    let spawned = builder.spawn_scoped(scope, move || serve_in_turn(instance, number));
    spawned.map_err(|error| SysError::from_io(format!("clone3 of thread {} of the pool", number + 1), &error))
}
