//! The threads of a server that has one for each listening socket.

use super::{ServedInstance, ServerError};
use crate::sys::SysError;
use crate::sys::affinity::{allowed_cpus, confine_current_thread};

/// Runs `serve` with the number of each listening socket, each on a thread of its own; a single one on this thread.
/// Where there is a thread for each CPU that the server may use, each is confined to one.
///
/// # Errors
/// The first error of a thread, at which the others stop as well.
pub(super) fn run_each(
    instance: &ServedInstance,
    serve: impl Fn(usize) -> Result<(), ServerError> + Sync,
) -> Result<(), ServerError> {
    let count = instance.sockets.len();
    if count == 1 {
        return serve(0);
    }
    let cpus = allowed_cpus()?;
    let on_its_cpu = |number: usize| {
        if cpus.len() == count {
            confine_current_thread(&cpus[number..=number])?;
        }
        serve(number)
    };
    let life = |number: usize| {
        let outcome = on_its_cpu(number);
        if outcome.is_err() {
            instance.stop.request();
        }
        outcome
    };
    std::thread::scope(|scope| {
        let life = &life;
        let spawn =
            |number| std::thread::Builder::new().name("worker".into()).spawn_scoped(scope, move || life(number));
        let mut threads = Vec::new();
        for number in 0..count {
            match spawn(number) {
                Ok(thread) => threads.push(thread),
                Err(error) => {
                    instance.stop.request();
                    return Err(SysError::from_io("clone3", &error).into());
                }
            }
        }
        let panicked = |_| Err(ServerError::library("a worker's thread", "it panicked"));
        // The scope waits for those behind one that has failed.
        threads.into_iter().try_for_each(|thread| thread.join().unwrap_or_else(panicked))
    })
}
